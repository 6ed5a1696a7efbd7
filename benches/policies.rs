//! `make bench`: many policies and namespaces, without an API server. From a watch event of a policy or namespace: the
//! time until the new set is in force, and the number of policies that were compiled; on the leader, the time of the
//! audit, and the number of namespaces that it judged again. And the memory of the set. All of it is the work of one
//! thread, and times are its CPU times, which a busy machine does not change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark that fails loudly is one"
)]

#[allow(dead_code, reason = "the other bench uses the rest")]
#[path = "api_server/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::Event;
use podgate::audit::index::{AuditIndex, Remembered};
use podgate::metrics::Metrics;
use podgate::policies::Policies;
use podgate::policies::index::PolicyIndex;
use podgate::policy::made_pod::MAKERS;
use podgate::policy::policy_set::PolicySet;
use podgate::policy::workload::Kind;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAMESPACES: usize = 5000;
/// Each namespace has a team and one of three stages.
const TEAMS: usize = 60;
/// The first of them select a team, a fifth of the rest a stage, and the others all namespaces.
const CLUSTER_POLICIES: usize = 100;
/// Each of them exempts this often.
const EXEMPTIONS: usize = 2;
/// Two in each of the first namespaces.
const OWN_POLICIES: usize = 400;
const PODS: usize = 2;
const ROUNDS: usize = 11;
const BUDGET: Duration = Duration::from_millis(50);

fn main() {
    let mut replica = Replica::default();
    let policies = (0..CLUSTER_POLICIES).map(|number| cluster_policy(number, 1));
    list(policies, |event| replica.index.cluster_policy(event));
    let policies = (0..OWN_POLICIES).map(|number| own_policy(number, 1));
    list(policies, |event| replica.index.policy(event));
    list([].into_iter(), |event| replica.index.namespace(event));
    replica.publish();
    let without = resident_mib();
    let namespaces = (0..NAMESPACES).map(|number| namespace(number, number % TEAMS));
    list(namespaces, |event| replica.index.namespace(event));
    let started = cpu_time();
    replica.publish();
    let first = cpu_time().saturating_sub(started);
    let with = resident_mib();
    println!(
        "{} policies, {} exemptions, {NAMESPACES} namespaces with {} plans",
        replica.set().len(),
        CLUSTER_POLICIES * EXEMPTIONS,
        replica.plans(),
    );
    println!("the first set of them took {:.1} ms", milliseconds(first));
    replica.audit_pods();

    println!(
        "median of {ROUNDS} changes, and range, in ms; the budget until it is in force is {:.0}",
        milliseconds(BUDGET)
    );
    println!(
        "{:<38} {:>8} {:>16} {:>9} {:>9} {:>16} {:>7}",
        "", "in force", "", "compiled", "audited", "", "judged"
    );
    let all = |round| Change::ClusterPolicy(Event::Apply(cluster_policy(TEAMS + 1, round)));
    replica.measure("a policy of all namespaces is edited", all);
    let team = |round| Change::ClusterPolicy(Event::Apply(cluster_policy(4, round)));
    replica.measure("a policy of a team is edited", team);
    let own = |round| Change::Policy(Event::Apply(own_policy(1, round)));
    replica.measure("a policy of one namespace is edited", own);
    let label = |round| Change::Namespace(Event::Apply(namespace(2500, round)));
    replica.measure("a namespace gets other labels", label);
    let created = |round| Change::Namespace(Event::Apply(namespace(NAMESPACES + round, round)));
    replica.measure("a namespace is created", created);
    let deleted = |round| Change::ClusterPolicy(Event::Delete(cluster_policy(round, 1)));
    replica.measure("a policy of a team is deleted", deleted);

    println!(
        "resident: {:.1} MiB with the policies, {:.1} MiB with the namespaces too, {:.0} bytes for each of them",
        without,
        with,
        (with - without) * 1024.0 * 1024.0 / NAMESPACES as f64
    );
}

/// A watch event.
enum Change {
    Policy(Event<DynamicObject>),
    ClusterPolicy(Event<DynamicObject>),
    Namespace(Event<PartialObjectMeta<Namespace>>),
}

/// Passes on a whole list of a kind.
fn list<K>(objects: impl Iterator<Item = K>, mut apply: impl FnMut(Event<K>) -> bool) {
    apply(Event::Init);
    for object in objects {
        apply(Event::InitApply(object));
    }
    assert!(apply(Event::InitDone));
}

/// A replica that leads.
struct Replica {
    index: PolicyIndex,
    in_force: Policies,
    metrics: Metrics,
    audit: AuditIndex,
}

impl Default for Replica {
    fn default() -> Self {
        Self {
            index: PolicyIndex::default(),
            in_force: Policies::default(),
            metrics: Metrics::new().unwrap(),
            audit: AuditIndex::new(Remembered::default()),
        }
    }
}

impl Replica {
    /// As the watch of policies does.
    fn publish(&mut self) {
        let before = self.in_force.load_full().unwrap_or_default();
        let set = Arc::new(self.index.set_after(&before));
        self.metrics.policies.loaded(&set, 0);
        self.in_force.store(Some(set));
    }

    fn set(&self) -> Arc<PolicySet> {
        self.in_force.load_full().unwrap()
    }

    fn plans(&self) -> usize {
        let set = self.set();
        let plans = (0..NAMESPACES).map(|number| {
            let plan = set.covering(Some(&name(number))).unwrap();
            std::ptr::from_ref(plan).addr()
        });
        plans.collect::<BTreeSet<_>>().len()
    }

    /// Audits the pods of every namespace.
    fn audit_pods(&mut self) {
        let now = Timestamp::now();
        let _ = self.audit.policies(self.set(), now);
        for kind in MAKERS.into_iter().chain([Kind::Pod]) {
            self.audit.list_begins(kind);
        }
        for pod in 0..NAMESPACES * PODS {
            let pod = json!({
                "metadata": {"name": format!("p{pod}"), "namespace": name(pod / PODS), "labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "ghcr.io/example/web:latest"}]},
                "status": {"phase": "Running"},
            });
            self.audit.pod::<false>(&serde_json::from_str(&pod.to_string()).unwrap(), now);
        }
        for kind in MAKERS.into_iter().chain([Kind::Pod]) {
            self.audit.list_ends(kind, now);
        }
        self.audit.take_scores();
    }

    fn measure(&mut self, what: &str, change: impl Fn(usize) -> Change) {
        let (mut in_force, mut audited) = (Vec::new(), Vec::new());
        let (mut compiled, mut judged) = (0, 0);
        for round in 0..ROUNDS {
            // The versions of a policy differ from the first one.
            let change = change(round + 2);
            let before = self.set();
            let started = cpu_time();
            let changed = match change {
                Change::Policy(event) => self.index.policy(event),
                Change::ClusterPolicy(event) => self.index.cluster_policy(event),
                Change::Namespace(event) => self.index.namespace(event),
            };
            assert!(changed);
            self.publish();
            in_force.push(cpu_time().saturating_sub(started));
            let set = self.set();
            let known: BTreeSet<_> = before.policies().iter().map(Arc::as_ptr).collect();
            let new = set.policies().iter().filter(|policy| !known.contains(&Arc::as_ptr(policy)));
            compiled += new.count();
            let started = cpu_time();
            let _ = self.audit.policies(set, Timestamp::now());
            audited.push(cpu_time().saturating_sub(started));
            judged += self.audit.take_scores().map_or(0, |scores| scores.changed.len());
        }
        let ((in_force, range), (audited, of_audit)) = (spread(in_force), spread(audited));
        println!(
            "{what:<38} {in_force:>8.2} {range:>16} {:>9.1} {audited:>9.2} {of_audit:>16} {:>7.1}",
            compiled as f64 / ROUNDS as f64,
            judged as f64 / ROUNDS as f64,
        );
    }
}

/// The median, and the range as text.
fn spread(mut took: Vec<Duration>) -> (f64, String) {
    took.sort();
    let of = |place: usize| milliseconds(took[place]);
    (of(took.len() / 2), format!("({:.2}–{:.2})", of(0), of(took.len() - 1)))
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn resident_mib() -> f64 {
    process::resident_mib(std::process::id())
}

fn name(namespace: usize) -> String {
    format!("namespace-{namespace}")
}

fn namespace(number: usize, team: usize) -> PartialObjectMeta<Namespace> {
    let name = name(number);
    let stage = ["test", "staging", "production"][number % 3];
    let labels = json!({
        "kubernetes.io/metadata.name": name,
        "team": format!("team-{}", team % TEAMS),
        "stage": stage,
        "pod-security.kubernetes.io/enforce": "baseline",
    });
    let annotations =
        json!({"owner": format!("team-{}@example.com", team % TEAMS), "cost-centre": "4711"});
    let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
    serde_json::from_value(json!({"metadata": metadata})).unwrap()
}

fn own_policy(number: usize, version: usize) -> DynamicObject {
    let mut policy = json!({"kind": "DevOpsPolicy", "spec": rules(number, version)});
    policy["metadata"] = json!({"namespace": name(number / 2)});
    object(policy, number, version)
}

fn cluster_policy(number: usize, version: usize) -> DynamicObject {
    let mut spec = rules(number, version);
    if number < TEAMS {
        spec["namespaceSelector"] = json!({"matchLabels": {"team": format!("team-{number}")}});
    } else if number.is_multiple_of(5) {
        let stage = json!({"key": "stage", "operator": "In", "values": ["staging", "production"]});
        spec["namespaceSelector"] = json!({"matchExpressions": [stage]});
        spec["excludeNamespaces"] = json!([name(number), name(2 * number)]);
    }
    let exemption = |place: usize| {
        json!({
            "rules": ["podSecurity"], "namespaces": [format!("namespace-{number}*")],
            "names": [format!("legacy-{place}-*")], "reason": "is replaced", "owner": "platform",
        })
    };
    spec["podSecurity"] = "baseline".into();
    spec["exemptions"] = (0..EXEMPTIONS).map(exemption).collect();
    object(json!({"kind": "ClusterDevOpsPolicy", "spec": spec}), number, version)
}

/// Rules of several kinds; every fifth policy has validations in CEL.
fn rules(number: usize, version: usize) -> Value {
    let restarts = version + 2;
    match number % 5 {
        0 => json!({"forbidLatestTag": true, "maxRestartCount": restarts}),
        1 => json!({"requireLivenessProbe": true, "maxRestartCount": restarts}),
        2 => json!({"requireResourceRequests": ["cpu", "memory"], "maxRestartCount": restarts}),
        3 => {
            let key = format!("label-{number}");
            json!({"requiredLabels": [{"key": key, "pattern": "^[a-z-]+$"}], "maxRestartCount": restarts})
        }
        _ => {
            let validation = |place: usize| {
                json!({
                    "name": format!("most-containers-{place}"),
                    "expression": format!("variables.count <= {} && object.metadata.?labels.hasValue()", restarts + place),
                    "message": "there are too many containers",
                })
            };
            json!({
                "variables": [{"name": "count", "expression": "object.spec.containers.size()"}],
                "validations": [validation(1), validation(2), validation(3)],
            })
        }
    }
}

fn object(mut policy: Value, number: usize, version: usize) -> DynamicObject {
    policy["apiVersion"] = "devops.stochastic.io/v1".into();
    policy["metadata"]["name"] = format!("policy-{number}").into();
    policy["metadata"]["uid"] = format!("{}", policy["metadata"]).into();
    policy["metadata"]["generation"] = version.into();
    serde_json::from_value(policy).unwrap()
}
