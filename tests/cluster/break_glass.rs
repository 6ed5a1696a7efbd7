//! Part of `make test`: the commands that an admin needs in an emergency, on a real API server: the configurations
//! printed and removed, a podgate that was killed, a policy that cannot be enforced.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, text};
use crate::support::kubectl::Kubectl;
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Suite, Trials, World, trials};
use crate::support::{eventually, review};

pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Cluster::start), TRIALS)
}

const TRIALS: Trials<Cluster> = trials![
    the_api_server_accepts_the_printed_configurations,
    a_killed_podgate_that_fails_closed_is_taken_out_at_once,
    shared_objects_survive_an_uninstall,
    a_policy_that_cannot_be_enforced_is_refused_or_shows_the_reason,
];

struct Cluster {
    plane: ControlPlane,
    admin: String,
    certs: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Self {
        let plane = ControlPlane::start();
        let admin = plane.kubeconfig("admin").to_str().unwrap().to_owned();
        let plane = Self { plane, admin, certs: tempfile::tempdir().unwrap() };
        plane.podgate(&["crd", "install"]).unwrap();
        eventually("the default ServiceAccount", || {
            plane.kubectl(&["get", "serviceaccount", "default"]).result()
        });
        plane
    }

    /// The stdout of a podgate command, which must succeed.
    fn podgate(&self, args: &[&str]) -> Result<String, String> {
        let output = binary::run(&[args, &["--kubeconfig", &self.admin]].concat());
        let printed = text(&output.stdout) + &text(&output.stderr);
        if output.status.success() { Ok(printed) } else { Err(printed) }
    }

    fn serve(&self) -> Podgate {
        Podgate::serve(&["--register", "--kubeconfig", &self.admin], self.certs.path())
    }

    fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.plane.kubectl(args)
    }

    /// Applies an object; returns all output including warnings, on success and on failure.
    fn apply(&self, object: &Value) -> Result<String, String> {
        let (applied, printed) = self.kubectl(&["apply", "-f", "-"]).given(object).output();
        if applied { Ok(printed) } else { Err(printed) }
    }

    fn get(&self, args: &[&str]) -> Value {
        self.kubectl(&[&["get", "-o", "json"], args].concat()).json()
    }
}

fn configurations(plane: &Cluster) -> [Value; 2] {
    ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"]
        .map(|kind| plane.get(&[kind])["items"].take())
}

fn the_api_server_accepts_the_printed_configurations(plane: &Cluster) {
    let mut podgate = plane.serve();
    let url = format!("https://{}", podgate.listen);
    let ca = plane.certs.path().join("ca.crt");
    let registered = configurations(plane);
    podgate.signal("TERM");
    podgate.ended();
    assert_eq!(configurations(plane), [json!([]), json!([])], "no configuration is left");

    let ca = ca.to_str().unwrap();
    let config =
        ["webhook", "config", "--url", &url, "--ca-file", ca, "--lease-namespace", "default"];
    let printed = binary::run(&config);
    assert!(printed.status.success());
    plane.kubectl(&["apply", "-f", "-"]).given(&text(&printed.stdout)).ok();
    let webhooks = |all: &[Value; 2]| all.clone().map(|it| it[0]["webhooks"].clone());
    assert_eq!(webhooks(&configurations(plane)), webhooks(&registered));
    let deleted = plane.podgate(&["webhook", "delete", "--dry-run"]).unwrap();
    assert!(deleted.contains("/podgate-mutating deleted (dry run)"), "{deleted}");
    assert_eq!(webhooks(&configurations(plane)), webhooks(&registered));
    let deleted = plane.podgate(&["webhook", "delete"]).unwrap();
    assert!(
        deleted.contains("validatingwebhookconfiguration/podgate-validating deleted\n"),
        "{deleted}"
    );
    assert_eq!(configurations(plane), [json!([]), json!([])]);
    let nothing = plane.podgate(&["webhook", "delete"]).unwrap();
    assert!(nothing.contains("there is nothing to delete"), "{nothing}");

    let service =
        ["webhook", "config", "--service", "podgate-system/podgate", "--failure-policy", "Fail"];
    let printed = text(&binary::run(&service).stdout);
    plane.kubectl(&["apply", "--dry-run=server", "-f", "-"]).given(&printed).ok();
    assert!(!printed.contains("caBundle") && printed.contains("- podgate-system"), "{printed}");
}

fn a_killed_podgate_that_fails_closed_is_taken_out_at_once(plane: &Cluster) {
    let mut podgate = plane.serve();
    let fail = json!({"webhooks": [{"name": "validate.podgate.devops.stochastic.io", "failurePolicy": "Fail"}]});
    plane
        .kubectl(&[
            "patch",
            "validatingwebhookconfiguration",
            "podgate-validating",
            "-p",
            &fail.to_string(),
        ])
        .ok();
    podgate.signal("KILL");
    podgate.ended();
    let run = ["run", "web", "--image=nginx:1.29", "--dry-run=server"];
    let refused = eventually("the API server to see the configuration", || {
        plane.kubectl(&run).result().map_or_else(Ok, |_| Err("it is admitted".to_owned()))
    });
    assert!(refused.0.contains("failed calling webhook"), "{}", refused.0);
    // Its beats stop too, which is an error as soon as one is missing.
    let checked = plane.podgate(&["check"]).unwrap_or_else(|failed| failed);
    let stale =
        checked.lines().find(|line| line.contains("validate.") && line.contains("nothing serves"));
    assert!(stale.unwrap().ends_with("podgate webhook delete"), "{checked}");

    plane.podgate(&["webhook", "delete"]).unwrap();
    eventually("the cluster to be back", || plane.kubectl(&run).result());
}

fn shared_objects_survive_an_uninstall(plane: &Cluster) {
    let webhook = |name: &str| {
        json!({
            "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
            "clientConfig": {"url": "https://127.0.0.1:1/validate"},
            "rules": [{"apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nothings"]}],
        })
    };
    let webhooks = ["validate.podgate.devops.stochastic.io", "validate.example.com"].map(webhook);
    let shared = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "shared"}, "webhooks": webhooks,
    });
    plane.apply(&shared).unwrap();
    let refused = plane.podgate(&["webhook", "delete"]).unwrap_err();
    assert!(
        refused
            .contains("validatingwebhookconfiguration/shared has webhooks that are not podgate's"),
        "{refused}"
    );
    plane.kubectl(&["delete", "validatingwebhookconfiguration", "shared"]).ok();
}

fn policy(spec: &Value) -> Value {
    json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
        "metadata": {"name": "own", "namespace": "default"}, "spec": spec,
    })
}

fn a_policy_that_cannot_be_enforced_is_refused_or_shows_the_reason(plane: &Cluster) {
    let podgate = plane.serve();
    let good = policy(&json!({"enforcementMode": "enforce", "forbidLatestTag": true}));
    let bad = policy(&json!({
        "enforcementMode": "enforce",
        "validations": [{"name": "a", "expression": "true && nope(object)", "message": "m"}],
    }));
    let refused = plane.apply(&bad).unwrap_err();
    println!("a policy's author reads:\n{refused}");
    assert!(refused.contains("policies.podgate.devops.stochastic.io"), "{refused}");
    assert!(
        refused.contains("spec.validations[0].expression: 1:9: there is no function nope()"),
        "{refused}"
    );
    let odd = policy(&json!({
        "validations": [{"name": "a", "expression": "!has(object.spec.hostnetwork)", "message": "m"}],
    }));
    let warned = plane.apply(&odd).unwrap();
    assert!(
        warned.contains("Warning: spec.validations[0].expression: 1:18: no Pod has object.spec.hostnetwork; did you mean hostNetwork?"),
        "{warned}"
    );
    plane.apply(&good).unwrap();
    let review = review::create("default", &workload(Kind::Pod, pod("nginx")));
    let denied = || {
        let response = podgate.review(&review);
        if response["allowed"] == false { Ok(()) } else { Err(response.to_string()) }
    };
    eventually("the policy to be in force", denied);

    // It is created while the API server does not call podgate.
    plane.podgate(&["webhook", "delete"]).unwrap();
    eventually("the invalid policy to be created", || plane.apply(&bad));
    let condition = |name: &str| {
        let policy = plane.get(&["devopspolicy", "own"]);
        let conditions = policy["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|it| it["type"] == name)
    };
    let is = |status: &str| {
        let stalled = condition("Stalled").filter(|it| it["status"] == status);
        stalled.ok_or_else(|| plane.get(&["devopspolicy", "own"])["status"].to_string())
    };
    let (stalled, after) = eventually("Stalled", || is("True"));
    println!("Stalled after {after:?}");
    assert_eq!(stalled["reason"], "InvalidSpec");
    assert!(
        stalled["message"].as_str().unwrap().contains("there is no function nope()"),
        "{stalled}"
    );
    assert_eq!(condition("Ready").unwrap()["status"], "False");
    denied().expect("the last good version stays in force");
    assert_eq!(podgate.metric("podgate_policies_invalid"), Some(1.0));

    plane.apply(&good).unwrap();
    eventually("Stalled to go", || is("False"));
    denied().expect("the last good version is in force");
}
