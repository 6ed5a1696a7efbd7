//! The result of `podgate drain-check`. The field names are those of its JSON, which other programs rely on.

use serde::Serialize;

use crate::findings::Fault;

/// The pods of some nodes that would be refused if they were evicted now and made again. `-o json` prints it with
/// `apiVersion: podgate/v1` as its first field.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainCheck {
    /// The nodes, sorted; of all nodes, those with pods.
    pub nodes: Vec<String>,
    pub summary: DrainSummary,
    /// The workloads with pods that would be refused, now or after a grace: first those that would lose every pod, then
    /// by the number of refused pods.
    pub workloads: Vec<DrainedWorkload>,
    /// What could not be read. Printed on stderr, and not part of the JSON.
    #[serde(skip)]
    pub faults: Vec<Fault>,
    /// Notes, printed on stderr like the faults.
    #[serde(skip)]
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainSummary {
    /// Pods on the nodes that policies can judge: without those that have ended or are being deleted, static pods, and
    /// those of protected namespaces.
    pub pods: u64,
    /// How many of them would be refused.
    pub refused: u64,
    /// How many more would be refused, were no policy in its grace.
    pub graced: u64,
    /// Workloads that would lose every pod.
    pub lost: u64,
}

/// A workload of which pods would be refused, now or after a grace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainedWorkload {
    pub namespace: String,
    pub kind: String,
    pub name: String,
    /// Its pods on the nodes that would be refused.
    pub refused: u64,
    /// Its pods on the nodes that only the grace of a policy admits.
    pub graced: u64,
    /// Its pods on all nodes, those that wait for a node too.
    pub replicas: u64,
    /// The labels of the policies that refuse them, now or after their grace, sorted.
    pub policies: Vec<String>,
    /// The worst violation, and the number of the others.
    pub message: String,
}

impl DrainedWorkload {
    /// Whether it would lose every pod.
    pub fn is_lost(&self) -> bool {
        self.refused == self.replicas
    }
}
