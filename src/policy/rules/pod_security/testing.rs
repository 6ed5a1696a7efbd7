//! Test helpers: the breaches of a pod at a level, as `CHECK: SENTENCE`.

use serde_json::{Value, json};

use super::super::super::rule::Breach;
use super::super::testing::{enabled, pod_breaches};
use super::RULE;

pub fn baseline(spec: &str) -> Vec<String> {
    sentences(&baseline_pod(&format!(r#"{{"spec": {spec}}}"#)))
}

pub fn baseline_pod(pod: &str) -> Vec<Breach> {
    pod_breaches(&RULE, &enabled("podSecurity", r#""baseline""#), pod)
}

pub fn restricted(spec: &str) -> Vec<String> {
    sentences(&restricted_breaches(spec))
}

pub fn restricted_breaches(spec: &str) -> Vec<Breach> {
    restricted_pod(&format!(r#"{{"spec": {spec}}}"#))
}

pub fn restricted_pod(pod: &str) -> Vec<Breach> {
    pod_breaches(&RULE, &enabled("podSecurity", r#""restricted""#), pod)
}

/// A spec that passes restricted.
pub fn hardened() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "web", "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
        }}],
    })
}

fn sentences(breaches: &[Breach]) -> Vec<String> {
    let sentences =
        breaches.iter().map(|it| format!("{}: {}", it.check.as_ref().unwrap(), it.sentence()));
    sentences.collect()
}
