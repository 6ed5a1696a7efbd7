//! The offline door: manifests in, one report out. Nothing here prints.

pub mod inputs;
pub mod manifest;
pub mod offline;
pub mod report;
