//! The floor: the policies that deny, as the API server's own, asleep while podgate is heard.
//!
//! The parameter of each object is the Lease `podgate-alive`, whose `spec.renewTime` is the time of podgate's last beat.
//! A write has a time too, the API server's stamp. podgate is *away* from a write unless
//! `renewTime - 15 s <= time <= renewTime + 30 s`. That is a match condition, so that a sleeping floor costs one
//! comparison. A Lease that does not exist lets everything pass; one that was set to another time wakes the floor.
//!
//! An update that only removes fields has no stamp, and a client can send old ones along. So what a removal can cause is
//! judged in updates also while podgate is heard.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::compile::Policy;
use super::super::grace::ControllerUsers;
use super::super::protected::Protected;
use super::exempt::stamps;
use super::expression::text;
use super::groups::groups;
use super::objects::API_VERSION;
use super::{Action, CompiledPolicy, Options, compile};
use crate::api::EnforcementMode;

/// The label of the policies that judge, and of their bindings; its value is the release's full name.
pub const LABEL: &str = "devops.stochastic.io/floor";
/// The most policies that judge. At its start, an API server waits up to a second for the parameter of each.
pub const MAX_POLICIES: usize = 10;
/// How far the time of a write may be before that of the last beat, and after it, for podgate to be heard.
pub const EARLIEST_SECONDS: i64 = 15;
pub const LATEST_SECONDS: i64 = 30;
/// Before the time in the canary's warning.
const WARNING: &str = "podgate floor ";

/// What the floor depends on beside the policies.
pub struct Floor {
    /// The release's full name, the first part of every object's name.
    pub release: String,
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub lease: &'static str,
    /// The expressions of `webhook.matchConditions`: of what they exclude, podgate is never asked.
    pub conditions: Vec<String>,
    pub protected: Protected,
    pub controllers: ControllerUsers,
}

/// A policy and its binding.
pub struct FloorObject {
    pub name: String,
    pub policy: Value,
    pub binding: Value,
}

/// The floor of a set of policies.
pub struct FloorObjects {
    /// Those that judge.
    pub judging: Vec<FloorObject>,
    /// What the floor does not hold, by the labels of the policies that enforce, one sentence each.
    pub missing: BTreeMap<String, Vec<String>>,
}

impl Floor {
    /// The objects for these policies, in display order.
    pub fn objects(&self, policies: &[Arc<Policy>]) -> FloorObjects {
        let enforces = |it: &Policy| it.mode == EnforcementMode::Enforce;
        let mut missing: BTreeMap<String, Vec<String>> = policies
            .iter()
            .filter(|it| enforces(it))
            .map(|it| (it.label.clone(), of_policy(it)))
            .collect();
        let prefix = format!("{}-floor", self.release);
        let (asleep, ending) = (format!("!({})", away()), self.ending());
        let options = Options {
            prefix: &prefix,
            suffix: "",
            protected: &self.protected,
            controllers: &self.controllers,
            removals_if: Some(&asleep),
            ending: Some(&ending),
        };
        let mut judging: Vec<FloorObject> = Vec::new();
        for group in groups(policies, &self.protected) {
            let compiled = compile(&group, &options);
            for loss in compiled.losses {
                let Some(known) = missing.get_mut(&loss.policy) else { continue };
                let loss = format!("{}: {}", loss.what, loss.reason);
                if !known.contains(&loss) {
                    known.push(loss);
                }
            }
            let denies = compiled.objects.into_iter().find(|it| it.action == Action::Deny);
            let Some(denies) = denies else { continue };
            if judging.len() < MAX_POLICIES {
                judging.push(self.asleep(denies));
                continue;
            }
            for policy in group.policies.iter().filter(|it| enforces(it)) {
                let all = format!(
                    "the namespaces of {}: they would need an eleventh policy, and the floor has at most {MAX_POLICIES}",
                    denies.name
                );
                missing.entry(policy.label.clone()).or_default().push(all);
            }
        }
        FloorObjects { judging, missing }
    }

    /// The policy that tells, in a dry run of an update of the Lease, which `renewTime` an API server knows. It judges
    /// nothing, so it has not the label by which somebody breaks the glass: the API server's informer of the parameter ends
    /// with the last binding, and does not come back (kubernetes#130887).
    pub fn canary(&self) -> FloorObject {
        let name = format!("{}-floor-canary", self.release);
        let policy = json!({
            "apiVersion": API_VERSION,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Ignore",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["coordination.k8s.io"],
                    "apiVersions": ["v1"],
                    "operations": ["UPDATE"],
                    "resources": ["leases"],
                    "resourceNames": [self.lease],
                    "scope": "Namespaced",
                }]},
                "matchConditions": [
                    {"name": "in-a-dry-run", "expression": "request.dryRun"},
                    {"name": "the-lease", "expression": format!("request.namespace == {}", text(&self.namespace))},
                ],
                "validations": [{
                    "expression": "false",
                    "messageExpression": format!("{} + {}", text(WARNING), last_beat()),
                }],
            },
        });
        let binding = json!({
            "apiVersion": API_VERSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Warn"]},
        });
        self.of_lease(name, policy, binding, None)
    }

    /// A compiled policy that judges only while podgate is away.
    fn asleep(&self, compiled: CompiledPolicy) -> FloorObject {
        let CompiledPolicy { name, mut policy, binding, by_removal, .. } = compiled;
        let away = away();
        let awake =
            if by_removal { format!("request.operation == 'UPDATE' || {away}") } else { away };
        let own = self.conditions.iter().enumerate().map(
            |(at, expression)| json!({"name": format!("webhook-{at}"), "expression": expression}),
        );
        let conditions = policy.pointer_mut("/spec/matchConditions").and_then(Value::as_array_mut);
        if let Some(conditions) = conditions {
            conditions.insert(0, json!({"name": "away", "expression": awake}));
            conditions.extend(own);
        }
        self.of_lease(name, policy, binding, Some(&self.release))
    }

    /// A policy with the Lease as its parameter.
    fn of_lease(
        &self,
        name: String,
        mut policy: Value,
        mut binding: Value,
        label: Option<&str>,
    ) -> FloorObject {
        let kind = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"});
        put(&mut policy, "/spec", "paramKind", kind);
        let lease = json!({
            "name": self.lease,
            "namespace": self.namespace,
            "parameterNotFoundAction": "Allow",
        });
        put(&mut binding, "/spec", "paramRef", lease);
        for object in [&mut policy, &mut binding] {
            let managed = json!({"app.kubernetes.io/managed-by": "podgate"});
            put(object, "/metadata", "labels", managed);
            if let Some(label) = label {
                put(object, "/metadata/labels", LABEL, json!(label));
            }
        }
        FloorObject { name, policy, binding }
    }

    /// The end of a denial, in CEL.
    fn ending(&self) -> String {
        let removal = text(
            " | podgate is heard, but the API server itself judges updates, which can remove fields unseen",
        );
        let since = text(" | podgate is away since its last beat at ");
        let glass = text(&format!(
            ", so the API server judges by itself; to break the glass: {}",
            break_glass(&self.release)
        ));
        format!("(variables.removalsOnly ? {removal} : {since} + {} + {glass})", last_beat())
    }
}

/// Sets a field of the object at a JSON pointer.
pub fn put(document: &mut Value, at: &str, field: &str, value: Value) {
    if let Some(object) = document.pointer_mut(at).and_then(Value::as_object_mut) {
        object.insert(field.to_owned(), value);
    }
}

/// The command that ends the floor of a release.
pub fn break_glass(release: &str) -> String {
    format!("kubectl delete validatingadmissionpolicybindings -l {LABEL}={release}")
}

/// The command after which the leader makes the floor anew.
pub fn mend(release: &str) -> String {
    format!("kubectl delete validatingadmissionpolicies -l {LABEL}={release}")
}

/// The `renewTime` in a warning of the canary, as RFC 3339.
pub fn told(warning: &str) -> Option<&str> {
    let (_, time) = warning.split_once(WARNING)?;
    time.split(|it: char| it == '"' || it.is_whitespace()).next()
}

/// Whether podgate is away from a write, in CEL. Of the comparisons with `renewTime`, the one that holds must not hide
/// that the other overflows: at the end of time there is no later one, and at its beginning no earlier one.
fn away() -> String {
    let written = stamps().expression;
    format!(
        "!{}.exists(beat, [{written}].exists(written, written.exists(w, w >= beat - duration('{EARLIEST_SECONDS}s')) && \
         written.all(w, w <= beat + duration('{LATEST_SECONDS}s'))))",
        beats()
    )
}

/// The time of the last beat as a list, which is empty if there is none.
fn beats() -> &'static str {
    "[dyn(params).?spec.?renewTime.orValue(null)].filter(b, b != null).map(b, timestamp(b))"
}

/// The time of the last beat as a text.
fn last_beat() -> String {
    format!("[{}].map(b, size(b) == 0 ? 'no time' : string(b[0]))[0]", beats())
}

/// What of a policy no floor holds.
fn of_policy(policy: &Policy) -> Vec<String> {
    let mut missing = Vec::new();
    if policy.exemptions.iter().any(|it| it.expires_at.is_some()) {
        missing.push(
            "exemptions: one that has expired still covers an update that only removes fields"
                .to_owned(),
        );
    }
    if policy.injector.is_some() {
        missing.push("mutate: an update that only removes fields is not judged".to_owned());
    }
    missing
}

#[cfg(test)]
mod tests;
