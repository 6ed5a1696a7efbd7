//! The API server's own record of who wrote what, and when.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The log's file name in the control plane's folder.
pub const LOG: &str = "audit.log";

/// Writes only, but of jane all requests; of a Lease also what was written, which says who held it, and of a workload
/// what was patched.
pub const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [ResponseStarted]
omitManagedFields: true
rules:
- level: Request
  verbs: [create, update, patch, delete, deletecollection]
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: Request
  verbs: [patch]
  resources: [{group: apps, resources: [deployments, statefulsets, daemonsets]}]
- level: Metadata
  users: [jane]
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
";

/// The events of a log.
pub fn events(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    // The last line may be half-written still.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The events of a log whose lines have this text, such as a path: of a long log these are read much faster.
pub fn events_about(log: &Path, about: &str) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines = text.lines().filter(|line| line.contains(about));
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Whether this event is of a request that would change something.
pub fn is_write(event: &Value) -> bool {
    !["get", "list", "watch"].map(Value::from).contains(&event["verb"])
}

/// Whether this event is the reception of a request: its time is when podgate's request began, to the microsecond.
pub fn is_received(event: &Value) -> bool {
    event["stage"] == "RequestReceived"
}

/// Whether this event is a success.
pub fn is_success(event: &Value) -> bool {
    let code = event["responseStatus"]["code"].as_u64();
    event["stage"] == "ResponseComplete" && code.is_some_and(|it| it < 300)
}

pub fn user(event: &Value) -> &str {
    event["user"]["username"].as_str().unwrap_or_default()
}

/// When the event happened; all are written alike, so that texts compare as times do.
pub fn time(event: &Value) -> &str {
    event["stageTimestamp"].as_str().unwrap_or_default()
}

pub fn resource(event: &Value) -> &str {
    event["objectRef"]["resource"].as_str().unwrap_or_default()
}

pub fn namespace(event: &Value) -> &str {
    event["objectRef"]["namespace"].as_str().unwrap_or_default()
}
