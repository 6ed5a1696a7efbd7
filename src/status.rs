//! The status of policies: built from observations ([`build`], pure) and written to the API server ([`mod@write`]).

pub mod build;
mod refused;
pub mod write;
