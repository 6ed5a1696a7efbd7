//! Part of `make test`: the floor, on a real API server. podgate is killed, and the policies that it compiled into the
//! API server judge instead; it comes back, and they sleep.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, seconds};
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::manifests::{pod, probed_pod, workload};
use crate::support::ran::Ran;
use crate::support::registered::{self, NAMESPACE, Registered};
use crate::support::suite::{Suite, Trials, World, trials};

/// In order, because podgate is killed.
pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Floor::start), TRIALS)
}

const TRIALS: Trials<Floor> = trials![
    while_podgate_is_heard_it_judges_itself_and_the_floor_only_removals,
    the_type_checker_finds_nothing_in_the_floors_policies,
    a_floor_wakes_when_podgate_is_killed_and_sleeps_when_it_is_back,
    a_floor_wakes_when_podgate_is_suspended_and_when_its_configuration_is_gone,
    an_api_server_that_starts_while_podgate_is_away_admits_what_complies,
    a_lease_of_another_time_wakes_the_floor_and_without_one_everything_passes,
    a_broken_glass_stays_broken_until_it_is_mended,
    webhook_delete_breaks_the_glass_too,
    a_podgate_that_registered_itself_leaves_no_floor,
];

/// The longest time from the last beat until the floor is awake.
const WAKES: SignedDuration = SignedDuration::from_secs(45);
/// The age of the last beat while podgate is heard.
const NEW_SECONDS: i64 = 15;
const SHOP: &str = "shop";
const WEBHOOK: &str =
    "admission webhook \"validate.podgate.devops.stochastic.io\" denied the request";
const FLOOR: &str = "ValidatingAdmissionPolicy 'podgate-floor-in-shop-deny'";
const BINDINGS: &str = "validatingadmissionpolicybindings";
const LEASE: &str = "lease/podgate-alive";
const OURS: &str = "devops.stochastic.io/floor=podgate";

struct Floor {
    plane: ControlPlane,
    certs: tempfile::TempDir,
    user: String,
    /// `None` while it is killed.
    podgate: Mutex<Option<Podgate>>,
}

impl Floor {
    fn start() -> Self {
        let Registered { podgate, plane, certs, user } = Registered::start_with(&["--floor"]);
        plane.kubectl(&["create", "namespace", SHOP]).ok();
        let policy = json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": "own", "namespace": SHOP},
            "spec": {"forbidLatestTag": true, "requireLivenessProbe": true, "enforcementMode": "enforce"},
        });
        plane.kubectl(&["apply", "-f", "-"]).given(&policy).ok();
        Self { plane, certs, user, podgate: Mutex::new(Some(podgate)) }
    }

    /// Starts podgate, unless it runs.
    fn serves(&self) {
        let mut podgate = self.podgate.lock().unwrap_or_else(PoisonError::into_inner);
        if podgate.is_none() {
            *podgate = Some(registered::serve(&self.user, self.certs.path(), &["--floor"]));
        }
    }

    /// Starts podgate, unless it runs, and waits until it judges and the floor is ready.
    fn heard(&self) {
        self.serves();
        self.has("FloorReady", "True Kept");
        self.has("FloorComplete", "True AllCompiled");
        // An earlier leader may have written the conditions.
        eventually("a new beat", || {
            let renewed = self.renewed();
            let age = renewed.parse().map(|it| Timestamp::now().duration_since(it));
            if age.is_ok_and(|it: SignedDuration| it.as_secs() < NEW_SECONDS) {
                Ok(())
            } else {
                Err(renewed)
            }
        });
    }

    /// Waits until `podgate check` prints this.
    fn checks(&self, expected: &str) {
        let admin = self.plane.kubeconfig("admin");
        let check = ["check", "-n", NAMESPACE, "--kubeconfig", admin.to_str().unwrap()];
        eventually(expected, || match Ran::of(&binary::run(&check)).stdout {
            found if found.contains(expected) => Ok(()),
            other => Err(other),
        });
    }

    /// Waits until the policy has a condition: `STATUS REASON: MESSAGE`.
    fn has(&self, type_: &str, expected: &str) {
        let what = format!("{type_} {expected}");
        let ((), after) = eventually(&what, || {
            let status = self.status();
            match condition(&status, type_) {
                Some(found) if found.contains(expected) => Ok(()),
                _ => Err(status.to_string() + &self.log()),
            }
        });
        println!("   {what} after {}", seconds(after));
    }

    fn log(&self) -> String {
        let podgate = self.podgate.lock().unwrap_or_else(PoisonError::into_inner);
        podgate.as_ref().map(Podgate::whole_log).unwrap_or_default()
    }

    fn kill(&self) {
        drop(self.podgate.lock().unwrap().take());
    }

    fn status(&self) -> Value {
        let own = ["get", "devopspolicy", "own", "-n", SHOP, "-o", "json"];
        self.plane.kubectl(&own).json()["status"].take()
    }

    fn metric(&self, series: &str) -> Option<f64> {
        self.podgate.lock().unwrap().as_ref()?.metric(series)
    }

    fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.plane.kubectl(args).within(SHOP)
    }

    /// Creates an object in a dry run.
    fn create(&self, object: &Value) -> Result<String, String> {
        self.kubectl(&["create", "--dry-run=server", "-f", "-"]).given(object).result()
    }

    fn replace(&self, object: &Value) -> Result<String, String> {
        self.kubectl(&["replace", "-f", "-"]).given(object).result()
    }

    /// The `renewTime` of the Lease; empty if there is none.
    fn renewed(&self) -> String {
        let read = [
            "get",
            LEASE,
            "-n",
            NAMESPACE,
            "--ignore-not-found",
            "-o",
            "jsonpath={.spec.renewTime}",
        ];
        self.plane.kubectl(&read).ok()
    }

    /// Waits until a violating pod is denied by whom this names.
    fn denied_by(&self, whom: &str) -> String {
        let what = format!("a denial by: {whom}");
        let (why, after) = eventually(&what, || match self.create(&violating()) {
            Err(why) if why.contains(whom) => Ok(why),
            other => Err(format!("{other:?}")),
        });
        println!("   {what} after {}", seconds(after));
        why
    }

    /// A Deployment as the API server has it.
    fn deployed(&self) -> Value {
        let mut object = workload(Kind::Deployment, probed_pod("nginx:1.29"));
        object["spec"]["replicas"] = json!(0);
        self.kubectl(&["apply", "-f", "-"]).given(&object).ok();
        self.kubectl(&["get", "deployment", "web", "-o", "json", "--show-managed-fields"]).json()
    }
}

fn condition(status: &Value, type_: &str) -> Option<String> {
    let found = status["conditions"].as_array()?.iter().find(|it| it["type"] == type_)?;
    let [status, reason, message] = ["status", "reason", "message"].map(|it| found[it].as_str());
    Some(format!("{} {}: {}", status?, reason?, message?))
}

fn violating() -> Value {
    workload(Kind::Pod, pod("nginx"))
}

fn compliant() -> Value {
    workload(Kind::Pod, probed_pod("nginx:1.29"))
}

/// The container of a Deployment.
fn container(deployment: &mut Value) -> &mut Value {
    &mut deployment["spec"]["template"]["spec"]["containers"][0]
}

fn without_probe(deployment: &Value) -> Value {
    let mut changed = deployment.clone();
    container(&mut changed).as_object_mut().unwrap().remove("livenessProbe");
    changed
}

fn while_podgate_is_heard_it_judges_itself_and_the_floor_only_removals(it: &Floor) {
    it.heard();
    assert_eq!(it.metric("podgate_floor_policies"), Some(1.0));
    assert_eq!(it.metric("podgate_floor_awake"), Some(0.0));
    assert!(it.metric("podgate_floor_last_beat_timestamp_seconds").unwrap() > 1.7e9);
    let why = it.create(&violating()).unwrap_err();
    assert!(why.contains(WEBHOOK) && !why.contains("ValidatingAdmissionPolicy"), "{why}");
    it.create(&compliant()).unwrap();

    let deployed = it.deployed();
    let mut newer = deployed.clone();
    container(&mut newer)["image"] = json!("nginx:1.30");
    it.replace(&newer).unwrap();
    let mut latest = it.deployed();
    container(&mut latest)["image"] = json!("nginx");
    let why = it.replace(&latest).unwrap_err();
    assert!(why.contains(WEBHOOK), "an image cannot be removed: {why}");
    let why = it.replace(&without_probe(&it.deployed())).unwrap_err();
    assert!(why.contains(FLOOR) && why.contains("podgate is heard"), "{why}");
    assert!(why.contains("requireLivenessProbe"), "{why}");
}

fn the_type_checker_finds_nothing_in_the_floors_policies(it: &Floor) {
    it.heard();
    for name in ["podgate-floor-in-shop-deny", "podgate-floor-canary"] {
        let get = ["get", "validatingadmissionpolicy", name, "-o", "json"];
        let (checked, _) = eventually("the type checker", || {
            let status = it.plane.kubectl(&get).json()["status"].take();
            if status["typeChecking"].is_object() { Ok(status) } else { Err(status.to_string()) }
        });
        assert_eq!(checked["typeChecking"], json!({}), "{name}");
    }
}

fn a_floor_wakes_when_podgate_is_killed_and_sleeps_when_it_is_back(it: &Floor) {
    it.heard();
    let deployed = it.deployed();
    it.kill();
    let last_beat = it.renewed();
    let why = it.denied_by(FLOOR);
    let after = Timestamp::now().duration_since(last_beat.parse().unwrap());
    assert!(after < WAKES, "it is awake {after} after the last beat");
    for words in [
        "spec.containers[0].image",
        "forbidLatestTag",
        "requireLivenessProbe",
        "policy shop/own",
        "podgate is away since its last beat at 2",
        "kubectl delete validatingadmissionpolicybindings -l devops.stochastic.io/floor=podgate",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    it.create(&compliant()).unwrap();

    // Updates: a change, a removal, and removals with stamps that are forged, old or gone.
    let mut latest = deployed.clone();
    container(&mut latest)["image"] = json!("nginx");
    let removed = without_probe(&deployed);
    let last_beat = format!("{}Z", &last_beat[..19]);
    for (name, object) in [("a change", &latest), ("a removal", &removed)] {
        for (stamps, time) in [
            ("their own", None),
            ("forged", Some(last_beat.as_str())),
            ("old", Some("2020-01-01T00:00:00Z")),
            ("future", Some("2099-01-01T00:00:00Z")),
        ] {
            let mut object = object.clone();
            for entry in object["metadata"]["managedFields"].as_array_mut().unwrap() {
                if let Some(time) = time {
                    entry["time"] = json!(time);
                }
            }
            let why = it.replace(&object).unwrap_err();
            assert!(why.contains(FLOOR), "{name} with stamps that are {stamps}: {why}");
        }
        for gone in [json!([]), json!([{}]), Value::Null] {
            let mut object = object.clone();
            object["metadata"]["managedFields"] = gone.clone();
            let why = it.replace(&object).unwrap_err();
            assert!(why.contains(FLOOR), "{name} with the stamps {gone}: {why}");
        }
    }
    let mut newer = deployed;
    container(&mut newer)["image"] = json!("nginx:1.31");
    it.replace(&newer).unwrap();
    other_ways_to_write_are_judged(it);

    it.heard();
    let why = it.denied_by(WEBHOOK);
    assert!(!why.contains("podgate is away"), "{why}");
}

fn a_floor_wakes_when_podgate_is_suspended_and_when_its_configuration_is_gone(it: &Floor) {
    it.heard();
    let signal = |name: &str| it.podgate.lock().unwrap().as_ref().unwrap().signal(name);
    signal("STOP");
    it.denied_by(FLOOR);
    it.create(&compliant()).unwrap();
    signal("CONT");
    it.denied_by(WEBHOOK);

    // podgate runs, and is not asked.
    it.plane.kubectl(&["delete", "validatingwebhookconfiguration", "podgate-validating"]).ok();
    it.denied_by(FLOOR);
    eventually("the metric", || match it.metric("podgate_floor_awake") {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    it.create(&compliant()).unwrap();
    it.kill();
    it.heard();
    it.denied_by(WEBHOOK);
}

fn an_api_server_that_starts_while_podgate_is_away_admits_what_complies(it: &Floor) {
    it.heard();
    it.kill();
    it.denied_by(FLOOR);
    it.plane.kill_api_server();
    it.plane.restart_api_server();
    let (_, after) = eventually("a compliant pod to pass", || it.create(&compliant()));
    println!("   a compliant pod passes {} after the API server was ready", seconds(after));
    it.denied_by(FLOOR);
    it.heard();
    it.denied_by(WEBHOOK);
}

/// Generated names, server-side apply, and subresources, while the floor is awake.
fn other_ways_to_write_are_judged(it: &Floor) {
    let mut named = violating();
    named["metadata"] = json!({"generateName": "web-"});
    let why = it.create(&named).unwrap_err();
    assert!(why.contains(FLOOR) && why.contains("Pod shop/web-"), "{why}");

    let apply =
        |object: &Value| it.kubectl(&["apply", "--server-side", "-f", "-"]).given(object).result();
    let mut applied = workload(Kind::Deployment, probed_pod("nginx:1.29"));
    applied["metadata"]["name"] = json!("applied");
    apply(&applied).unwrap();
    let why = apply(&without_probe(&applied)).unwrap_err();
    assert!(why.contains(FLOOR) && why.contains("requireLivenessProbe"), "{why}");

    let mut debugged = compliant();
    debugged["metadata"]["name"] = json!("debugged");
    it.kubectl(&["create", "-f", "-"]).given(&debugged).ok();
    let mut debugged = it.kubectl(&["get", "pod", "debugged", "-o", "json"]).json();
    let path = format!("/api/v1/namespaces/{SHOP}/pods/debugged/ephemeralcontainers");
    let mut debug = |image: &str| {
        debugged["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": image}]);
        it.plane.kubectl(&["replace", "--raw", &path, "-f", "-"]).given(&debugged).result()
    };
    let why = debug("busybox").unwrap_err();
    assert!(why.contains(FLOOR) && why.contains("ephemeralContainers[0]"), "{why}");
    debug("busybox:1.37").unwrap();
}

fn a_lease_of_another_time_wakes_the_floor_and_without_one_everything_passes(it: &Floor) {
    it.heard();
    let year = |time: &str| {
        let patch = json!({"spec": {"renewTime": time}}).to_string();
        it.plane.kubectl(&["patch", LEASE, "-n", NAMESPACE, "--type=merge", "-p", &patch]).output()
    };
    let (written, why) = year("9999-12-31T23:59:59.999999Z");
    assert!(!written && why.contains("alive.podgate"), "only podgate writes the Lease: {why}");
    it.kill();
    // Somebody who can delete the webhooks can write the Lease too.
    it.plane.kubectl(&["delete", "validatingwebhookconfiguration", "podgate-validating"]).ok();
    for time in [
        "9999-12-31T23:59:59.999999Z",
        "2099-01-01T00:00:00.000000Z",
        "0001-01-01T00:00:01.000000Z",
    ] {
        eventually("a write without the webhook", || match year(time) {
            (true, _) => Ok(()),
            (false, why) => Err(why),
        });
        it.denied_by(FLOOR);
        it.create(&compliant()).unwrap();
    }
    it.plane.kubectl(&["delete", LEASE, "-n", NAMESPACE]).ok();
    eventually("a violating pod to pass", || it.create(&violating()));
    it.heard();
    it.denied_by(WEBHOOK);
}

fn a_broken_glass_stays_broken_until_it_is_mended(it: &Floor) {
    it.heard();
    it.kill();
    it.denied_by(FLOOR);
    it.plane.kubectl(&["delete", BINDINGS, "-l", OURS]).ok();
    eventually("a violating pod to pass", || it.create(&violating()));
    it.serves();
    let mend = "kubectl delete validatingadmissionpolicies -l devops.stochastic.io/floor=podgate";
    it.has(
        "FloorReady",
        &format!(
            "False NotKept: the API servers may not judge while podgate is away: the glass is broken: somebody has deleted \
             the bindings of podgate-floor-in-shop-deny; to mend it: {mend}"
        ),
    );
    let names = || it.plane.kubectl(&["get", BINDINGS, "-l", OURS, "-o", "name"]).ok();
    assert_eq!(names(), "");
    it.plane.kubectl(&mend.split(' ').skip(1).collect::<Vec<_>>()).ok();
    it.heard();
    assert_eq!(names().lines().count(), 1, "{}", names());
    it.kill();
    it.denied_by(FLOOR);
    it.heard();
}

fn webhook_delete_breaks_the_glass_too(it: &Floor) {
    it.heard();
    it.checks("a floor of 1 ValidatingAdmissionPolicies judges while podgate is away");
    let admin = it.plane.kubeconfig("admin");
    let deleted = ["webhook", "delete", "--kubeconfig", admin.to_str().unwrap()];
    let deleted = Ran::of(&binary::run(&deleted)).exits(0);
    deleted.prints(&["validatingadmissionpolicybinding/podgate-floor-in-shop-deny deleted"]);
    it.create(&violating()).unwrap();
    it.has("FloorReady", "the glass is broken");
    it.checks("the glass is broken: 1 of 1 policies");
    it.create(&violating()).unwrap();
    it.kill();
    it.plane.kubectl(&["delete", "validatingadmissionpolicies", "-l", OURS]).ok();
    it.heard();
}

fn a_podgate_that_registered_itself_leaves_no_floor(it: &Floor) {
    it.heard();
    let mut podgate = it.podgate.lock().unwrap().take().unwrap();
    podgate.signal("TERM");
    let (status, _) = podgate.ended();
    assert!(status.success(), "{}", podgate.whole_log());
    let left = ["get", "validatingadmissionpolicies,validatingadmissionpolicybindings", "-l", OURS];
    assert_eq!(it.plane.kubectl(&[&left[..], &["-o", "name"]].concat()).ok(), "");
}
