//! How `apply`, `import` and `diff` tell what stands against a policy.

use super::super::Failure;
use crate::gitops::{Blame, Refusal};
use crate::policy::text::printable;

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let message = format!("{}: {}", printable(&refusal.place), printable(&refusal.message));
        match refusal.blame {
            Blame::Input => Self::Input(message),
            Blame::Cluster => Self::Cluster(message),
        }
    }
}

/// Tells the refusals on stderr, and fails by the first kind that applies.
pub(super) fn tell(refusals: Vec<Refusal>) -> Result<(), Failure> {
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
