//! The API server's audit log: the user, object and time of each write.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The log's file name in the control plane's folder.
pub const LOG: &str = "audit.log";

/// Logs writes only, but all requests of jane; for a Lease also the written object, which names the holder, and for a
/// workload the patch.
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
    // The last line may be incomplete.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The events whose lines contain this text, such as a path: much faster than reading all of a long log.
pub fn events_about(log: &Path, about: &str) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    about_in(&text, about)
}

fn about_in(text: &str, about: &str) -> Vec<Value> {
    let lines = text.lines().filter(|line| line.contains(about));
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The events that are added to a log from now on, which is much faster than reading a long log again and again.
pub struct Added {
    log: PathBuf,
    read: u64,
}

impl Added {
    pub fn to(log: &Path) -> Self {
        Self { log: log.to_owned(), read: fs::metadata(log).map_or(0, |it| it.len()) }
    }

    /// Those since the last call whose lines contain this text, such as a path.
    pub fn about(&mut self, about: &str) -> Vec<Value> {
        let mut bytes = Vec::new();
        if let Ok(mut log) = File::open(&self.log) {
            log.seek(SeekFrom::Start(self.read)).unwrap();
            log.read_to_end(&mut bytes).unwrap();
        }
        // The last line may be incomplete.
        let whole = bytes.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        self.read += whole as u64;
        let text = String::from_utf8_lossy(&bytes[..whole]);
        about_in(&text, about)
    }
}

/// Whether this event is of a write request.
pub fn is_write(event: &Value) -> bool {
    !["get", "list", "watch"].map(Value::from).contains(&event["verb"])
}

/// Whether this event marks the reception of a request: its time is the start of the request, to the microsecond.
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

/// The time of the event; all have the same format, so their texts compare like times.
pub fn time(event: &Value) -> &str {
    event["stageTimestamp"].as_str().unwrap_or_default()
}

pub fn resource(event: &Value) -> &str {
    event["objectRef"]["resource"].as_str().unwrap_or_default()
}

pub fn namespace(event: &Value) -> &str {
    event["objectRef"]["namespace"].as_str().unwrap_or_default()
}
