//! Part of `make test`: what is admitted while podgate is away is named when it is back, on a real API server with the
//! real controllers, and nothing else is. Durations are printed, never asserted.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::Podgate;
use crate::support::control_plane::{ControlPlane, seconds};
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::manifests::{pod, workload};
use crate::support::registered::{NAMESPACE, Registered};
use crate::support::suite::{Suite, Trials, World, trials};

pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Shops::start), TRIALS)
}

const TRIALS: Trials<Shops> = trials![
    what_was_made_while_podgate_was_away_has_slipped_and_nothing_else,
    the_next_leader_keeps_the_times_and_tells_nothing_twice,
    a_rule_that_is_added_later_makes_nothing_slip,
    what_is_mended_or_deleted_has_not_slipped_any_more,
];

const PODS: [&str; 5] = ["one", "two", "three", "four", "five"];
/// The namespaces, each with the fields that its policy has beside.
const PLAIN: &str = "plain";
const GRACED: &str = "graced";
const SPARED: &str = "spared";

/// A podgate that can be stopped, and three namespaces with workloads that violated before their policies enforced.
struct Shops {
    podgate: Mutex<Podgate>,
    plane: ControlPlane,
    certs: tempfile::TempDir,
    user: String,
}

impl Shops {
    fn start() -> Self {
        let Registered { podgate, plane, certs, user } = Registered::start();
        let shops = Self { podgate: Mutex::new(podgate), plane, certs, user };
        for shop in [PLAIN, GRACED, SPARED] {
            shops.plane.kubectl(&["create", "namespace", shop]).ok();
            shops.create(shop, &deployment("old"));
            shops.create(shop, &bare("older", "nginx"));
            eventually("the old Deployment's pod", || shops.pods_of(shop, "old"));
        }
        // What was made in the second in which a policy begins to enforce counts as made before.
        eventually("the next second", || {
            let made = shops.kubectl(GRACED, &["get", "pods", "-o", "json"]).json();
            let made = made["items"].as_array().unwrap().iter();
            let made = made.map(|it| it["metadata"]["creationTimestamp"].as_str().unwrap());
            let last: Timestamp = made.max().unwrap().parse().unwrap();
            let now = Timestamp::now();
            if now.as_second() > last.as_second() { Ok(()) } else { Err(now.to_string()) }
        });
        let month = Timestamp::now() + SignedDuration::from_hours(24 * 30);
        shops.policy(PLAIN, &json!({}));
        shops.policy(GRACED, &json!({"graceUntil": month.to_string()}));
        shops.policy(SPARED, &exempt_until(month));
        for shop in [PLAIN, GRACED, SPARED] {
            shops.waits(shop, "enforcedSince", |status| status["enforcedSince"].is_object());
        }
        shops
    }

    fn kubectl(&self, shop: &str, args: &[&str]) -> Kubectl {
        self.plane.kubectl(args).within(shop)
    }

    fn create(&self, shop: &str, object: &Value) {
        self.kubectl(shop, &["create", "-f", "-"]).given(object).ok();
    }

    fn policy(&self, shop: &str, more: &Value) {
        let mut spec = json!({"forbidLatestTag": true, "enforcementMode": "enforce"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let policy = json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": "own"}, "spec": spec,
        });
        self.kubectl(shop, &["apply", "--server-side", "-f", "-"]).given(&policy).ok();
    }

    fn pods_of(&self, shop: &str, app: &str) -> Result<(), String> {
        let pods = self.kubectl(shop, &["get", "pods", "-l", &format!("app={app}"), "-o", "name"]);
        let pods = pods.ok();
        if pods.is_empty() { Err("it has none".to_owned()) } else { Ok(()) }
    }

    fn status(&self, shop: &str) -> Value {
        self.kubectl(shop, &["get", "devopspolicy", "own", "-o", "json"]).json()["status"].take()
    }

    fn waits(&self, shop: &str, what: &str, is: impl Fn(&Value) -> bool) {
        let ((), after) = eventually(&format!("{what} in {shop}"), || {
            let status = self.status(shop);
            if is(&status) { Ok(()) } else { Err(status.to_string() + &self.podgate().whole_log()) }
        });
        println!("{what} in {shop}: {}", seconds(after));
    }

    /// Waits until exactly these workloads have slipped.
    fn slipped(&self, shop: &str, expected: &[&str]) {
        let expected: BTreeSet<_> = expected.iter().copied().collect();
        self.waits(shop, "the slipped workloads", |status| {
            let worst = status["slipped"]["worst"].as_array().into_iter().flatten();
            let found: BTreeSet<_> = worst.map(|it| it["workload"].as_str().unwrap()).collect();
            let workloads = status["slipped"]["workloads"].as_u64().unwrap_or(0);
            found == expected && workloads == expected.len() as u64
        });
    }

    fn podgate(&self) -> MutexGuard<'_, Podgate> {
        self.podgate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops podgate, does something, and starts podgate again.
    fn while_away(&self, act: impl FnOnce()) {
        let mut podgate = self.podgate();
        podgate.signal("TERM");
        podgate.ended();
        act();
        let args = ["--register", "--kubeconfig", &self.user, "--lease-namespace", NAMESPACE];
        *podgate = Podgate::serve(&args, self.certs.path());
    }

    /// The workloads with an Event of this reason, and how often each was told.
    fn told(&self, shop: &str) -> Vec<(String, u64)> {
        let field = "reason=AdmittedUnjudged";
        let events = self.kubectl(
            shop,
            &["get", "events.events.k8s.io", "--field-selector", field, "-o", "json"],
        );
        let events = events.json();
        let events = events["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["regarding"]["kind"] != "DevOpsPolicy");
        let mut told: Vec<_> = events
            .map(|it| {
                let about = &it["regarding"];
                let name = format!(
                    "{}/{}",
                    about["kind"].as_str().unwrap(),
                    about["name"].as_str().unwrap()
                );
                (name, it["series"]["count"].as_u64().unwrap_or(1))
            })
            .collect();
        told.sort();
        told
    }
}

/// The field of a policy with an exemption that ends then.
fn exempt_until(end: Timestamp) -> Value {
    json!({"exemptions": [{
        "rules": ["forbidLatestTag"], "reason": "moves", "owner": "shop", "expiresAt": end.to_string(),
    }]})
}

fn bare(name: &str, image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod(image)})
}

fn deployment(name: &str) -> Value {
    let mut object = workload(Kind::Deployment, pod("nginx"));
    let labels = json!({"app": name});
    object["metadata"]["name"] = json!(name);
    object["spec"]["selector"]["matchLabels"] = labels.clone();
    object["spec"]["template"]["metadata"]["labels"] = labels;
    object
}

const SLIPPED: [&str; 6] =
    ["Deployment/new", "Pod/one", "Pod/two", "Pod/three", "Pod/four", "Pod/five"];

fn what_was_made_while_podgate_was_away_has_slipped_and_nothing_else(shops: &Shops) {
    let denied = shops.kubectl(PLAIN, &["create", "-f", "-"]).given(&bare("no", "nginx")).fails();
    assert!(denied.contains("forbidLatestTag"), "{denied}");
    let mut end = Timestamp::MAX;
    shops.while_away(|| {
        for shop in [SPARED, PLAIN, GRACED] {
            for name in PODS {
                shops.create(shop, &bare(name, "nginx"));
            }
            shops.create(shop, &bare("good", "nginx:1.29"));
            shops.create(shop, &deployment("new"));
            eventually("its pod", || shops.pods_of(shop, "new"));
        }
        // All of it was made before.
        end = Timestamp::now() + SignedDuration::from_secs(5);
        shops.policy(SPARED, &exempt_until(end));
        // Its controller makes it again, which the grace admits.
        shops
            .kubectl(GRACED, &["delete", "pods", "-l", "app=old", "--grace-period=0", "--force"])
            .ok();
        eventually("it again", || shops.pods_of(GRACED, "old"));
    });
    shops.slipped(PLAIN, &SLIPPED);
    shops.slipped(GRACED, &SLIPPED);
    assert_eq!(shops.status(PLAIN)["slipped"]["pods"], 6);
    let metric = r#"devopspolicy_pods_slipped{namespace="plain",policy="own"}"#;
    eventually("the metric", || match shops.podgate().metric(metric) {
        Some(6.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // The exemption ends, and what it let pass violates from then on.
    shops.waits(SPARED, "the end of the exemption", |status| status["violations"] == 8);
    assert!(Timestamp::now() >= end);
    shops.slipped(SPARED, &[]);
}

fn the_next_leader_keeps_the_times_and_tells_nothing_twice(shops: &Shops) {
    let expected: Vec<_> = SLIPPED.iter().map(|it| ((*it).to_owned(), 1)).collect();
    let sorted = |mut told: Vec<(String, u64)>| {
        told.sort();
        told
    };
    eventually("an Event on each", || {
        let told = shops.told(PLAIN);
        if told == sorted(expected.clone()) { Ok(()) } else { Err(format!("{told:?}")) }
    });
    let since = shops.status(PLAIN)["enforcedSince"].clone();
    shops.while_away(|| {});
    shops.kubectl(PLAIN, &["delete", "pod", "five", "--grace-period=0", "--force"]).ok();
    shops.slipped(PLAIN, &SLIPPED[..5]);
    assert_eq!(shops.status(PLAIN)["enforcedSince"], since);
    assert_eq!(shops.told(PLAIN), sorted(expected));
    assert_eq!(shops.told(SPARED), []);
}

fn a_rule_that_is_added_later_makes_nothing_slip(shops: &Shops) {
    let before = shops.status(SPARED)["enforcedSince"]["forbidLatestTag"].clone();
    let probes = json!({"requireLivenessProbe": true});
    shops.policy(SPARED, &probes);
    shops.waits(SPARED, "the violations of the new rule", |status| status["violations"] == 17);
    let status = shops.status(SPARED);
    assert!(status["slipped"].is_null(), "{status}");
    let since = |rule: &str| status["enforcedSince"][rule].as_str().unwrap().to_owned();
    assert!(since("requireLivenessProbe").as_str() >= before.as_str().unwrap());
    assert_eq!(shops.status(GRACED)["slipped"]["workloads"], 6);
}

fn what_is_mended_or_deleted_has_not_slipped_any_more(shops: &Shops) {
    shops.kubectl(PLAIN, &["set", "image", "deployment/new", "web=nginx:1.29"]).ok();
    let pods = ["delete", "pod", "one", "two", "three", "four", "--grace-period=0", "--force"];
    shops.kubectl(PLAIN, &pods).ok();
    // Without a kubelet no pod becomes ready, so the rollout keeps the old pod until it is deleted.
    shops.kubectl(PLAIN, &["delete", "pods", "-l", "app=new", "--grace-period=0", "--force"]).ok();
    shops.slipped(PLAIN, &[]);
    let old = ["Deployment/old", "Pod/older"];
    shops.waits(PLAIN, "what was there before", |status| {
        let worst = status["atRisk"]["worst"].as_array().into_iter().flatten();
        worst.map(|it| it["workload"].as_str().unwrap()).eq(old)
    });
}
