//! Attempts to keep the API server from calling podgate, or to pretend that it does.

use std::time::Instant;

use jiff::{Timestamp, ToSpan};
use podgate::nonce::{ANNOTATION, Key, LEASE};
use serde_json::{Value, json};

use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, seconds, text};
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::registered::{NAMESPACE, Registered};
use crate::support::suite::{Alone, trials};

pub const ALONE: Alone = trials![
    the_lease_of_the_beat_is_podgates_alone_to_write_and_anybodys_to_delete,
    a_beat_that_stops_shows_in_the_metrics_and_in_check,
];

const VALIDATING: &str = "validatingwebhookconfiguration/podgate-validating";
const INTACT: &str = "podgate_webhook_configuration_intact{configuration=\"validating\"}";

/// An attempt: its description and its command.
type Harm<'a> = (&'a str, &'a dyn Fn());

/// A podgate that beats, as a user of its own.
struct Beating {
    podgate: Podgate,
    plane: ControlPlane,
    certs: tempfile::TempDir,
    user: String,
}

impl Beating {
    fn start() -> Self {
        let Registered { podgate, plane, certs, user } = Registered::start();
        Self { podgate, plane, certs, user }
    }

    /// kubectl in podgate's namespace.
    fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.plane.kubectl(args).within(NAMESPACE)
    }

    /// An object as JSON, without the fields that change by themselves.
    fn object(&self, what: &str) -> Value {
        let mut object: Value =
            serde_json::from_str(&self.kubectl(&["get", what, "-o", "json"]).ok()).unwrap();
        for field in ["resourceVersion", "uid", "managedFields", "generation", "creationTimestamp"]
        {
            object["metadata"].as_object_mut().unwrap().remove(field);
        }
        object
    }

    fn renew_time(&self) -> Option<Timestamp> {
        let path = "jsonpath={.spec.renewTime}";
        let (_, output) = self.kubectl(&["get", "lease", LEASE, "-o", path]).output();
        output.parse().ok()
    }

    /// Waits until the Lease was renewed after this.
    fn beats_after(&self, time: Timestamp) {
        eventually("a beat", || match self.renew_time() {
            Some(renewed) if renewed > time => Ok(()),
            other => Err(format!("{other:?}; {}", self.podgate.whole_log())),
        });
    }

    fn check(&self) -> (bool, String) {
        let admin = self.plane.kubeconfig("admin");
        let args = ["check", "-n", NAMESPACE, "--kubeconfig", admin.to_str().unwrap()];
        let output = binary::run(&args);
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }
}

fn the_lease_of_the_beat_is_podgates_alone_to_write_and_anybodys_to_delete() {
    let it = Beating::start();
    let began = Timestamp::now();
    it.beats_after(began - 5.seconds());
    eventually("podgate to know the API server", || {
        match it.podgate.metric("podgate_known_callers") {
            Some(1.0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let (healthy, output) = it.check();
    assert!(healthy && output.contains("the API servers were seen to call podgate"), "{output}");
    nobody_else_writes_it(&it);
    foreign_times_and_nonces_do_not_count(&it);
    other_writes_to_leases_pass(&it);
    only_the_beat_is_refused_while_podgate_is_away(&it);
}

/// Neither an admin of the cluster nor one of the namespace.
fn nobody_else_writes_it(it: &Beating) {
    it.kubectl(&["create", "rolebinding", "jane", "--clusterrole=admin", "--user=jane"]).ok();
    let jane = it.plane.kubeconfig("jane");
    let before = it.object(&format!("lease/{LEASE}"));
    for user in ["admin", "jane"] {
        let file = if user == "jane" { jane.clone() } else { it.plane.kubeconfig("admin") };
        let by = format!("--kubeconfig={}", file.display());
        for time in ["9999-01-01T00:00:00.000000Z", "2027-01-15T08:00:00.000000Z"] {
            let patch = json!({"spec": {"renewTime": time}}).to_string();
            let patch = ["patch", "lease", LEASE, "--type=merge", "-p", &patch, &by];
            refused(&it.kubectl(&patch).output(), "only podgate itself (podgate) writes it");
        }
        let mut forged = before.clone();
        forged["spec"]["renewTime"] = json!(micro(Timestamp::now()));
        for verb in [
            &["replace", "-f", "-"][..],
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        ] {
            let output = it.kubectl(&[verb, &[&by]].concat()).given(&forged).output();
            refused(&output, "only podgate itself");
        }
        // Nobody else may create the Lease either. podgate recreates it within a beat, so this may come too late.
        it.kubectl(&["delete", "lease", LEASE, &by]).ok();
        let (made, output) = it.kubectl(&["create", "-f", "-", &by]).given(&forged).output();
        assert!(
            !made && (output.contains("only podgate itself") || output.contains("already exists")),
            "{output}"
        );
        it.beats_after(Timestamp::now() - 5.seconds());
    }
}

/// Writes with podgate's own user and rights, as with a stolen token or after a bug.
fn foreign_times_and_nonces_do_not_count(it: &Beating) {
    let by = format!("--kubeconfig={}", it.user);
    let own = std::fs::read_to_string(it.certs.path().join("tls.key")).unwrap();
    let (own, other) = (Key::of(&own), Key::of("another private key"));
    let write = |time: &str, nonce: Option<String>, further: &[&str]| {
        let mut lease = it.object(&format!("lease/{LEASE}"));
        lease["spec"]["renewTime"] = json!(time);
        if let Some(nonce) = nonce {
            lease["metadata"]["annotations"] = json!({ANNOTATION: nonce});
        }
        let args = [&["replace", "-f", "-", &by][..], further].concat();
        // podgate renews it at the same time.
        eventually("a write without a conflict", || {
            let output = it.kubectl(&args).given(&lease).output();
            if output.1.contains("the object has been modified") {
                Err(output.1)
            } else {
                Ok(output)
            }
        })
        .0
    };
    let now = || micro(Timestamp::now());
    let dry = ["--dry-run=server"];
    refused(&write("9999-01-01T00:00:00.000000Z", None, &[]), "more than 15 s from now");
    let hour = Timestamp::now() + 1.hour();
    refused(&write(&micro(hour), None, &[]), "more than 15 s from now");
    let nonce = |key: &Key, time: Timestamp| Some(key.nonce("test-1", time));
    refused(&write(&now(), nonce(&other, Timestamp::now()), &dry), "signed by another key");
    refused(
        &write(&now(), nonce(&own, Timestamp::now() - 1.hour()), &dry),
        "older or newer than 30 s",
    );
    refused(&write(&now(), Some("x".repeat(10_000)), &dry), "none of podgate's");
    refused(&write(&now(), nonce(&own, Timestamp::now()), &[]), "belongs into dry runs");
    let mine = own.nonce("test-2", Timestamp::now());
    let (admitted, output) = write(&now(), Some(mine.clone()), &dry);
    assert!(admitted && own.is_echo(&mine, &output), "a nonce of podgate's is echoed: {output}");
    refused(&write(&now(), Some(mine), &dry), "it was used before");
    let (healthy, output) = it.check();
    assert!(healthy, "{output}");
}

/// Labels, finalizers and owners stay writable for the garbage collector, and other Leases for their holders.
fn other_writes_to_leases_pass(it: &Beating) {
    it.kubectl(&["label", "lease", LEASE, "team=platform"]).ok();
    it.kubectl(&["delete", "lease", LEASE, "--cascade=foreground", "--timeout=60s"]).ok();
    it.beats_after(Timestamp::now() - 5.seconds());
    for name in ["podgate-alive-2", "xpodgate-alive"] {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
            "spec": {"renewTime": "9999-01-01T00:00:00.000000Z"}});
        it.kubectl(&["create", "-f", "-"]).given(&lease).ok();
    }
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE, "namespace": "default"},
        "spec": {"renewTime": "9999-01-01T00:00:00.000000Z"}});
    it.plane.kubectl(&["create", "-f", "-"]).given(&lease).ok();
}

/// Killed, so that the configurations stay.
fn only_the_beat_is_refused_while_podgate_is_away(it: &Beating) {
    it.podgate.signal("KILL");
    let patch =
        ["patch", "lease", LEASE, "--type=merge", "-p", "{\"spec\": {\"renewTime\": null}}"];
    let (written, output) = it.kubectl(&patch).output();
    assert!(!written && output.contains("failed calling webhook"), "{output}");
    it.kubectl(&["label", "lease", LEASE, "--overwrite", "team=other"]).ok();
    it.kubectl(&[
        "patch",
        "lease",
        "podgate-alive-2",
        "--type=merge",
        "-p",
        "{\"spec\": {\"renewTime\": null}}",
    ])
    .ok();
    let ended = Instant::now();
    it.kubectl(&["delete", "namespace", NAMESPACE, "--timeout=120s"]).ok();
    println!("   the namespace of a dead podgate is gone after {}", seconds(ended.elapsed()));
}

fn a_beat_that_stops_shows_in_the_metrics_and_in_check() {
    let it = Beating::start();
    it.beats_after(Timestamp::now() - 5.seconds());
    let rendered = it.object(VALIDATING);
    let index = |name: &str| {
        let webhooks = rendered["webhooks"].as_array().unwrap();
        webhooks.iter().position(|it| it["name"].as_str().unwrap().starts_with(name)).unwrap()
    };
    let (validate, alive) = (index("validate."), index("alive."));
    let other_ca = json!(k8s_openapi::ByteString(other_ca().into_bytes()));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut changed = rendered.clone();
        change(&mut changed["webhooks"]);
        it.kubectl(&["replace", "-f", "-"]).given(&changed).ok();
    };
    let restore = || {
        if it.kubectl(&["replace", "-f", "-"]).given(&rendered).output().0 {
            return;
        }
        it.kubectl(&["create", "-f", "-"]).given(&rendered).ok();
    };
    // The metrics show it at once, `podgate check` as soon as beats are missing.
    let harms: [Harm<'_>; 5] = [
        ("a deleted configuration", &|| drop(it.kubectl(&["delete", VALIDATING]).ok())),
        ("fewer rules", &|| {
            changed(&|all| {
                all[validate]["rules"].as_array_mut().unwrap().truncate(1);
            });
        }),
        ("a wrong caBundle", &|| {
            changed(&|all| {
                all[validate]["clientConfig"]["caBundle"] = other_ca.clone();
            });
        }),
        ("a wrong caBundle of all", &|| {
            changed(&|all| {
                for webhook in all.as_array_mut().unwrap() {
                    webhook["clientConfig"]["caBundle"] = other_ca.clone();
                }
            });
        }),
        ("no webhook alive.", &|| changed(&|all| drop(all.as_array_mut().unwrap().remove(alive)))),
    ];
    for (what, harm) in harms {
        harm();
        let started = Instant::now();
        let (shown, in_metrics) = eventually("the failure in the metrics", || {
            let (called, intact) = (it.podgate.metric("podgate_called"), it.podgate.metric(INTACT));
            let shown = format!("podgate_called {called:?}, intact {intact:?}");
            if called > Some(15.0) || intact == Some(0.0) { Ok(shown) } else { Err(shown) }
        });
        let (output, _) = eventually("podgate check to fail", || match it.check() {
            (false, output) => Ok(output),
            (true, output) => Err(output),
        });
        assert!(output.contains("the API servers were last seen to call podgate"), "{output}");
        println!(
            "   {what}: in the metrics after {} ({shown}), in check after {}",
            seconds(in_metrics),
            seconds(started.elapsed())
        );
        restore();
        it.beats_after(Timestamp::now());
        let (healthy, output) = it.check();
        assert!(healthy, "{output}");
    }
    // Other changes that exclude objects show at once, too.
    let selections: [Harm<'_>; 4] = [
        ("other operations", &|| {
            changed(&|all| all[validate]["rules"][0]["operations"] = json!(["CREATE"]));
        }),
        ("another selector", &|| {
            changed(&|all| {
                all[validate]["namespaceSelector"]["matchLabels"] = json!({"judge": "me"});
            });
        }),
        ("a matchCondition", &|| {
            changed(&|all| {
                all[validate]["matchConditions"] =
                    json!([{"name": "never", "expression": "false"}]);
            });
        }),
        ("another place", &|| {
            changed(&|all| {
                all[validate]["clientConfig"]["url"] = json!("https://127.0.0.1:1/validate");
            });
        }),
    ];
    let intact = |expected: f64| {
        eventually("the metric of the configuration", || match it.podgate.metric(INTACT) {
            Some(found) if (found - expected).abs() < 0.5 => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .1
    };
    for (what, harm) in selections {
        harm();
        println!("   {what}: in the metrics after {}", seconds(intact(0.0)));
        restore();
        intact(1.0);
    }
}

/// A CA that signed nothing.
fn other_ca() -> String {
    let params = rcgen::CertificateParams::new(vec!["other".to_owned()]).unwrap();
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
}

fn refused((admitted, output): &(bool, String), why: &str) {
    assert!(!admitted && output.contains(why), "{why}: {output}");
    assert!(
        output.contains("kubectl delete lease podgate-alive"),
        "the message names the command: {output}"
    );
}

fn micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
