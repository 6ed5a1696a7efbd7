//! A policy's own expressions (`validations` and `variables`), rewritten to read the pod of the object.

use super::super::compile::Policy;
use super::super::expressions::Expressions;
use super::super::reads::Reads;
use super::expression::text;
use super::form::CelFinding;
use super::pods::{Variable, variable};
use crate::api::Validation;
use crate::cel::reads::{ObjectReads, PathStep};
use crate::cel::rename::rename;

/// A pod that expressions read: the new one, or the one before an update.
#[derive(Clone, Copy)]
enum Pod {
    New,
    Old,
}

impl Pod {
    /// The variable that stands for `object`.
    const fn object(self) -> &'static str {
        match self {
            Self::New => "variables.own",
            Self::Old => "variables.was",
        }
    }

    /// The name of a policy's variable, by the policy's place in its group.
    fn variable(self, policy: usize, name: &str) -> String {
        match self {
            Self::New => format!("own{policy}_{name}"),
            Self::Old => format!("was{policy}_{name}"),
        }
    }
}

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
            Ok([new, old]) => {
                variables.push(variable(Pod::New.variable(index, &it.name), new));
                variables.push(variable(Pod::Old.variable(index, &it.name), old));
            }
            Err(reason) => lost.push((&it.name, reason)),
        }
    }
    let compiled = Expressions::compile(validations, own);
    let finding = |(place, it): (usize, &Validation)| {
        let reads = compiled.as_ref().ok().and_then(|it| it.reads(place));
        let found = match rewritten(&it.expression, index, &lost) {
            Ok([new, old]) => {
                // An update inherits it only if what the expression reads is unchanged.
                let same = reads.map_or_else(|| "false".to_owned(), |it| same(it));
                let value =
                    format!("(p.old || size(variables.pods) < 2 || ({same}) ? '' : 'changed')");
                CelFinding::of_list("[0]", format!("(p.old ? !({old}) : !({new}))"))
                    .because(value, text(&super::super::text::printable(&it.message)))
                    .by_removal()
            }
            Err(reason) => CelFinding::lost(reason),
        };
        let check = Some(it.name.clone().into());
        CelFinding { check, severity: it.severity, ..found }
    };
    validations.iter().enumerate().map(finding).collect()
}

/// The expression for the new pod, and for the old one.
fn rewritten(source: &str, policy: usize, lost: &[(&str, String)]) -> Result<[String; 2], String> {
    let of = |pod: Pod| {
        let root = |name: &str| (name == "object").then(|| pod.object().to_owned());
        rename(source, root, |name| {
            let known = lost.iter().all(|(lost, _)| *lost != name);
            known.then(|| pod.variable(policy, name))
        })
    };
    if let Some((name, reason)) = lost.iter().find(|(name, _)| source.contains(name)) {
        return Err(format!("its variable {name} is left out: {reason}"));
    }
    Ok([of(Pod::New)?, of(Pod::Old)?])
}

/// The pods as expressions read them: of a template, the Pod that it would make.
fn views() -> [Variable; 3] {
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
    ]
}

/// Whether both pods are the same in what an expression reads.
fn same(reads: &Reads) -> String {
    let reads: &ObjectReads = reads.of_object();
    let each = reads.paths().map(|path| {
        let [old, new] = [Pod::Old, Pod::New].map(|pod| value(pod.object(), &path.steps, 0));
        format!("{old} == {new}")
    });
    let all: Vec<_> = each.collect();
    if all.is_empty() { "true".to_owned() } else { all.join(" && ") }
}

/// What is at a path of a value: an optional, or a map by place or key of what is at it in each element.
fn value(from: &str, steps: &[PathStep], depth: usize) -> String {
    let fields = steps.iter().take_while(|it| matches!(it, PathStep::Field(_))).count();
    let (fields, rest) = steps.split_at_checked(fields).unwrap_or_default();
    let mut path = format!("optional.of({from})");
    for step in fields {
        if let PathStep::Field(name) = step {
            path += &format!("[?{}]", text(name));
        }
    }
    let Some((_, rest)) = rest.split_first() else { return path };
    let element = format!("e{depth}");
    let below = value(&element, rest, depth + 1);
    format!("{path}.orValue(dyn({{}})).transformMap(k{depth}, {element}, {below})")
}
