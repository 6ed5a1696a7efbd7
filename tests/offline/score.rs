//! The score means the same at every door: `scan`, `analyze`, the audit's metrics and a policy's status. `docs/score.md`
//! has the scores of twenty clusters, which are computed here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use podgate::analysis::analyzer::Analyzer;
use podgate::analysis::result::Analysis;
use podgate::audit::index::{AuditIndex, Remembered};
use podgate::audit::pod::ObservedPod;
use podgate::inputs;
use podgate::policy::compile::Policy;
use podgate::policy::made_pod::made_pod;
use podgate::policy::policy_set::{NamespaceMetadata, PolicySet};
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::workload::Kind;
use podgate::scan::manifest::{Creator, ManifestJudge};
use podgate::scan::offline;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::audit_index::{list_begins, list_ends};
use crate::support::manifests::{APPLIED, held_by, probed_pod};

const NOW: &str = "2026-01-01T01:00:00Z";
/// The restarts that count whole: ten times the allowed 3, and more.
const MANY_RESTARTS: u32 = 100;

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn everywhere(spec: &Value) -> Arc<Policy> {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    let scope = Scope::Cluster(Selection::default());
    Arc::new(Policy::compile(scope, "every".to_owned(), &spec).unwrap())
}

fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap()
}

/// Workloads, bare pods among them, and the pods that run.
#[derive(Default)]
struct Cluster {
    workloads: Vec<Value>,
    pods: Vec<Value>,
}

impl Cluster {
    /// Adds a workload with this many pods.
    fn add(&mut self, workload: Value, replicas: usize) {
        self.pods.extend(pods_of(&workload, replicas));
        self.workloads.push(workload);
    }

    fn namespaces(&self) -> impl Iterator<Item = String> {
        self.workloads.iter().map(|it| namespace(it).to_owned())
    }

    /// The workloads that make pods.
    fn makers(&self) -> impl Iterator<Item = (Kind, &Value)> {
        let kinds = self.workloads.iter().map(|it| (kind(it), it));
        kinds.filter(|(kind, _)| *kind != Kind::Pod)
    }

    fn set(&self, policies: &[Arc<Policy>]) -> PolicySet {
        let names = self.namespaces().map(|it| (it, NamespaceMetadata::default()));
        PolicySet::new(policies.to_vec(), Arc::new(names.collect()))
    }
}

fn kind(object: &Value) -> Kind {
    Kind::ALL.into_iter().find(|it| object["kind"] == it.names().kind).unwrap()
}

fn analysis(policies: &[Arc<Policy>], cluster: &Cluster) -> Analysis {
    let (set, default_checks) = (cluster.set(policies), PolicySet::default_checks());
    let mut analyzer = Analyzer::new(&set, &default_checks, cluster.namespaces(), now());
    for pod in &cluster.pods {
        analyzer.pod(&pod.to_string());
    }
    for (kind, workload) in cluster.makers() {
        analyzer.workload(kind, &workload.to_string());
    }
    analyzer.finish()
}

/// The scores that the leader publishes: of the cluster, of the namespaces, and of each policy with its lost points.
struct Audited {
    cluster: Option<u8>,
    namespaces: BTreeMap<String, u8>,
    policies: Vec<(Option<u8>, BTreeMap<&'static str, u8>)>,
}

fn audited(policies: &[Arc<Policy>], cluster: &Cluster) -> Audited {
    let mut index = AuditIndex::new(Remembered::default());
    let _ = index.policies(Arc::new(cluster.set(policies)), now());
    list_begins(&mut index);
    for (kind, workload) in cluster.makers() {
        let made = made_pod(kind, &workload.to_string()).unwrap();
        let name = workload["metadata"]["name"].as_str().unwrap();
        index.workload(kind, (namespace(workload), name), made.as_ref(), now());
    }
    for pod in &cluster.pods {
        index.pod(&serde_json::from_str::<ObservedPod<false>>(&pod.to_string()).unwrap(), now());
    }
    list_ends(&mut index, now());
    let scores = index.take_scores();
    let policies = index.take_policies(now()).into_iter().filter_map(|it| it.observed);
    let policies = policies.map(|it| {
        let score = it.score.as_ref();
        let lost_points = score.map(|it| it.lost_points.clone()).unwrap_or_default();
        (score.map(|it| it.points), lost_points)
    });
    let changed = scores.iter().flat_map(|it| &it.changed);
    Audited {
        cluster: scores.as_ref().and_then(|it| it.cluster.as_ref()).map(|it| it.points),
        namespaces: changed
            .filter_map(|it| Some((it.name.clone(), it.score.as_ref()?.points)))
            .collect(),
        policies: policies.collect(),
    }
}

fn scanned(policies: &[Arc<Policy>], objects: &[Value]) -> Option<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("objects.json");
    fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())
        .unwrap();
    let (inputs, faults) = inputs::find(&[file]);
    let policies = PolicySet::new(policies.iter().cloned(), Arc::default());
    let judge = ManifestJudge {
        policies: &policies,
        namespace: None,
        now: now(),
        as_written: false,
        creator: Creator::User,
    };
    let report = offline::scan(&inputs, &judge, &|_| ());
    assert!(faults.is_empty() && report.faults.is_empty(), "{:?}", report.faults);
    report.summary.score
}

/// The running pods of an object.
fn pods_of(object: &Value, replicas: usize) -> Vec<Value> {
    let kind = object["kind"].as_str().unwrap();
    let name = object["metadata"]["name"].as_str().unwrap();
    let status =
        json!({"phase": "Running", "containerStatuses": [{"name": "web", "restartCount": 0}]});
    if kind == "Pod" {
        let mut pod = object.clone();
        pod["status"] = status;
        return vec![pod];
    }
    let mut pod = object["spec"]["template"].clone();
    let (owner_kind, owner) = match kind {
        "Deployment" => {
            pod["metadata"]["labels"]["pod-template-hash"] = json!("5d4");
            ("ReplicaSet", format!("{name}-5d4"))
        }
        kind => (kind, name.to_owned()),
    };
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": owner_kind, "name": owner, "uid": "u", "controller": true,
    }]);
    pod["metadata"]["namespace"] = object["metadata"]["namespace"].clone();
    pod["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    pod["status"] = status;
    let pods = (0..replicas).map(|number| {
        let mut pod = pod.clone();
        pod["metadata"]["name"] = json!(format!("{owner}-{number}"));
        pod
    });
    pods.collect()
}

/// Checks that a cluster, and the manifests of its workloads, have the same score at every door. Returns the score.
fn one_score(spec: &Value, cluster: &Cluster) -> Option<u8> {
    let policies = [everywhere(spec)];
    let analysis = analysis(&policies, cluster);
    let audited = audited(&policies, cluster);
    let score = analysis.summary.counts.score;
    assert_eq!(scanned(&policies, &cluster.workloads), score, "scan and analyze");
    assert_eq!(audited.cluster, score, "metrics and analyze");
    assert_eq!(
        audited.policies,
        [(score, analysis.summary.lost_points)],
        "status and analyze, since one policy covers all"
    );
    let scored = analysis.namespaces.iter();
    let scored = scored.filter_map(|it| Some((it.namespace.clone(), it.score?)));
    assert_eq!(audited.namespaces, scored.collect(), "the namespaces' metrics and analyze");
    score
}

/// The rules of the random objects, and of the page.
fn rules() -> Value {
    json!({
        "forbidLatestTag": true, "requireLivenessProbe": true, "requireReadinessProbe": true,
        "maxRestartCount": 3, "forbidPendingDuration": 300, "podSecurity": "baseline",
        "requireResourceLimits": ["memory"],
    })
}

/// A pod that keeps all [`rules`].
fn good_pod(name: &str, namespace: &str) -> Value {
    let mut spec = probed_pod("nginx:1.29");
    spec["containers"][0]["resources"] = json!({"limits": {"memory": "64Mi"}});
    json!({"metadata": {"name": name, "namespace": namespace, "labels": {"app": name}}, "spec": spec})
}

/// An object of a kind that holds the pod, in the pod's namespace.
fn in_namespace(kind: Kind, pod: &Value) -> Value {
    let mut object = held_by(kind, pod);
    object["metadata"]["namespace"] = pod["metadata"]["namespace"].clone();
    object
}

fn breaks(pod: &mut Value, rule: &str) {
    let container = &mut pod["spec"]["containers"][0];
    match rule {
        "forbidLatestTag" => container["image"] = json!("nginx"),
        "requireLivenessProbe" => drop(container["livenessProbe"].take()),
        "requireReadinessProbe" => drop(container["readinessProbe"].take()),
        "requireResourceLimits" => drop(container["resources"].take()),
        "podSecurity" => pod["spec"]["hostNetwork"] = json!(true),
        "maxRestartCount" => {
            pod["status"]["containerStatuses"][0]["restartCount"] = json!(MANY_RESTARTS);
        }
        "forbidPendingDuration" => pod["status"]["phase"] = json!("Pending"),
        other => panic!("no pod here breaks {other}"),
    }
}

#[test]
fn the_demo_application_has_one_score() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/demo-application.yaml");
    let text = fs::read_to_string(file).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let workloads = documents.into_iter().filter(|it| it["spec"]["template"].is_object());
    let workloads: Vec<_> = workloads
        .map(|mut workload| {
            workload["metadata"]["namespace"] = json!("shop");
            workload
        })
        .collect();
    assert_eq!(workloads.len(), 12);
    for replicas in [0, 2] {
        let mut cluster = Cluster::default();
        for workload in &workloads {
            cluster.add(workload.clone(), replicas);
        }
        // 2 of 12 run an image without a tag: 30 · ln 3 / ln 13 = 12.849 is lost.
        assert_eq!(one_score(&json!({"forbidLatestTag": true}), &cluster), Some(87));
        for bundle in ["permissive", "baseline", "restricted"] {
            assert!(one_score(&json!({"bundle": bundle}), &cluster).is_some());
        }
    }
}

/// A namespace, a kind, the number of running pods, and the rules that are broken.
type Random = (usize, Kind, usize, Vec<&'static str>);

fn workloads() -> impl Strategy<Value = Vec<Random>> {
    let rules = [
        "forbidLatestTag",
        "requireLivenessProbe",
        "requireReadinessProbe",
        "podSecurity",
        "requireResourceLimits",
    ];
    let broken = prop::sample::subsequence(rules.to_vec(), 0..=rules.len());
    prop::collection::vec((0..3usize, prop::sample::select(&APPLIED[..]), 0..4usize, broken), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn random_workloads_have_one_score(workloads in workloads(), severity in 0..4usize) {
        let mut cluster = Cluster::default();
        for (number, (namespace, kind, replicas, broken)) in workloads.into_iter().enumerate() {
            let namespace = ["lab", "shop", "till"][namespace];
            let mut pod = good_pod(&format!("w{number}"), namespace);
            for rule in broken {
                breaks(&mut pod, rule);
            }
            if matches!(kind, Kind::Job | Kind::CronJob) {
                pod["spec"]["restartPolicy"] = json!("Never");
            }
            // The pods of a CronJob are those of its Jobs.
            let replicas = if kind == Kind::CronJob { 0 } else { replicas };
            cluster.add(in_namespace(kind, &pod), replicas);
        }
        let mut spec = rules();
        let severity = ["low", "medium", "high", "critical"][severity];
        spec["severityOverrides"] = json!({"podSecurity": severity});
        let score = one_score(&spec, &cluster);
        prop_assert_eq!(score.is_none(), cluster.workloads.is_empty());
    }
}

/// A cluster as the page writes it: `10: RULE 3, RULE 0.5 + 4`. Each workload has two pods.
fn written(text: &str) -> Cluster {
    let mut cluster = Cluster::default();
    for (number, namespace) in text.split('+').enumerate() {
        let (workloads, broken) = namespace.split_once(':').unwrap_or((namespace, ""));
        let workloads: usize = workloads.trim().parse().unwrap();
        let first = cluster.pods.len();
        for workload in 0..workloads {
            let pod = good_pod(&format!("w{workload}"), &format!("n{number}"));
            cluster.add(in_namespace(Kind::Deployment, &pod), 2);
        }
        for broken in broken.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let (rule, count) = broken.rsplit_once(' ').unwrap();
            let violating = match count {
                "0.5" => 1,
                whole => 2 * whole.parse::<usize>().unwrap(),
            };
            for pod in &mut cluster.pods[first..first + violating] {
                breaks(pod, rule.trim_matches('`'));
            }
        }
    }
    cluster
}

#[test]
fn the_clusters_of_the_page_have_the_scores_that_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/score.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("## Twenty clusters").unwrap();
    let policies = [everywhere(&rules())];
    let mut lines = 0;
    for line in table.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, number, text, score, class, _, _] = cells[..] else { continue };
        if number.parse::<u8>().is_err() {
            continue;
        }
        lines += 1;
        let cluster = written(text);
        let summary = analysis(&policies, &cluster).summary;
        let shown = |it: Option<String>| it.unwrap_or_else(|| "-".to_owned());
        assert_eq!(shown(summary.counts.score.map(|it| it.to_string())), score, "{line}");
        assert_eq!(shown(summary.classification.map(|it| format!("{it:?}"))), class, "{line}");
        assert_eq!(audited(&policies, &cluster).cluster, summary.counts.score, "{line}");
    }
    assert_eq!(lines, 20);
}
