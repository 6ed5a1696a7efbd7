//! Judging once: manifests offline ([`offline::scan`]), or the pods of a live cluster ([`cluster`]); one report out.
//! Several clusters side by side are a [`fleet`]. What a policy would do to a cluster if it were enforced, [`preview`] tells beforehand.
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
pub mod preview;
pub mod reach;
pub mod report;
