//! Judging once: manifests offline ([`offline::scan`]), or the pods of a live cluster ([`cluster`]); one report out.
//! Nothing here prints or writes.

pub mod analyser;
pub mod analysis;
pub mod cluster;
pub mod cluster_policies;
pub mod fix;
pub mod fleet;
pub mod inputs;
pub mod manifest;
pub mod offline;
pub mod reach;
pub mod report;
