//! What `analyze` and `policy preview` have in common: they read a live cluster, and may not be let read all of it.

use super::Failure;
use crate::policy::text::clip;
use crate::scan::report::Fault;

/// Tells on stderr what a person should know, and what could not be read or decided.
pub(super) fn tell(notes: &[String], faults: &[Fault]) {
    for note in notes {
        eprintln!("podgate: {note}");
    }
    for fault in faults {
        eprintln!("podgate: {}: {}", clip(&fault.place), fault.message);
    }
}

/// Fails where something could not be read, after the rest was printed; `what` is incomplete then.
pub(super) fn complete(what: &str, faults: &[Fault]) -> Result<(), Failure> {
    let (plural, verb) = match faults.len() {
        0 => return Ok(()),
        1 => ("", "is"),
        _ => ("s", "are"),
    };
    let count = faults.len();
    Err(Failure::Cluster(format!(
        "the {what} is incomplete: {count} fault{plural} {verb} told above"
    )))
}
