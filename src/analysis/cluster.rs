//! Analyzes a live cluster once. It never writes. A part of the cluster that cannot be read is a fault; the rest is
//! still analyzed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::analyzer::Analyzer;
use super::read::{ResolvedExtent, Unread, read, unread_in};
use super::result::{Analysis, OwnPolicies};
use crate::clusters::{Cluster, ClusterError};
use crate::findings::{Fault, FaultKind};
use crate::policies::list::{ClusterPolicies, Unusable};
use crate::policies::namespaces;
use crate::policy::compile::Policy;
use crate::policy::made_pod::MAKERS;
use crate::policy::policy_set::PolicySet;
use crate::policy::protected::Protected;
use crate::policy::text::quote;
use crate::policy::workload::Kind;

/// Which namespaces to analyze.
pub enum Extent {
    One(String),
    /// All namespaces; if they cannot be listed, only the namespace `or_else`.
    All {
        or_else: String,
    },
}

/// Why a cluster could not be analyzed at all.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("there is no namespace {}; kubectl get namespaces lists them", quote(.0))]
    NoNamespace(String),
    #[error("{0} is a protected namespace, which podgate never judges; choose another with -n")]
    Protected(String),
}

/// Judges every pod of the extent by the policies in force in its namespace: by the given policies or, if none are
/// given, by the cluster's own.
///
/// # Errors
/// No namespace could be read.
pub async fn analyze(
    cluster: &Cluster,
    extent: Extent,
    given: Option<Vec<Arc<Policy>>>,
    protected: Protected,
    now: Timestamp,
) -> Result<Analysis, AnalysisError> {
    let mut wanted = resolve(cluster, extent, &protected).await?;
    let own_policies = given.is_none();
    let names = wanted.names.iter().map(String::as_str);
    let found = match given {
        Some(policies) => ClusterPolicies { policies, ..ClusterPolicies::default() },
        None => ClusterPolicies::read(cluster, wanted.everywhere, names).await?,
    };
    let policies = PolicySet::new(found.policies, Arc::new(wanted.metadata.clone()));
    let policies = policies.protecting(protected);
    let default_checks = PolicySet::default_checks();
    let mut analyzer = Analyzer::new(&policies, &default_checks, wanted.names.clone(), now);

    let cluster = if policies.reads_documents() { cluster.clone() } else { cluster.compact() };
    let unread = read(&cluster, &wanted, Kind::Pod, |pod| analyzer.pod(pod)).await?;
    for (name, message) in &unread {
        analyzer.leave_out(name, &format!("its pods cannot be read: {message}"));
    }
    if let Some((_, message)) = unread.last_key_value()
        && analyzer.is_empty()
    {
        let all: Vec<_> = wanted.note.into_iter().chain([message.clone()]).collect();
        return Err(ClusterError::Forbidden(all.join("; ")).into());
    }
    wanted.names.retain(|name| !unread.contains_key(name));
    let unseen = workloads(&cluster, &wanted, &mut analyzer).await?;

    let mut analysis = analyzer.finish();
    let incomplete = found.faults.iter().any(|fault| fault.kind != FaultKind::NotServed);
    if !own_policies {
        // Admission does not decide by the given policies.
        analysis.refused.clear();
    }
    analysis.faults.extend(unseen);
    analysis.own = own_policies.then_some(OwnPolicies { hashes: found.hashes, incomplete });
    let unusable = found.unusable.iter().map(unusable);
    let faults = found.faults.into_iter().chain(unusable);
    analysis.faults.splice(0..0, faults);
    analysis.notes.extend(wanted.note);
    Ok(analysis)
}

/// Judges the workloads, and returns what could not be read.
async fn workloads(
    cluster: &Cluster,
    wanted: &ResolvedExtent,
    analyzer: &mut Analyzer<'_>,
) -> Result<Option<Fault>, ClusterError> {
    let (mut resources, mut unread) = (Vec::new(), Unread::new());
    for kind in MAKERS {
        let of_kind = read(cluster, wanted, kind, |json| analyzer.workload(kind, json)).await?;
        if !of_kind.is_empty() {
            resources.push(kind.names().resource);
            for (namespace, message) in of_kind {
                unread.entry(namespace).or_insert(message);
            }
        }
    }
    let message = unread.first_key_value().map(|(_, message)| message);
    Ok(unread_in(&unread).zip(message).map(|(place, message)| {
        let message = format!("{place}, so those without a pod are not judged there: {message}");
        Fault::cluster(&resources.join(", "), message)
    }))
}

/// Finds the namespaces of an extent.
///
/// # Errors
/// The only namespace does not exist or is protected, or the API server does not answer.
pub(super) async fn resolve(
    cluster: &Cluster,
    extent: Extent,
    protected: &Protected,
) -> Result<ResolvedExtent, AnalysisError> {
    let or_else = match extent {
        Extent::One(name) => return one(cluster, name, protected).await,
        Extent::All { or_else } => or_else,
    };
    match namespaces::all(cluster).await {
        Ok(metadata) => {
            let names = metadata.keys().filter(|name| !protected.contains(name));
            Ok(ResolvedExtent {
                names: names.cloned().collect(),
                metadata,
                everywhere: true,
                note: None,
            })
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let note = format!(
                "namespaces cannot be listed ({}), so only {or_else} is analyzed; choose another with -n",
                status.message
            );
            let one = one(cluster, or_else, protected).await?;
            Ok(ResolvedExtent { note: Some(note), ..one })
        }
        Err(error) => Err(cluster.explain(error).into()),
    }
}

async fn one(
    cluster: &Cluster,
    name: String,
    protected: &Protected,
) -> Result<ResolvedExtent, AnalysisError> {
    if protected.contains(&name) {
        return Err(AnalysisError::Protected(name));
    }
    let metadata = match namespaces::one(cluster, &name).await {
        Ok(Some(namespace)) => BTreeMap::from([(name.clone(), namespace)]),
        Ok(None) => return Err(AnalysisError::NoNamespace(name)),
        // Only a namespaceSelector needs the labels; the analyzer reports a fault if there is one.
        Err(kube::Error::Api(status)) if status.code == 403 => BTreeMap::new(),
        Err(error) => return Err(cluster.explain(error).into()),
    };
    Ok(ResolvedExtent { names: vec![name], metadata, ..ResolvedExtent::default() })
}

/// The fault of a policy that cannot be compiled.
pub(super) fn unusable(policy: &Unusable) -> Fault {
    let message = format!("cannot be used, so nothing is judged by it: {}", policy.error);
    Fault::cluster(&policy.name, message)
}
