//! The status of policies: built from observations ([`build`], pure) and written to the API server ([`write`]).

pub mod build;
pub mod write;
