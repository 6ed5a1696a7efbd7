use super::super::super::policy_set::PolicySet;
use super::super::super::scope::{Scope, Selection};
use super::*;

fn floor() -> Floor {
    Floor {
        release: "podgate".to_owned(),
        namespace: "podgate-system".to_owned(),
        lease: "podgate-alive",
        conditions: vec!["request.userInfo.username != 'jane'".to_owned()],
        own_user: None,
        protected: Protected::default().and("podgate-system"),
        controllers: ControllerUsers::default(),
    }
}

fn of(policies: &[(Option<&str>, &str, Value)]) -> FloorObjects {
    let compiled = policies.iter().map(|(namespace, name, spec)| {
        let all = || Scope::Cluster(Selection::default());
        let scope = namespace.map_or_else(all, |it| Scope::Namespace(it.to_owned()));
        let spec = serde_json::from_value(spec.clone()).unwrap();
        Arc::new(Policy::compile(scope, (*name).to_owned(), &spec).unwrap())
    });
    let set = PolicySet::new(compiled.collect::<Vec<_>>(), Arc::default());
    floor().objects(set.policies())
}

fn names(floor: &FloorObjects) -> Vec<&str> {
    floor.judging.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn only_what_denies_is_on_the_floor() {
    let floor = of(&[
        (None, "denies", json!({"forbidLatestTag": true, "enforcementMode": "enforce"})),
        (None, "warns", json!({"requireImageDigest": true, "enforcementMode": "warn"})),
        (Some("shop"), "audits", json!({"requireLivenessProbe": true})),
    ]);
    assert_eq!(names(&floor), ["podgate-floor-elsewhere-deny", "podgate-floor-in-shop-deny"]);
    for it in &floor.judging {
        assert_eq!(it.binding["spec"]["validationActions"], json!(["Deny"]));
        let text = it.policy.to_string();
        assert!(text.contains("policy denies") && !text.contains("policy warns"), "{text}");
    }
    assert_eq!(floor.missing, [("denies".to_owned(), Vec::new())].into());
    assert_eq!(names(&of(&[(None, "warns", json!({"enforcementMode": "warn"}))])), [""; 0]);
}

#[test]
fn an_object_sleeps_while_the_lease_is_fresh_and_judges_updates_only_for_what_a_removal_can_cause()
{
    let conditions = |spec: Value| {
        let mut floor = of(&[(None, "p", spec)]);
        floor.judging.remove(0).policy["spec"]["matchConditions"].take()
    };
    let image = conditions(json!({"forbidLatestTag": true, "enforcementMode": "enforce"}));
    let probe = conditions(json!({"requireLivenessProbe": true, "enforcementMode": "enforce"}));
    assert_eq!(image[0]["expression"], away());
    assert_eq!(probe[0]["expression"], format!("request.operation == 'UPDATE' || {}", away()));
    let last = image.as_array().unwrap().last().unwrap();
    assert_eq!(
        *last,
        json!({"name": "webhook-0", "expression": "request.userInfo.username != 'jane'"})
    );
}

#[test]
fn every_object_has_the_lease_as_its_parameter_and_lets_pass_where_it_does_not_exist() {
    let mut objects = of(&[(None, "p", json!({"enforcementMode": "enforce"}))]).judging;
    objects.push(floor().canary());
    for FloorObject { name, policy, binding } in objects {
        assert_eq!(policy["spec"]["paramKind"]["kind"], "Lease", "{name}");
        let parameter = json!({"name": "podgate-alive", "namespace": "podgate-system", "parameterNotFoundAction": "Allow"});
        assert_eq!(binding["spec"]["paramRef"], parameter);
        for object in [&policy, &binding] {
            let glass = if name.ends_with("-canary") { Value::Null } else { json!("podgate") };
            assert_eq!(object["metadata"]["labels"][LABEL], glass);
            assert_eq!(object["metadata"]["name"], name);
        }
    }
}

#[test]
fn a_floor_has_at_most_ten_policies_and_tells_whose_namespaces_are_left_out() {
    let spec = json!({"forbidLatestTag": true, "enforcementMode": "enforce"});
    let own: Vec<_> = (0..12).map(|it| format!("n{it:02}")).collect();
    let policies: Vec<_> = own.iter().map(|it| (Some(it.as_str()), "own", spec.clone())).collect();
    let floor = of(&policies);
    assert_eq!(floor.judging.len(), MAX_POLICIES);
    let left_out: Vec<_> =
        floor.missing.iter().filter(|(_, it)| !it.is_empty()).map(|(label, _)| label).collect();
    assert_eq!(left_out, ["n10/own", "n11/own"]);
    assert!(floor.missing["n10/own"][0].contains("podgate-floor-in-n10-deny"));
}

#[test]
fn what_a_policy_loses_is_told_by_its_label() {
    let spec = json!({
        "mutate": true, "enforcementMode": "enforce", "forbidLatestTag": true,
        "exemptions": [{"rules": ["forbidLatestTag"], "reason": "r", "owner": "o", "expiresAt": "2027-01-01T00:00:00Z"}],
        "validations": [{"name": "odd", "expression": "[1].all(object, object == 1)", "message": "m"}],
    });
    let floor = of(&[(None, "p", spec)]);
    let fields: Vec<_> =
        floor.missing["p"].iter().map(|it| it.split_once(": ").unwrap().0).collect();
    assert_eq!(fields, ["exemptions", "mutate", "mutate", "validations/odd"]);
}

#[test]
fn the_canarys_time_is_read_from_a_warning() {
    let warning = r#"299 - "Validation failed for ValidatingAdmissionPolicy 'c' with binding 'c': podgate floor 2027-01-15T08:00:00Z""#;
    assert_eq!(told(warning), Some("2027-01-15T08:00:00Z"));
    for other in ["299 - \"podgate beat x\"", ""] {
        assert_eq!(told(other), None);
    }
}

#[test]
fn updates_of_templates_need_a_late_stamp_where_a_policy_completes_pods() {
    let requires = || json!({"requireLivenessProbe": true, "enforcementMode": "enforce"});
    let completes = || json!({"requireLivenessProbe": true, "mutate": true});
    let conditional = |floor: &FloorObjects, name: &str| {
        let object = floor.judging.iter().find(|it| it.name == name).unwrap();
        let condition = &object.policy["spec"]["matchConditions"][0]["expression"];
        condition.as_str().unwrap().contains(&is_late())
    };
    let own = of(&[
        (Some("shop"), "requires", requires()),
        (Some("lab"), "requires", requires()),
        (Some("lab"), "completes", completes()),
    ]);
    assert!(!conditional(&own, "podgate-floor-in-shop-deny"));
    assert!(conditional(&own, "podgate-floor-in-lab-deny"));
    assert!(own.missing["shop/requires"].is_empty());
    assert_eq!(own.missing["lab/requires"], [REMOVALS_OF_TEMPLATES]);
    let everywhere =
        of(&[(Some("shop"), "requires", requires()), (None, "completes", completes())]);
    assert!(conditional(&everywhere, "podgate-floor-in-shop-deny"));
}

#[test]
fn podgates_own_user_may_remove_while_it_is_heard() {
    let mut floor = floor();
    floor.own_user = Some("system:serviceaccount:podgate-system:podgate".to_owned());
    let spec = json!({"requireLivenessProbe": true, "enforcementMode": "enforce"});
    let scope = Scope::Cluster(Selection::default());
    let policy =
        Policy::compile(scope, "p".to_owned(), &serde_json::from_value(spec).unwrap()).unwrap();
    let object = floor.objects(&[Arc::new(policy)]).judging.remove(0);
    assert_eq!(
        object.policy["spec"]["matchConditions"][0]["expression"],
        format!(
            "request.operation == 'UPDATE' && request.userInfo.username != \
             'system:serviceaccount:podgate-system:podgate' || {}",
            away()
        )
    );
}
