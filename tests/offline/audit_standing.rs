//! Part of `make test`: what a policy that enforces would refuse if it were made again, and what it never judged.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use podgate::audit::index::{AuditIndex, Remembered};
use podgate::audit::pod::ObservedPod;
use podgate::policy::compile::Policy;
use podgate::policy::enforced::{Enforced, RecordedPolicy};
use podgate::policy::made_pod::made_pod;
use podgate::policy::observed::{Affected, Changed, ObservedPolicy};
use podgate::policy::policy_set::{NamespaceMetadata, PolicySet};
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::audit_index::{list_begins, list_ends};

/// When the policies are put in force.
const THEN: i64 = 1000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn enforcing(more: &Value) -> Value {
    let mut spec = json!({"forbidLatestTag": true, "enforcementMode": "enforce"});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    spec
}

fn compile(scope: Scope, spec: &Value) -> Policy {
    Policy::compile(scope, "p".to_owned(), &serde_json::from_value(spec.clone()).unwrap()).unwrap()
}

fn policy(spec: &Value) -> Policy {
    compile(Scope::Namespace("shop".to_owned()), spec)
}

fn set(policy: Policy, shop: NamespaceMetadata) -> Arc<PolicySet> {
    let known = [("shop".to_owned(), shop)];
    Arc::new(PolicySet::new([Arc::new(policy)], Arc::new(known.into())))
}

struct World {
    index: AuditIndex,
    now: i64,
}

impl World {
    /// With a policy that is in force from [`THEN`] on, and nothing in the cluster.
    fn with(spec: &Value) -> Self {
        let mut world = Self::starting(spec, Remembered::default());
        world.lists_end();
        world
    }

    /// Before the lists have ended.
    fn starting(spec: &Value, remembered: Remembered) -> Self {
        let mut world = Self { index: AuditIndex::new(remembered), now: THEN };
        world.changes(spec);
        list_begins(&mut world.index);
        world
    }

    fn lists_end(&mut self) {
        list_ends(&mut self.index, at(self.now));
    }

    /// Puts another version of the policy in force.
    fn changes(&mut self, spec: &Value) {
        let set = set(policy(spec), NamespaceMetadata::default());
        let _ = self.index.policies(set, at(self.now));
    }

    /// A pod of an owner: its API version, kind and name.
    fn pod(&mut self, name: &str, image: &str, created: i64, owner: Option<(&str, &str, &str)>) {
        let owners: Vec<_> = owner
            .map(|(version, kind, name)| {
                json!({"apiVersion": version, "kind": kind, "name": name, "controller": true})
            })
            .into_iter()
            .collect();
        self.apply(&json!({
            "metadata": {
                "name": name, "namespace": "shop", "creationTimestamp": at(created).to_string(),
                "labels": {"pod-template-hash": "5d4"}, "ownerReferences": owners,
            },
            "spec": {"containers": [{"name": "web", "image": image}]},
            "status": {"phase": "Running"},
        }));
    }

    fn apply(&mut self, pod: &Value) {
        let pod: ObservedPod<false> = serde_json::from_str(&pod.to_string()).unwrap();
        self.index.pod(&pod, at(self.now));
    }

    fn of_cart(&mut self, name: &str, image: &str, created: i64) {
        self.pod(name, image, created, Some(("apps/v1", "ReplicaSet", "cart-5d4")));
    }

    /// The workload `cart`, with all the pods that it wants.
    fn cart(&mut self, kind: Kind, image: &str, created: i64) {
        let pod = json!({"containers": [{"name": "web", "image": image}]});
        let template = json!({"metadata": {"labels": {"app": "cart"}}, "spec": pod});
        let object = json!({
            "metadata": {
                "name": "cart", "namespace": "shop", "creationTimestamp": at(created).to_string(),
            },
            "spec": {
                "replicas": 1, "template": template, "jobTemplate": {"spec": {"template": template}},
            },
            "status": {"replicas": 1, "updatedReplicas": 1},
        });
        let made = made_pod(kind, &object.to_string()).unwrap();
        self.index.workload(kind, ("shop", "cart"), made.as_ref(), at(self.now));
    }

    fn state(&mut self) -> ObservedPolicy {
        let update = self.index.take_policies(at(self.now)).pop();
        update.expect("the policy's state changed").observed.unwrap()
    }

    fn at_risk(&mut self) -> Vec<String> {
        text(&self.state().at_risk)
    }

    fn slipped(&mut self) -> Vec<String> {
        text(&self.state().slipped)
    }

    /// The workloads that were told as admitted unjudged.
    fn told(&mut self) -> Vec<String> {
        let changes = self.index.take_changes().into_iter();
        let slipped = changes.filter_map(|it| match it.what {
            Changed::Slipped(it) => Some(format!("{}/{}", it.workload.kind, it.workload.name)),
            _ => None,
        });
        slipped.collect()
    }
}

/// `KIND/NAME PODS` of each workload, after a check of the sums.
fn text(affected: &Affected) -> Vec<String> {
    let pods: u64 = affected.worst.iter().map(|it| u64::from(it.pods)).sum();
    assert_eq!((affected.pods, affected.workloads), (pods, affected.worst.len() as u64));
    let one = affected
        .worst
        .iter()
        .map(|it| format!("{}/{} {}", it.workload.kind, it.workload.name, it.pods));
    one.collect()
}

const NONE: [&str; 0] = [];

#[test]
fn pods_are_at_risk_by_the_template_that_makes_them_again_or_by_themselves_without_one() {
    let mut world = World::with(&enforcing(&json!({"maxRestartCount": 0})));
    world.of_cart("cart-1", "nginx:1", 0);
    world.of_cart("cart-2", "nginx:1", 0);
    world.pod("bare", "nginx", 0, None);
    world.pod("robot-1", "nginx", 0, Some(("example.com/v1", "Robot", "robot")));
    world.pod("robot-2", "nginx:1", 0, Some(("example.com/v1", "Robot", "robot")));
    assert_eq!(world.at_risk(), ["Pod/bare 1", "Robot/robot 1"]);
    world.cart(Kind::Deployment, "nginx", 0);
    assert_eq!(world.at_risk(), ["Deployment/cart 2", "Pod/bare 1", "Robot/robot 1"]);
    world.cart(Kind::Deployment, "nginx:1", 0);
    world.of_cart("cart-1", "nginx", 0);
    assert_eq!(world.at_risk(), ["Pod/bare 1", "Robot/robot 1"], "its template is mended");
    world.index.delete("shop", "bare", at(THEN));
    assert_eq!(world.at_risk(), ["Robot/robot 1"]);
}

#[test]
fn a_grace_does_not_take_the_risk_away_and_only_a_policy_that_enforces_is_one() {
    let graced = enforcing(&json!({"graceUntil": at(5000).to_string()}));
    let mut world = World::with(&graced);
    world.of_cart("cart-1", "nginx", 0);
    world.cart(Kind::Deployment, "nginx", 0);
    assert_eq!(world.at_risk(), ["Deployment/cart 1"]);
    for mode in ["audit", "warn"] {
        world.changes(&enforcing(&json!({"enforcementMode": mode})));
        assert_eq!(world.at_risk(), NONE, "{mode}");
    }
    world.changes(&enforcing(&json!({"denySeverity": "critical"})));
    assert_eq!(world.at_risk(), NONE);
    let exempt =
        json!({"exemptions": [{"rules": ["forbidLatestTag"], "reason": "r", "owner": "o"}]});
    world.changes(&enforcing(&exempt));
    assert_eq!(world.at_risk(), NONE);
    world.changes(&graced);
    assert_eq!(world.at_risk(), ["Deployment/cart 1"]);
}

#[test]
fn a_cron_job_between_its_runs_is_at_risk_with_the_pod_of_the_next() {
    let mut world = World::with(&enforcing(&json!({})));
    world.cart(Kind::CronJob, "nginx", 0);
    assert_eq!(world.at_risk(), ["CronJob/cart 1"]);
    world.pod("cart-28000000-x", "nginx", 0, Some(("batch/v1", "Job", "cart-28000000")));
    world.pod("cart-28000000-y", "nginx", 0, Some(("batch/v1", "Job", "cart-28000000")));
    assert_eq!(world.at_risk(), ["CronJob/cart 2"]);
}

#[test]
fn a_template_is_judged_with_the_mutations_and_a_static_pod_is_never_at_risk() {
    let spec = json!({
        "enforcementMode": "enforce", "requireResourceRequests": ["cpu"], "mutate": true,
        "defaultResources": {"cpuRequest": "10m"},
    });
    let mut world = World::with(&spec);
    world.cart(Kind::Deployment, "nginx:1", 0);
    world.of_cart("cart-1", "nginx:1", 0);
    assert_eq!(world.at_risk(), NONE, "the new pod is given its requests");

    let mut world = World::with(&enforcing(&json!({})));
    world.apply(&json!({
        "metadata": {
            "name": "static", "namespace": "shop", "creationTimestamp": at(THEN + 9).to_string(),
            "annotations": {"kubernetes.io/config.mirror": "x"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "controller": true}],
        },
        "spec": {"nodeName": "n", "containers": [{"name": "web", "image": "nginx"}]},
        "status": {"phase": "Running"},
    }));
    let state = world.state();
    assert_eq!((text(&state.at_risk), text(&state.slipped)), (vec![], vec![]));
    assert_eq!(state.violations(), 1);
}

#[test]
fn what_was_made_after_the_rule_was_in_force_slipped_and_what_was_made_before_did_not() {
    let mut world = World::with(&enforcing(&json!({})));
    for (name, created) in [("old", THEN - 1), ("same", THEN), ("new", THEN + 1)] {
        world.pod(name, "nginx", created, None);
    }
    world.pod("good", "nginx:1", THEN + 1, None);
    assert_eq!(world.slipped(), ["Pod/new 1"]);
    assert_eq!(world.told(), ["Pod/new"]);
    world.of_cart("cart-1", "nginx", THEN + 1);
    world.of_cart("cart-2", "nginx", THEN + 1);
    world.of_cart("cart-0", "nginx", THEN - 1);
    world.cart(Kind::Deployment, "nginx", THEN - 1);
    assert_eq!(world.slipped(), ["Deployment/cart 2", "Pod/new 1"], "two of its pods");
    world.cart(Kind::Deployment, "nginx", THEN + 1);
    assert_eq!(world.told(), ["Deployment/cart"]);
    world.index.delete_workload(Kind::Deployment, ("shop", "cart"), at(THEN));
    for pod in ["cart-0", "cart-1", "cart-2", "new"] {
        world.index.delete("shop", pod, at(THEN));
    }
    assert_eq!(world.slipped(), NONE);
}

#[test]
fn a_new_template_slipped_with_all_its_pods_or_with_one_where_it_has_none() {
    let mut world = World::with(&enforcing(&json!({})));
    world.cart(Kind::CronJob, "nginx", THEN + 1);
    assert_eq!(world.slipped(), ["CronJob/cart 1"]);
    let mut world = World::with(&enforcing(&json!({})));
    world.cart(Kind::Deployment, "nginx", THEN + 1);
    world.of_cart("cart-1", "nginx", THEN + 1);
    world.of_cart("cart-2", "nginx", THEN + 1);
    assert_eq!(world.slipped(), ["Deployment/cart 2"]);
}

#[test]
fn under_grace_the_pods_of_controllers_did_not_slip_and_everything_else_did() {
    let graced = enforcing(&json!({"graceUntil": at(THEN + 100).to_string()}));
    let mut world = World::with(&graced);
    world.cart(Kind::Deployment, "nginx", 0);
    world.of_cart("cart-1", "nginx", THEN + 50);
    world.pod("bare", "nginx", THEN + 50, None);
    world.pod("forged", "nginx", THEN + 50, Some(("apps/v1beta1", "ReplicaSet", "x-5d4")));
    let expected = ["Deployment/x 1", "Pod/bare 1"];
    assert_eq!(world.slipped(), expected);
    // The grace ends, or is taken back: what it admitted stays admitted.
    world.now = THEN + 60;
    world.changes(&enforcing(&json!({})));
    assert_eq!(world.slipped(), expected);
    world.of_cart("cart-2", "nginx", THEN + 61);
    assert_eq!(world.slipped(), ["Deployment/cart 1", "Deployment/x 1", "Pod/bare 1"]);
    let mut world = World::with(&graced);
    world.now = THEN + 200;
    let _ = world.index.age(at(world.now));
    world.of_cart("cart-1", "nginx", THEN + 100);
    assert_eq!(world.slipped(), NONE);
    world.of_cart("cart-2", "nginx", THEN + 101);
    assert_eq!(world.slipped(), ["Deployment/cart 1"]);
}

/// A grace that is taken back ends with the next whole second, at which no version of the policy changes. Before, the
/// status called it active until something else changed.
#[test]
fn the_end_of_a_grace_that_was_taken_back_is_an_update_of_the_policy() {
    let mut world = World::with(&enforcing(&json!({"graceUntil": at(THEN + 100).to_string()})));
    let moment: Timestamp = "1970-01-01T00:17:40.25Z".parse().unwrap();
    let set = set(policy(&enforcing(&json!({}))), NamespaceMetadata::default());
    let _ = world.index.policies(set, moment);
    assert_eq!(world.state().enforced.graced_until(), Some(at(THEN + 61)));
    let _ = world.index.age(at(THEN + 60));
    assert!(world.index.take_policies(at(THEN + 60)).is_empty());
    let _ = world.index.age(at(THEN + 61));
    assert_eq!(world.index.take_policies(at(THEN + 61)).len(), 1);
}

#[test]
fn a_rule_that_is_added_later_and_an_exemption_that_ends_make_nothing_slip() {
    let mut world = World::with(&enforcing(&json!({})));
    world.pod("old", "nginx:1", THEN + 1, None);
    world.now = THEN + 10;
    world.changes(&enforcing(&json!({"requireLivenessProbe": true})));
    let state = world.state();
    assert_eq!((text(&state.slipped), state.violations()), (vec![], 1));
    world.pod("new", "nginx:1", THEN + 11, None);
    assert_eq!(world.slipped(), ["Pod/new 1"]);

    let end = at(THEN + 100).to_string();
    let exempt = json!({"exemptions": [
        {"rules": ["forbidLatestTag"], "reason": "r", "owner": "o", "expiresAt": end},
    ]});
    let mut world = World::with(&enforcing(&exempt));
    world.pod("spared", "nginx", THEN + 50, None);
    world.cart(Kind::Deployment, "nginx", THEN + 50);
    world.now = THEN + 100;
    let _ = world.index.age(at(world.now));
    let state = world.state();
    assert_eq!((text(&state.slipped), state.violations()), (vec![], 2));
    world.pod("new", "nginx", THEN + 101, None);
    assert_eq!(world.slipped(), ["Pod/new 1"]);
    // The exemption is removed as well.
    world.changes(&enforcing(&json!({})));
    assert_eq!(world.slipped(), ["Pod/new 1"]);
}

#[test]
fn a_leader_that_begins_knows_from_the_status_since_when_each_rule_denies() {
    let spec = enforcing(&json!({}));
    let times = BTreeMap::from([("forbidLatestTag".to_owned(), at(500))]);
    let enforced = Enforced::recorded(&policy(&spec).terms, &times, Some(at(550)));
    let recorded = |slipped: &[&str]| {
        let slipped = slipped.iter().map(|it| (*it).to_owned()).collect();
        let policy = RecordedPolicy { enforced: enforced.clone(), slipped };
        let policies = [("shop/p".to_owned(), policy)].into();
        Remembered { policies, ..Remembered::default() }
    };
    let away = |slipped: &[&str]| {
        let mut world = World::starting(&spec, recorded(slipped));
        world.pod("before", "nginx", 499, None);
        world.pod("while", "nginx", 501, None);
        world.of_cart("cart-1", "nginx", 549);
        world.cart(Kind::Deployment, "nginx", 400);
        world.lists_end();
        world
    };
    let mut world = away(&[]);
    assert_eq!(world.slipped(), ["Pod/while 1"]);
    assert_eq!(world.told(), ["Pod/while"]);
    assert_eq!(world.state_times(), [("forbidLatestTag".to_owned(), at(500))]);
    let mut world = away(&["Pod/while"]);
    assert_eq!(world.slipped(), ["Pod/while 1"]);
    assert_eq!(world.told(), NONE, "the last leader has told it");
    let mut forgotten = World::starting(&spec, Remembered::default());
    forgotten.pod("while", "nginx", 501, None);
    forgotten.lists_end();
    assert_eq!(forgotten.slipped(), NONE);
}

impl World {
    fn state_times(&mut self) -> Vec<(String, Timestamp)> {
        self.changes(&enforcing(&json!({"contact": "x"})));
        self.state().enforced.times().map(|(id, at)| (id.to_owned(), at)).collect()
    }
}

#[test]
fn a_namespace_that_comes_to_be_covered_has_nothing_slipped_from_before() {
    let selector = serde_json::from_value(json!({"matchLabels": {"team": "a"}})).unwrap();
    let cluster = || Scope::Cluster(Selection::new(Some(&selector), None).unwrap());
    let covered = |labelled: Option<Timestamp>| {
        let labels = [("team".to_owned(), "a".to_owned())].into();
        let shop = NamespaceMetadata { labels, labelled, ..NamespaceMetadata::default() };
        let mut index = AuditIndex::new(Remembered::default());
        let set = set(compile(cluster(), &enforcing(&json!({}))), shop);
        let _ = index.policies(set, at(THEN));
        list_begins(&mut index);
        let mut world = World { index, now: THEN };
        world.pod("before", "nginx", THEN + 10, None);
        world.pod("after", "nginx", THEN + 30, None);
        world.lists_end();
        world.slipped()
    };
    assert_eq!(covered(Some(at(THEN + 20))), ["Pod/after 1"]);
    assert_eq!(covered(None), ["Pod/after 1", "Pod/before 1"]);
}
