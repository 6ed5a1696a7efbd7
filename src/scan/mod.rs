//! The offline door: manifests in, one report out. Nothing here prints.

pub mod report;
