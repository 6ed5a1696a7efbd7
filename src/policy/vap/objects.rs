//! The documents: a `ValidatingAdmissionPolicy` and its binding.

use serde_json::{Value, json};

use super::super::workload::Kind;
use super::before::Compared;
use super::compiled::{CompiledPolicy, Loss};
use super::entry::{Action, Entry};
use super::expression::clip;
use super::findings::variables;
use super::groups::Group;
use super::options::Options;
use super::pods::{Variable, is_changed};

pub(super) const API_VERSION: &str = "admissionregistration.k8s.io/v1";
/// What the policy does not do, one sentence a line.
pub const LOSSES: &str = "devops.stochastic.io/losses";
/// The longest message, in bytes: the API server drops one above 5 KiB.
const MAX_MESSAGE: usize = 4000;
/// The longest message in characters, of up to four bytes each.
const MAX_CHARACTERS: usize = 1000;
/// The longest list of losses, in bytes: all annotations of an object together may have 256 KiB.
const MAX_LOSSES: usize = 16 * 1024;

pub(super) fn objects(
    group: &Group<'_>,
    action: Action,
    entries: &[&Entry<'_>],
    own: &[Variable],
    losses: &[Loss],
    options: &Options<'_>,
) -> CompiledPolicy {
    let compared = Compared::new(entries, action == Action::Deny, options);
    let own: &[Variable] = if entries.iter().any(|it| it.rule.reads_document) { own } else { &[] };
    let variables: Vec<_> = variables(entries, own, &compared, &group.mutating)
        .into_iter()
        .map(|Variable { name, expression }| json!({"name": name, "expression": expression}))
        .collect();
    let effect = action.as_str().to_lowercase();
    let name = format!("{}-{}-{effect}{}", options.prefix, group.name, options.suffix);
    let labels: std::collections::BTreeSet<_> = entries.iter().map(|it| &it.policy.label).collect();
    let lost: Vec<_> =
        losses.iter().filter(|it| labels.contains(&it.policy)).map(ToString::to_string).collect();
    let lost = super::super::text::cut(lost.join("\n"), MAX_LOSSES);
    let managed = managed();
    let metadata = if lost.is_empty() {
        json!({"name": name, "labels": managed})
    } else {
        json!({"name": name, "labels": managed, "annotations": {LOSSES: lost}})
    };
    let policy = json!({
        "apiVersion": API_VERSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": metadata,
        "spec": {
            // Also an exceeded cost limit denies.
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": group.namespaces,
                "resourceRules": rules(),
            },
            "matchConditions": [
                {"name": "changed", "expression": is_changed()},
                {"name": "not-a-mirror-pod", "expression": is_no_mirror()},
            ],
            "variables": variables,
            "validations": [{
                "expression": "size(variables.denied) == 0",
                "messageExpression": message(&compared, options.ending),
                "reason": "Forbidden",
            }],
        },
    });
    let binding = json!({
        "apiVersion": API_VERSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": managed},
        "spec": {"policyName": name, "validationActions": [action.as_str()]},
    });
    let by_removal = entries.iter().any(|it| it.finding.by_removal);
    CompiledPolicy { name, action, policy, binding, by_removal }
}

/// The labels of every object.
pub(super) fn managed() -> Value {
    json!({"app.kubernetes.io/managed-by": "podgate"})
}

/// The writes that are judged: those of podgate's webhook, but for revisions.
fn rules() -> Vec<Value> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for names in Kind::ALL.map(Kind::names) {
        match groups.iter_mut().find(|(group, _)| *group == names.group) {
            Some((_, resources)) => resources.push(names.resource),
            None => groups.push((names.group, vec![names.resource])),
        }
    }
    for (_, resources) in groups.iter_mut().filter(|(group, _)| group.is_empty()) {
        resources.extend(["pods/ephemeralcontainers", "pods/resize"]);
    }
    let rule = |(group, resources): (&str, Vec<&str>)| {
        json!({
            "apiGroups": [group],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": resources,
            "scope": "Namespaced",
        })
    };
    groups.into_iter().map(rule).collect()
}

/// As [`super::super::subject::Subject::is_mirror_by`]: the kubelet shows a static pod, which runs whatever is answered.
pub(super) fn is_no_mirror() -> &'static str {
    "request.kind.kind != 'Pod' || dyn(object).spec.?nodeName.orValue('') == '' || \
     request.userInfo.username != 'system:node:' + dyn(object).spec.nodeName || \
     !dyn(object).metadata.?annotations[?'kubernetes.io/config.mirror'].hasValue() || \
     !dyn(object).metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false) && \
     o.apiVersion == 'v1' && o.kind == 'Node' && o.name == dyn(object).spec.nodeName)"
}

/// One line, because the API server drops a message of several: the object, and each violation, or the first that fit.
fn message(compared: &Compared<'_>, ending: Option<&str>) -> String {
    let name = format!(
        "dyn(object).metadata.?name.orValue('') != '' ? {} : {} + '*'",
        clip("dyn(object).metadata.?name.orValue('')"),
        clip("dyn(object).metadata.?generateName.orValue('')"),
    );
    // It is evaluated for requests that pass, too.
    format!(
        "size(variables.denied) == 0 ? 'passes' : [[size(variables.denied), 12, 6, 3, 1].map(n, \
         request.kind.kind + ' ' + request.namespace + '/' + ({name}) + ' has ' + string(size(variables.denied)) + \
         (size(variables.denied) == 1 ? ' violation: ' : ' violations: ') + \
         variables.denied.transformList(i, f, i < n, f.t).join(' | ') + \
         (n < size(variables.denied) ? ' | and ' + string(size(variables.denied) - n) + ' more' : ''){})].map(all, \
         all.filter(t, size(bytes(t)) <= {MAX_MESSAGE})[?0].orValue(all[4].substring(0, \
         size(all[4]) < {MAX_CHARACTERS} ? size(all[4]) : {MAX_CHARACTERS})))[0]",
        compared.contacts() + &ending.map(|it| format!(" + {it}")).unwrap_or_default(),
    )
}
