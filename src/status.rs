//! The status of policies: what it should say ([`build`], pure), and how it is brought up to that ([`write`]).

pub mod build;
pub mod write;
