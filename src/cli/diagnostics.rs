//! Prints to stderr what could not be read, judged or written, and fails the command.

use super::failure::Failure;
use crate::findings::{Fault, FaultKind};
use crate::gitops::{Blame, Refusal};
use crate::policies::files::FilesError;
use crate::policy::text::{clip, printable};

impl From<FilesError> for Failure {
    /// Prints the files that cannot be read to stderr, one on each line.
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Unreadable(faults) => {
                report_faults(&faults).err().unwrap_or_else(|| Self::Input(String::new()))
            }
            error => Self::Input(error.to_string()),
        }
    }
}

/// Prints the faults to stderr, and fails: by input if any fault is of the input, else by the cluster.
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

/// Prints notes and faults to stderr.
pub(super) fn report_notes(notes: &[String], faults: &[Fault]) {
    for note in notes {
        eprintln!("podgate: {note}");
    }
    for fault in faults {
        eprintln!("podgate: {}: {}", clip(&fault.place), fault.message);
    }
}

/// Fails where there is a fault, since `what` is incomplete. Called after the rest was printed.
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

/// Prints the refusals to stderr, and fails: by input if any refusal is of the input, else by the cluster.
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
