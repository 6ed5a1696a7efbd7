//! Which pods of some nodes would be refused if they were evicted now and made again, as a drain does to all of them. It
//! never writes.
//!
//! [`drain_check`] reads the objects; `judge` judges the pod that each pod's controller would make. [`answer`] is the
//! result. What counts is what an eviction ends: a pod of a DaemonSet too, which `kubectl drain` leaves alone, because
//! the node that takes a drained node's place needs it.

pub mod answer;
mod judge;
mod partition;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use kube::core::PartialObjectMeta;

use super::cluster::{AnalysisError, Extent, resolve, unusable};
use super::read::{ResolvedExtent, read, unread_in};
use crate::clusters::{Cluster, ClusterError};
use crate::findings::{Fault, FaultKind};
use crate::policies::list::ClusterPolicies;
use crate::policy::policy_set::PolicySet;
use crate::policy::protected::Protected;
use crate::policy::text::quote;
use crate::policy::workload::Kind;
use answer::DrainCheck;
use judge::{DrainJudge, Nodes};

/// Which nodes would be drained.
pub enum NodeSelection {
    Named(Vec<String>),
    /// By a label selector.
    Labelled(String),
    All,
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    #[error("there is no node {}; kubectl get nodes lists them", quote(.0))]
    NoNode(String),
    #[error("no node has the labels {}; kubectl get nodes --show-labels lists them", quote(.0))]
    NoneMatches(String),
}

impl From<ClusterError> for DrainError {
    fn from(error: ClusterError) -> Self {
        Self::Analysis(error.into())
    }
}

/// Judges the pods of the nodes by the policies in force. A part of the cluster that cannot be read is a fault; the
/// rest is still checked.
///
/// # Errors
/// A node does not exist, no namespace could be read, or the API server does not answer.
pub async fn drain_check(
    cluster: &Cluster,
    selection: NodeSelection,
    protected: Protected,
    now: Timestamp,
) -> Result<DrainCheck, DrainError> {
    let (nodes, note) = nodes(cluster, selection).await?;
    let or_else = cluster.client.default_namespace().to_owned();
    let wanted = resolve(cluster, Extent::All { or_else }, &protected).await?;
    let names = || wanted.names.iter().map(String::as_str);
    let found = ClusterPolicies::read(cluster, wanted.everywhere, names()).await?;
    let policies = PolicySet::new(found.policies, Arc::new(wanted.metadata.clone()));
    let policies = policies.protecting(protected);
    let mut judge = DrainJudge::new(&policies, nodes, wanted.names.clone(), now);

    let mut faults = Vec::new();
    if wanted.note.is_some() {
        let names = wanted.names.join(", ");
        let message = format!(
            "cannot be listed, so only the pods of {names} are checked; ask a cluster admin for that permission"
        );
        faults.push(Fault::cluster("the namespaces", message));
    }
    let unread = read(cluster, &wanted, Kind::Pod, |json| judge.pod(json)).await?;
    if let Some((place, message)) = unread_in(&unread).zip(unread.values().next()) {
        faults.push(Fault::cluster("pods", format!("{place}: {message}")));
    }
    for kind in judge.kinds() {
        faults.extend(controllers(cluster, &wanted, kind, &mut judge).await?);
    }
    let mut check = judge.finish();
    // Without podgate, the cluster has no policies; that is a note, not a fault.
    let (absent, refused): (Vec<_>, Vec<_>) =
        found.faults.into_iter().partition(|it| it.kind == FaultKind::NotServed);
    check.notes.extend(note);
    check.notes.extend(absent.into_iter().map(|it| it.message));
    check.faults.splice(0..0, refused.into_iter().chain(found.unusable.iter().map(unusable)));
    check.faults.extend(faults);
    Ok(check)
}

/// Reads the controllers of a kind, and returns what could not be read.
async fn controllers(
    cluster: &Cluster,
    wanted: &ResolvedExtent,
    kind: Kind,
    judge: &mut DrainJudge<'_>,
) -> Result<Option<Fault>, ClusterError> {
    let unread = read(cluster, wanted, kind, |json| judge.controller(kind, json)).await?;
    Ok(unread_in(&unread).zip(unread.values().next()).map(|(place, message)| {
        let message =
            format!("{place}, so pods are judged there and not their templates: {message}");
        Fault::cluster(kind.names().resource, message)
    }))
}

/// The nodes, and a note if the user may not see whether they exist.
async fn nodes(
    cluster: &Cluster,
    selection: NodeSelection,
) -> Result<(Nodes, Option<String>), DrainError> {
    match selection {
        NodeSelection::All => Ok((Nodes::All, None)),
        NodeSelection::Labelled(selector) => {
            let mut names = BTreeSet::new();
            let listed = cluster.list::<Node>(None, Some(&selector), |json| {
                if let Ok(node) = serde_json::from_str::<PartialObjectMeta<Node>>(json) {
                    names.extend(node.metadata.name);
                }
            });
            listed.await.map_err(|error| cluster.explain(error))?;
            if names.is_empty() {
                return Err(DrainError::NoneMatches(selector));
            }
            Ok((Nodes::Named(names), None))
        }
        NodeSelection::Named(names) => {
            let api = Api::<Node>::all(cluster.client.clone());
            let mut note = None;
            for name in &names {
                match api.get_metadata_opt(name).await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Err(DrainError::NoNode(name.clone())),
                    Err(kube::Error::Api(status)) if status.code == 403 => {
                        let unknown =
                            format!("whether the nodes exist is unknown: {}", status.message);
                        note = Some(unknown);
                    }
                    Err(error) => return Err(cluster.explain(error).into()),
                }
            }
            Ok((Nodes::Named(names.into_iter().collect()), note))
        }
    }
}
