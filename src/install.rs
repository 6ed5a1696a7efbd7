//! podgate as an admin installs it: whether a cluster has what it needs ([`preflight`]), which rights it needs
//! ([`permissions`]), its webhook configurations ([`configurations`]), and how they are taken away ([`break_glass`]).

pub mod break_glass;
pub mod configurations;
pub mod permissions;
pub mod preflight;
