//! The functions that the API server of Kubernetes 1.36 declares for stored expressions, in the order of its libraries
//! (`pkg/cel/environment/base.go`).

pub mod authorization;
mod comparison;
mod lists;
mod network;
mod optional;
mod quantities;
mod standard;
mod strings;
mod time;

use super::declarations::FunctionLibrary;

/// All libraries.
pub fn libraries() -> Vec<FunctionLibrary> {
    vec![
        standard::library(),
        network::urls(),
        strings::regular_expressions(),
        lists::kubernetes(),
        authorization::library(),
        optional::library(),
        quantities::quantities(),
        strings::strings(),
        lists::sets(),
        network::addresses(),
        network::blocks(),
        quantities::formats(),
        optional::two_variables(),
        quantities::versions(),
        lists::lists(),
    ]
}
