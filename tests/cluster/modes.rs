//! Part of `make test`: what policies show of their mode and reach, on a real API server: that a policy covers nothing,
//! and that one enforces but is not called.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, seconds};
use crate::support::eventually;
use crate::support::ran::Ran;
use crate::support::registered::{NAMESPACE, Registered};
use crate::support::suite::{Suite, Trials, World, trials};

/// In order, because `podgate check` judges the whole cluster.
pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Served::start), TRIALS)
}

const TRIALS: Trials<Served> = trials![
    a_policy_that_covers_nothing_is_ready_once_a_namespace_matches,
    a_policy_in_a_protected_namespace_covers_nothing,
    a_policy_that_enforces_says_whether_the_api_servers_call_podgate,
    a_developer_is_told_what_check_cannot_see,
    reconcile_without_a_webhook_says_nothing_of_calls,
];

const VALIDATING: &str = "validatingwebhookconfiguration/podgate-validating";

/// A podgate that serves and leads, as a user of its own.
struct Served {
    podgate: Podgate,
    plane: ControlPlane,
    _certs: tempfile::TempDir,
}

impl Served {
    fn start() -> Self {
        let Registered { podgate, plane, certs, .. } = Registered::start();
        Self { podgate, plane, _certs: certs }
    }

    fn apply(&self, kind: &str, metadata: &Value, spec: &Value) {
        let object = json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": kind, "metadata": metadata, "spec": spec,
        });
        self.plane.kubectl(&["apply", "-f", "-"]).given(&object).ok();
    }

    /// Waits until a policy has a condition: `STATUS REASON: MESSAGE`.
    fn has(&self, policy: &[&str], type_: &str, expected: &str) -> Duration {
        let ((), after) = eventually(&format!("{type_} {expected}"), || {
            let status = self.status(policy);
            match condition(&status, type_) {
                Some(found) if found.contains(expected) => Ok(()),
                _ => Err(status.to_string() + &self.podgate.whole_log()),
            }
        });
        after
    }

    fn status(&self, policy: &[&str]) -> Value {
        self.plane.kubectl(&[&["get", "-o", "json"], policy].concat()).json()["status"].clone()
    }

    fn check(&self, user: &str) -> Ran {
        let kubeconfig = self.plane.kubeconfig(user);
        let args = ["check", "-n", NAMESPACE, "--kubeconfig", kubeconfig.to_str().unwrap()];
        Ran::of(&binary::run(&args))
    }

    fn checks_well(&self) {
        eventually("a healthy check", || match self.check("admin") {
            Ran { code: 0, .. } => Ok(()),
            ran => Err(ran.stdout),
        });
    }
}

fn condition(status: &Value, type_: &str) -> Option<String> {
    let found = status["conditions"].as_array()?.iter().find(|it| it["type"] == type_)?;
    let [status, reason, message] = ["status", "reason", "message"].map(|it| found[it].as_str());
    Some(format!("{} {}: {}", status?, reason?, message?))
}

fn a_policy_that_covers_nothing_is_ready_once_a_namespace_matches(it: &Served) {
    let shops = ["clusterdevopspolicy", "shops"];
    let spec = json!({
        "enforcementMode": "enforce", "forbidLatestTag": true,
        "namespaceSelector": {"matchLabels": {"team": "shop"}},
    });
    it.apply("ClusterDevOpsPolicy", &json!({"name": "shops"}), &spec);
    let nothing = "False CoversNothing: no namespace has the labels team=shop";
    let after = it.has(&shops, "Ready", nothing);
    println!("   CoversNothing after {}", seconds(after));
    let status = it.status(&shops);
    assert!(condition(&status, "Stalled").unwrap().starts_with("False"), "{status}");
    assert_eq!(status["message"], "covers nothing: no namespace has the labels team=shop");
    assert_eq!(status["effectiveMode"], "enforce");
    let listed = it.plane.kubectl(&["get", shops[0], shops[1]]).ok();
    assert!(listed.contains("MODE") && listed.contains("enforce"), "{listed}");
    it.check("admin").exits(3).prints(&[
        "policy shops covers nothing: no namespace has the labels team=shop → create or label a namespace",
    ]);

    it.plane.kubectl(&["create", "namespace", "covered"]).ok();
    let label = |label: &str| {
        it.plane.kubectl(&["label", "namespace", "covered", "--overwrite", label]).ok();
    };
    for _ in 0..2 {
        label("team=shop");
        let after = it.has(&shops, "Ready", "True Evaluated");
        println!("   Ready after {}", seconds(after));
        it.checks_well();
        label("team-");
        it.has(&shops, "Ready", nothing);
    }
    label("team=shop");
    it.plane.kubectl(&["delete", "namespace", "covered"]).ok();
    it.has(&shops, "Ready", nothing);

    let info = r#"devopspolicy_info{bundle="",mode="enforce",namespace="",policy="shops"}"#;
    assert_eq!(it.podgate.metric(info), Some(1.0));
    it.plane.kubectl(&["delete", shops[0], shops[1]]).ok();
    eventually("the series to go with the policy", || match it.podgate.metric(info) {
        None => Ok(()),
        found => Err(format!("{found:?}")),
    });
}

fn a_policy_in_a_protected_namespace_covers_nothing(it: &Served) {
    for namespace in ["kube-system", "kube-public"] {
        let metadata = json!({"name": "own", "namespace": namespace});
        it.apply("DevOpsPolicy", &metadata, &json!({"bundle": "baseline"}));
        let own = ["devopspolicy", "own", "-n", namespace];
        let why = format!("{namespace} is protected, and podgate never judges it");
        it.has(&own, "Ready", &format!("False CoversNothing: {why}"));
        let warned = it.check("admin").exits(0).stdout;
        let line = format!("policy {namespace}/own covers nothing: {why}");
        let line = warned.lines().find(|it| it.contains(&line));
        assert!(line.is_some_and(|it| it.starts_with("warning ")), "it audits: {warned}");
        let status = it.status(&own);
        assert_eq!(status["effectiveMode"], "audit", "a bundle sets no mode: {status}");
        it.plane.kubectl(&["delete", own[0], own[1], own[2], own[3]]).ok();
    }
}

fn a_policy_that_enforces_says_whether_the_api_servers_call_podgate(it: &Served) {
    it.plane.kubectl(&["create", "namespace", "enforced"]).ok();
    let own = ["devopspolicy", "own", "-n", "enforced"];
    let mode = |mode: &str| {
        let metadata = json!({"name": "own", "namespace": "enforced"});
        it.apply("DevOpsPolicy", &metadata, &json!({"enforcementMode": mode}));
    };
    mode("enforce");
    it.has(&own, "Enforcing", "True Called: the API servers call podgate");
    it.checks_well();
    let mut rendered: Value = it.plane.kubectl(&["get", VALIDATING, "-o", "json"]).json();
    for field in ["resourceVersion", "uid", "managedFields", "generation", "creationTimestamp"] {
        rendered["metadata"].as_object_mut().unwrap().remove(field);
    }
    let mut fewer = rendered.clone();
    let webhooks = fewer["webhooks"].as_array_mut().unwrap();
    let validate =
        webhooks.iter_mut().find(|it| it["name"].as_str().unwrap().starts_with("validate."));
    validate.unwrap()["rules"].as_array_mut().unwrap().truncate(1);
    let deleted = || drop(it.plane.kubectl(&["delete", VALIDATING]).ok());
    let changed = || drop(it.plane.kubectl(&["replace", "-f", "-"]).given(&fewer).ok());
    let harms: [(&str, &dyn Fn()); 2] = [
        ("there is no ValidatingWebhookConfiguration", &deleted),
        ("rules of validate.podgate.devops.stochastic.io was changed", &changed),
    ];
    for (why, harm) in harms {
        harm();
        let after = it.has(&own, "Enforcing", "False NotCalled");
        println!("   NotCalled after {}: {why}", seconds(after));
        it.has(&own, "Enforcing", why);
        let ready = condition(&it.status(&own), "Ready").unwrap();
        assert!(ready.starts_with("True"), "it is in force: {ready}");
        let failed = it.check("admin").exits(3);
        failed.prints(&[
            "1 policy enforces, but the API servers are not seen to call podgate",
            ": enforced/own",
        ]);
        let restored =
            it.plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"]);
        restored.given(&rendered).ok();
        let after = it.has(&own, "Enforcing", "True Called");
        println!("   Called after {}", seconds(after));
        it.checks_well();
    }
    mode("warn");
    eventually("no condition Enforcing", || {
        let status = it.status(&own);
        match (condition(&status, "Enforcing"), status["effectiveMode"].as_str()) {
            (None, Some("warn")) => Ok(()),
            _ => Err(status.to_string()),
        }
    });
    it.plane.kubectl(&["delete", "namespace", "enforced"]).ok();
}

fn a_developer_is_told_what_check_cannot_see(it: &Served) {
    let told = it.check("jane").exits(3).prints(&[
        "ValidatingWebhookConfigurations cannot be seen: ",
        "Lease podgate-system/podgate-alive cannot be seen: ",
        "the DevOpsPolicies cannot be seen",
        "the ClusterDevOpsPolicies cannot be seen",
        "ask a cluster admin to run podgate check",
    ]);
    for never in ["nothing is refused", "Some(", "Status {", "ApiError", "policies compile"] {
        assert!(!told.stdout.contains(never), "{never}: {}", told.stdout);
    }
}

fn reconcile_without_a_webhook_says_nothing_of_calls(it: &Served) {
    it.plane.kubectl(&["create", "namespace", "reconciled"]).ok();
    let metadata = json!({"name": "own", "namespace": "reconciled"});
    it.apply("DevOpsPolicy", &metadata, &json!({"enforcementMode": "enforce"}));
    let own = ["devopspolicy", "own", "-n", "reconciled"];
    it.has(&own, "Enforcing", "True Called");
    // The next leader has no beat.
    it.podgate.signal("TERM");
    let user = it.plane.kubeconfig_for("reconciler").to_str().unwrap().to_owned();
    let args =
        ["--kubeconfig", &user, "--lease-namespace", NAMESPACE, "--metrics-listen", "127.0.0.1:0"];
    let _reconcile = Podgate::start("reconcile", &args, "serving");
    eventually("no condition Enforcing", || {
        let status = it.status(&own);
        match (condition(&status, "Enforcing"), condition(&status, "Ready")) {
            (None, Some(_)) => Ok(()),
            _ => Err(status.to_string()),
        }
    });
}
