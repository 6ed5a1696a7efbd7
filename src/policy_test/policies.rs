//! The policies under test: files and folders beside the test, or specs in it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::api::ClusterDevOpsPolicySpec;
use crate::manifests::error::ManifestError;
use crate::manifests::node::{Content, Node};
use crate::manifests::policy_file::{ParseOptions, decode};
use crate::policies::files;
use crate::policy::compile::Policy;
use crate::policy::text::quote;

pub(super) struct TestedPolicy {
    /// `FILE:LINE:COLUMN`, by which coverage knows a policy that several tests name.
    pub place: String,
    pub policy: Arc<Policy>,
}

/// A policy in the test itself. It covers every namespace that its spec selects.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inline {
    name: Option<String>,
    spec: ClusterDevOpsPolicySpec,
}

/// Reads the policies that a test names.
///
/// # Errors
/// There is none, one cannot be read or does not compile, or two have one name.
pub(super) fn read(file: &str, test: &Node<'_>) -> Result<Vec<TestedPolicy>, ManifestError> {
    let path = "policies";
    let at = test.position_of(path);
    let items = match test.get(path).map(|it| &it.content) {
        Some(Content::List(items)) if !items.is_empty() => items,
        _ => {
            let message = "policies is a list of paths, and of specs as {spec: {bundle: baseline}}";
            return Err(ManifestError::new(at, message));
        }
    };
    let (mut policies, mut labels) = (Vec::new(), HashSet::new());
    for (index, item) in items.iter().enumerate() {
        let found = match item.as_str() {
            Some(path) => {
                of_files(file, path).map_err(|message| ManifestError::new(item.at, message))?
            }
            None => vec![inline(file, test, index, item)?],
        };
        for policy in found {
            if !labels.insert(policy.policy.label.clone()) {
                let label = quote(&policy.policy.label);
                let message =
                    format!("there are two policies with the name {label}; give them names");
                return Err(ManifestError::new(item.at, message));
            }
            policies.push(policy);
        }
    }
    Ok(policies)
}

/// The policies of a file or a folder, which is named from the test's folder.
fn of_files(file: &str, path: &str) -> Result<Vec<TestedPolicy>, String> {
    let path = folder(file).join(path);
    // One name for each file, whatever way leads to it.
    let canonical =
        path.canonicalize().map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let below = |root: PathBuf| canonical.strip_prefix(root).ok().map(PathBuf::from);
    let near = std::env::current_dir().and_then(|it| it.canonicalize()).ok().and_then(below);
    let near = near.filter(|it| *it.as_os_str() != *"").unwrap_or_else(|| canonical.clone());
    let read = files::read(&[near], ParseOptions::default()).map_err(|error| error.to_string())?;
    Ok(read
        .into_iter()
        .map(|it| TestedPolicy { place: it.place, policy: it.document.policy })
        .collect())
}

fn inline(
    file: &str,
    test: &Node<'_>,
    index: usize,
    item: &Node<'_>,
) -> Result<TestedPolicy, ManifestError> {
    let Inline { name, spec } = decode(item)?;
    let bundle = spec.rules().bundle.map(|it| it.as_str().to_owned());
    let name = name.or(bundle).unwrap_or_else(|| "policy".to_owned());
    let policy = Policy::compile_cluster(name, &spec);
    let policy = policy.and_then(|it| it.unknown_kind().map_or(Ok(it), Err));
    let policy = policy.map_err(|invalid| {
        let at = test.position_of(&format!("policies[{index}].{}", invalid.path));
        ManifestError::new(at, invalid.to_string())
    })?;
    Ok(TestedPolicy { place: format!("{file}:{}", item.at), policy: Arc::new(policy) })
}

/// The folder of a test's file, from which its paths are.
pub(super) fn folder(file: &str) -> &Path {
    let parent = Path::new(file).parent().filter(|it| !it.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}
