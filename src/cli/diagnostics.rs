//! What commands print on stderr of what could not be read, decided or written, and how they fail by it.

use super::Failure;
use crate::findings::{Fault, FaultKind};
use crate::gitops::{Blame, Refusal};
use crate::policies::files::FilesError;
use crate::policy::text::{clip, printable};

impl From<FilesError> for Failure {
    /// Where several files cannot be read, each is printed on a line of its own.
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

/// Prints the faults on stderr, and fails by the first kind that applies.
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
    let cause = match faults.len() {
        0 => return Ok(()),
        1 => "a fault; mend it".to_owned(),
        count => format!("{count} faults; mend them"),
    };
    Err(Failure::Cluster(format!("the {what} is incomplete because of {cause} and run it again")))
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let message = format!("{}: {}", printable(&refusal.place), printable(&refusal.message));
        match refusal.blame {
            Blame::Input => Self::Input(message),
            Blame::Cluster => Self::Cluster(message),
        }
    }
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
        1 => "a policy cannot be written; nothing was written".to_owned(),
        count => format!("{count} policies cannot be written; nothing was written"),
    };
    Err(if input { Failure::Input(summary) } else { Failure::Cluster(summary) })
}
