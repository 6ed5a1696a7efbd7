//! The status of policies: built from observations ([`build`] and [`conditions`], pure) and written to the API server
//! ([`mod@write`]). [`exemptions`] words the Events that come with it.

pub mod build;
mod conditions;
mod exemptions;
mod refused;
pub mod write;
