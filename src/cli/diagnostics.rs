//! What commands print on stderr of what could not be read, decided or written, and how they fail by it.

use super::failure::Failure;
use crate::findings::{Fault, FaultKind};
use crate::gitops::{Blame, Refusal};
use crate::policies::files::FilesError;
use crate::policy::text::{clip, printable};

impl From<FilesError> for Failure {
    /// Files that cannot be read are printed, one a line.
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Unreadable(faults) => {
                report_faults(&faults).err().unwrap_or_else(|| Self::Input(String::new()))
            }
            error => Self::Input(error.to_string()),
        }
    }
}

/// Prints the faults on stderr, and fails by the first kind that applies.
pub(super) fn report_faults(faults: &[Fault]) -> Result<(), Failure> {
    for Fault { place, message, .. } in faults {
        eprintln!("{}: {}", printable(place), printable(message));
    }
    let summary = match faults.len() {
        0 => return Ok(()),
        1 => "the input has a fault, told above; everything else was read".to_owned(),
        count => format!("the input has {count} faults, told above; everything else was read"),
    };
    let input = faults.iter().any(|fault| fault.kind == FaultKind::Input);
    Err(if input { Failure::Input(summary) } else { Failure::Cluster(summary) })
}

/// Prints on stderr what a person should know, and what could not be read or decided.
pub(super) fn report_notes(notes: &[String], faults: &[Fault]) {
    for note in notes {
        eprintln!("podgate: {note}");
    }
    for fault in faults {
        eprintln!("podgate: {}: {}", clip(&fault.place), fault.message);
    }
}

/// Fails where something could not be read, after the rest was printed; `what` is incomplete then.
pub(super) fn require_complete(what: &str, faults: &[Fault]) -> Result<(), Failure> {
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

/// Prints the refusals on stderr, and fails by the first kind that applies.
pub(super) fn report_refusals(refusals: Vec<Refusal>) -> Result<(), Failure> {
    let count = refusals.len();
    let input = refusals.iter().any(|it| it.blame == Blame::Input);
    for refusal in refusals {
        eprintln!("{}", Failure::from(refusal));
    }
    let summary = match count {
        0 => return Ok(()),
        1 => "a policy cannot be written, as told above; nothing was written".to_owned(),
        count => format!("{count} policies cannot be written, as told above; nothing was written"),
    };
    Err(if input { Failure::Input(summary) } else { Failure::Cluster(summary) })
}
