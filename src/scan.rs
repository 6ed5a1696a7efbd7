//! Manifests, judged without a cluster: files in ([`inputs`]), one report out ([`offline::scan`]). Nothing here prints or writes.

pub mod fix;
pub mod manifest;
pub mod offline;
