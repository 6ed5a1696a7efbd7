//! Privileged containers and privilege escalation.

use serde_json::json;

use super::super::super::containers::containers;
use super::super::super::object::{List, SecurityContext, Text};
use super::super::super::rule::Breach;
use super::super::super::subject::Subject;
use super::super::super::vap::form::CelFinding;
use super::exceptions::{WINDOWS, is_windows};
use super::field::{CONTAINER, Field, fix};

/// `privileged`: a privileged container has every capability and every device of the node.
pub fn privileged(subject: &Subject<'_>) -> Vec<Breach> {
    let privileged = containers(subject.spec).filter_map(|place| {
        let context = place.container.security_context.as_deref()?;
        (context.privileged == Some(true)).then(|| {
            let field = Field::of_container(subject, &place, "securityContext.privileged");
            field.true_breach("remove it, or set it to false")
        })
    });
    privileged.collect()
}

/// `allowPrivilegeEscalation`: if it is false, no program, setuid or not, gives a process more privileges than its
/// parent. Windows does not have it.
pub fn escalation(subject: &Subject<'_>) -> Vec<Breach> {
    const PATH: &str = "securityContext.allowPrivilegeEscalation";
    if is_windows(subject.spec) {
        return Vec::new();
    }
    let allowing = containers(subject.spec).filter_map(|place| {
        let context = place.container.security_context.as_deref();
        let field = || Field::of_container(subject, &place, PATH);
        match context.and_then(|it| it.allow_privilege_escalation) {
            Some(false) => None,
            Some(true) => Some(field().true_breach("set it to false")),
            None => {
                let may_be_false = !context.is_some_and(needs_escalation);
                let fix = may_be_false.then(|| fix(subject, &place, PATH, json!(false))).flatten();
                let breach = field().breach(None, "is missing, which allows it", "set it to false");
                Some(Breach { fix, ..breach })
            }
        }
    });
    allowing.collect()
}

/// Whether the API server may reject `allowPrivilegeEscalation: false` in this security context.
fn needs_escalation(context: &SecurityContext<'_>) -> bool {
    let added = context.capabilities.as_ref().and_then(|it| it.add.as_ref());
    let may_add =
        |list: &List<Text<'_>>| list.is_cut() || list.iter().any(|name| &**name == "CAP_SYS_ADMIN");
    context.privileged == Some(true) || added.is_some_and(may_add)
}

pub fn privileged_in_cel() -> Vec<CelFinding> {
    let found = CelFinding::of_containers("x.sc.?privileged.orValue(false)");
    vec![found.at("securityContext.privileged").is_true().remedy("remove it, or set it to false")]
}

pub fn escalation_in_cel() -> Vec<CelFinding> {
    let found = CelFinding::of_containers("x.sc.?allowPrivilegeEscalation.orValue(true)")
        .at("securityContext.allowPrivilegeEscalation")
        .because(
            "(has(x.sc.allowPrivilegeEscalation) ? 'true' : '')",
            "(has(x.sc.allowPrivilegeEscalation) ? 'is true' : 'is missing, which allows it')",
        )
        .remedy("set it to false")
        .by_removal();
    let when = format!(
        "{CONTAINER} && !x.sc.?privileged.orValue(false) && \
         !('CAP_SYS_ADMIN' in x.sc.?capabilities.?add.orValue([]))"
    );
    let found = found.fixed("securityContext.allowPrivilegeEscalation", "false", when);
    vec![found.unless(WINDOWS)]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::testing::{baseline, hardened, restricted, restricted_breaches};
    use super::*;

    fn with(context: &Value) -> String {
        let mut spec = hardened();
        spec["containers"][0]["securityContext"] = context.clone();
        spec.to_string()
    }

    #[test]
    fn a_privileged_container_is_a_breach() {
        for (privileged, passes) in
            [(json!(true), false), (json!(false), true), (Value::Null, true)]
        {
            let found = baseline(&with(&json!({"privileged": privileged})));
            assert_eq!(found.is_empty(), passes, "{found:?}");
        }
        insta::assert_snapshot!(baseline(&with(&json!({"privileged": true})))[0], @"privileged: spec.containers[0].securityContext.privileged is true; remove it, or set it to false");
    }

    #[test]
    fn escalation_is_allowed_unless_it_is_forbidden_and_windows_has_none() {
        let drop = json!({"drop": ["ALL"]});
        for (allowed, sentence) in [
            (json!(false), None),
            (json!(true), Some("is true; set it to false")),
            (Value::Null, Some("is missing, which allows it; set it to false")),
        ] {
            let spec = with(&json!({"allowPrivilegeEscalation": allowed, "capabilities": drop}));
            let path = "allowPrivilegeEscalation: spec.containers[0].securityContext.allowPrivilegeEscalation";
            let expected: Vec<_> = sentence.iter().map(|it| format!("{path} {it}")).collect();
            assert_eq!(restricted(&spec), expected);
        }
        let windows = r#"{"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true}, "containers": [{"name": "web"}]}"#;
        assert!(restricted(windows).is_empty());
        assert!(!restricted(&windows.replace("windows", "linux")).is_empty());
    }

    #[test]
    fn podgate_adds_the_field_only_where_it_is_absent_and_the_api_server_would_take_it() {
        for (context, fixed) in [
            (json!({}), true),
            (Value::Null, true),
            (json!({"capabilities": {"add": ["SYS_ADMIN"]}}), true),
            (json!({"allowPrivilegeEscalation": true}), false),
            (json!({"privileged": true}), false),
            (json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}}), false),
        ] {
            let found = restricted_breaches(&with(&context));
            let breach =
                found.iter().find(|it| it.path.ends_with("allowPrivilegeEscalation")).unwrap();
            let fix = breach.fix.as_ref().map(|it| (it.path.as_str(), it.value.clone()));
            let expected = (breach.path.as_str(), json!(false));
            assert_eq!(fix, fixed.then_some(expected), "{context}");
        }
    }
}
