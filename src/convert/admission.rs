//! Policies in CEL that match as the API server's: `ValidatingAdmissionPolicy`, and Kyverno's `ValidatingPolicy`.

use serde_json::Value;

use super::cel;
use super::part::{Fit, Part, Reason, TEMPLATES};
use super::resources::{expressions, labels_in_cel};
use super::source::{Source, name, of_kind, without};
use super::value::{Fields, text};

/// The resources whose templates podgate judges.
const WORKLOADS: [&str; 8] = [
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "replicationcontrollers",
    "jobs",
    "cronjobs",
    "podtemplates",
];

/// What a conversion does not know, and why.
const UNKNOWN: [(&str, &str); 2] = [
    (
        "/spec/paramKind",
        "it reads a parameter resource, which podgate's policies do not have; write the values into the expressions",
    ),
    ("/spec/matchConstraints/excludeResourceRules", "it excludes resources by rules"),
];

/// The parts of the API server's own policy: one for each binding.
pub(super) fn policy(object: &Value, all: &[Source]) -> Vec<Part> {
    let own = text(object, "/metadata/name").unwrap_or_default();
    let bindings: Vec<_> =
        of_kind(all, "admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding")
            .filter(|it| text(it, "/spec/policyName") == Some(own))
            .collect();
    if bindings.is_empty() {
        return vec![Part::make(String::new(), |_| {
            Err("no ValidatingAdmissionPolicyBinding of it is there, so it is not in force; give the binding too".into())
        })];
    }
    let convert = |binding: &Value| {
        Part::make(name(binding), |part| {
            without(
                binding,
                &[
                    ("/spec/paramRef", "its binding has a parameter resource"),
                    ("/spec/matchResources/resourceRules", "its binding narrows the resources"),
                    ("/spec/matchResources/excludeResourceRules", "its binding excludes resources"),
                ],
            )?;
            part.draft.mode = action(&binding.at("/spec/validationActions").texts());
            selectors(part, binding.at("/spec/matchResources"))?;
            part.mark(Fit::Stricter, TEMPLATES);
            expressions_of(part, object)
        })
    };
    bindings.into_iter().map(convert).collect()
}

/// The parts of Kyverno's policy.
pub(super) fn kyverno(object: &Value) -> Vec<Part> {
    vec![Part::make(String::new(), |part| {
        if text(object, "/spec/evaluation/mode") == Some("JSON") {
            return Err("it judges JSON that is no Kubernetes object".into());
        }
        if text(object, "/kind") == Some("NamespacedValidatingPolicy") {
            part.draft.namespace = text(object, "/metadata/namespace").map(str::to_owned);
        }
        part.draft.mode = action(&object.at("/spec/validationActions").texts());
        if object.at("/spec/evaluation/admission/enabled") == false {
            part.draft.mode = "audit";
        }
        let constraints = object.at("/spec/matchConstraints");
        let own = object.at("/spec/autogen/podControllers/controllers");
        let selects = ["/namespaceSelector", "/objectSelector"]
            .iter()
            .any(|it| !constraints.at(it).is_empty_value());
        let only_pods = constraints
            .at("/resourceRules")
            .items()
            .iter()
            .all(|it| it.at("/resources").texts().iter().all(|it| it.starts_with("pods")));
        let controllers = own.texts();
        if selects || !own.is_null() && controllers.is_empty() {
            part.mark(Fit::Stricter, TEMPLATES);
        } else if only_pods
            && !own.is_null()
            && ["deployments", "statefulsets", "daemonsets", "jobs", "cronjobs"]
                .iter()
                .any(|it| !controllers.iter().any(|own| own.eq_ignore_ascii_case(it)))
        {
            part.mark(
                Fit::Stricter,
                "podgate judges all kinds of workloads; the source judges some of them",
            );
        }
        expressions_of(part, object)
    })]
}

/// The mode of the actions: the most that they do.
fn action(actions: &[String]) -> &'static str {
    let has = |it: &str| actions.iter().any(|action| action == it);
    if has("Deny") {
        "enforce"
    } else if has("Warn") {
        "warn"
    } else {
        "audit"
    }
}

fn expressions_of(part: &mut Part, object: &Value) -> Result<(), Reason> {
    without(object, &UNKNOWN)?;
    let (spec, constraints) = (object.at("/spec"), object.at("/spec/matchConstraints"));
    resources(part, constraints.at("/resourceRules").items())?;
    selectors(part, constraints)?;
    if text(spec, "/failurePolicy") == Some("Ignore") {
        part.mark(Fit::Stricter, "an expression that fails lets the pod pass (failurePolicy: Ignore); in podgate it is a violation");
    }
    let source = cel::Source {
        variables: spec.at("/variables").items(),
        conditions: spec.at("/matchConditions").items(),
        validations: spec.at("/validations").items(),
        message: "",
    };
    cel::convert(part, &source)
}

/// What the rules match: pods, and what else.
fn resources(part: &mut Part, rules: &[Value]) -> Result<(), Reason> {
    let (mut pods, mut templates, mut others) = (false, false, Vec::new());
    for rule in rules {
        let operations = rule.at("/operations").texts();
        let has = |it: &str| operations.iter().any(|own| own == it || own == "*");
        if !rule.at("/resourceNames").is_empty_value() {
            return Err(
                "it matches by name; the pods of a workload have other names than the workload"
                    .into(),
            );
        }
        for resource in rule.at("/resources").texts() {
            match resource.as_str() {
                "pods" if has("CREATE") => {
                    pods = true;
                    if !has("UPDATE") {
                        part.mark(Fit::Stricter, "podgate also judges updates, by what they add");
                    }
                }
                "pods/ephemeralcontainers" => {}
                "*" | "*/*" if has("CREATE") => {
                    (pods, templates) = (true, true);
                    others.push("all other resources".to_owned());
                }
                it if WORKLOADS.contains(&it) => templates = true,
                _ => others.push(resource),
            }
        }
    }
    if !pods {
        let others =
            if others.is_empty() { "workloads and not pods".to_owned() } else { others.join(", ") };
        return Err(format!("it is about {others}; podgate's expressions read pods").into());
    }
    if !others.is_empty() {
        part.mark(Fit::Looser, &format!("not judged by podgate: {}", others.join(", ")));
    }
    if templates {
        part.mark(Fit::Looser, "for a workload, podgate evaluates the expressions on the pod that its template makes; whether the source says the same of the workload itself is not compared");
    }
    Ok(())
}

/// Selectors of namespaces, and of pods by their labels.
fn selectors(part: &mut Part, constraints: &Value) -> Result<(), Reason> {
    let namespaces = expressions(constraints.at("/namespaceSelector"))?;
    if part.draft.namespace.is_none() {
        part.draft.selector.extend(namespaces);
    } else if !namespaces.is_empty() {
        return Err("a policy of one namespace selects namespaces".into());
    }
    let labels = expressions(constraints.at("/objectSelector"))?;
    part.draft.when.extend(labels_in_cel(&labels)?);
    Ok(())
}
