//! Implementations of the libraries' functions, by the ids of their overloads; [`super::declared`] declares them.
//!
//! Each library follows its source in `k8s.io/apiserver/pkg/cel/library` or
//! `github.com/google/cel-go/ext`; costs are those of `pkg/cel/library/cost.go` and of the trackers
//! of cel-go's libraries. Where the cost does not cover the work of a call, the call charges the
//! meter's memory for it ([`support::charge_work`]), so that the work of a review is bounded.

mod address;
mod address_functions;
mod code_points;
mod cost;
mod descriptions;
#[cfg(test)]
mod function_tests;
mod lists;
mod named_formats;
mod pattern;
pub mod quantity;
mod quantity_functions;
mod quoted;
mod regex_functions;
mod semver;
mod semver_functions;
mod sets;
mod sorting;
mod string_format;
mod strings;
mod support;
mod url;
mod url_functions;

use super::function::Overload;

pub use descriptions::{LEFT_OUT, MACROS, description};
pub use regex_functions::check_pattern;
pub use string_format::check_format;

/// The functions of all libraries.
const LIBRARIES: [&[Overload]; 10] = [
    strings::OVERLOADS,
    regex_functions::OVERLOADS,
    lists::OVERLOADS,
    sorting::OVERLOADS,
    sets::OVERLOADS,
    quantity_functions::OVERLOADS,
    semver_functions::OVERLOADS,
    address_functions::OVERLOADS,
    url_functions::OVERLOADS,
    named_formats::OVERLOADS,
];

/// The implementation of an overload.
pub fn find(id: &str) -> Option<Overload> {
    LIBRARIES.into_iter().flatten().find(|overload| overload.id == id).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::declared::{authorization::AUTHORIZATION, libraries};
    use super::super::standard;
    use super::*;

    /// Functions that are implemented elsewhere: by the evaluator, or by the language's own functions.
    fn is_elsewhere(function: &str) -> bool {
        let own = ["or", "orValue", "cel.@mapInsert"];
        function.contains('_')
            || own.contains(&function)
            || function == "@in"
            || function == "@not_strictly_false"
            || standard::find(function).is_some()
    }

    #[test]
    fn every_declared_overload_is_carried_out_and_no_other() {
        let declared: BTreeSet<_> = libraries()
            .iter()
            .filter(|library| library.name != AUTHORIZATION)
            .flat_map(|library| &library.functions)
            .filter(|function| !is_elsewhere(function.name))
            .flat_map(|function| function.overloads.iter().map(|overload| overload.id))
            .collect();
        let here: BTreeSet<_> =
            LIBRARIES.into_iter().flatten().map(|overload| overload.id).collect();
        assert_eq!(declared, here);
        assert!(find("string_trim").is_some() && find("math_least").is_none());
    }
}
