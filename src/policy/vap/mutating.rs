//! Mutation by the API server: `MutatingAdmissionPolicy` objects with their bindings, which add to pods what podgate's
//! webhook adds. They need Kubernetes 1.36.
//!
//! One mutation of an object does it all, as one patch of the webhook does: [`images`] replaces tags, [`fill`] fills in
//! absent fields, policy by policy, [`mark`] writes the annotation that lists them, and [`patch`] makes the JSON Patch.
//! An expression that fails changes nothing (`failurePolicy: Ignore`), and what judges the pod sees it as it is.

mod covers;
mod fill;
mod images;
mod mark;
mod patch;
mod template;

pub use template::variables as of_templates;

use serde_json::{Value, json};

use super::entry::Entry;
use super::exempt::{Exemptions, controller};
use super::expression::any;
use super::form::{CelFinding, CelFix, Form};
use super::groups::Group;
use super::objects::{API_VERSION, is_no_mirror, managed};
use super::options::Options;
use super::pods::{Needs, Variable, is_large, variable, variables as pod_variables};
use crate::policy::compile::Policy;
use crate::policy::injector::{FILLING, asking};
use crate::policy::mutation::TAGGING;
use crate::policy::rule::{Breach, Rule};

/// The oldest Kubernetes whose API server takes the objects.
pub const OLDEST_KUBERNETES: &str = "1.36";

/// A `MutatingAdmissionPolicy` and its binding, which have the same name.
pub struct MutatingPolicy {
    pub policy: Value,
    pub binding: Value,
}

/// Compiles what the policies of a group of [`super::groups::mutating_groups`] add; `None` if it is nothing.
pub fn compile(group: &Group<'_>, options: &Options<'_>) -> Option<MutatingPolicy> {
    let variables: Vec<_> = variables(&group.mutating, stamps())?
        .into_iter()
        .map(|Variable { name, expression }| json!({"name": name, "expression": expression}))
        .collect();
    let name = format!("{}-{}-mutate{}", options.prefix, group.name, options.suffix);
    let policy = json!({
        "apiVersion": API_VERSION,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name, "labels": managed()},
        "spec": {
            // As the webhook, it never denies.
            "failurePolicy": "Ignore",
            // A webhook that is called later may add a container.
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": group.namespaces,
                "resourceRules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                    "scope": "Namespaced",
                }],
            },
            "matchConditions": [{"name": "not-a-mirror-pod", "expression": is_no_mirror()}],
            "variables": variables,
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch::expression()}}],
        },
    });
    let binding = json!({
        "apiVersion": API_VERSION,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": managed()},
        "spec": {"policyName": name},
    });
    Some(MutatingPolicy { policy, binding })
}

/// What is added to the pod: `retagged`, `filled`, `added` and `mark`, which [`patch`] reads. `None` if nothing can be
/// added. `stamps` has the time of the write.
fn variables(policies: &[&Policy], stamps: Variable) -> Option<Vec<Variable>> {
    let (fixes, tags) = (fixes(policies), tags(policies));
    if fixes.is_empty() && tags.is_empty() {
        return None;
    }
    let entries: Vec<_> = fixes.iter().map(|(entry, _)| entry).chain(&tags).collect();
    let exemptions = Exemptions::of(&entries);
    let canonical = exemptions.read_images();
    let needs = Needs { images: canonical || !tags.is_empty(), canonical, ..Needs::default() };
    let mut all = pod_variables(needs);
    // The violations' context is of no use here.
    all.retain(|it| it.name != "ctx");
    all.extend([is_large(), stamps, controller()]);
    all.extend(exemptions.variables());
    all.extend(covers::variables(policies));
    all.extend(images::variables(policies, |index| {
        let covers = tags.iter().filter(|it| it.index == index).map(|it| exemptions.cover(it));
        let covers: Vec<_> = covers.flatten().collect();
        (!covers.is_empty()).then(|| any(&covers))
    }));
    all.extend(fill::variables(&fixes, canonical, &exemptions));
    all.extend(mark::variables(policies));
    Some(all)
}

/// What policies fill in, in order.
fn fixes<'p>(policies: &[&'p Policy]) -> Vec<(Entry<'p>, CelFix)> {
    let mut fixes = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        let spec = asking(&policy.spec);
        for rule in FILLING {
            let Form::Cel(findings) = rule.vap else { continue };
            for mut finding in findings(&spec) {
                let Some(fix) = finding.fix.take() else { continue };
                fixes.push((entry(index, policy, rule, finding), fix));
            }
        }
    }
    fixes
}

/// The rules by which an exemption lets an image keep its tag.
fn tags<'p>(policies: &[&'p Policy]) -> Vec<Entry<'p>> {
    let each = policies.iter().enumerate();
    let tagging = each.filter(|(_, it)| {
        it.injector.as_ref().is_some_and(|injector| !injector.image_tags.is_empty())
    });
    let entries = tagging.flat_map(|(index, policy)| {
        TAGGING.map(|rule| entry(index, policy, rule, CelFinding::of_images("false")))
    });
    entries.collect()
}

fn entry<'p>(
    index: usize,
    policy: &'p Policy,
    rule: &'static Rule,
    finding: CelFinding,
) -> Entry<'p> {
    let breach = Breach { check: finding.check.clone(), ..Breach::default() };
    let (id, severity) = (breach.id(rule), policy.severity(rule, &breach));
    Entry { index, policy, rule, id, severity, finding }
}

/// The time of the write. The API server stamps the creation only after mutation, but the manager of the fields before.
fn stamps() -> Variable {
    variable(
        "stamps",
        "dyn(object).metadata.?managedFields.orValue([]).filter(f, has(f.time)).map(f, timestamp(f.time))",
    )
}

/// The JSON Pointer of a path of fields.
fn pointer(path: &str) -> String {
    format!("'/' + ({path}).replace('[', '/').replace(']', '').replace('.', '/')")
}
