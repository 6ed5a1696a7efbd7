//! Prints to stderr what could not be read, judged or written, and fails the command.

use super::failure::Failure;
use crate::findings::{Fault, FaultKind};
use crate::gitops::{Blame, WriteRefusal};
use crate::policies::files::FilesError;
use crate::policy::text::{clip, printable};

impl From<FilesError> for Failure {
    /// Prints each file that cannot be read on a line of its own, where there are several.
    fn from(error: FilesError) -> Self {
        let FilesError::Unreadable(faults) = error else { return Self::Input(error.to_string()) };
        if let [fault] = faults.as_slice() {
            return by_kind(&faults, line(fault));
        }
        for fault in &faults {
            eprintln!("podgate: {}", line(fault));
        }
        let count = faults.len();
        by_kind(&faults, format!("{count} policy files cannot be read; mend them and run it again"))
    }
}

fn line(fault: &Fault) -> String {
    format!("{}: {}", printable(&fault.place), printable(&fault.message))
}

/// A failure by the first kind of fault that applies.
fn by_kind(faults: &[Fault], message: String) -> Failure {
    let input = faults.iter().any(|fault| fault.kind == FaultKind::Input);
    if input { Failure::Input(message) } else { Failure::Cluster(message) }
}

/// Prints the faults to stderr, and fails: by input if any fault is of the input, else by the cluster.
pub(super) fn report_faults(faults: &[Fault]) -> Result<(), Failure> {
    for fault in faults {
        eprintln!("{}", line(fault));
    }
    let summary = match faults.len() {
        0 => return Ok(()),
        1 => "the input has a fault; everything else was read".to_owned(),
        count => format!("the input has {count} faults; everything else was read"),
    };
    Err(by_kind(faults, summary))
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
    let cause = match faults.len() {
        0 => return Ok(()),
        1 => "a fault; mend it".to_owned(),
        count => format!("{count} faults; mend them"),
    };
    Err(Failure::Cluster(format!("the {what} is incomplete because of {cause} and run it again")))
}

/// Prints the refusals to stderr, and fails: by input if any refusal is of the input, else by the cluster.
pub(super) fn report_refusals(refusals: Vec<WriteRefusal>) -> Result<(), Failure> {
    let count = refusals.len();
    let input = refusals.iter().any(|it| it.blame == Blame::Input);
    for refusal in refusals {
        eprintln!("{}", Failure::from(refusal));
    }
    let summary = match count {
        0 => return Ok(()),
        1 => "a policy cannot be written; nothing was written".to_owned(),
        count => format!("{count} policies cannot be written; nothing was written"),
    };
    Err(if input { Failure::Input(summary) } else { Failure::Cluster(summary) })
}
