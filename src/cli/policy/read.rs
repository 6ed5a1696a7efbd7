//! The policies of files and folders, as `import`, `diff` and `preview` take them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::Failure;
use super::super::manifests::tell;
use crate::manifests::policy_file::{self, PolicyDocument, Reading};
use crate::policy::text::quote;
use crate::scan::inputs;

/// A policy and where it is written.
pub(super) struct PlacedPolicy {
    /// `FILE:LINE:COLUMN`.
    pub place: String,
    pub document: PolicyDocument,
}

/// Reads files, folders with all that is below them, and `-`. A `DevOpsPolicy` that names no namespace takes this one, and
/// objects of other API groups are passed over: such a folder is what a `GitOps` tool delivers.
///
/// # Errors
/// Every file that cannot be read is told, and the first fault of the first that holds one; nothing is read by halves.
pub(super) fn policies(paths: &[PathBuf], namespace: &str) -> Result<Vec<PlacedPolicy>, Failure> {
    let (inputs, faults) = inputs::find(paths);
    tell(&faults)?;
    let reading = Reading { namespace: Some(namespace), among_others: true };
    let mut first = BTreeMap::new();
    let mut policies = Vec::new();
    for input in &inputs {
        let documents = input.read(|text| policy_file::parse(text, reading));
        let documents = documents
            .map_err(|fault| Failure::Input(format!("{}: {}", fault.place, fault.message)))?
            .map_err(|fault| Failure::Input(format!("{}:{fault}", input.name)))?;
        for document in documents {
            let place = format!("{}:{}", input.name, document.at);
            if let Some(first) = first.insert(document.policy.label.clone(), place.clone()) {
                return Err(Failure::Input(format!(
                    "{place}: policy {} is defined twice, first in {first}",
                    quote(&document.policy.label)
                )));
            }
            policies.push(PlacedPolicy { place, document });
        }
    }
    if policies.is_empty() {
        return Err(Failure::Input("there is no policy in what was named".to_owned()));
    }
    Ok(policies)
}
