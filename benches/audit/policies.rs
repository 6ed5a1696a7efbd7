//! The policies of the audit's benches.

use serde_json::{Value, json};

pub const POLICIES: usize = 10;

/// The specs of the policies.
pub fn specs() -> impl Iterator<Item = Value> {
    let specs = [
        json!({"forbidLatestTag": true}),
        json!({"requireLivenessProbe": true, "requireReadinessProbe": true}),
        json!({"maxRestartCount": 3, "forbidPendingDuration": 86400}),
        json!({"requireResourceRequests": ["cpu", "memory"]}),
        json!({"forbidLatestTag": true, "podSecurity": "baseline"}),
    ];
    specs.into_iter().cycle().take(POLICIES)
}

pub fn name(number: usize) -> String {
    format!("policy-{number}")
}
