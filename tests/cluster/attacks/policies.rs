//! Policies that stop compiling, or that podgate may not read.

use std::path::Path;

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::{self, Podgate, run};
use crate::support::control_plane::{ControlPlane, text};
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Alone, trials};
use crate::support::{eventually, review};

pub const ALONE: Alone =
    trials![a_policy_that_stops_compiling_while_podgate_is_away_goes_on_denying_in_every_replica,];

const SHOP: &str = "shop";

/// A podgate that leads, and that the API server calls while it runs.
fn serve(plane: &ControlPlane, replica: &str, args: &[&str]) -> Podgate {
    let admin = plane.kubeconfig("admin");
    let certs = admin.with_file_name(replica);
    let own = ["--lease-namespace", "default", "--kubeconfig", admin.to_str().unwrap()];
    Podgate::serve(&[&own[..], args].concat(), &certs)
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
        "metadata": {"name": name, "namespace": SHOP}, "spec": spec})
}

fn get(plane: &ControlPlane, name: &str) -> Value {
    let args = ["get", "devopspolicy", name, "-n", SHOP, "-o", "json"];
    plane.kubectl(&args).json()
}

fn validation(expression: &str) -> Value {
    json!([{"name": "named", "expression": expression, "message": "a container has a bad name"}])
}

/// A replica's denial of a new pod with this image, or an error if it admits the pod.
fn denial(podgate: &Podgate, image: &str) -> Result<String, String> {
    let answer = podgate.review(&review::create(SHOP, &workload(Kind::Pod, pod(image))));
    match answer["status"]["message"].as_str() {
        Some(message) => Ok(message.to_owned()),
        None => Err(answer.to_string()),
    }
}

fn check(kubeconfig: &Path) -> (Option<i32>, String) {
    let output = run(&["check", "-n", "default", "--kubeconfig", kubeconfig.to_str().unwrap()]);
    (output.status.code(), text(&output.stdout))
}

fn a_policy_that_stops_compiling_while_podgate_is_away_goes_on_denying_in_every_replica() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plane = ControlPlane::start();
    let admin = plane.kubeconfig("admin");
    let installed = binary::run(&["crd", "install", "--kubeconfig", admin.to_str().unwrap()]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    plane.kubectl(&["create", "namespace", SHOP]).ok();
    let good = json!({
        "enforcementMode": "enforce", "forbidLatestTag": true,
        "validations": validation("object.spec.containers.all(c, c.name != 'bad')"),
    });
    let first = serve(&plane, "first", &["--register"]);
    plane.kubectl(&["apply", "-f", "-"]).given(&policy("own", &good)).ok();
    let (kept, _) = eventually("the status to keep the spec", || {
        let status = get(&plane, "own")["status"].clone();
        status["lastGood"].as_str().map(str::to_owned).ok_or_else(|| status.to_string())
    });
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), good);
    drop(first);

    // The edit is admitted: the webhooks are gone with the podgate that registered them, as under `Ignore` during an
    // outage.
    for webhooks in ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"] {
        plane.kubectl(&["delete", webhooks, "--all"]).ok();
    }
    let weaker = json!({"spec": {"enforcementMode": "audit", "forbidLatestTag": null, "validations": validation("nonsense(")}});
    let patch =
        ["patch", "devopspolicy", "own", "-n", SHOP, "--type=merge", "-p", &weaker.to_string()];
    plane.kubectl(&patch).ok();
    let never = json!({"enforcementMode": "enforce", "requireImageDigest": true, "validations": validation("nonsense(")});
    plane.kubectl(&["apply", "-f", "-"]).given(&policy("never", &never)).ok();

    let replicas = [serve(&plane, "second", &["--register"]), serve(&plane, "third", &[])];
    for podgate in &replicas {
        let (message, _) = eventually("a denial", || denial(podgate, "nginx"));
        for words in [
            "forbidLatestTag",
            // For the policy that was never valid, the parts that compile are in force, and the others are undecided.
            "requireImageDigest",
            "could not be decided: spec.validations[0].expression",
        ] {
            assert!(message.contains(words), "{words}: {message}");
        }
    }
    let (refused, _) = eventually("the API server to refuse it", || {
        let object = workload(Kind::Pod, pod("nginx"));
        let create = ["create", "-n", SHOP, "--dry-run=server", "-f", "-"];
        match plane.kubectl(&create).given(&object).result() {
            Err(why) if why.contains("denied the request") => Ok(why),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(refused.contains("forbidLatestTag"), "{refused}");

    for (name, stand_in) in [
        ("own", "the last good version (status.lastGood) is in force"),
        ("never", "the invalid part is undecided"),
    ] {
        eventually("the policy to be stalled", || {
            let status = get(&plane, name)["status"].clone();
            let conditions = status["conditions"].to_string();
            if conditions.contains(stand_in) { Ok(()) } else { Err(status.to_string()) }
        });
    }
    assert_eq!(
        get(&plane, "own")["status"]["lastGood"],
        kept.as_str(),
        "the last good spec is kept"
    );
    let (code, output) = check(&admin);
    assert_eq!(code, Some(3), "{output}");
    for name in ["DevOpsPolicy shop/own cannot be used", "DevOpsPolicy shop/never cannot be used"] {
        assert!(output.contains(name), "{output}");
    }

    plane.kubectl(&["delete", "devopspolicy", "never", "-n", SHOP]).ok();
    let better = json!({"enforcementMode": "enforce", "validations": validation("object.metadata.name == 'x'")});
    plane.kubectl(&["apply", "-f", "-"]).given(&policy("own", &better)).ok();
    for podgate in &replicas {
        eventually("the corrected policy to be in force", || {
            let message = denial(podgate, "nginx")?;
            let is_so = message.contains("bad name") && !message.contains("forbidLatestTag");
            if is_so { Ok(()) } else { Err(message) }
        });
    }
}
