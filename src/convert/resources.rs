//! What a rule of Kyverno matches and excludes.

use serde_json::Value;

use super::operand::{has_wildcard, wildcard};
use super::part::{Fit, Part, Reason, TEMPLATES, exemption, object};
use super::value::{Fields, text};
use crate::policy::scope::NAME_LABEL;
use crate::policy::vap::expression::{any, text as literal, texts};

/// The kinds whose templates podgate judges, and Kyverno with its generated rules.
const WORKLOADS: [&str; 7] = [
    "DaemonSet",
    "Deployment",
    "Job",
    "StatefulSet",
    "ReplicaSet",
    "ReplicationController",
    "CronJob",
];

/// What the rule judges.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Judged {
    Pods,
    /// Workloads, and not pods: paths begin with `spec.template`.
    Workloads,
}

/// Reads `match` and `exclude` into the draft.
pub(super) fn apply(part: &mut Part, object: &Value, rule: &Value) -> Result<Judged, Reason> {
    let entries = entries(rule.at("/match"))?;
    let mut kinds: Vec<String> = Vec::new();
    let mut others = Vec::new();
    let mut matching: Vec<&Value> = Vec::new();
    for entry in &entries {
        if ["/subjects", "/roles", "/clusterRoles"].iter().any(|it| !entry.at(it).is_empty_value())
        {
            return Err("it matches users, which podgate does not judge by".into());
        }
        let resources = entry.at("/resources");
        let (own, other): (Vec<_>, Vec<_>) = resources
            .at("/kinds")
            .texts()
            .iter()
            .map(|it| kind(it).to_owned())
            .partition(|it| is_judged(it));
        others.extend(other);
        if !own.is_empty() || resources.at("/kinds").is_empty_value() {
            matching.push(resources);
        }
        kinds.extend(own);
    }
    if kinds.is_empty() {
        let others = others.join(", ");
        return Err(format!(
            "it is about {others}; podgate judges pods, and the workloads that make them"
        )
        .into());
    }
    if !others.is_empty() {
        part.mark(Fit::Looser, &format!("not judged by podgate: {}", others.join(", ")));
    }
    let without_kinds = |it: &&Value| {
        let mut it = (*it).clone();
        if let Some(fields) = it.as_object_mut() {
            fields.remove("kinds");
        }
        it
    };
    let constraints: Vec<_> = matching.iter().map(without_kinds).collect();
    let all = !rule.at("/match/all").is_empty_value();
    if !all && constraints.iter().any(|it| Some(it) != constraints.first()) {
        return Err("it matches by several alternatives, which differ by more than kinds".into());
    }
    let judged = if kinds.iter().any(|it| it == "Pod") { Judged::Pods } else { Judged::Workloads };
    let mut generated =
        judged == Judged::Pods && kinds.iter().all(|it| it == "Pod") && others.is_empty();
    let apply = if all { constraints.len() } else { 1 };
    for constraint in constraints.iter().take(apply) {
        generated &= !narrows(constraint);
        matches(part, constraint)?;
    }
    for entry in self::entries(rule.at("/exclude"))? {
        generated &= !narrows(entry.at("/resources"));
    }
    exclude(part, rule.at("/exclude"))?;
    templates(part, object, judged, generated);
    Ok(judged)
}

/// Whether templates are judged as by the source.
fn templates(part: &mut Part, object: &Value, judged: Judged, generated: bool) {
    if judged == Judged::Workloads {
        part.mark(Fit::Stricter, "podgate judges all kinds of workloads, and pods of their own");
        return;
    }
    let annotation =
        object.at("/metadata/annotations").get("pod-policies.kyverno.io/autogen-controllers");
    let controllers = annotation.and_then(Value::as_str).unwrap_or("all");
    let all = ["DaemonSet", "Deployment", "Job", "StatefulSet", "CronJob"];
    if !generated || controllers == "none" {
        part.mark(Fit::Stricter, TEMPLATES);
    } else if controllers != "all" && !all.iter().all(|it| controllers.contains(it)) {
        part.mark(
            Fit::Stricter,
            &format!(
                "podgate judges all kinds of workloads; the source judges {controllers} and pods"
            ),
        );
    }
}

/// The entries of `any`, `all`, or the block itself.
fn entries(block: &Value) -> Result<Vec<&Value>, Reason> {
    Ok(match (block.at("/any"), block.at("/all")) {
        (Value::Null, Value::Null) if block.is_empty_value() => Vec::new(),
        (Value::Null, Value::Null) => vec![block],
        (any, Value::Null) => any.items().iter().collect(),
        (Value::Null, all) => all.items().iter().collect(),
        _ => return Err("it has both any and all".into()),
    })
}

/// The kind of `group/version/kind`, with its subresource.
fn kind(kind: &str) -> &str {
    let capital = |it: &str| it.starts_with(|it: char| it.is_ascii_uppercase());
    kind.char_indices()
        .find(|(at, _)| {
            (*at == 0 || kind.get(at - 1..*at) == Some("/")) && kind.get(*at..).is_some_and(capital)
        })
        .and_then(|(at, _)| kind.get(at..))
        .unwrap_or(kind)
}

fn is_judged(kind: &str) -> bool {
    kind == "Pod" || WORKLOADS.contains(&kind)
}

/// Whether Kyverno generates no rules for workloads: it matches more than kinds and namespaces.
fn narrows(resources: &Value) -> bool {
    ["/name", "/names", "/selector", "/annotations"]
        .iter()
        .any(|it| !resources.at(it).is_empty_value())
}

fn matches(part: &mut Part, resources: &Value) -> Result<(), Reason> {
    operations(part, resources)?;
    let namespaces = resources.at("/namespaces").texts();
    if !namespaces.is_empty() {
        if namespaces.iter().any(|it| has_wildcard(it)) {
            part.draft.when.push(in_namespace(&namespaces));
        } else {
            let expression = in_list(NAME_LABEL, namespaces);
            part.draft.selector.push(expression);
        }
    }
    let selector = expressions(resources.at("/namespaceSelector"))?;
    part.draft.selector.extend(selector);
    let selector = expressions(resources.at("/selector"))?;
    part.draft.when.extend(labels_in_cel(&selector)?);
    if ["/name", "/names"].iter().any(|it| !resources.at(it).is_empty_value()) {
        return Err(
            "it matches by name; the pods of a workload have other names than the workload".into(),
        );
    }
    if !resources.at("/annotations").is_empty_value() {
        return Err("it matches by annotations".into());
    }
    Ok(())
}

fn operations(part: &mut Part, resources: &Value) -> Result<(), Reason> {
    let operations = resources.at("/operations").texts();
    let has =
        |it: &str| operations.is_empty() || operations.iter().any(|own| own == it || own == "*");
    if !has("CREATE") {
        return Err(format!(
            "it judges {} only; podgate judges what is created and changed",
            operations.join(", ")
        )
        .into());
    }
    if !has("UPDATE") {
        part.mark(Fit::Stricter, "podgate also judges updates, by what they add");
    }
    Ok(())
}

fn exclude(part: &mut Part, block: &Value) -> Result<(), Reason> {
    let entries = entries(block)?;
    if !block.at("/all").is_empty_value() && entries.len() > 1 {
        part.mark(Fit::Stricter, "an exclusion that needs several things together is left out");
        return Ok(());
    }
    for entry in entries {
        if let Err(reason) = exclusion(part, entry) {
            part.mark(Fit::Stricter, &format!("an exclusion is left out: {reason}"));
        }
    }
    Ok(())
}

/// Excludes what one entry is about. An error leaves the draft as it was.
fn exclusion(part: &mut Part, entry: &Value) -> Result<(), Reason> {
    let resources = entry.at("/resources");
    if ["/subjects", "/roles", "/clusterRoles"].iter().any(|it| !entry.at(it).is_empty_value()) {
        return Err("it is about users".into());
    }
    let kinds: Vec<_> = resources.at("/kinds").texts();
    if !kinds.is_empty() && !kinds.iter().any(|it| kind(it) == "Pod" || it == "*") {
        return Err(format!("it is about {} and not their pods", kinds.join(", ")).into());
    }
    let set: Vec<_> = [
        "/name",
        "/names",
        "/annotations",
        "/selector",
        "/namespaces",
        "/namespaceSelector",
        "/operations",
    ]
    .into_iter()
    .filter(|it| !resources.at(it).is_empty_value())
    .collect();
    match set.as_slice() {
        [] => Err("it is about all pods".into()),
        ["/namespaces"] => {
            namespaces_out(part, &resources.at("/namespaces").texts());
            Ok(())
        }
        ["/namespaceSelector"] => {
            let expressions = expressions(resources.at("/namespaceSelector"))?;
            let [one] = expressions.as_slice() else {
                return Err("its namespaces need several labels together".into());
            };
            part.draft.selector.push(inverted(one)?);
            Ok(())
        }
        ["/selector"] => {
            let conditions = labels_in_cel(&expressions(resources.at("/selector"))?)?;
            part.draft.when.push(format!("!({})", conditions.join(" && ")));
            Ok(())
        }
        _ => Err("it needs more than a namespace, or labels".into()),
    }
}

/// Leaves namespaces out, by exact names or by patterns.
pub(super) fn namespaces_out(part: &mut Part, namespaces: &[String]) {
    let (patterns, exact): (Vec<_>, Vec<_>) =
        namespaces.iter().cloned().partition(|it| has_wildcard(it));
    part.draft.excluded.extend(exact);
    if !patterns.is_empty() {
        let reason = "the converted policy excludes these namespaces";
        let exemption = exemption(reason, vec![("namespaces", patterns.into())]);
        part.draft.exemptions.push(exemption);
    }
}

/// Whether the pod is in one of these namespaces.
pub(super) fn in_namespace(patterns: &[String]) -> String {
    let namespace = "object.metadata.namespace";
    let matches = patterns.iter().map(|it| {
        if has_wildcard(it) {
            wildcard(it, namespace)
        } else {
            format!("{namespace} == {}", literal(it))
        }
    });
    any(&matches.collect::<Vec<_>>())
}

/// An expression of a label selector: a label has one of these values.
pub(super) fn in_list(key: &str, values: Vec<String>) -> Value {
    object(vec![("key", key.into()), ("operator", "In".into()), ("values", values.into())])
}

/// A label selector as a list of expressions.
pub(super) fn expressions(selector: &Value) -> Result<Vec<Value>, Reason> {
    let mut expressions = Vec::new();
    for (key, value) in selector.at("/matchLabels").as_object().into_iter().flatten() {
        let value = value.as_str().ok_or("a label selector has a value that is no text")?;
        if has_wildcard(key) || has_wildcard(value) {
            return Err(format!("a label selector has a wildcard: {key}={value}").into());
        }
        expressions.push(in_list(key, vec![value.to_owned()]));
    }
    expressions.extend(selector.at("/matchExpressions").items().iter().cloned());
    Ok(expressions)
}

fn inverted(expression: &Value) -> Result<Value, Reason> {
    let operator = match text(expression, "/operator") {
        Some("In") => "NotIn",
        Some("NotIn") => "In",
        Some("Exists") => "DoesNotExist",
        Some("DoesNotExist") => "Exists",
        _ => return Err("a label selector has an unknown operator".into()),
    };
    // What has no such label is not in a list of values, but NotIn was met by it.
    if operator == "In" {
        return Err("it excludes namespaces by labels that they do not have".into());
    }
    let mut inverted = expression.as_object().cloned().unwrap_or_default();
    inverted.insert("operator".to_owned(), operator.into());
    Ok(inverted.into())
}

/// Whether the pod's labels match these expressions.
pub(super) fn labels_in_cel(expressions: &[Value]) -> Result<Vec<String>, Reason> {
    let labels = "object.metadata.?labels.orValue({})";
    let in_cel = |it: &Value| {
        let key = literal(text(it, "/key").ok_or("a label selector has no key")?);
        let values = texts(&it.at("/values").texts());
        let has = format!("{key} in {labels}");
        let value = format!("{labels}[{key}] in {values}");
        Ok(match text(it, "/operator") {
            Some("In") => format!("({has} && {value})"),
            Some("NotIn") => format!("!({has} && {value})"),
            Some("Exists") => format!("({has})"),
            Some("DoesNotExist") => format!("!({has})"),
            _ => return Err("a label selector has an unknown operator".into()),
        })
    };
    expressions.iter().map(in_cel).collect()
}
