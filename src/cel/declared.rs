//! The functions that the API server of Kubernetes 1.36 declares for stored expressions, library by library, in the order in
//! which its environment takes them up (`pkg/cel/environment/base.go`).

mod authorization;
mod comparison;
mod optional;
mod standard;
mod time;

use super::declarations::Library;

/// All libraries.
pub fn libraries() -> Vec<Library> {
    vec![
        standard::library(),
        authorization::library(),
        optional::library(),
        optional::two_variables(),
    ]
}
