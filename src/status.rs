//! The status of policies: built from observations ([`build`] and [`conditions`], pure) and written to the API server
//! ([`mod@write`]). [`exemptions`] words the Events that come with it. [`recorded`] reads what an earlier leader wrote.

mod affected;
pub mod build;
mod conditions;
mod exemptions;
mod pace;
pub mod recorded;
mod refused;
pub mod write;
