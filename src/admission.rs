//! The webhooks: an AdmissionReview comes in over TLS and is answered.
//!
//! The way of a review: [`server`] (TCP, TLS, HTTP) → [`handler`] (routes) → [`limits`] (is there room?) → [`body`] →
//! [`review`] (decode, with [`json`]; [`trees`] for CEL) → [`validate`] or [`mutate`] → [`answer`] (encode). Each step
//! that refuses returns a [`refusal`]; what was decided is a [`judged::Judged`].
//!
//! Room: [`connections`], [`pool`] (reviews and bytes), [`body_queue`] (large bodies) and [`judging`] (turns to judge)
//! reserve a part for the callers that are proved to be API servers ([`callers`]). [`log_limit`] bounds log lines.
//!
//! Other reviews than those of workloads: [`policy_object`] (policies themselves) and [`alive`] (the beat's Lease).
//! [`unchanged`] and [`repairs`] decide what an update does not have to answer for.
//!
//! The webhook configurations: [`registration`] renders them, [`self_registration`] writes them in development, and
//! [`intact`] compares them with those of a cluster.

pub(crate) mod alive;
mod answer;
mod body;
mod body_queue;
pub(crate) mod callers;
pub(crate) mod connections;
mod fair_queue;
pub(crate) mod handler;
pub(crate) mod intact;
mod json;
pub mod judged;
mod judging;
mod limits;
mod log_limit;
pub mod mutate;
mod policy_object;
mod pool;
mod refusal;
pub mod registration;
mod repairs;
mod retries;
pub mod review;
mod revisions;
pub(crate) mod self_registration;
pub mod server;
mod trees;
mod turns;
mod unchanged;
pub mod validate;
