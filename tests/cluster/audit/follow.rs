//! The status of policies follows changes by controllers and people.

use serde_json::{Value, json};

use super::audited::Audited;
use crate::support::eventually;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Audited> = trials![
    a_policys_status_follows_deployments_that_are_created_scaled_fixed_and_deleted,
    a_policys_edit_is_evaluated_without_any_change_of_a_pod,
    a_rule_in_cel_is_judged_again_from_the_pods_themselves,
    a_cluster_policy_is_the_mean_of_its_namespaces_and_forgets_those_that_go,
    a_policy_that_cannot_be_enforced_reports_it_and_its_last_good_version_stays_in_force,
    an_exemption_counts_as_used_and_what_it_lets_pass_is_no_violation,
    a_kind_in_an_exemption_that_podgate_does_not_judge_is_refused_by_the_api_server,
];

fn latest() -> Value {
    json!({"forbidLatestTag": true})
}

fn violations(count: u64) -> impl Fn(&Value) -> bool {
    move |status| status["violations"] == count
}

fn a_policys_status_follows_deployments_that_are_created_scaled_fixed_and_deleted(
    audited: &Audited,
) {
    let shop = audited.namespace("follow");
    shop.policy("baseline", &latest());
    let status = shop.wait_for_status("a policy without workloads", "baseline", violations(0));
    for field in ["healthScore", "healthy", "classification"] {
        assert_eq!(status[field], Value::Null, "{field}");
    }
    assert_eq!(status["message"], "No score: there is no workload to judge");

    shop.deployment("cart", "nginx", 2);
    let status = shop.wait_for_status("a violation", "baseline", violations(1));
    assert_eq!((&status["healthScore"], &status["classification"]), (&json!(70), &json!("Stable")));
    let top = &status["topViolations"][0];
    assert_eq!(top["workload"], "Deployment/cart");
    assert_eq!(top["rule"], "forbidLatestTag");
    assert_eq!(top["container"], "web");
    assert_eq!(top["fieldPath"], "spec.containers[0].image");
    assert_eq!(status["lostPoints"], json!({"forbidLatestTag": 30}));
    let ready = status["conditions"].as_array().unwrap().iter().find(|it| it["type"] == "Ready");
    assert_eq!(ready.unwrap()["status"], "True");
    let generation = shop.get(&["devopspolicy", "baseline"])["metadata"]["generation"].clone();
    assert_eq!(status["observedGeneration"], generation);

    let labels = format!("{{namespace=\"{}\",policy=\"baseline\"}}", shop.name);
    let open = format!(
        "devopspolicy_open_violations{{namespace=\"{}\",policy=\"baseline\",severity=\"high\"}}",
        shop.name
    );
    let of_namespace = format!("namespace_health_score{{namespace=\"{}\"}}", shop.name);
    assert_eq!(shop.metric(&open), Some(1.0));
    assert_eq!(shop.metric(&format!("devopspolicy_health_score{labels}")), Some(70.0));
    assert_eq!(shop.metric(&of_namespace), Some(70.0));

    shop.deployment("api", "nginx:1.29", 1);
    shop.wait_for_status("a compliant workload", "baseline", |status| {
        status["healthScore"].as_u64().is_some_and(|score| score > 70) && status["violations"] == 1
    });
    shop.kubectl(&["scale", "deployment", "cart", "--replicas=5"]).ok();
    eventually("five pods", || {
        (shop.pods("cart").len() == 5).then_some(()).ok_or_else(|| "fewer".to_owned())
    });
    assert_eq!(shop.status("baseline")["violations"], 1, "a workload counts once");
    shop.kubectl(&["scale", "deployment", "cart", "--replicas=0"]).ok();
    eventually("no pod", || {
        shop.pods("cart").is_empty().then_some(()).ok_or_else(|| "some".to_owned())
    });
    assert_eq!(shop.status("baseline")["violations"], 1, "its template stands in");
    shop.kubectl(&["scale", "deployment", "cart", "--replicas=1"]).ok();
    shop.deployment("cart", "nginx:1.29", 1);
    let status = shop.wait_for_status("a fixed image", "baseline", violations(0));
    assert_eq!(status["healthScore"], 100);
    let began = format!("devopspolicy_violations_total{labels}");
    assert!(shop.metric(&began).is_some_and(|began| began >= 1.0), "{:?}", shop.metric(&began));

    shop.kubectl(&["delete", "devopspolicy", "baseline"]).ok();
    eventually("the series of a deleted policy to go", || {
        let left = shop.metric(&open).or(shop.metric(&began));
        left.map_or(Ok(()), |left| Err(left.to_string()))
    });
}

fn a_policys_edit_is_evaluated_without_any_change_of_a_pod(audited: &Audited) {
    let shop = audited.namespace("edit");
    shop.policy("own", &latest());
    shop.deployment("cart", "nginx", 1);
    let status = shop.wait_for_status("a violation", "own", violations(1));
    shop.policy("own", &json!({"forbidLatestTag": true, "requireLivenessProbe": true}));
    let edited = shop.wait_for_status("a second rule", "own", violations(2));
    assert_ne!(status["observedGeneration"], edited["observedGeneration"]);
    shop.policy(
        "own",
        &json!({"forbidLatestTag": true, "severityOverrides": {"forbidLatestTag": "low"}}),
    );
    shop.wait_for_status("another severity", "own", |status| {
        status["topViolations"][0]["severity"] == "low" && status["violations"] == 1
    });
    shop.policy("own", &json!({"requiredLabels": [{"key": "app"}]}));
    shop.wait_for_status("a rule without violations", "own", violations(0));
}

fn a_rule_in_cel_is_judged_again_from_the_pods_themselves(audited: &Audited) {
    let shop = audited.namespace("cel");
    shop.deployment("cart", "nginx", 1);
    let named = |name: &str| {
        json!({"validations": [{"name": "own", "message": "must be named well",
            "expression": format!("object.spec.containers.all(c, c.name == '{name}')")}]})
    };
    shop.policy("own", &named("api"));
    let status = shop.wait_for_status("a validation", "own", violations(1));
    assert_eq!(status["topViolations"][0]["rule"], "validations/own");
    shop.policy("own", &named("web"));
    shop.wait_for_status("an edited validation", "own", violations(0));
}

fn a_cluster_policy_is_the_mean_of_its_namespaces_and_forgets_those_that_go(audited: &Audited) {
    let (good, bad) = (audited.namespace("mean"), audited.namespace("mean"));
    for namespace in [&good, &bad] {
        audited.kubectl(&["label", "namespace", &namespace.name, "suite=mean"]).ok();
    }
    good.deployment("cart", "nginx:1.29", 1);
    bad.deployment("cart", "nginx", 1);
    audited.apply(&json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "ClusterDevOpsPolicy",
        "metadata": {"name": "mean"},
        "spec": {"forbidLatestTag": true, "namespaceSelector": {"matchLabels": {"suite": "mean"}}},
    }));
    let wait_for_mean = |what: &str, score: Value, violations: u64| {
        eventually(what, || {
            let status = audited.get(&["clusterdevopspolicy", "mean"])["status"].clone();
            let arrived = status["healthScore"] == score && status["violations"] == violations;
            if arrived { Ok(status) } else { Err(status.to_string()) }
        })
        .0
    };
    let status = wait_for_mean("the mean", json!(85), 1);
    let workload = format!("Deployment/{}/cart", bad.name);
    assert_eq!(status["topViolations"][0]["workload"], workload);
    audited.kubectl(&["delete", "namespace", &bad.name, "--wait=false"]).ok();
    audited
        .kubectl(&["-n", &bad.name, "delete", "pods", "--all", "--force", "--grace-period=0"])
        .ok();
    wait_for_mean("a deleted namespace", json!(100), 0);
    eventually("the series of a deleted namespace to go", || {
        let series = format!("namespace_health_score{{namespace=\"{}\"}}", bad.name);
        bad.metric(&series).map_or(Ok(()), |left| Err(left.to_string()))
    });
    audited.kubectl(&["label", "namespace", &good.name, "suite-"]).ok();
    wait_for_mean("a namespace that is no longer selected", Value::Null, 0);
    audited.kubectl(&["delete", "clusterdevopspolicy", "mean"]).ok();
}

fn a_policy_that_cannot_be_enforced_reports_it_and_its_last_good_version_stays_in_force(
    audited: &Audited,
) {
    let shop = audited.namespace("fault");
    shop.policy("own", &latest());
    shop.deployment("cart", "nginx", 1);
    shop.wait_for_status("a violation", "own", violations(1));
    let bad = json!({"validations": [{"name": "x", "message": "m", "expression": "nonsense("}]});
    shop.policy("own", &bad);
    let condition = |status: &Value, type_: &str| {
        let conditions = status["conditions"].as_array().unwrap().iter();
        conditions.filter(|it| it["type"] == type_).map(|it| it["status"].clone()).next()
    };
    let status = shop.wait_for_status("an invalid version", "own", |status| {
        condition(status, "Stalled") == Some(json!("True"))
    });
    assert_eq!(condition(&status, "Ready"), Some(json!("False")));
    assert_eq!(status["violations"], 1, "the last good version still judges");
    shop.policy("own", &latest());
    shop.wait_for_status("a valid version", "own", |status| {
        condition(status, "Ready") == Some(json!("True"))
            && condition(status, "Stalled") == Some(json!("False"))
    });
}

fn an_exemption_counts_as_used_and_what_it_lets_pass_is_no_violation(audited: &Audited) {
    let shop = audited.namespace("exempt");
    shop.deployment("cart", "nginx", 1);
    let exemption_of = |name: &str, more: Value| {
        let mut exemption =
            json!({"rules": ["forbidLatestTag"], "names": [name], "reason": "r", "owner": "o"});
        exemption.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        exemption
    };
    let expiring_in = |seconds: u64| {
        let soon = jiff::Timestamp::now() + std::time::Duration::from_secs(seconds);
        let soon = soon.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        shop.policy(
            "own",
            &json!({"forbidLatestTag": true, "exemptions": [
                exemption_of("cart", json!({"expiresAt": soon})),
                exemption_of("other", json!({})),
                exemption_of("cart", json!({"expiresAt": "2020-01-01T00:00:00Z"})),
            ]}),
        );
        let policy = shop.get(&["devopspolicy", "own"]);
        let generation = &policy["metadata"]["generation"];
        shop.wait_for_status("exemptions", "own", |status| {
            status["observedGeneration"] == *generation && status["exemptions"]["unused"] == 1
        })
    };
    // It expires during the test; on a busy machine it may take longer until the status shows it.
    let lasts = [8, 30, 90].into_iter();
    let status = lasts.map(expiring_in).find(|status| status["exemptions"]["used"] == 1);
    let status = status.expect("an exemption that is in force");
    assert_eq!(status["violations"], 0);
    let counts = |status: &Value| {
        ["used", "unused", "expired"].map(|state| status["exemptions"][state].as_u64().unwrap())
    };
    assert_eq!(counts(&status), [1, 1, 1]);
    let list = status["exemptions"]["list"].as_array().unwrap();
    let listed: Vec<_> = list.iter().map(|it| (&it["state"], &it["workloads"])).collect();
    let (active, unused, expired) = (json!("Active"), json!("Unused"), json!("Expired"));
    assert_eq!(listed, [(&active, &json!(1)), (&unused, &json!(0)), (&expired, &json!(0))]);
    let end = list[0]["expiresAt"].as_str().unwrap();
    let mut named = list[0].clone();
    for field in ["expiresAt", "state", "workloads"] {
        named.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(
        named,
        json!({"rules": ["forbidLatestTag"], "names": ["cart"], "owner": "o", "reason": "r", "endsWithin": "Day"})
    );
    let notes = || {
        let events = shop.get(&["events.events.k8s.io"])["items"].as_array().unwrap().clone();
        let ends = events.into_iter().filter(|it| it["reason"] == "ExemptionEnds");
        let notes = ends.map(|it| {
            assert_eq!((&it["type"], &it["action"]), (&json!("Warning"), &json!("Audit")));
            assert_eq!(it["regarding"]["name"], "own");
            it["note"].as_str().unwrap().to_owned()
        });
        notes.collect::<Vec<_>>()
    };
    let exemption = "the exemption of forbidLatestTag for cart (o: r)";
    let soon = format!("{exemption} ends within a day, at {end}; ");
    eventually("the Event before the end", || {
        let notes = notes();
        notes.iter().any(|it| it.starts_with(&soon)).then_some(()).ok_or(format!("{notes:?}"))
    });
    let series = format!(
        "devopspolicy_exemption_expiry_timestamp_seconds{{exemption=\"0\",namespace=\"{}\",policy=\"own\"}}",
        shop.name
    );
    let status = shop.wait_for_status("an exemption that expires", "own", violations(1));
    assert_eq!(counts(&status), [0, 1, 2]);
    let at_end = format!("{exemption} ended at {end}; the violations of 1 workload are open now");
    eventually("the Event at the end", || {
        let notes = notes();
        notes.contains(&at_end).then_some(()).ok_or(format!("{notes:?}"))
    });
    assert_eq!(shop.metric(&series), None, "an exemption that has ended");
    let later = json!({"forbidLatestTag": true, "exemptions": [
        exemption_of("cart", json!({"expiresAt": "2100-01-01T00:00:00Z"})),
    ]});
    shop.policy("own", &later);
    eventually("the series of an exemption that is used", || {
        let found = shop.metric(&series);
        if found == Some(4_102_444_800.0) { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

fn a_kind_in_an_exemption_that_podgate_does_not_judge_is_refused_by_the_api_server(
    audited: &Audited,
) {
    let shop = audited.namespace("kinds");
    let apply = |kind: &str| {
        let exemption =
            json!({"rules": ["forbidLatestTag"], "kinds": [kind], "reason": "r", "owner": "o"});
        let policy = json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": "own"},
            "spec": {"exemptions": [exemption]},
        });
        shop.kubectl(&["apply", "-f", "-"]).given(&policy).result()
    };
    let refusal = apply("Deploymnet").unwrap_err();
    for part in ["spec.exemptions[0].kinds[0]", "Unsupported value: \"Deploymnet\"", "\"CronJob\""]
    {
        assert!(refusal.contains(part), "{refusal}");
    }
    apply("CronJob").unwrap();
}
