//! Gatekeeper's constraints: of its library, and of templates in CEL.

use serde_json::Value;

use super::cel;
use super::library::{LIBRARY, Of};
use super::operand::has_wildcard;
use super::part::{ALL_CONTAINERS, Fit, Part, Reason, TEMPLATES, object};
use super::resources::{expressions, in_list, in_namespace, labels_in_cel, namespaces_out};
use super::source::{Source, of_kind};
use super::value::{Fields, text};
use crate::policy::scope::NAME_LABEL;
use crate::policy::vap::expression::text as literal;

/// A mutation of Gatekeeper.
pub(super) fn mutation() -> Part {
    Part::make(String::new(), |_| {
        Err("it changes objects; podgate's own mutate completes pods (docs/policies.md#mutation)"
            .into())
    })
}

/// The parts of a constraint.
pub(super) fn constraint(object: &Value, kind: &str, all: &[Source]) -> Vec<Part> {
    vec![Part::make(String::new(), |part| {
        part.draft.mode = action(object.at("/spec"))?;
        matching(part, object.at("/spec/match"))?;
        part.mark(Fit::Stricter, TEMPLATES);
        let parameters = object.at("/spec/parameters");
        let template = of_kind(all, "templates.gatekeeper.sh", "ConstraintTemplate")
            .find(|it| text(it, "/spec/crd/spec/names/kind") == Some(kind));
        if let Some(source) = template.and_then(in_cel) {
            return native(part, source, parameters);
        }
        if template.is_some() {
            part.notes.push(
                "by the rule of Gatekeeper's library of this name; the template's Rego is not read"
                    .to_owned(),
            );
        }
        library(part, kind, parameters)
    })]
}

/// What Gatekeeper does at admission.
fn action(spec: &Value) -> Result<&'static str, Reason> {
    let mut action = text(spec, "/enforcementAction").unwrap_or("deny");
    if action == "scoped" {
        let scoped = spec.at("/scopedEnforcementActions").items().iter().find(|it| {
            it.at("/enforcementPoints")
                .items()
                .iter()
                .any(|it| matches!(text(it, "/name"), Some("*" | "validation.gatekeeper.sh")))
        });
        action = scoped.and_then(|it| text(it, "/action")).unwrap_or("dryrun");
    }
    match action {
        "deny" => Ok("enforce"),
        "warn" => Ok("warn"),
        "dryrun" => Ok("audit"),
        other => Err(format!("its enforcementAction {other:?} is none that Gatekeeper has").into()),
    }
}

fn matching(part: &mut Part, matching: &Value) -> Result<(), Reason> {
    if text(matching, "/scope") == Some("Cluster") {
        return Err("it is about cluster-scoped objects; pods are in namespaces".into());
    }
    if !matching.at("/name").is_null() {
        return Err(
            "it matches by name; the pods of a workload have other names than the workload".into(),
        );
    }
    let rules = matching.at("/kinds").items();
    let kinds: Vec<_> = rules.iter().flat_map(|it| it.at("/kinds").texts()).collect();
    if !rules.is_empty() && !kinds.iter().any(|it| it == "Pod" || it == "*") {
        return Err(format!(
            "it is about {}; podgate judges pods, and the workloads that make them",
            kinds.join(", ")
        )
        .into());
    }
    let others: Vec<_> = kinds.into_iter().filter(|it| it != "Pod").collect();
    if !others.is_empty() {
        part.mark(
            Fit::Looser,
            &format!(
                "not judged by podgate: {}",
                others.join(", ").replace('*', "objects of other kinds")
            ),
        );
    }
    let namespaces = matching.at("/namespaces").texts();
    if namespaces.iter().any(|it| has_wildcard(it)) {
        part.draft.when.push(in_namespace(&namespaces));
    } else if !namespaces.is_empty() {
        part.draft.selector.push(in_list(NAME_LABEL, namespaces));
    }
    namespaces_out(part, &matching.at("/excludedNamespaces").texts());
    part.draft.selector.extend(expressions(matching.at("/namespaceSelector"))?);
    let labels = expressions(matching.at("/labelSelector"))?;
    part.draft.when.extend(labels_in_cel(&labels)?);
    Ok(())
}

/// The part of a template that is in CEL.
fn in_cel(template: &Value) -> Option<&Value> {
    let code = template.at("/spec/targets/0/code").items();
    let source = code.iter().find(|it| text(it, "/engine") == Some("K8sNativeValidation"))?;
    source.get("source")
}

/// A constraint of a template in CEL.
fn native(part: &mut Part, source: &Value, parameters: &Value) -> Result<(), Reason> {
    if text(source, "/failurePolicy") == Some("Ignore") {
        part.mark(Fit::Stricter, "an expression that fails lets the pod pass (failurePolicy: Ignore); in podgate it is a violation");
    }
    part.draft.variable("params", &value(parameters)?);
    part.draft.variable("anyObject", "object");
    let source = cel::Source {
        variables: source.at("/variables").items(),
        conditions: source.at("/matchConditions").items(),
        validations: source.at("/validations").items(),
        message: "",
    };
    cel::convert(part, &source)
}

/// A constraint of Gatekeeper's library.
fn library(part: &mut Part, kind: &str, parameters: &Value) -> Result<(), Reason> {
    let Some((_, of, checks)) = LIBRARY.iter().find(|(name, ..)| *name == kind) else {
        return Err(format!(
            "podgate knows no rule of the name {kind}; where its ConstraintTemplate is in CEL (K8sNativeValidation), give it too"
        ).into());
    };
    let labels = parameters.at("/labels").items();
    let plain = |it: &Value| text(it, "/allowedRegex").is_none_or(str::is_empty);
    if kind == "K8sRequiredLabels" && part.draft.when.is_empty() && labels.iter().all(plain) {
        let label = |it: &Value| object(vec![("key", it.at("/key").clone())]);
        let labels: Vec<_> = labels.iter().map(label).collect();
        part.draft.fields.push(("requiredLabels", labels.into()));
        return Ok(());
    }
    part.draft.variable("params", &value(parameters)?);
    let list = match of {
        Of::Pod => None,
        Of::AllContainers => Some(ALL_CONTAINERS.1),
        Of::AppAndInit => Some("object.spec.containers + object.spec.?initContainers.orValue([])"),
        Of::App => Some("object.spec.containers"),
    };
    if let Some(list) = list {
        let exempt = !parameters.at("/exemptImages").is_empty_value();
        let judged =
            if exempt { format!("({list}).filter(c, {NOT_EXEMPT})") } else { list.to_owned() };
        part.draft.variable("judged", &judged);
    }
    for (check, message) in *checks {
        let expression = if list.is_some() && !check.starts_with("object.") {
            format!("variables.judged.all(c, {check})")
        } else {
            (*check).to_owned()
        };
        part.draft.checks.push((expression, (*message).to_owned()));
    }
    Ok(())
}

/// Whether a container's image is not exempt: an entry is an image, or with `*` at its end the start of one.
const NOT_EXEMPT: &str = "!variables.params.exemptImages.exists(e, \
    e.endsWith('*') ? c.image.startsWith(e.substring(0, size(e) - 1)) : c.image == e)";

/// A value as CEL.
fn value(value: &Value) -> Result<String, Reason> {
    Ok(match value {
        Value::Null => "{}".to_owned(),
        Value::Bool(_) => value.to_string(),
        Value::Number(number) if number.is_i64() => value.to_string(),
        Value::Number(number) if number.is_f64() => format!("double('{number}')"),
        Value::Number(_) => return Err("a parameter is a number that CEL does not have".into()),
        Value::String(text) => literal(text),
        Value::Array(items) => {
            let items: Result<Vec<_>, _> =
                items.iter().map(|it| self::value(it).map(|it| format!("dyn({it})"))).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Object(fields) => {
            let fields: Result<Vec<_>, Reason> = fields
                .iter()
                .map(|(key, it)| Ok(format!("{}: dyn({})", literal(key), self::value(it)?)))
                .collect();
            format!("{{{}}}", fields?.join(", "))
        }
    })
}
