use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pods that break rules of a policy with the mode `enforce`, by workload.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AffectedStatus {
    /// The exact number of pods. A CronJob between its runs counts the pod of the next one, and a workload in `slipped`
    /// counts one pod at least.
    #[schemars(range(min = 0))]
    pub pods: i32,
    /// The exact number of workloads.
    #[schemars(range(min = 0))]
    pub workloads: i32,
    /// Those with the most pods, first.
    #[schemars(length(max = 10))]
    pub worst: Vec<AffectedWorkloadStatus>,
}

/// A workload whose pods break rules of the policy.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AffectedWorkloadStatus {
    /// The workload, as `KIND/NAME` or, in a cluster policy, `KIND/NAMESPACE/NAME`.
    #[schemars(length(max = 512))]
    pub workload: String,
    /// How many of its pods are counted.
    #[schemars(range(min = 0))]
    pub pods: i32,
    /// The rules or checks that they break, worst first.
    #[schemars(length(max = 10), inner(length(max = 128)))]
    pub rules: Vec<String>,
    /// What is wrong with them.
    #[schemars(length(max = 1024))]
    pub message: String,
}
