//! What carries out the functions of the libraries, by the ids of their overloads; [`super::declared`] declares them.
//!
//! Each library is written after its source in `k8s.io/apiserver/pkg/cel/library` or `github.com/google/cel-go/ext`, and costs
//! what `pkg/cel/library/cost.go` and the trackers of cel-go's libraries charge. Where the cost leaves out what a call does, the
//! call charges the meter's memory ([`work`]), so that the work of a review is bounded too.

mod address;
mod addresses;
mod cost;
mod descriptions;
mod double;
mod format;
mod formats;
mod lists;
mod pattern;
mod quantities;
pub mod quantity;
mod quoted;
mod regular;
mod semver;
mod sets;
mod sorting;
mod strings;
mod texts;
#[cfg(test)]
mod trials;
mod url;
mod urls;
mod versions;

use super::error::Error;
use super::function::{Call, Overload};
use super::value::Value;

pub use descriptions::{LEFT_OUT, MACROS, description};
pub use format::check_format;
pub use regular::check_pattern;

/// The functions of all libraries.
const LIBRARIES: [&[Overload]; 10] = [
    strings::OVERLOADS,
    regular::OVERLOADS,
    lists::OVERLOADS,
    sorting::OVERLOADS,
    sets::OVERLOADS,
    quantities::OVERLOADS,
    versions::OVERLOADS,
    addresses::OVERLOADS,
    urls::OVERLOADS,
    formats::OVERLOADS,
];

/// What carries out an overload.
pub fn find(id: &str) -> Option<Overload> {
    LIBRARIES.into_iter().flatten().find(|overload| overload.id == id).copied()
}

/// Bytes that a call may go over for one byte of the review's memory.
const WORK_OF_A_BYTE: usize = 64;

/// Charges going over so many bytes.
fn work(call: &mut Call<'_>, bytes: usize) -> Result<(), Error> {
    call.meter.allocate(bytes / WORK_OF_A_BYTE)
}

/// A string that a function made.
fn text<'v>(call: &mut Call<'_>, text: &str) -> Result<Value<'v>, Error> {
    call.meter.allocate(text.len())?;
    Ok(Value::string(text))
}

fn number<'v>(number: usize) -> Value<'v> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn mismatch<T>(function: &str, args: &[Value<'_>]) -> Result<T, Error> {
    let types: Vec<&str> = args.iter().map(Value::type_name).collect();
    Err(Error::no_such_overload(function, &types))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::declared::{authorization::AUTHORIZATION, libraries};
    use super::super::standard;
    use super::*;

    /// Overloads that are carried out elsewhere: by the interpreter, or by the language's own functions.
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
