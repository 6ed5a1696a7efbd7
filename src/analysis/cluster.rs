//! Analyzes a live cluster once. It never writes. A part of the cluster that cannot be read is a fault; the rest is
//! still analyzed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::Api;
use kube::core::PartialObjectMeta;

use super::analyzer::Analyzer;
use super::result::{Analysis, OwnPolicies};
use crate::client::list::Pages;
use crate::clusters::{Cluster, ClusterError};
use crate::findings::{Fault, FaultKind};
use crate::policies::list::{ClusterPolicies, Unusable};
use crate::policy::compile::Policy;
use crate::policy::policy_set::{Namespaces, PolicySet};
use crate::policy::protected::Protected;
use crate::policy::text::quote;

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

/// The namespaces to analyze.
#[derive(Default)]
pub(super) struct ResolvedExtent {
    pub names: Vec<String>,
    pub metadata: Namespaces,
    /// Whether these are all namespaces, so that one list can read the pods of all.
    pub everywhere: bool,
    /// Why only one namespace is analyzed although all were requested.
    pub note: Option<String>,
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
    let wanted = resolve(cluster, extent, &protected).await?;
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
    let at_once =
        wanted.everywhere && matches!(pods(cluster, None, &mut judged).await?, Listed::Complete);
    if !at_once {
        judged = analyzer();
        for name in names() {
            if let Listed::Forbidden(message) = pods(cluster, Some(name), &mut judged).await? {
                judged.leave_out(name, &format!("its pods cannot be read: {message}"));
                if judged.is_empty() {
                    let all: Vec<_> = wanted.note.into_iter().chain([message]).collect();
                    return Err(ClusterError::Forbidden(all.join("; ")).into());
                }
            }
        }
    }

    let mut analysis = judged.finish();
    let incomplete = found.faults.iter().any(|fault| fault.kind != FaultKind::NotServed);
    analysis.own = own_policies.then_some(OwnPolicies { hashes: found.hashes, incomplete });
    let unusable = found.unusable.iter().map(unusable);
    let faults = found.faults.into_iter().chain(unusable);
    analysis.faults.splice(0..0, faults);
    analysis.notes.extend(wanted.note);
    Ok(analysis)
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
    let metadata = match Api::<Namespace>::all(cluster.client.clone()).get_metadata_opt(&name).await
    {
        Ok(Some(namespace)) => BTreeMap::from([(name.clone(), (&namespace).into())]),
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

/// Whether a list could be read.
pub(super) enum Listed {
    Complete,
    /// The user lacks the permission; the API server's message.
    Forbidden(String),
}

/// Judges the pods of one namespace, or of all.
async fn pods(
    cluster: &Cluster,
    namespace: Option<&str>,
    analyzer: &mut Analyzer<'_>,
) -> Result<Listed, ClusterError> {
    let mut pages = Pages::of::<Pod>(&cluster.client, namespace, None);
    loop {
        match pages.next().await {
            Ok(Some(page)) => page.objects().for_each(|pod| analyzer.pod(pod)),
            Ok(None) => return Ok(Listed::Complete),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                return Ok(Listed::Forbidden(status.message));
            }
            Err(error) => return Err(cluster.explain(error)),
        }
    }
}
