//! The floor: the policies that deny, as the API server's own, asleep while podgate is heard.
//!
//! The parameter of each object is the Lease `podgate-alive`, whose `spec.renewTime` is the time of podgate's last beat.
//! A write has a time too, the API server's stamp. podgate is *away* from a write unless
//! `renewTime - 15 s <= time <= renewTime + 30 s`. That is a match condition, so that a sleeping floor costs one
//! comparison. A Lease that does not exist lets everything pass; one that was set to another time wakes the floor.
//!
//! An update that only removes fields has no stamp, and a client can send old ones along. So what a removal can cause is
//! judged in updates also while podgate is heard. Such an update has the time of the last beat, if an exemption or a
//! grace ends.
//!
//! A floor never denies what podgate admits: where a policy completes pods (`mutate`), podgate admits templates that lack
//! what it adds, so updates of templates without a stamp of their own pass. podgate's own repairs pass too.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::compile::Policy;
use super::super::grace::ControllerUsers;
use super::super::protected::Protected;
use super::exempt::stamps;
use super::expression::text;
use super::groups::groups;
use super::objects::{API_VERSION, managed};
use super::{Action, CompiledPolicy, Loss, Options, compile};
use crate::api::EnforcementMode;

/// The label of the policies that judge, and of their bindings; its value is the release's full name.
pub const LABEL: &str = "devops.stochastic.io/floor";
/// The most policies that judge. At its start, an API server waits up to a second for the parameter of each.
pub const MAX_POLICIES: usize = 10;
/// How far the time of a write may be before that of the last beat, and after it, for podgate to be heard.
pub const EARLIEST_SECONDS: i64 = 15;
pub const LATEST_SECONDS: i64 = 30;
/// What no floor holds where a policy completes pods.
const REMOVALS_OF_TEMPLATES: &str = "mutate: an update of a template that only removes fields is not judged where a policy completes pods";
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
    /// podgate's own user name, where it repairs workloads: its repairs may leave and take back what is missing.
    pub own_user: Option<String>,
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
            .map(|it| (it.label.clone(), of_exemptions(it)))
            .collect();
        let prefix = format!("{}-floor", self.release);
        let (asleep, ending) = (format!("!({})", away()), self.ending());
        let options = Options {
            prefix: &prefix,
            suffix: "",
            protected: &self.protected,
            controllers: &self.controllers,
            removals_if: Some(&asleep),
            passed: Some(beats()),
            ending: Some(&ending),
        };
        let mut judging: Vec<FloorObject> = Vec::new();
        for group in groups(policies, &self.protected) {
            let compiled = compile(&group, &options);
            let mut miss = |policy: &str, what: String| {
                if let Some(known) = missing.get_mut(policy).filter(|it| !it.contains(&what)) {
                    known.push(what);
                }
            };
            for policy in group.policies.iter().filter(|_| group.mutated) {
                miss(&policy.label, REMOVALS_OF_TEMPLATES.to_owned());
            }
            for Loss { policy, what, reason } in compiled.losses {
                miss(&policy, format!("{what}: {reason}"));
            }
            let denies = compiled.objects.into_iter().find(|it| it.action == Action::Deny);
            let Some(denies) = denies else { continue };
            if judging.len() < MAX_POLICIES {
                judging.push(self.asleep(denies, group.mutated));
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

    /// A compiled policy that judges only while podgate is away, and removals. Where a policy with `mutate` completes what
    /// a template lacks, it must be certain that podgate is away from the update of a template.
    fn asleep(&self, compiled: CompiledPolicy, mutated: bool) -> FloorObject {
        let CompiledPolicy { name, mut policy, binding, by_removal, .. } = compiled;
        let mut awake = away();
        let mut removes = "request.operation == 'UPDATE'".to_owned();
        if mutated {
            let late = is_late();
            awake = format!("({removes} && request.kind.kind != 'Pod' ? {late} : {awake})");
            removes += " && request.kind.kind == 'Pod'";
        }
        if let Some(own) = &self.own_user {
            let _ = write!(removes, " && request.userInfo.username != {}", text(own));
        }
        if by_removal {
            awake = format!("{removes} || {awake}");
        }
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
            put(object, "/metadata", "labels", managed());
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
        let unsure = text(
            " | the API server itself judges updates that only remove fields; podgate's last beat was at ",
        );
        let since = text(" | podgate is away since its last beat at ");
        let glass = text(&format!("; to break the glass: {}", break_glass(&self.release)));
        format!(
            "(variables.removalsOnly ? {removal} : (request.operation == 'UPDATE' && !{} ? {unsure} : {since}) + {} + {glass})",
            is_late(),
            last_beat()
        )
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

/// Whether a write was certainly stamped after podgate's last beat, and too late for podgate to be heard, in CEL. An update
/// that only removes fields has older stamps, unless somebody has forged them.
fn is_late() -> String {
    let written = stamps().expression;
    format!(
        "{}.all(beat, ({written}).exists(w, w > beat && w - duration('{LATEST_SECONDS}s') > beat))",
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

/// What no floor holds of exemptions that expire.
fn of_exemptions(policy: &Policy) -> Vec<String> {
    let expires = policy.exemptions.iter().any(|it| it.expires_at.is_some());
    let missing = "exemptions: one that expires after podgate's last beat still covers an update that only removes fields";
    expires.then(|| missing.to_owned()).into_iter().collect()
}

#[cfg(test)]
mod tests;
