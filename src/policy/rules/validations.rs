//! Rules of your own, in CEL, the language of the API server's own validation rules.
//!
//! A validation's `expression` is true for a pod that passes. It is an expression of a `ValidatingAdmissionPolicy` of
//! Kubernetes 1.36, with the same functions, macros, types, results and errors. `object` is always a Pod: the one under
//! review, or the one that a workload's template would make, with the workload's namespace. `namespaceObject` is its
//! Namespace, of which podgate knows the name, labels and annotations; an expression that reads another field is
//! undecided, which is a violation. `variables.NAME` is the value of the policy's variable; a variable may use those
//! before it. There is no `request`, `oldObject`, `params` or `authorizer`, so a pod has the same verdict at admission,
//! in the audit and in a scan.
//!
//! An error is not a pass: a validation that cannot be decided is a violation with the reason, and the policy's mode
//! decides its effect. Test optional fields with `has()` first, or read them with `.?field` and `orValue()`. An
//! expression that the API server would reject, or longer than 1 KiB, makes the policy invalid; the message names the
//! position and the remedy.
//!
//! Costs are limited as in Kubernetes, in its units: 1 000 000 for an expression or a variable, and 10 000 000 for a
//! policy; beyond that, all validations of the policy are undecided. The values that expressions create may take 4 MiB
//! for a pod. A review whose expressions cost more than 40 000 units, about a millisecond, waits for its turn: only one
//! such review of each namespace runs at a time. A validation that is not evaluated within the time of the review is
//! undecided.
//!
//! [All functions and macros](cel.md).

use super::super::expressions::Expressions;
use super::super::rule::{Breach, Phase, Rule, examples, module_comment};
use super::super::subject::Subject;
use super::super::vap::form::Form;
use crate::api::{Severity, Validation};

pub static RULE: Rule = Rule {
    id: "validations",
    severity: Severity::Medium,
    phase: Phase::Spec(|spec| {
        let variables = spec.variables.as_deref().unwrap_or_default();
        let validations = spec.validations.clone().unwrap_or_default();
        let expressions = Expressions::compile(&validations, variables)?;
        if validations.is_empty() {
            return Ok(None);
        }
        Ok(Some(Box::new(move |subject, breaches| {
            check(subject, &validations, &expressions, breaches);
        })))
    }),
    reads: &["variables"],
    checks: &[],
    reads_document: true,
    vap: Form::Own,
    comment: module_comment!("validations.rs"),
    examples: examples!("validations", "fail", "pass"),
};

fn check(
    subject: &Subject<'_>,
    validations: &[Validation],
    expressions: &Expressions,
    breaches: &mut Vec<Breach>,
) {
    // A caller without a document must not let everything pass.
    let undecided = || {
        let why = "the pod is larger, or nests deeper, than is read whole";
        validations.iter().map(|_| Err(why.to_owned())).collect()
    };
    let results = subject.document.map_or_else(undecided, |it| expressions.evaluate(it));
    for (index, (validation, result)) in validations.iter().zip(results).enumerate() {
        let (problem, undecided) = match result {
            Ok(true) => continue,
            Ok(false) => (validation.message.clone(), false),
            Err(why) => (format!("could not be decided: {why} ({})", validation.message), true),
        };
        breaches.push(Breach {
            check: Some(validation.name.clone().into()),
            severity: validation.severity,
            problem,
            undecided,
            reads: expressions.reads(index).cloned(),
            ..Breach::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::super::super::document::Document;
    use super::super::super::object::Object;
    use super::super::super::workload::Kind;
    use super::*;
    use crate::api::DevOpsPolicySpec;
    use crate::cel::tree::Tree;

    fn spec(validations: &Value, variables: &Value) -> DevOpsPolicySpec {
        serde_json::from_value(json!({"validations": validations, "variables": variables})).unwrap()
    }

    fn one(expression: &str) -> DevOpsPolicySpec {
        let validation = json!([{"name": "own", "expression": expression, "message": "must hold"}]);
        spec(&validation, &json!([]))
    }

    fn refused(spec: &DevOpsPolicySpec) -> String {
        let Phase::Spec(compile) = RULE.phase else { unreachable!() };
        compile(spec).err().expect("the policy was accepted").to_string()
    }

    fn judged(spec: &DevOpsPolicySpec, pod: &Value) -> Vec<Breach> {
        let Phase::Spec(compile) = RULE.phase else { unreachable!() };
        let text = pod.to_string();
        let object: Object = serde_json::from_str(&text).unwrap();
        let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        let namespace = Document::namespace("shop", Some(&labels), None);
        let pod = Tree::from_json(&text).unwrap();
        let document = Document::of(Kind::Pod, pod, namespace);
        let mut subject = Subject::of(Kind::Pod, &object).unwrap();
        subject.document = Some(&document);
        let mut breaches = Vec::new();
        compile(spec).unwrap().unwrap()(&subject, &mut breaches);
        breaches
    }

    fn pod() -> Value {
        json!({
            "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": null},
            "spec": {
                "priority": 5,
                "containers": [{"name": "web", "image": "ghcr.io/team/web:1", "resources": {"limits": {"memory": "1Gi"}}}],
            },
        })
    }

    fn passes(expression: &str) -> bool {
        let breaches = judged(&one(expression), &pod());
        assert!(breaches.iter().all(|breach| !breach.undecided), "{expression}: {breaches:?}");
        breaches.is_empty()
    }

    #[test]
    fn true_passes_and_false_is_a_violation_in_the_policys_words() {
        for expression in [
            "object.kind == 'Pod' && object.apiVersion == 'v1'",
            "object.metadata.namespace == 'shop'",
            "namespaceObject.metadata.labels.tier == 'gold'",
            "object.spec.priority == 5 && object.spec.priority < 6",
            "object.spec.containers.all(c, c.image.startsWith('ghcr.io/'))",
            "object.spec.containers.all(c, c.image.matches('^ghcr[.]io/.*:[0-9]+$'))",
            "object.spec.containers.exists(c, c.image.split(':')[1] == '1')",
            "object.spec.containers.all(c, quantity(c.resources.limits.memory).isLessThan(quantity('2Gi')))",
            "!has(object.metadata.annotations)",
            "'app' in object.metadata.labels && object.metadata.labels['app'] == 'web'",
            "sets.contains(['web', 'api'], object.spec.containers.map(c, c.name))",
            "size(object.spec.containers.filter(c, c.name == 'web')) == 1",
            "has(object.spec.hostPID) ? false : true",
            "object.spec.?hostPID.orValue(false) == false",
            "object.spec.containers.all(c, c.?resources.?limits.?memory.hasValue())",
            "size('é') == 1 && 'é'.matches('^\\\\W$') && dyn(5) == dyn(5.0)",
            "object.spec.hostPID || true",
            "[duration('1h'), duration('1m')].sum() == duration('61m')",
            "object.metadata.labels.transformList(k, v, k + v) == ['appweb']",
        ] {
            assert!(passes(expression), "{expression}");
        }
        let breach = judged(&one("has(object.spec.hostPID)"), &pod()).remove(0);
        assert_eq!(breach.sentence(), "must hold");
        assert_eq!(breach.id(&RULE), "validations/own");
    }

    #[test]
    fn a_breach_has_the_severity_of_its_validation_and_what_its_expression_reads() {
        let validation = json!([{"name": "own", "expression": "has(object.spec.hostPID)", "message": "m", "severity": "critical"}]);
        let breach = judged(&spec(&validation, &json!([])), &pod()).remove(0);
        assert_eq!(breach.severity, Some(Severity::Critical));
        assert!(breach.reads.is_some());
    }

    #[test]
    fn an_error_is_a_violation_that_says_why_and_never_a_pass() {
        let why = |expression: &str| {
            let mut breaches = judged(&one(expression), &pod());
            assert!(breaches[0].undecided, "{expression}");
            breaches.remove(0).sentence()
        };
        insta::assert_snapshot!(why("object.spec.hostPID == true"), @r#"could not be decided: there is no field "hostPID"; test it first with has() (must hold)"#);
        insta::assert_snapshot!(why("!object.spec.hostPID"), @r#"could not be decided: there is no field "hostPID"; test it first with has() (must hold)"#);
        insta::assert_snapshot!(why("object.spec.containers[3].name == 'x'"), @"could not be decided: an index is out of bounds (must hold)");
        insta::assert_snapshot!(why("1 / object.spec.containers.filter(c, false).size() == 1"), @"could not be decided: division by zero (must hold)");
        insta::assert_snapshot!(why("namespaceObject.status.phase == 'Active'"), @"could not be decided: podgate does not know the value of status (must hold)");
        insta::assert_snapshot!(why("dyn(namespaceObject.metadata).size() == 2"), @"could not be decided: podgate does not know all fields of namespaceObject; read single fields of it (must hold)");
    }

    #[test]
    fn a_variable_is_evaluated_once_and_its_error_counts_only_where_it_is_used() {
        let variables = json!([
            {"name": "names", "expression": "object.spec.containers.map(c, c.name)"},
            {"name": "first", "expression": "variables.names[0]"},
            {"name": "broken", "expression": "object.spec.nothing"},
        ]);
        let validation = |name: &str, expression: &str| json!({"name": name, "expression": expression, "message": "m"});
        let validations = json!([
            validation("good", "variables.first == 'web'"),
            validation("guarded", "true || variables.broken"),
            validation("bad", "variables.broken == 1"),
        ]);
        let breaches = judged(&spec(&validations, &variables), &pod());
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        assert_eq!(
            breaches[0].sentence(),
            r#"could not be decided: variables.broken: there is no field "nothing"; test it first with has() (m)"#
        );
    }

    #[test]
    fn what_is_not_there_refuses_the_policy() {
        let own = |expression: &str| refused(&one(expression));
        insta::assert_snapshot!(own("object.spec."), @"spec.validations[0].expression: 1:13: the expression ends here; the name of a field or a function should follow");
        insta::assert_snapshot!(own("request.userInfo.username == 'x'"), @"spec.validations[0].expression: 1:1: request is not available: a verdict must not depend on the request; use object");
        insta::assert_snapshot!(own("obj.spec.hostPID"), @"spec.validations[0].expression: 1:1: there is no variable obj; there are object, namespaceObject and variables; write text in quotes");
        insta::assert_snapshot!(own("object.spec.containers.all(c, d.name == 'x')"), @"spec.validations[0].expression: 1:31: there is no variable d; there are object, namespaceObject, variables and c; write text in quotes");
        insta::assert_snapshot!(own("object.metadata.name.shout() == 'X'"), @"spec.validations[0].expression: 1:22: there is no function shout(); did you mean sort()?");
        insta::assert_snapshot!(own("sets.shout([1])"), @"spec.validations[0].expression: 1:1: there is no variable sets; there are object, namespaceObject and variables; write text in quotes");
        insta::assert_snapshot!(own("variables.x == 1"), @"spec.validations[0].expression: 1:11: variables has no x; no variable is defined before it");
        insta::assert_snapshot!(own("Foo{a: 1} == 1"), @"spec.validations[0].expression: 1:1: there is no type Foo");
        let variables =
            json!([{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]);
        insta::assert_snapshot!(refused(&spec(&json!([]), &variables)), @"spec.variables[0].expression: 1:11: variables has no b; no variable is defined before it");
        let twice = json!([{"name": "a", "expression": "1"}, {"name": "a", "expression": "1"}]);
        insta::assert_snapshot!(refused(&spec(&json!([]), &twice)), @r#"spec.variables[1].name: variable "a" is there twice"#);
    }

    #[test]
    fn what_the_api_server_refuses_refuses_the_policy() {
        let own = |expression: &str| refused(&one(expression));
        let long = format!("'{}' == ''", "x".repeat(1024));
        insta::assert_snapshot!(own(&long), @"spec.validations[0].expression: 1:1: the expression has 1032 bytes, and 1024 are allowed; move parts into variables");
        insta::assert_snapshot!(own("1 == 'a'"), @"spec.validations[0].expression: 1:3: int and string are never equal; compare values of one type, as with string(x), int(x) or double(x)");
        insta::assert_snapshot!(own("object.metadata.name"), @"spec.validations[0].expression: 1:17: a validation must be a bool, and this is dyn; compare it, as with == true");
        insta::assert_snapshot!(own("[true]"), @"spec.validations[0].expression: 1:1: a validation must be a bool, and this is list(bool); compare it");
        insta::assert_snapshot!(own("math.greatest(1, 2) == 2"), @"spec.validations[0].expression: 1:1: there is no variable math; there are object, namespaceObject and variables; write text in quotes");
        insta::assert_snapshot!(own("object.metadata.name.matches('(')"), @"spec.validations[0].expression: 1:30: missing ) in the regular expression");
        insta::assert_snapshot!(own("object.metadata.name.matches('a{1000}{1000}')"), @"spec.validations[0].expression: 1:30: {1000} repeats a repetition; group it with (?:…)");
    }

    #[test]
    fn an_expression_that_runs_out_is_a_violation_that_says_of_what() {
        let why = |expression: &str| {
            let mut breaches = judged(&one(expression), &pod());
            assert!(breaches[0].undecided, "{expression}");
            breaches.remove(0).sentence()
        };
        let range = "lists.range(1000)";
        insta::assert_snapshot!(why(&format!("{range}.all(a, {range}.all(b, a + b >= 0))")), @"could not be decided: the expression costs more than 1000000 units (must hold)");
        insta::assert_snapshot!(why("lists.range(1000000).size() > 0"), @"could not be decided: the review's validations need more than 4 MiB for their values (must hold)");
    }

    #[test]
    fn a_policy_whose_budget_runs_out_has_decided_nothing() {
        let costly = "variables.r.all(a, variables.r.all(b, a + b >= 0))";
        let variables = json!([{"name": "r", "expression": "lists.range(320)"}]);
        let mut validations: Vec<_> = (0..20)
            .map(|at| json!({"name": format!("v{at}"), "expression": costly, "message": "m"}))
            .collect();
        let few = spec(&json!(validations[..5]), &variables);
        assert_eq!(judged(&few, &pod()).len(), 0, "each is within its own limit");
        validations.insert(0, json!({"name": "cheap", "expression": "true", "message": "m"}));
        let breaches = judged(&spec(&json!(validations), &variables), &pod());
        assert_eq!(breaches.len(), 21);
        insta::assert_snapshot!(breaches[0].sentence(), @"could not be decided: the policy's expressions cost more than 10000000 units together (m)");
    }

    #[test]
    fn values_of_every_type_go_through_variables() {
        for (value, use_of_it) in [
            ("quantity('1Gi')", "variables.v.isGreaterThan(quantity('1Mi'))"),
            (
                "timestamp('2026-01-01T00:00:00Z')",
                "variables.v < timestamp('2027-01-01T00:00:00Z')",
            ),
            ("duration('1h')", "variables.v == duration('60m')"),
            ("b'abc'", "size(variables.v) == 3"),
            ("1u", "variables.v == 1u"),
            ("null", "variables.v == null"),
            ("optional.of(1)", "variables.v.hasValue()"),
            ("semver('1.2.3')", "variables.v.isLessThan(semver('2.0.0'))"),
            ("url('https://a.example')", "variables.v.getHost() == 'a.example'"),
            ("{'a': [dyn(1), dyn(2.5)]}", "variables.v.a[1] == 2.5"),
            ("object.spec.containers.map(c, c.name)", "variables.v.join(',') == 'web'"),
        ] {
            let variables = json!([{"name": "v", "expression": value}]);
            let validations = json!([{"name": "own", "expression": use_of_it, "message": "m"}]);
            let breaches = judged(&spec(&validations, &variables), &pod());
            assert!(breaches.is_empty(), "{value}: {breaches:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_expression_panics(expression in "[-a-c0-2 .,()\\[\\]{}'\"&|?:!=<>+*/%@_]{0,40}|(object|variables|namespaceObject|size|has|all|map|matches|[.(),'1 a]){1,12}") {
            let Phase::Spec(compile) = RULE.phase else { unreachable!() };
            if compile(&one(&expression)).is_ok() {
                judged(&one(&expression), &pod());
            }
        }
    }

    #[test]
    fn long_lists_are_gone_through() {
        let containers: Vec<_> = (0..5000).map(|i| json!({"name": format!("c{i}")})).collect();
        let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": containers}});
        assert!(judged(&one("object.spec.containers.all(c, c.name != '')"), &pod).is_empty());
        assert_eq!(judged(&one("object.spec.containers.all(c, c.name != 'c4999')"), &pod).len(), 1);
    }
}
