//! Installation: the checks of `podgate check` ([`preflight`]), the permissions that podgate needs ([`permissions`]),
//! the webhook configurations of a cluster ([`configurations`]), and how to delete them in an emergency
//! ([`break_glass`]).

pub(crate) mod break_glass;
pub(crate) mod configurations;
pub mod crd;
mod floors;
pub mod permissions;
pub(crate) mod preflight;
