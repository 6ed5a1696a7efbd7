//! Additions, proposals and denials that no policy asks for.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, Namespace};
use crate::support::control_plane::text;
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Alone, Trials, trials};
use crate::support::{binary, eventually, review};

pub const TRIALS: Trials<Cluster> = trials![
    a_policy_with_a_bundle_and_no_mode_audits_and_shows_it,
    policy_apply_enforces_only_with_mode_enforce,
    a_container_that_may_run_as_root_keeps_its_capabilities,
    a_changed_pod_names_what_was_added_and_by_which_policy,
];
pub const ALONE: Alone = trials![fix_puts_a_limit_in_with_the_request_that_the_policy_has_for_it,];

/// The verdict on a pod that breaks every rule, once the policy of this name is in force.
fn decision(shop: &Namespace<'_>, policy: &str) -> String {
    let canary = review::create(&shop.name, &workload(Kind::Pod, pod("canary")));
    let expected = format!("{}/{policy}", shop.name);
    let (decision, _) = eventually("the policy to be in force", || {
        let annotations = shop.cluster.podgate.review(&canary)["auditAnnotations"].clone();
        let named = annotations["policy"].as_str().unwrap_or_default();
        if named.split(',').any(|it| it == expected) {
            Ok(annotations["decision"].as_str().unwrap().to_owned())
        } else {
            Err(annotations.to_string())
        }
    });
    decision
}

fn shown_mode(shop: &Namespace<'_>, policy: &str, expected: &str) {
    eventually("the MODE column", || {
        let (_, printed) = shop.kubectl(&["get", "devopspolicies"]).output();
        let row = printed.lines().find(|line| line.starts_with(policy)).unwrap_or_default();
        if row.split_whitespace().nth(1) == Some(expected) { Ok(()) } else { Err(printed) }
    });
}

fn a_policy_with_a_bundle_and_no_mode_audits_and_shows_it(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let policy = json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
        "metadata": {"name": "hardened"}, "spec": {"bundle": "restricted"},
    });
    let (applied, printed) = shop.kubectl(&["apply", "-f", "-"]).given(&policy).output();
    assert!(applied, "{printed}");
    assert_eq!(decision(&shop, "hardened"), "allow");
    shop.accepts(&workload(Kind::Pod, pod("nginx")));
    shown_mode(&shop, "hardened", "audit");
}

fn policy_apply_enforces_only_with_mode_enforce(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let kubeconfig = cluster.plane.kubeconfig("admin");
    let apply = |more: &[&str]| {
        let mut args = vec!["policy", "apply", "restricted", "-n", &shop.name];
        args.extend(["--kubeconfig", kubeconfig.to_str().unwrap()]);
        args.extend(more);
        let output = binary::run(&args);
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    apply(&[]);
    assert_eq!(decision(&shop, "restricted"), "allow");
    shown_mode(&shop, "restricted", "audit");
    apply(&["--mode", "enforce"]);
    shown_mode(&shop, "restricted", "enforce");
    assert_eq!(decision(&shop, "restricted"), "deny");
}

/// A policy that completes pods for `restricted` and records the remaining violations.
fn completing(shop: &Namespace<'_>) {
    let policy = json!({
        "forbidLatestTag": true, "podSecurity": "restricted", "mutate": true,
        "defaultResources": {"memoryRequest": "32Mi", "memoryLimit": "64Mi"},
    });
    shop.policy("completing", &policy);
}

/// The pod as the API server would make it.
fn made(shop: &Namespace<'_>, pod: Value) -> Value {
    let mut pod = pod;
    pod["automountServiceAccountToken"] = json!(false);
    serde_json::to_value(shop.create(&workload(Kind::Pod, pod)).unwrap()).unwrap()
}

fn a_container_that_may_run_as_root_keeps_its_capabilities(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    completing(&shop);
    let root = made(&shop, pod("nginx:1.29"));
    let context = &root["spec"]["containers"][0]["securityContext"];
    assert_eq!(
        context["allowPrivilegeEscalation"], false,
        "its security context was completed: {root}"
    );
    assert_eq!(context.get("capabilities"), None, "nginx starts as root and needs them");

    let shop = cluster.namespace("shop");
    completing(&shop);
    let mut other = pod("nginx:1.29");
    other["securityContext"] = json!({"runAsUser": 101});
    let other = made(&shop, other);
    let context = &other["spec"]["containers"][0]["securityContext"];
    assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
}

fn a_changed_pod_names_what_was_added_and_by_which_policy(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    completing(&shop);
    let made = made(&shop, pod("nginx:1.29"));
    let mark = &made["metadata"]["annotations"]["devops.stochastic.io/mutated-by"];
    let mark: Value = serde_json::from_str(mark.as_str().unwrap()).unwrap();
    let container = "spec.containers[0]";
    let expected: Vec<_> = [
        "resources.limits.memory",
        "resources.requests.memory",
        "securityContext.allowPrivilegeEscalation",
        "securityContext.seccompProfile",
    ]
    .iter()
    .map(|field| format!("{container}.{field}"))
    .collect();
    assert_eq!(mark, json!({format!("{}/completing", shop.name): expected}));
}

fn fix_puts_a_limit_in_with_the_request_that_the_policy_has_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, object: &Value| {
        let file = dir.path().join(name);
        std::fs::write(&file, object.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let policy = write(
        "policy.yaml",
        &json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy", "metadata": {"name": "p"},
            "spec": {
                "requireResourceLimits": ["memory"],
                "defaultResources": {"memoryRequest": "128Mi", "memoryLimit": "512Mi"},
            },
        }),
    );
    let deployment = write("web.yaml", &workload(Kind::Deployment, pod("nginx:1.29")));
    let output = binary::run(&["fix", "-f", &deployment, "--policy", &policy]);
    let fixed: Value = serde_saphyr::from_str(&text(&output.stdout)).unwrap();
    let resources = json!({"requests": {"memory": "128Mi"}, "limits": {"memory": "512Mi"}});
    assert_eq!(fixed["spec"]["template"]["spec"]["containers"][0]["resources"], resources);
}
