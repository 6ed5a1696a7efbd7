use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The workloads that want more pods than they have, and whose new pods the policy refuses.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RefusedStatus {
    /// The exact number of workloads.
    #[schemars(range(min = 0))]
    pub workloads: i32,
    /// Those that lack the most pods, worst first.
    #[schemars(length(max = 10))]
    pub worst: Vec<RefusedWorkloadStatus>,
}

/// A workload whose new pods the policy refuses.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RefusedWorkloadStatus {
    /// The workload, as `KIND/NAME` or, in a cluster policy, `KIND/NAMESPACE/NAME`.
    #[schemars(length(max = 512))]
    pub workload: String,
    /// How many pods it wants. A CronJob wants one: that of its next run.
    #[schemars(range(min = 0))]
    pub wanted: i32,
    /// How many pods it has.
    #[schemars(range(min = 0))]
    pub running: i32,
    /// The rules or checks that its new pods break, worst first.
    #[schemars(length(max = 10), inner(length(max = 128)))]
    pub rules: Vec<String>,
    /// Why its new pods are refused.
    #[schemars(length(max = 1024))]
    pub message: String,
}
