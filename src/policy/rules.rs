//! One file per rule. The module comment of a rule's file is its page: what it requires, why, and how to satisfy it.

pub mod allowed_registries;
pub mod forbid_latest_tag;
pub mod forbid_pending_duration;
pub mod images;
pub mod max_restart_count;
pub mod pod_security;
mod probe;
pub mod require_image_digest;
pub mod require_liveness_probe;
pub mod require_readiness_probe;
pub mod require_resource_limits;
pub mod require_resource_requests;
pub mod required_labels;
mod resources;
#[cfg(test)]
mod testing;
pub mod validations;
