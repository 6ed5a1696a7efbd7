//! A policy's own expressions (`validations` and `variables`), rewritten to read the pod of the object.

use std::fmt::Write;

use super::super::compile::Policy;
use super::super::expressions::Expressions;
use super::super::reads::{Reads, SERVER_METADATA};
use super::super::text::printable;
use super::expression::{text, texts};
use super::form::CelFinding;
use super::pods::{Variable, variable};
use crate::api::Validation;
use crate::cel::reads::{End, PathStep};
use crate::cel::rename::rename;

/// What stands for `object`: the new pod, and the one before an update.
const NEW: &str = "variables.own";
const OLD: &str = "variables.was";

/// The findings of a policy's validations. Adds the variables that they read.
pub fn findings(policy: &Policy, index: usize, variables: &mut Vec<Variable>) -> Vec<CelFinding> {
    let spec = &policy.spec;
    let validations = spec.validations.as_deref().unwrap_or_default();
    if validations.is_empty() {
        return Vec::new();
    }
    if variables.is_empty() {
        variables.extend(views());
    }
    let own = spec.variables.as_deref().unwrap_or_default();
    let mut lost: Vec<(&str, String)> = Vec::new();
    for it in own {
        match rewritten(&it.expression, index, &lost) {
            Ok(expression) => variables.push(variable(name_of(index, &it.name), expression)),
            Err(reason) => lost.push((&it.name, reason)),
        }
    }
    let compiled = Expressions::compile(validations, own);
    let finding = |(place, it): (usize, &Validation)| {
        let reads = compiled.as_ref().ok().and_then(|it| it.reads(place));
        let found = match rewritten(&it.expression, index, &lost) {
            Ok(expression) => finding(&expression, reads.map(AsRef::as_ref), &it.message),
            Err(reason) => CelFinding::lost(reason),
        };
        let check = Some(it.name.clone().into());
        CelFinding { check, severity: it.severity, ..found }
    };
    validations.iter().enumerate().map(finding).collect()
}

/// An update inherits what a validation finds if all that it reads is unchanged: then the old pod had it too, also if it
/// is an error. So the validation is not evaluated on the old pod.
fn finding(expression: &str, reads: Option<&Reads>, message: &str) -> CelFinding {
    let same = reads.map_or_else(|| "false".to_owned(), same);
    let kept = format!("(request.kind.kind == 'Pod' && size(variables.pods) > 1 && {same})");
    // During a grace, the finding of a template is compared with the old one by this value.
    let value = format!("(p.old || size(variables.pods) < 2 || {same} ? '' : 'changed')");
    CelFinding::of_list("[0]", format!("p.old || !({kept} || ({expression}))"))
        .because(value, text(&printable(message)))
        .by_removal()
}

/// The name of a policy's variable, by the policy's place in its group.
fn name_of(policy: usize, variable: &str) -> String {
    format!("own{policy}_{variable}")
}

/// An expression that reads the new pod.
fn rewritten(source: &str, policy: usize, lost: &[(&str, String)]) -> Result<String, String> {
    if !reads_known_namespace(source) {
        return Err("it reads namespaceObject otherwise than by its name, labels or annotations, which alone podgate \
                    knows; read a single one"
            .to_owned());
    }
    let root = |name: &str| (name == "object").then(|| NEW.to_owned());
    let reads = std::cell::Cell::new(None);
    let renamed = rename(source, root, |name| {
        reads.set(reads.get().or_else(|| lost.iter().find(|(lost, _)| *lost == name)));
        Some(name_of(policy, name))
    });
    match reads.get() {
        Some((name, reason)) => Err(format!("its variable {name} is left out: {reason}")),
        None => renamed,
    }
}

/// Whether an expression reads only what podgate knows of a namespace: of another field it is undecided, and the API
/// server is not.
fn reads_known_namespace(source: &str) -> bool {
    let known = ["metadata.name", "metadata.labels", "metadata.annotations"];
    source.split("namespaceObject").skip(1).all(|rest| {
        let path: String =
            rest.chars().filter(|it| !it.is_whitespace() && *it != '?').take(24).collect();
        let path = path.strip_prefix('.').unwrap_or_default();
        known.iter().any(|it| path.starts_with(it))
    })
}

/// The pods as expressions read them: of a template, the Pod that it would make.
fn views() -> [Variable; 5] {
    [
        variable(
            "views",
            "variables.pods.map(p, request.kind.kind == 'Pod' ? dyn(p) : dyn({'apiVersion': dyn('v1'), \
             'kind': dyn('Pod'), 'spec': p.spec, 'metadata': dyn((p.?metadata.orValue(dyn({})).map(k, k)\
             .filter(k, k != 'namespace') + ['namespace']).transformMapEntry(i, k, \
             {k: k == 'namespace' ? dyn(request.namespace) : p.metadata[k]}))}))",
        ),
        variable("own", "dyn(variables.views[0])"),
        variable("was", "dyn(variables.views[1])"),
        written("wasWritten", OLD),
        written("ownWritten", NEW),
    ]
}

/// The variables of the old and the new pod without the fields that only the API server and the kubelet write.
const WRITTEN: [&str; 2] = ["variables.wasWritten", "variables.ownWritten"];

fn written(name: &str, object: &str) -> Variable {
    let expression = format!(
        "dyn({object}.transformMap(k, v, k != 'status', k == 'metadata' ? \
         dyn(v.transformMap(f, w, !(f in {}), w)) : dyn(v)))",
        texts(&SERVER_METADATA)
    );
    variable(name, expression)
}

/// Whether both pods are the same in what an expression reads, as [`Reads::same`] compares them.
fn same(reads: &Reads) -> String {
    let pods = if reads.names_server_fields() { [OLD, NEW] } else { WRITTEN };
    let each = reads.of_object().paths().map(|path| {
        let [old, new] = pods.map(|pod| value(pod, &path.steps, path.end, 0));
        format!("{old} == {new}")
    });
    let all: Vec<_> = each.collect();
    if all.is_empty() { "true".to_owned() } else { format!("({})", all.join(" && ")) }
}

/// What is at a path of a value, as a list: what is on the way (of a map that it is there, else its whole value), and
/// the end of the path.
fn value(from: &str, steps: &[PathStep], end: End, depth: usize) -> String {
    let fields = steps.iter().take_while(|it| matches!(it, PathStep::Field(_))).count();
    let (fields, rest) = steps.split_at_checked(fields).unwrap_or_default();
    let mut path = format!("optional.of(dyn({from}))");
    let mut parts = Vec::new();
    for (place, step) in fields.iter().enumerate() {
        if let PathStep::Field(name) = step {
            // Nothing is below a text or a number, whose change counts all the same. The pod itself is a map.
            if depth + place > 0 {
                parts.push(format!("dyn({path}.optMap(v, type(v) == map ? dyn(true) : dyn(v)))"));
            }
            let _ = write!(path, "[?{}]", text(name));
        }
    }
    let (element, key) = (format!("e{depth}"), format!("k{depth}"));
    let each = |below: &str| {
        format!(
            "{path}.optMap(v, type(v) == list || type(v) == map ? dyn(v.transformMap({key}, {element}, {below})) : dyn(v))"
        )
    };
    let last = match (rest.split_first(), end) {
        (Some((_, rest)), _) => each(&value(&element, rest, end, depth + 1)),
        (None, End::Presence) => format!("{path}.hasValue()"),
        (None, End::Keys) => each("true"),
        (None, End::Whole) => path,
    };
    parts.push(format!("dyn({last})"));
    format!("[{}]", parts.join(", "))
}
