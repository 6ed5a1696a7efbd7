//! Kyverno's `ClusterPolicy` and `Policy`.

use serde_json::Value;

use super::operand::{has_wildcard, joined};
use super::part::{ALL_CONTAINERS, Fit, Part, Reason, is_all_containers, object};
use super::pattern::Pattern;
use super::resources::{self, Judged};
use super::source::without;
use super::value::{Fields, text};
use super::{cel, conditions, pod_security};

/// The longest expression that several conditions are put into. The CRD allows 1024 characters; a condition of when the
/// rule applies may come to it.
const MOST_EXPRESSION: usize = 900;

/// What podgate has instead of rules that do not validate.
const OTHER_RULES: [(&str, &str); 3] = [
    (
        "/mutate",
        "it changes objects; podgate's own mutate completes pods (docs/policies.md#mutation)",
    ),
    ("/generate", "it makes objects, which podgate does not"),
    (
        "/verifyImages",
        "it verifies signatures, which podgate does not; requireImageDigest pins images",
    ),
];

const DELETIONS: &str = "Kyverno also denies the deletion of such a pod";

/// A kind of Kyverno that validates nothing.
pub(super) fn other_kind(kind: &str) -> Part {
    Part::make(String::new(), |_| {
        Err(match kind {
            "MutatingPolicy" | "NamespacedMutatingPolicy" => OTHER_RULES[0].1.into(),
            "GeneratingPolicy" | "NamespacedGeneratingPolicy" => OTHER_RULES[1].1.into(),
            "ImageValidatingPolicy" | "NamespacedImageValidatingPolicy" => OTHER_RULES[2].1.into(),
            _ => format!("podgate has nothing that does what a {kind} does").into(),
        })
    })
}

/// The parts of a policy, one for each rule.
pub(super) fn rules(object: &Value) -> Vec<Part> {
    let rules = object.at("/spec/rules").items();
    if rules.is_empty() {
        return vec![Part::make(String::new(), |_| Err("it has no rules".into()))];
    }
    let one_of_many = rules.len() > 1 && text(object, "/spec/applyRules") == Some("One");
    rules
        .iter()
        .map(|rule| {
            let name = text(rule, "/name").unwrap_or_default().to_owned();
            Part::make(name, |part| {
                if one_of_many {
                    part.mark(
                        Fit::Stricter,
                        "Kyverno applies only the first rule that matches (applyRules: One)",
                    );
                }
                convert(part, object, rule)
            })
        })
        .collect()
}

fn convert(part: &mut Part, object: &Value, rule: &Value) -> Result<(), Reason> {
    without(rule, &OTHER_RULES)?;
    without(
        rule,
        &[
            ("/context", "it reads a context, which podgate has not"),
            ("/imageExtractors", "it reads images from other fields"),
        ],
    )?;
    let (spec, validate) = (object.at("/spec"), rule.at("/validate"));
    if text(object, "/kind") == Some("Policy") {
        part.draft.namespace =
            Some(text(object, "/metadata/namespace").unwrap_or("default").to_owned());
    }
    let judged = resources::apply(part, object, rule)?;
    if part.draft.namespace.is_some() && !part.draft.selector.is_empty() {
        return Err("a Policy judges one namespace, and this rule selects namespaces".into());
    }
    mode(part, spec, validate);
    let deletes = deletions(rule)?;
    let conditions = spec.at("/webhookConfiguration/matchConditions");
    let old = spec.at("/matchConditions");
    if !conditions.is_empty_value() || !old.is_empty_value() {
        part.mark(Fit::Stricter, "the webhook's matchConditions are left out");
    }
    let message = text(validate, "/message").unwrap_or_default();
    if judged == Judged::Workloads {
        let pattern = validate.get("pattern").and_then(of_template);
        let pattern = pattern.ok_or("it is about fields of workloads beside their pod template")?;
        return self::pattern(part, object, &[pattern], message);
    }
    if let Some(pattern) = validate.get("pattern") {
        return self::pattern(part, object, &[pattern], message);
    }
    if !validate.at("/anyPattern").is_empty_value() {
        let patterns: Vec<_> = validate.at("/anyPattern").items().iter().collect();
        return self::pattern(part, object, &patterns, message);
    }
    if let Some(settings) = validate.get("podSecurity") {
        return pod_security::rule(part, settings);
    }
    if let Some(settings) = validate.get("cel") {
        without(
            settings,
            &[(
                "/paramKind",
                "it reads a parameter resource, which podgate's policies do not have",
            )],
        )?;
        let source = cel::Source {
            variables: settings.at("/variables").items(),
            conditions: rule.at("/celPreconditions").items(),
            validations: settings.at("/expressions").items(),
            message,
        };
        return cel::convert(part, &source);
    }
    if !validate.at("/foreach").is_empty_value() {
        for each in validate.at("/foreach").items() {
            foreach(part, each, message)?;
            if deletes && each.get("deny").is_some() {
                part.mark(Fit::Looser, DELETIONS);
            }
        }
        merge_containers(part);
        return Ok(());
    }
    if let Some(deny) = validate.get("deny") {
        if deletes {
            part.mark(Fit::Looser, DELETIONS);
        }
        let expression = conditions::passes(
            deny.at("/conditions"),
            "request.object",
            "object",
            &mut part.draft,
        )?;
        part.draft.checks.push((expression, message.to_owned()));
        return Ok(());
    }
    Err(match validate {
        Value::Null => "it has no rule that podgate knows".into(),
        _ => "its way to validate (manifests, assert) is none that podgate knows".into(),
    })
}

/// The mode, and namespaces where it is another.
fn mode(part: &mut Part, spec: &Value, validate: &Value) {
    let action = text(validate, "/failureAction").or(text(spec, "/validationFailureAction"));
    let enforces = action.is_some_and(|it| it.eq_ignore_ascii_case("enforce"));
    part.draft.mode = match enforces {
        true => "enforce",
        false if spec.at("/emitWarning") == true => "warn",
        false => "audit",
    };
    if spec.at("/admission") == false {
        part.draft.mode = "audit";
    }
    let own = validate.at("/failureActionOverrides").items();
    let overrides = own.iter().chain(spec.at("/validationFailureActionOverrides").items());
    for other in overrides {
        let other = text(other, "/action").is_some_and(|it| it.eq_ignore_ascii_case("enforce"));
        match (enforces, other) {
            (true, false) => part.mark(Fit::Stricter, "it only audits in some namespaces (failureActionOverrides); podgate's policy enforces in all"),
            (false, true) => part.mark(Fit::Looser, "it enforces in some namespaces (failureActionOverrides); podgate's policy does not"),
            _ => {}
        }
    }
}

/// Whether the rule judges deletions too. Only preconditions about the operation are known.
fn deletions(rule: &Value) -> Result<bool, Reason> {
    let preconditions = rule.at("/preconditions");
    let listed = [preconditions, preconditions.at("/all"), preconditions.at("/any")];
    let mut deletes = true;
    for condition in listed.iter().flat_map(|it| it.items()) {
        if !conditions::is_about_creation(condition) {
            let key = text(condition, "/key").unwrap_or_default();
            return Err(format!("its precondition {key:?} is none that podgate can decide").into());
        }
        deletes = false;
    }
    Ok(deletes)
}

/// A pattern, or several of which one must match.
fn pattern(
    part: &mut Part,
    object: &Value,
    patterns: &[&Value],
    message: &str,
) -> Result<(), Reason> {
    if let ([pattern], true) = (patterns, part.draft.when.is_empty())
        && let Some(labels) = required_labels(pattern)
    {
        part.draft.fields.push(("requiredLabels", labels));
        return Ok(());
    }
    let mut each = Vec::new();
    for pattern in patterns {
        let fields = pattern.as_object().ok_or("its pattern is no map")?;
        reads_name(part, object, pattern)?;
        let mut compiler = Pattern::default();
        let conditions = compiler.map(fields, "object")?;
        if let Some(reason) = compiler.stricter {
            if patterns.len() > 1 {
                return Err("conditions in alternative patterns may skip the rule".into());
            }
            part.mark(Fit::Stricter, reason);
        }
        if compiler.all_containers {
            part.draft.variable(ALL_CONTAINERS.0, ALL_CONTAINERS.1);
        }
        each.push(conditions);
    }
    if let [conditions] = each.as_slice() {
        if conditions.is_empty() {
            return Err("its pattern matches every pod".into());
        }
        let expressions = packed(conditions);
        part.draft.checks.extend(expressions.into_iter().map(|it| (it, message.to_owned())));
        return Ok(());
    }
    let each: Vec<_> = each.iter().map(|it| joined(it, " && ")).collect();
    part.draft.checks.push((each.join(" || "), message.to_owned()));
    Ok(())
}

/// Conditions in as few expressions as their length allows.
fn packed(conditions: &[String]) -> Vec<String> {
    let mut packed: Vec<String> = Vec::new();
    for condition in conditions {
        match packed.last_mut() {
            Some(last) if last.len() + condition.len() + 4 <= MOST_EXPRESSION => {
                last.push_str(" && ");
                last.push_str(condition);
            }
            _ => packed.push(condition.clone()),
        }
    }
    packed
}

/// The value of a map's only key.
fn only<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.as_object().filter(|it| it.len() == 1)?.get(key)
}

/// The part of a workload's pattern that is about its pod template, if that is all of it.
fn of_template(pattern: &Value) -> Option<&Value> {
    only(only(pattern, "spec")?, "template")
}

/// The labels that a pattern requires, if it requires nothing else and any value: podgate's `requiredLabels`.
fn required_labels(pattern: &Value) -> Option<Value> {
    let labels = only(only(pattern, "metadata")?, "labels")?;
    let label = |(key, value): (&String, &Value)| {
        let plain = !key.contains(['(', '*', '?']);
        match value.as_str().filter(|_| plain)? {
            "?*" => Some(object(vec![("key", key.as_str().into()), ("pattern", ".+".into())])),
            "*" => Some(object(vec![("key", key.as_str().into())])),
            _ => None,
        }
    };
    let labels: Vec<_> = labels.as_object()?.iter().map(label).collect::<Option<_>>()?;
    (!labels.is_empty() && labels.len() <= 32).then(|| labels.into())
}

/// A pod that a template makes has no name yet, and its template no namespace.
fn reads_name(part: &mut Part, object: &Value, pattern: &Value) -> Result<(), Reason> {
    let is = |key: &str, name: &str| key == name || key.ends_with(&format!("({name})"));
    let metadata = pattern.as_object().into_iter().flatten().filter(|(key, _)| is(key, "metadata"));
    for (key, _) in metadata.filter_map(|(_, it)| it.as_object()).flatten() {
        if is(key, "name")
            || is(key, "generateName")
            || is(key, "ownerReferences")
            || has_wildcard(key)
        {
            return Err(
                format!("it is about metadata.{key}, which a template's pod has not yet").into()
            );
        }
        let none =
            object.at("/metadata/annotations").get("pod-policies.kyverno.io/autogen-controllers");
        if is(key, "namespace") && none.is_none_or(|it| it != "none") {
            part.mark(
                Fit::Looser,
                "Kyverno looks for the namespace in the templates of workloads, which have none",
            );
        }
    }
    Ok(())
}

/// The lists of containers that `foreach` goes through.
const CONTAINER_LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

fn foreach(part: &mut Part, each: &Value, message: &str) -> Result<(), Reason> {
    without(
        each,
        &[
            ("/context", "its foreach reads a context"),
            ("/foreach", "it has a foreach in a foreach"),
            ("/elementScope", "its foreach has an elementScope"),
        ],
    )?;
    let preconditions = each.at("/preconditions");
    let listed = [preconditions, preconditions.at("/all"), preconditions.at("/any")];
    if listed.iter().flat_map(|it| it.items()).any(|it| !conditions::is_about_creation(it)) {
        return Err("its foreach has preconditions".into());
    }
    let path = text(each, "/list").unwrap_or_default().replace(' ', "");
    let path = path.strip_suffix("[]").unwrap_or(&path);
    let list = match path.strip_prefix("request.object.spec.") {
        Some("containers") => "object.spec.containers".to_owned(),
        Some(name) if CONTAINER_LISTS.contains(&name) => format!("object.spec.?{name}.orValue([])"),
        Some(names) if is_all_containers(names) => {
            part.draft.variable(ALL_CONTAINERS.0, ALL_CONTAINERS.1);
            format!("variables.{}", ALL_CONTAINERS.0)
        }
        _ => {
            return Err(format!(
                "its foreach goes through {path:?}, which is no list of containers"
            )
            .into());
        }
    };
    let inner = if let Some(pattern) = each.at("/pattern").as_object() {
        let mut compiler = Pattern::default();
        let inner = compiler.map(pattern, "c")?;
        if let Some(reason) = compiler.stricter {
            part.mark(Fit::Stricter, reason);
        }
        joined(&inner, " && ")
    } else if let Some(deny) = each.get("deny") {
        conditions::passes(deny.at("/conditions"), "element", "c", &mut part.draft)?
    } else {
        return Err("its foreach has neither a pattern nor a deny".into());
    };
    part.draft.checks.push((format!("{list}.all(c, {inner})"), message.to_owned()));
    Ok(())
}

/// One expression where each list of containers has the same.
fn merge_containers(part: &mut Part) {
    let lists = [
        "object.spec.containers.",
        "object.spec.?initContainers.orValue([]).",
        "object.spec.?ephemeralContainers.orValue([]).",
    ];
    let rest = |index: usize| {
        let (expression, message) = part.draft.checks.get(index)?;
        lists.iter().enumerate().find_map(|(list, start)| {
            Some((list, expression.strip_prefix(start)?.to_owned(), message.clone()))
        })
    };
    let (Some(first), Some(second), Some(third)) = (rest(0), rest(1), rest(2)) else { return };
    let mut found = [first.0, second.0, third.0];
    found.sort_unstable();
    if part.draft.checks.len() == 3
        && found == [0, 1, 2]
        && first.1 == second.1
        && second.1 == third.1
    {
        part.draft.checks = vec![(format!("variables.{}.{}", ALL_CONTAINERS.0, first.1), first.2)];
        part.draft.variable(ALL_CONTAINERS.0, ALL_CONTAINERS.1);
    }
}
