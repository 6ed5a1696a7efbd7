//! Analyzes a live cluster once. It reads and never writes, and a part that it may not read is a fault, not the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::Api;
use kube::core::PartialObjectMeta;

use super::analyzer::Analyzer;
use super::result::{Analysis, OwnPolicies};
use crate::clusters::{Cluster, ClusterError};
use crate::findings::{Fault, FaultKind};
use crate::policies::list::ClusterPolicies;
use crate::policy::compile::Policy;
use crate::policy::policy_set::{Namespaces, PolicySet};
use crate::policy::protected::Protected;
use crate::policy::text::quote;

/// Which namespaces to analyze.
pub enum Extent {
    One(String),
    /// All that can be listed; if none can, the one that is named here.
    All {
        or_else: String,
    },
}

/// Why nothing could be analyzed.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("there is no namespace {}; kubectl get namespaces lists them", quote(.0))]
    NoNamespace(String),
    #[error("{0} is a protected namespace, which podgate never judges; choose another with -n")]
    Protected(String),
}

/// The namespaces that are wanted, and how far the pods can be read at once.
#[derive(Default)]
pub(super) struct Wanted {
    pub names: Vec<String>,
    pub metadata: Namespaces,
    pub everywhere: bool,
    pub note: Option<String>,
}

/// Judges every pod of the extent by the policies that are in force where it runs: those that are given or, if none
/// are, the cluster's own.
///
/// # Errors
/// Nothing could be read.
pub async fn analyze(
    cluster: &Cluster,
    extent: Extent,
    given: Option<Vec<Arc<Policy>>>,
    protected: Protected,
    now: Timestamp,
) -> Result<Analysis, AnalysisError> {
    let wanted = wanted(cluster, extent, &protected).await?;
    let names = || wanted.names.iter().map(String::as_str);
    let own_policies = given.is_none();
    let found = match given {
        Some(policies) => ClusterPolicies { policies, ..ClusterPolicies::default() },
        None => ClusterPolicies::read(cluster, wanted.everywhere, names()).await?,
    };
    let policies = PolicySet::new(found.policies, Arc::new(wanted.metadata.clone()));
    let policies = policies.protecting(protected);
    let default_checks = PolicySet::default_checks();
    let analyzer = || Analyzer::new(&policies, &default_checks, names().map(str::to_owned), now);

    let mut judged = analyzer();
    let at_once = wanted.everywhere && pods(cluster, None, &mut judged).await?.is_none();
    if !at_once {
        judged = analyzer();
        for name in names() {
            if let Some(message) = pods(cluster, Some(name), &mut judged).await? {
                judged.leave_out(name, &format!("its pods cannot be read: {message}"));
                if judged.is_empty() {
                    let all: Vec<_> = wanted.note.into_iter().chain([message]).collect();
                    return Err(ClusterError::Forbidden(all.join("; ")).into());
                }
            }
        }
    }

    let mut analysis = judged.finish();
    let partly = found.faults.iter().any(|fault| fault.kind != FaultKind::NotServed);
    analysis.own = own_policies.then_some(OwnPolicies { hashes: found.hashes, partly });
    let unusable = found.unusable.into_iter().map(|it| Fault {
        place: it.name,
        message: format!("cannot be used, so nothing is judged by it: {}", it.error),
        kind: FaultKind::Cluster,
    });
    let faults = found.faults.into_iter().chain(unusable);
    analysis.faults.splice(0..0, faults);
    analysis.notes.extend(wanted.note);
    Ok(analysis)
}

/// Finds the namespaces of an extent.
///
/// # Errors
/// The one that is meant is not there or is protected, or the API server does not answer.
pub(super) async fn wanted(
    cluster: &Cluster,
    extent: Extent,
    protected: &Protected,
) -> Result<Wanted, AnalysisError> {
    let or_else = match extent {
        Extent::One(name) => return one(cluster, name, protected).await,
        Extent::All { or_else } => or_else,
    };
    let mut metadata = BTreeMap::new();
    let listed = cluster.list::<Namespace>(None, None, |json| {
        if let Ok(namespace) = serde_json::from_str::<PartialObjectMeta<Namespace>>(json) {
            metadata
                .insert(namespace.metadata.name.clone().unwrap_or_default(), (&namespace).into());
        }
    });
    match listed.await {
        Ok(()) => {
            let names = metadata.keys().filter(|name| !protected.contains(name));
            Ok(Wanted { names: names.cloned().collect(), metadata, everywhere: true, note: None })
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let note = format!(
                "namespaces cannot be listed ({}), so only {or_else} is analyzed; choose another with -n",
                status.message
            );
            let wanted = one(cluster, or_else, protected).await?;
            Ok(Wanted { note: Some(note), ..wanted })
        }
        Err(error) => Err(cluster.explain(error).into()),
    }
}

async fn one(
    cluster: &Cluster,
    name: String,
    protected: &Protected,
) -> Result<Wanted, AnalysisError> {
    if protected.contains(&name) {
        return Err(AnalysisError::Protected(name));
    }
    let metadata = match Api::<Namespace>::all(cluster.client.clone()).get_metadata_opt(&name).await
    {
        Ok(Some(namespace)) => BTreeMap::from([(name.clone(), (&namespace).into())]),
        Ok(None) => return Err(AnalysisError::NoNamespace(name)),
        // Only selectors need its labels, and they say so.
        Err(kube::Error::Api(status)) if status.code == 403 => BTreeMap::new(),
        Err(error) => return Err(cluster.explain(error).into()),
    };
    Ok(Wanted { names: vec![name], metadata, ..Wanted::default() })
}

/// Hands over the pods of a namespace, or of all; says why where that is refused.
async fn pods(
    cluster: &Cluster,
    namespace: Option<&str>,
    judged: &mut Analyzer<'_>,
) -> Result<Option<String>, ClusterError> {
    match cluster.list::<Pod>(namespace, None, |pod| judged.pod(pod)).await {
        Ok(()) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Some(status.message)),
        Err(error) => Err(cluster.explain(error)),
    }
}
