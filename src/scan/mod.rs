//! Judging once: manifests offline, or the pods of a live cluster; one report out. Nothing here prints or writes.

mod analyser;
pub mod analysis;
pub mod cluster;
pub mod cluster_policies;
pub mod report;
