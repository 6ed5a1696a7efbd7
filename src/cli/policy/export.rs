//! `podgate policy export`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::super::args::{ClusterArgs, NamespaceArgs};
use super::super::failure::{Failure, block_on};
use super::super::output;
use super::show::PolicyKind;
use crate::clusters;
use crate::gitops::live::{self, PolicyScope};
use crate::gitops::{folder, yaml};
use crate::manifests::canonical::canonical;
use crate::policy::key::PolicyKey;

#[derive(Args, Debug)]
#[command(
    after_help = "Fields that the cluster added are left out, and the order is fixed: equal policies export to equal texts. With
-A, ClusterDevOpsPolicies come first.

Examples:
  podgate policy export -n shop > policies.yaml
  podgate policy export -A --dir policies/
  podgate policy export --kind ClusterDevOpsPolicy"
)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    namespaces: NamespaceArgs,
    /// Only policies of this kind
    #[arg(long, value_enum, ignore_case = true)]
    kind: Option<PolicyKind>,
    /// Only policies that this label selector matches, such as team=cart
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Write a file for each policy: DIR/NAMESPACE/NAME.yaml, or DIR/NAME.yaml for a ClusterDevOpsPolicy
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl ExportArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(export(self))
    }
}

async fn export(args: ExportArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let which = match (args.kind, args.namespaces.one(cluster.client.default_namespace())) {
        (Some(PolicyKind::ClusterDevOpsPolicy), _) => PolicyScope::ClusterWide,
        (_, Some(namespace)) => PolicyScope::Namespace(namespace),
        (_, None) => PolicyScope::All,
    };
    let mut policies = live::list(&cluster, &which, args.selector.as_deref()).await?;
    if let Some(PolicyKind::DevOpsPolicy) = args.kind {
        policies.retain(|(key, _)| key.namespace.is_some());
    }
    if policies.is_empty() {
        eprintln!(
            "podgate: there is no such policy; -A exports all namespaces and ClusterDevOpsPolicies"
        );
    }
    let policies: Vec<_> =
        policies.into_iter().map(|(key, policy)| (key, canonical(&policy))).collect();
    if let Some(dir) = &args.dir {
        return files(dir, &which, &policies);
    }
    let texts: std::io::Result<Vec<_>> = policies.iter().map(|(_, it)| yaml(it)).collect();
    output::print(&texts?.join("---\n"))
}

/// Writes a file for each policy, and names the folder's other files.
fn files(dir: &Path, which: &PolicyScope, policies: &[(PolicyKey, Value)]) -> Result<(), Failure> {
    let cannot = |path: &Path, error| {
        Failure::Cluster(format!("cannot write {}: {error}", dir.join(path).display()))
    };
    let mut exported = BTreeSet::new();
    for (key, policy) in policies {
        let path =
            folder::path(key).map_err(|error| Failure::Cluster(format!("{key}: {error}")))?;
        let written = folder::write(dir, &path, &yaml(policy)?);
        if written.map_err(|error| cannot(&path, error))? {
            eprintln!("{}: written", dir.join(&path).display());
        }
        exported.insert(path);
    }
    let namespace = match which {
        PolicyScope::Namespace(namespace) => Some(namespace.as_str()),
        PolicyScope::All | PolicyScope::ClusterWide => None,
    };
    let others = folder::others(dir, namespace, &exported);
    for other in others.map_err(|error| cannot(Path::new(""), error))? {
        eprintln!(
            "{}: not the file of an exported policy; delete it if its policy is gone",
            dir.join(other).display()
        );
    }
    Ok(())
}
