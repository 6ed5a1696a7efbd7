//! Part of `make test`: verdicts through a real kube-apiserver, a real etcd and
//! the real controllers. One control plane serves all tests, each in its own
//! namespace.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod support;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Trial};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};
use support::cluster::Cluster;
use support::control_plane::seconds;
use support::eventually;
use support::manifests::{APPLIED, pod, probed_pod, workload};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Started by the first test that runs, ended by the drop below.
    let cluster = Arc::new(OnceLock::new());
    let mut trials = Vec::new();
    let mut test = |name: String, run: Box<dyn FnOnce(&Cluster) + Send>| {
        let cluster = Arc::clone(&cluster);
        trials.push(Trial::test(name, move || {
            let started = cluster.get_or_init(|| std::panic::catch_unwind(Cluster::start).ok());
            run(started.as_ref().ok_or("the cluster did not start; its panic is above")?);
            Ok(())
        }));
    };
    for kind in APPLIED {
        let name = kind.names().kind;
        test(
            format!("a_{name}_whose_image_floats_on_latest_is_refused_and_a_versioned_one_passes"),
            Box::new(move |cluster| floating_images_are_refused(cluster, kind)),
        );
    }
    for (name, run) in TESTS {
        test((*name).to_owned(), Box::new(*run));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(cluster);
    conclusion.exit_code()
}

type Test = fn(&Cluster);

const TESTS: &[(&str, Test)] = &[
    ("audit_admits_silently_warn_with_warnings_and_enforce_denies_as_kubectl_prints_it", modes),
    ("another_namespace_is_untouched", another_namespace),
    ("a_policy_edit_comes_into_force_and_its_deletion_too", policy_edit),
    ("a_status_rule_never_denies", status_rules),
    (
        "a_violating_deployment_from_before_takes_labels_and_scale_but_no_violating_change",
        update_of_template,
    ),
    ("a_violating_pod_from_before_takes_labels_but_no_new_violation", update_of_pod),
    (
        "a_demo_application_goes_from_deployment_to_pod_with_the_verdict_at_each_level",
        demo_application,
    ),
    ("protected_namespaces_are_not_judged", protected_namespaces),
    ("every_policy_that_objects_is_named", several_policies),
    ("a_cluster_policy_judges_the_namespaces_it_selects_from_their_first_pod_on", cluster_policy),
    ("an_own_rule_in_cel_denies_in_its_own_words_and_an_error_is_no_pass", own_rules),
    ("an_exemption_lets_its_workload_pass_from_the_deployment_to_the_pod", exemptions),
    ("a_violation_below_the_denied_severity_only_warns", deny_severity),
    ("the_api_server_counts_no_error_of_the_webhook", no_errors),
];

fn enforce(rules: &Value) -> Value {
    let mut spec = json!({"enforcementMode": "enforce"});
    spec.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    spec
}

fn floating_images_are_refused(cluster: &Cluster, kind: Kind) {
    let shop = cluster.namespace("shop");
    shop.policy(
        "baseline",
        &enforce(&json!({"forbidLatestTag": true, "requireLivenessProbe": true})),
    );
    let path = format!("{}.containers[0].image", kind.names().spec_path);
    for image in ["nginx", "nginx:latest", "registry:5000/nginx"] {
        shop.rejects(&workload(kind, probed_pod(image))).because(&[
            &format!("{} {}/web breaks 1 rule\n", kind.names().kind, shop.name),
            &format!("forbidLatestTag (high) · policy {}/baseline · container \"web\"", shop.name),
            &format!("{path} is \"{image}\""),
        ]);
    }
    shop.accepts(&workload(kind, probed_pod("nginx:1.29")));
}

fn modes(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let manifest = workload(Kind::Deployment, pod("nginx")).to_string();
    let apply = || shop.kubectl(&["apply", "--dry-run=server", "-f", "-"], &manifest);
    let rules = |mode: &str| json!({"enforcementMode": mode, "forbidLatestTag": true});

    shop.policy("baseline", &rules("audit"));
    let (admitted, printed) = apply();
    assert!(admitted, "{printed}");
    assert!(!printed.contains("podgate"), "{printed}");

    shop.policy("baseline", &rules("warn"));
    let (admitted, printed) = apply();
    assert!(admitted, "{printed}");
    let warning =
        "Warning: podgate: forbidLatestTag (high) web: image is \"nginx\" (no tag means :latest)";
    assert!(printed.contains(warning), "{printed}");

    shop.policy("baseline", &rules("enforce"));
    let (admitted, printed) = apply();
    assert!(!admitted, "{printed}");
    println!("a developer reads:\n{printed}");
    assert!(printed.contains("Error from server (Forbidden)"), "{printed}");
    assert!(printed.contains("give a version, such as nginx:1.29"), "{printed}");
}

fn another_namespace(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    shop.rejects(&workload(Kind::Pod, pod("nginx")));
    cluster.namespace("lab").accepts(&workload(Kind::Pod, pod("nginx")));
}

fn policy_edit(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let latest = workload(Kind::Pod, pod("nginx"));
    let created = shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    shop.rejects(&latest);
    let edited =
        shop.policy("baseline", &json!({"enforcementMode": "audit", "forbidLatestTag": true}));
    shop.accepts(&latest);
    let back = shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    shop.rejects(&latest);
    println!(
        "in force after: creation {}, edits {} and {} (under 2 s is expected)",
        seconds(created),
        seconds(edited),
        seconds(back)
    );
    let (deleted, printed) = shop.kubectl(&["delete", "devopspolicy", "baseline"], "");
    assert!(deleted, "{printed}");
    let ((), gone) = eventually("the deleted policy to be out of force", || {
        let (admitted, printed) =
            shop.kubectl(&["run", "web", "--image=nginx", "--dry-run=server"], "");
        if admitted { Ok(()) } else { Err(printed) }
    });
    println!("out of force after: deletion {}", seconds(gone));
}

fn status_rules(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let rules = json!({"maxRestartCount": 0, "forbidPendingDuration": 0, "forbidLatestTag": true});
    shop.policy("status", &enforce(&rules));
    shop.create(&workload(Kind::Pod, pod("nginx:1.29"))).unwrap();
    shop.awaits("the pod to be Pending", Kind::Pod, "web", |pod| {
        pod.data["status"]["phase"] == "Pending"
    });
    shop.patch(Kind::Pod, "web", &json!({"metadata": {"labels": {"a": "b"}}})).unwrap();
    shop.accepts(&workload(Kind::Deployment, pod("nginx:1.29")));
}

fn update_of_template(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.create(&workload(Kind::Deployment, pod("nginx"))).unwrap();
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    let patch = |patch: Value| shop.patch(Kind::Deployment, "web", &patch);
    patch(json!({"metadata": {"labels": {"team": "cart"}}})).unwrap();
    patch(json!({"spec": {"replicas": 3}})).unwrap();
    let image = |image: &str| json!({"spec": {"template": {"spec": pod(image)}}});
    patch(image("redis"))
        .unwrap_err()
        .because(&["spec.template.spec.containers[0].image is \"redis\""]);
    // The same violation in a template that changes is judged whole.
    patch(json!({"spec": {"template": {"metadata": {"labels": {"new": "label"}}}}})).unwrap_err();
    patch(image("nginx:1.29")).unwrap();
}

fn update_of_pod(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.create(&workload(Kind::Pod, pod("nginx"))).unwrap();
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    shop.patch(Kind::Pod, "web", &json!({"metadata": {"labels": {"team": "cart"}}})).unwrap();
    let image = |image: &str| json!({"spec": pod(image)});
    shop.patch(Kind::Pod, "web", &image("redis")).unwrap_err().because(&["is \"redis\""]);
    shop.patch(Kind::Pod, "web", &image("nginx:1.29")).unwrap();
    shop.patch(Kind::Pod, "web", &image("nginx")).unwrap_err();
    // A debug container comes in by a subresource of its own.
    let debug = |image: &str| {
        let containers = json!([{"name": "debug", "image": image}]);
        shop.patch_ephemeral_containers(
            "web",
            &json!({"spec": {"ephemeralContainers": containers}}),
        )
    };
    debug("busybox").unwrap_err().because(&["spec.ephemeralContainers[0].image is \"busybox\""]);
    debug("busybox:1.37").unwrap();
}

fn protected_namespaces(cluster: &Cluster) {
    let everywhere = json!({
        "apiVersion": "devops.stochastic.io/v1",
        "kind": "DevOpsPolicy",
        "metadata": {"name": "baseline", "namespace": "kube-system"},
        "spec": {"enforcementMode": "enforce", "forbidLatestTag": true},
    });
    let apply = cluster.plane.kubectl(&["apply", "-f", "-"], &everywhere.to_string());
    assert!(apply.status.success());
    let shop = cluster.namespace("shop");
    // Whatever was published after it, it is known too.
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    let run = ["run", "web", "--image=nginx", "--dry-run=server", "-n", "kube-system"];
    eventually("a pod in kube-system", || {
        let output = cluster.plane.kubectl(&run, "");
        let printed = support::control_plane::text(&output.stderr);
        assert!(!printed.contains("podgate"), "{printed}");
        // Its ServiceAccount may not be there yet.
        output.status.success().then_some(()).ok_or(printed)
    });
}

fn several_policies(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy("advice", &json!({"enforcementMode": "warn", "requireLivenessProbe": true}));
    shop.policy("images", &enforce(&json!({"forbidLatestTag": true})));
    shop.policy("probes", &enforce(&json!({"requireReadinessProbe": true})));
    shop.rejects(&workload(Kind::StatefulSet, pod("nginx"))).because(&[
        "breaks 2 rules",
        &format!("forbidLatestTag (high) · policy {}/images", shop.name),
        &format!("requireReadinessProbe (low) · policy {}/probes", shop.name),
    ]);
    // A CronJob needs no probes.
    shop.accepts(&workload(Kind::CronJob, pod("nginx:1.29")));
}

fn cluster_policy(cluster: &Cluster) {
    let labels = json!({"tenant": "selected"});
    let mut spec = enforce(&json!({"forbidLatestTag": true}));
    spec["namespaceSelector"] = json!({"matchLabels": labels});
    cluster.cluster_policy("tenants", &spec);
    let latest = workload(Kind::Pod, pod("nginx"));
    let first = cluster.labelled_namespace("tenant", &labels);
    eventually("the policy to be in force", || {
        let answer = cluster.podgate.review(&support::review::create(&first.name, &latest));
        if answer["allowed"] == false { Ok(()) } else { Err(answer.to_string()) }
    });
    // What is known of a new namespace comes later than its first pod: that pod waits.
    for _ in 0..5 {
        let fresh = cluster.labelled_namespace("tenant", &labels);
        fresh.rejects(&latest).because(&["forbidLatestTag (high) · policy tenants"]);
    }
    cluster.namespace("other").accepts(&latest);
    spec["excludeNamespaces"] = json!([first.name]);
    cluster.cluster_policy("tenants", &spec);
    eventually("the namespace to be left out", || {
        let answer = cluster.podgate.review(&support::review::create(&first.name, &latest));
        if answer["allowed"] == true { Ok(()) } else { Err(answer.to_string()) }
    });
}

fn own_rules(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy(
        "own",
        &enforce(&json!({
            "forbidLatestTag": true,
            "contact": "#platform",
            "variables": [{"name": "names", "expression": "object.spec.containers.map(c, c.name)"}],
            "validations": [
                {"name": "no-debug", "expression": "!('debug' in variables.names)", "message": "a debug container stays out"},
                {"name": "priority", "expression": "object.spec.priorityClassName != 'high' || namespaceObject.metadata.name == 'vip'", "message": "high priority is for vip"},
            ],
        })),
    );
    let named = |name: &str, priority: Value| {
        let mut spec = json!({"containers": [{"name": name, "image": "nginx:1.29"}]});
        spec["priorityClassName"] = priority;
        workload(Kind::Deployment, spec)
    };
    shop.accepts(&named("web", json!("low")));
    shop.rejects(&named("debug", json!("low"))).because(&[
        "validations/no-debug (medium)",
        "a debug container stays out",
        "learn more: podgate explain validations/no-debug",
        "contact: #platform",
    ]);
    shop.rejects(&named("web", json!("high"))).because(&["high priority is for vip"]);
    shop.rejects(&named("web", Value::Null)).because(&[
        "could not be decided: there is no field \"priorityClassName\"; test it first with has()",
    ]);
}

fn exemptions(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let exempting = |expires_at: &str| {
        let exemption = json!({
            "rules": ["forbidLatestTag"], "kinds": ["Deployment"], "names": ["web"],
            "reason": "the vendor has no tags", "owner": "team cart", "expiresAt": expires_at,
        });
        enforce(&json!({"forbidLatestTag": true, "exemptions": [exemption]}))
    };
    shop.policy("baseline", &exempting("2999-01-01T00:00:00Z"));
    shop.create(&workload(Kind::Deployment, pod("nginx"))).unwrap();
    shop.awaits("its pod", Kind::Deployment, "web", |it| it.data["status"]["replicas"] == 1);
    shop.rejects(&workload(Kind::StatefulSet, pod("nginx")));
    shop.policy("baseline", &exempting("2020-01-01T00:00:00Z"));
    let another = json!({"spec": {"template": {"spec": pod("redis")}}});
    eventually("the expired exemption to end", || {
        let patched = shop.patch(Kind::Deployment, "web", &another);
        if patched.is_err() { Ok(()) } else { Err("it was admitted".to_owned()) }
    });
}

fn deny_severity(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let rules = json!({
        "forbidLatestTag": true, "requireReadinessProbe": true, "denySeverity": "medium",
    });
    shop.policy("baseline", &enforce(&rules));
    let manifest = workload(Kind::Pod, pod("nginx:1.29")).to_string();
    let (admitted, printed) = shop.kubectl(&["apply", "--dry-run=server", "-f", "-"], &manifest);
    assert!(admitted, "{printed}");
    assert!(printed.contains("Warning: podgate: requireReadinessProbe (low) web"), "{printed}");
    shop.rejects(&workload(Kind::Pod, pod("nginx"))).because(&["breaks 1 rule"]);
}

fn no_errors(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.accepts(&workload(Kind::Pod, pod("nginx:1.29")));
    let output = cluster.plane.kubectl(&["get", "--raw", "/metrics"], "");
    let metrics = support::control_plane::text(&output.stdout);
    let failed = |line: &&str| {
        let counts = line.starts_with("apiserver_admission_webhook_fail_open_count")
            || line.starts_with("apiserver_admission_webhook_rejection_count");
        counts
            && line.contains("podgate")
            && !line.contains("error_type=\"no_error\"")
            && !line.ends_with(" 0")
    };
    let failures: Vec<_> = metrics.lines().filter(failed).collect();
    assert!(metrics.contains("apiserver_admission_webhook_request_total"), "no webhook was called");
    assert!(failures.is_empty(), "{failures:?}");
}

/// Twelve Deployments with their Services. Those whose name is `legacy-*` were
/// written before anybody asked for a version.
fn demo_application(cluster: &Cluster) {
    let manifests = include_str!("manifests/demo-application.yaml");
    let shop = cluster.namespace("shop");
    let legacy = ["legacy-mailer", "legacy-reports"];

    // What exists before the policy keeps running.
    let (applied, printed) = shop.kubectl(&["apply", "-f", "-"], manifests);
    assert!(applied, "{printed}");
    let (_, names) =
        shop.kubectl(&["get", "deployments", "-o", "jsonpath={.items[*].metadata.name}"], "");
    let names: Vec<_> = names.split_whitespace().collect();
    assert_eq!(names.len(), 12);
    let running = |deployment: &str, replicas: i64| {
        shop.awaits(deployment, Kind::Deployment, deployment, |it| {
            it.data["status"]["replicas"] == replicas
        });
    };
    for name in &names {
        running(name, 1);
    }
    shop.policy(
        "baseline",
        &enforce(&json!({
            "forbidLatestTag": true, "requireLivenessProbe": true, "requireReadinessProbe": true,
        })),
    );

    // Deployment: an unchanged one passes again, good or not.
    let (applied, printed) = shop.kubectl(&["apply", "-f", "-"], manifests);
    assert!(applied, "{printed}");
    // ReplicaSet and Pod: the good ones scale, and the pods come up.
    for name in &names {
        shop.patch(Kind::Deployment, name, &json!({"spec": {"replicas": 2}})).unwrap();
    }
    for name in names.iter().filter(|name| !legacy.contains(name)) {
        running(name, 2);
    }
    // A bad one scales as an object, its ReplicaSet too, but its new pod is refused.
    for name in legacy {
        let (replica_sets, template) = (shop.api(Kind::ReplicaSet), format!("app={name}"));
        let params = kube::api::ListParams::default().labels(&template);
        let (message, _) = eventually("the pod's refusal", || {
            let sets = cluster.wait(replica_sets.list(&params)).unwrap();
            let set = sets.items.first().ok_or("no ReplicaSet")?;
            assert_eq!(set.data["spec"]["replicas"], 2);
            let conditions = set.data["status"]["conditions"].as_array().ok_or("no condition")?;
            let failure =
                conditions.iter().find(|it| it["type"] == "ReplicaFailure").ok_or("no failure")?;
            Ok(failure["message"].as_str().unwrap().to_owned())
        });
        assert!(message.contains(&format!("Pod {}/{name}-", shop.name)), "{message}");
        assert!(message.contains("forbidLatestTag"), "{message}");
        running(name, 1);
    }
    // In a namespace that had the policy first, the same are refused at the Deployment.
    let fresh = cluster.namespace("shop");
    fresh.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    let (applied, printed) = fresh.kubectl(&["apply", "-f", "-"], manifests);
    assert!(!applied);
    for name in legacy {
        assert!(
            printed.contains(&format!("Deployment {}/{name} breaks 1 rule", fresh.name)),
            "{printed}"
        );
    }
    assert_eq!(printed.matches(" breaks ").count(), legacy.len(), "{printed}");
    assert_eq!(printed.matches("deployment.apps/").count(), 10, "{printed}");
}
