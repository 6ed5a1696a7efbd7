//! Part of `make test`: the audit's index, which works incrementally, matches a full count after any sequence of
//! events. The full count is that of `podgate analyze`, and shares only the engine with the index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use podgate::analysis::analyzer::Analyzer;
use podgate::analysis::result::Analysis;
use podgate::api::EnforcementMode;
use podgate::api::ExemptionPhase::{Active, Expired, Unused};
use podgate::audit::index::{AuditIndex, NextStep, Remembered};
use podgate::audit::pod::ObservedPod;
use podgate::policy::compile::Policy;
use podgate::policy::made_pod::{MAKERS, made_pod};
use podgate::policy::observed::Changed;
use podgate::policy::policy_set::{NamespaceMetadata, PolicySet};
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::text::cut;
use podgate::policy::workload::Kind;
use proptest::prelude::*;
use serde_json::{Value, json};

const NAMESPACES: [&str; 3] = ["lab", "shop", "kube-system"];

/// An event.
#[derive(Clone, Debug)]
enum Step {
    Apply {
        namespace: usize,
        pod: usize,
        image: usize,
        restarts: u32,
        phase: usize,
    },
    Delete {
        namespace: usize,
        pod: usize,
    },
    Deployment {
        namespace: usize,
        owner: usize,
        image: usize,
        replicas: u32,
        running: u32,
    },
    DeleteDeployment {
        namespace: usize,
        owner: usize,
    },
    /// Everything is listed again; pods and Deployments whose index is in the mask are gone.
    List {
        gone: usize,
    },
    Policies {
        policies: Vec<(usize, usize)>,
    },
    Wait {
        seconds: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3usize, 0..6usize, 0..4usize, 0..6u32, 0..4usize).prop_map(
            |(namespace, pod, image, restarts, phase)| Step::Apply { namespace, pod, image, restarts, phase }
        ),
        2 => (0..3usize, 0..6usize).prop_map(|(namespace, pod)| Step::Delete { namespace, pod }),
        4 => (0..3usize, 0..3usize, 0..4usize, 0..3u32, 0..3u32).prop_map(
            |(namespace, owner, image, replicas, running)| Step::Deployment { namespace, owner, image, replicas, running }
        ),
        2 => (0..3usize, 0..3usize).prop_map(|(namespace, owner)| Step::DeleteDeployment { namespace, owner }),
        1 => (0..64usize).prop_map(|gone| Step::List { gone }),
        2 => prop::collection::vec((0..3usize, 0..7usize), 0..4).prop_map(|policies| Step::Policies { policies }),
        1 => (0..100u64).prop_map(|seconds| Step::Wait { seconds }),
    ];
    prop::collection::vec(step, 1..40)
}

/// Each Deployment has two pods; one pod has an owner of another kind.
fn pod(namespace: usize, pod: usize, image: usize, restarts: u32, phase: usize) -> Value {
    let owner = pod / 2;
    let image = ["nginx", "nginx:1.29", "ghcr.io/team/app:1", "registry:5000/app"][image];
    let phase = ["Running", "Pending", "Succeeded", "Running"][phase];
    json!({
        "metadata": {
            "name": format!("p{pod}"), "namespace": NAMESPACES[namespace],
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"pod-template-hash": "5d4", "app": format!("a{owner}")},
            "annotations": {"note": "n"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": format!("w{owner}-5d4"), "uid": "u", "apiVersion": "apps/v1", "controller": true}],
        },
        "spec": {"nodeName": "n", "containers": [{"name": "web", "image": image, "env": [{"name": "A", "value": "B"}]}],
            "volumes": [{"name": format!("kube-api-access-{pod}"), "projected": {"sources": []}}]},
        "status": {"phase": phase,
            "containerStatuses": [{"name": "web", "restartCount": restarts, "ready": true}]},
    })
}

/// Every policy. Each is compiled once, as one that stays in force is.
static POLICIES: LazyLock<Vec<[Arc<Policy>; 7]>> = LazyLock::new(|| {
    (0..3).map(|scope| std::array::from_fn(|spec| compile(scope, spec))).collect()
});

fn policy(scope: usize, spec: usize) -> Arc<Policy> {
    Arc::clone(&POLICIES[scope][spec])
}

/// A policy of a scope: one of the namespaces, or all.
fn compile(scope: usize, spec: usize) -> Arc<Policy> {
    let exempt =
        json!({"rules": ["forbidLatestTag"], "names": ["w1"], "reason": "r", "owner": "o"});
    let expiring = json!({"rules": ["maxRestartCount"], "reason": "r", "owner": "o", "expiresAt": "2026-01-01T00:03:00Z"});
    let spec = [
        json!({"forbidLatestTag": true}),
        json!({"forbidLatestTag": true, "maxRestartCount": 2, "severityOverrides": {"forbidLatestTag": "low"}}),
        json!({"forbidLatestTag": true, "requireLivenessProbe": true, "exemptions": [exempt.clone()]}),
        json!({"forbidPendingDuration": 60, "allowedRegistries": ["ghcr.io/team"]}),
        json!({"bundle": "restricted"}),
        json!({"maxRestartCount": 1, "exemptions": [expiring]}),
        json!({"enforcementMode": "enforce", "forbidLatestTag": true, "exemptions": [exempt]}),
    ][spec]
        .clone();
    let scopes = || match scope {
        2 => Scope::Cluster(Selection::default()),
        own => Scope::Namespace(NAMESPACES[own].to_owned()),
    };
    let spec = serde_json::from_value(spec).unwrap();
    Arc::new(Policy::compile(scopes(), format!("p{scope}"), &spec).unwrap())
}

fn set(policies: &[(usize, usize)]) -> Arc<PolicySet> {
    set_after(&PolicySet::default(), policies)
}

fn set_after(before: &PolicySet, policies: &[(usize, usize)]) -> Arc<PolicySet> {
    // Names are unique, as in a cluster.
    let named: BTreeMap<_, _> = policies.iter().map(|(scope, spec)| (*scope, *spec)).collect();
    let policies = named.into_iter().map(|(scope, spec)| policy(scope, spec));
    let known = NAMESPACES.map(|name| (name, Arc::default()));
    Arc::new(before.updated(policies, known.iter().map(|(name, known)| (*name, known))))
}

fn observed(pod: &Value) -> ObservedPod<false> {
    serde_json::from_str(&pod.to_string()).unwrap()
}

fn index() -> AuditIndex {
    AuditIndex::new(Remembered::default())
}

/// Begins the lists of pods and of all kinds of workloads.
pub fn list_begins(index: &mut AuditIndex) {
    index.list_begins(Kind::Pod);
    for kind in MAKERS {
        index.list_begins(kind);
    }
}

pub fn list_ends(index: &mut AuditIndex, now: Timestamp) {
    for kind in MAKERS {
        index.list_ends(kind, now);
    }
    index.list_ends(Kind::Pod, now);
}

/// The Deployment of two of the pods.
fn deployment(namespace: usize, owner: usize, image: usize, replicas: u32, running: u32) -> Value {
    let mut template = pod(namespace, 2 * owner, image, 0, 0);
    for field in ["name", "namespace", "ownerReferences", "creationTimestamp"] {
        template["metadata"].as_object_mut().unwrap().remove(field);
    }
    json!({
        "metadata": {"name": format!("w{owner}"), "namespace": NAMESPACES[namespace]},
        "spec": {"replicas": replicas, "template": template},
        "status": {"replicas": running, "updatedReplicas": running},
    })
}

fn apply_deployment(index: &mut AuditIndex, deployment: &Value, now: Timestamp) {
    let made = made_pod(Kind::Deployment, &deployment.to_string()).unwrap();
    let text = |field: &str| deployment["metadata"][field].as_str().unwrap();
    index.workload(Kind::Deployment, (text("namespace"), text("name")), made.as_ref(), now);
}

/// Objects by the indices of their namespace and name.
type Objects = BTreeMap<(usize, usize), Value>;

fn analysis(set: &PolicySet, pods: &Objects, deployments: &Objects, now: Timestamp) -> Analysis {
    let default_checks = PolicySet::default_checks();
    let mut analyzer = Analyzer::new(set, &default_checks, ["lab", "shop"].map(str::to_owned), now);
    for pod in pods.values() {
        analyzer.pod(&pod.to_string());
    }
    for deployment in deployments.values() {
        analyzer.workload(Kind::Deployment, &deployment.to_string());
    }
    analyzer.finish()
}

/// The status of each policy in the index: the numbers of violations, of refused workloads and of pods at risk, and
/// everything else as text.
fn statuses(index: &mut AuditIndex, now: Timestamp) -> BTreeMap<String, ([u64; 3], String)> {
    let updates = index.take_policies(now).into_iter().filter_map(|it| it.observed);
    let statuses = updates.map(|it| {
        let worst = it.worst.iter();
        let worst: Vec<_> = worst
            .map(|it| format!("{:?} {} {} {}", it.workload, it.fault.id, it.severity, it.pods))
            .collect();
        let score = &it.score;
        let text = format!(
            "{score:?} {} {:?} {:?} {worst:?} {:?} {:?}",
            it.workloads, it.open, it.exemptions, it.refused, it.at_risk
        );
        (it.policy.label.clone(), ([it.violations(), it.refused.workloads, it.at_risk.pods], text))
    });
    statuses.collect()
}

/// The pods that a policy would refuse if they were made again: only one of the specs enforces, and it forbids images
/// without a tag, but not of `w1`.
fn pods_at_risk(policy: &Policy, pods: &Objects, deployments: &Objects) -> u64 {
    let at_risk = pods.iter().filter(|((namespace, pod), object)| {
        let owner = pod / 2;
        let ended = object["status"]["phase"] == "Succeeded";
        let own = &object["spec"];
        let template =
            deployments.get(&(*namespace, owner)).map(|it| &it["spec"]["template"]["spec"]);
        let image = template.unwrap_or(own)["containers"][0]["image"].as_str().unwrap();
        let latest = ["nginx", "registry:5000/app"].contains(&image);
        let covered = policy.scope.covers(NAMESPACES[*namespace], None) && *namespace != 2;
        !ended && latest && covered && owner != 1
    });
    if policy.mode == EnforcementMode::Enforce { at_risk.count() as u64 } else { 0 }
}

/// The scores that were reported so far: the cluster's, and those of the namespaces.
#[derive(Default)]
struct Scores(Option<u8>, BTreeMap<String, u8>);

impl Scores {
    fn take(&mut self, index: &mut AuditIndex) {
        let Some(scores) = index.take_scores() else { return };
        self.0 = scores.cluster.map(|it| it.points);
        for counts in scores.changed {
            match counts.score {
                Some(score) => drop(self.1.insert(counts.name, score.points)),
                None => drop(self.1.remove(&counts.name)),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn after_any_sequence_of_events_the_index_matches_a_fresh_count(steps in steps()) {
        let mut now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
        let mut pods = BTreeMap::new();
        let mut deployments = BTreeMap::new();
        let mut policies = set(&[]);
        let mut index = index();
        let mut scores = Scores::default();
        let _ = index.policies(Arc::clone(&policies), now);
        list_begins(&mut index);
        list_ends(&mut index, now);
        for step in steps {
            match step {
                Step::Apply { namespace, pod: name, image, restarts, phase } => {
                    let object = pod(namespace, name, image, restarts, phase);
                    index.pod(&observed(&object), now);
                    pods.insert((namespace, name), object);
                }
                Step::Delete { namespace, pod } => {
                    index.delete(NAMESPACES[namespace], &format!("p{pod}"), now);
                    pods.remove(&(namespace, pod));
                }
                Step::Deployment { namespace, owner, image, replicas, running } => {
                    let object = deployment(namespace, owner, image, replicas, running);
                    apply_deployment(&mut index, &object, now);
                    deployments.insert((namespace, owner), object);
                }
                Step::DeleteDeployment { namespace, owner } => {
                    let key = (NAMESPACES[namespace], &*format!("w{owner}"));
                    index.delete_workload(Kind::Deployment, key, now);
                    deployments.remove(&(namespace, owner));
                }
                Step::List { gone } => {
                    pods.retain(|(_, pod), _| gone & (1 << pod) == 0);
                    deployments.retain(|(_, owner), _| gone & (1 << owner) == 0);
                    list_begins(&mut index);
                    for pod in pods.values() {
                        index.pod(&observed(pod), now);
                    }
                    for deployment in deployments.values() {
                        apply_deployment(&mut index, deployment, now);
                    }
                    list_ends(&mut index, now);
                }
                Step::Policies { policies: next } => {
                    policies = set_after(&policies, &next);
                    let _ = index.policies(Arc::clone(&policies), now);
                }
                Step::Wait { seconds } => {
                    now += Duration::from_secs(seconds);
                    let _ = index.age(now);
                }
            }
            // Reports in between must not change the result.
            if pods.len() % 2 == 0 {
                index.take_policies(now);
                scores.take(&mut index);
            }
        }
        list_begins(&mut index);
        for pod in pods.values() {
            index.pod(&observed(pod), now);
        }
        for deployment in deployments.values() {
            apply_deployment(&mut index, deployment, now);
        }
        list_ends(&mut index, now);
        let mut fresh = self::index();
        let _ = fresh.policies(Arc::clone(&policies), now);
        list_begins(&mut fresh);
        for deployment in deployments.values() {
            apply_deployment(&mut fresh, deployment, now);
        }
        for pod in pods.values() {
            fresh.pod(&observed(pod), now);
        }
        list_ends(&mut fresh, now);
        let counted = statuses(&mut fresh, now);
        prop_assert_eq!(&statuses(&mut index, now), &counted);

        let analysis = analysis(&policies, &pods, &deployments, now);
        let mut expected = BTreeMap::new();
        for policy in policies.policies() {
            let at_risk = pods_at_risk(policy, &pods, &deployments);
            expected.insert(policy.label.clone(), [0, 0, at_risk]);
        }
        let violations = analysis.results.iter().map(|it| (&it.policy, 0));
        let refused = analysis.refused.iter().flat_map(|it| it.policies.iter().map(|it| (it, 1)));
        for (policy, place) in violations.chain(refused) {
            if let Some(counts) = expected.get_mut(policy) {
                counts[place] += 1;
            }
        }
        let counted: BTreeMap<_, _> =
            counted.into_iter().map(|(policy, (counts, _))| (policy, counts)).collect();
        prop_assert_eq!(counted, expected);
        scores.take(&mut index);
        let Scores(cluster, by_namespace) = scores;
        prop_assert_eq!(cluster, analysis.summary.counts.score);
        let scored = analysis.namespaces.iter();
        let expected = scored.filter_map(|it| Some((it.namespace.clone(), it.score?)));
        prop_assert_eq!(by_namespace, expected.collect());
    }
}

#[test]
fn violations_that_come_and_go_between_two_ticks_are_no_change() {
    let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
    let mut index = index();
    let _ = index.policies(set(&[(1, 0)]), now);
    list_begins(&mut index);
    index.pod(&observed(&pod(1, 0, 0, 0, 0)), now);
    list_ends(&mut index, now);
    assert!(index.take_changes().is_empty(), "existing violations are no change");
    // A pod is replaced by another one of the same workload, and another workload is created and deleted.
    index.delete("shop", "p0", now);
    index.pod(&observed(&pod(1, 1, 0, 0, 0)), now);
    index.pod(&observed(&pod(1, 4, 0, 0, 0)), now);
    index.delete("shop", "p4", now);
    assert!(index.take_changes().is_empty());
    index.pod(&observed(&pod(1, 1, 1, 0, 0)), now);
    let changes = index.take_changes();
    assert_eq!(changes.len(), 1);
    let closed =
        |it: &Changed| matches!(it, Changed::Closed(violation) if violation.workload.name == "w0");
    assert!(closed(&changes[0].what));
}

#[test]
fn nothing_is_reported_before_every_pod_was_listed_and_nothing_is_lost_during_a_new_list() {
    let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
    let mut index = index();
    let _ = index.policies(set(&[(1, 0)]), now);
    list_begins(&mut index);
    index.pod(&observed(&pod(1, 0, 0, 0, 0)), now);
    assert!(index.take_policies(now).is_empty() && index.take_namespaces().is_none());
    list_ends(&mut index, now);
    assert!(index.take_namespaces().is_some(), "the first result has all namespaces");
    assert!(index.take_namespaces().is_none());
    assert_eq!(index.take_policies(now)[0].observed.as_ref().unwrap().violations(), 1);
    list_begins(&mut index);
    index.pod(&observed(&pod(1, 2, 0, 0, 0)), now);
    let observed = index.take_policies(now).remove(0).observed.unwrap();
    assert_eq!(observed.violations(), 2, "an unfinished list removes no pods");
    list_ends(&mut index, now);
    assert_eq!(index.take_policies(now)[0].observed.as_ref().unwrap().violations(), 1);
}

#[test]
fn a_policy_that_covers_nothing_is_published_again_when_namespaces_come_go_or_change_their_labels()
{
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let selector = serde_json::from_value(json!({"matchLabels": {"team": "shop"}})).unwrap();
    let scope = Scope::Cluster(Selection::new(Some(&selector), None).unwrap());
    let spec = serde_json::from_value(json!({"forbidLatestTag": true})).unwrap();
    let policy = Arc::new(Policy::compile(scope, "shops".to_owned(), &spec).unwrap());
    let mut index = index();
    list_begins(&mut index);
    list_ends(&mut index, now);
    // The sentence that is published after the namespaces changed; nothing where the policy's state did not change.
    let mut after = |namespaces: &[(&str, &str)]| {
        let known = namespaces.iter().map(|(name, team)| {
            let labels = BTreeMap::from([("team".to_owned(), (*team).to_owned())]);
            ((*name).to_owned(), NamespaceMetadata { labels, ..NamespaceMetadata::default() })
        });
        let set = PolicySet::new([Arc::clone(&policy)], Arc::new(known.collect()));
        let _ = index.policies(Arc::new(set), now);
        let mut updates = index.take_policies(now);
        let observed = updates.pop()?.observed?;
        Some(observed.covers_nothing.clone().unwrap_or_else(|| "covers a namespace".to_owned()))
    };
    let none = Some("no namespace has the labels team=shop".to_owned());
    let some = Some("covers a namespace".to_owned());
    assert_eq!(after(&[("lab", "lab")]), none);
    assert_eq!(after(&[("lab", "lab"), ("web", "web")]), None);
    assert_eq!(after(&[("lab", "lab"), ("shop", "shop")]), some);
    assert_eq!(after(&[("lab", "lab"), ("shop", "web")]), none);
    assert_eq!(after(&[("lab", "shop")]), some);
    assert_eq!(after(&[("web", "web")]), none);
}

#[test]
fn only_the_namespaces_whose_policies_changed_are_judged_again() {
    let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
    let mut index = index();
    let first = set(&[(0, 0), (1, 0)]);
    let _ = index.policies(Arc::clone(&first), now);
    list_begins(&mut index);
    for namespace in [0, 1] {
        index.pod(&observed(&pod(namespace, 0, 0, 0, 0)), now);
    }
    list_ends(&mut index, now);
    let mut judged = |set: &Arc<PolicySet>| {
        let _ = index.policies(Arc::clone(set), now);
        let changed = index.take_scores().map(|scores| scores.changed).unwrap_or_default();
        changed.into_iter().map(|it| it.name).collect::<Vec<_>>()
    };
    assert_eq!(judged(&first), ["lab", "shop"], "the first result has all namespaces");
    assert_eq!(judged(&set_after(&first, &[(0, 0), (1, 0)])), Vec::<String>::new());
    let edited = set_after(&first, &[(0, 0), (1, 2)]);
    assert_eq!(judged(&edited), ["shop"]);
    assert_eq!(judged(&set_after(&edited, &[(0, 0), (1, 2), (2, 3)])), ["lab", "shop"]);
}

#[test]
fn a_pod_missing_from_a_new_list_is_removed_even_if_it_grows_old_during_the_list() {
    let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
    let mut index = index();
    let _ = index.policies(set(&[(1, 3)]), now);
    list_begins(&mut index);
    index.pod(&observed(&pod(1, 0, 2, 0, 1)), now);
    list_ends(&mut index, now);
    list_begins(&mut index);
    let later = now + Duration::from_mins(1);
    let _ = index.age(later);
    assert_eq!(index.take_policies(later)[0].observed.as_ref().unwrap().violations(), 1);
    list_ends(&mut index, later);
    assert_eq!(index.pods(), 0);
}

/// Found in CI: when a policy was edited within the half second between the end of an exemption and the next tick, the
/// index lost that end.
#[test]
fn an_exemption_that_ends_between_two_ticks_is_not_lost_when_policies_change() {
    let now: Timestamp = "2026-01-01T00:02:59Z".parse().unwrap();
    let mut index = index();
    let exempting = policy(1, 5);
    let known = Arc::new(NAMESPACES.map(|it| (it.to_owned(), NamespaceMetadata::default())).into());
    let set = |more: &[Arc<Policy>]| {
        let policies = [&[Arc::clone(&exempting)], more].concat();
        Arc::new(PolicySet::new(policies, Arc::clone(&known)))
    };
    let _ = index.policies(set(&[]), now);
    list_begins(&mut index);
    index.pod(&observed(&pod(1, 0, 1, 3, 0)), now);
    list_ends(&mut index, now);
    assert_eq!(index.take_policies(now)[0].observed.as_ref().unwrap().violations(), 0);
    let later = now + Duration::from_secs(2);
    let _ = index.policies(set(&[policy(0, 0)]), later);
    let _ = index.age(later);
    let observed = index.take_policies(later).into_iter().filter_map(|it| it.observed);
    let violations =
        observed.map(|it| (it.policy.label.clone(), it.violations())).collect::<Vec<_>>();
    assert!(violations.contains(&("shop/p1".to_owned(), 1)), "{violations:?}");
}

#[test]
fn an_exemption_counts_the_workloads_that_need_it_however_many_pods_and_violations_they_have() {
    let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
    let exemption = |rule: &str| json!({"rules": [rule], "reason": "r", "owner": "o", "expiresAt": "2026-01-01T00:01:00Z"});
    let spec = json!({"forbidLatestTag": true, "requireLivenessProbe": true, "requireReadinessProbe": true,
    "maxRestartCount": 9, "exemptions": [
        exemption("forbidLatestTag"), exemption("requireLivenessProbe"), exemption("requireLivenessProbe"),
        exemption("maxRestartCount"),
    ]});
    let spec = serde_json::from_value(spec).unwrap();
    let everywhere = Scope::Cluster(Selection::default());
    let policy = Arc::new(Policy::compile(everywhere, "own".to_owned(), &spec).unwrap());
    let known = NAMESPACES.map(|it| (it.to_owned(), NamespaceMetadata::default()));
    let mut index = index();
    let set = PolicySet::new([policy], Arc::new(known.into()));
    let _ = index.policies(Arc::new(set), now);
    list_begins(&mut index);
    // Six pods in each of two namespaces; those of the first Deployment have a good image.
    let mut pods = Vec::new();
    for (namespace, name) in [0, 1].into_iter().flat_map(|it| (0..6).map(move |pod| (it, pod))) {
        pods.push(observed(&pod(namespace, name, usize::from(name < 2), 0, 0)));
    }
    for pod in &pods {
        index.pod(pod, now);
    }
    list_ends(&mut index, now);
    let mut used = |now: Timestamp| {
        let _ = index.age(now);
        let observed = index.take_policies(now).pop().unwrap().observed.unwrap();
        observed.exemptions.iter().map(|it| (it.phase, it.workloads)).collect::<Vec<_>>()
    };
    assert_eq!(used(now), [(Active, 4), (Active, 6), (Unused, 0), (Unused, 0)]);
    assert_eq!(used(now + Duration::from_secs(30)), [(Expired, 0); 4]);
}

#[test]
fn pods_are_listed_again_when_an_exemption_from_a_rule_that_reads_whole_pods_ends() {
    let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
    let spec = json!({
        "validations": [{"name": "v", "expression": "false", "message": "m"}],
        "exemptions": [{"rules": ["validations/v"], "reason": "r", "owner": "o", "expiresAt": "2026-01-01T00:01:00Z"}],
    });
    let spec = serde_json::from_value(spec).unwrap();
    let policy =
        Policy::compile(Scope::Namespace("shop".to_owned()), "p".to_owned(), &spec).unwrap();
    let known = NAMESPACES.map(|it| (it.to_owned(), NamespaceMetadata::default()));
    let policies = PolicySet::new([Arc::new(policy)], Arc::new(known.into()));
    let whole = |index: &mut AuditIndex, now| {
        list_begins(index);
        let pod = pod(1, 0, 1, 0, 0).to_string();
        index.pod(&serde_json::from_str::<ObservedPod<true>>(&pod).unwrap(), now);
        list_ends(index, now);
        index.take_policies(now)[0].observed.as_ref().unwrap().violations()
    };
    let mut index = index();
    let _ = index.policies(Arc::new(policies), now);
    assert_eq!(whole(&mut index, now), 0);
    let later = now + Duration::from_mins(1);
    assert_eq!(index.age(later), NextStep::ListAgain);
    assert_eq!(whole(&mut index, later), 1);
    assert_eq!(index.age(later), NextStep::Done);
}

#[test]
fn twenty_namespaces_of_a_cluster_policy_have_results_and_all_have_counts() {
    let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
    let mut index = index();
    let _ = index.policies(set(&[(2, 0)]), now);
    list_begins(&mut index);
    for number in 0..30 {
        let mut pod = pod(1, 0, 0, 0, 0);
        pod["metadata"]["namespace"] = json!(format!("n{number:02}"));
        index.pod(&observed(&pod), now);
    }
    list_ends(&mut index, now);
    let pictures: Vec<_> =
        index.take_namespaces().unwrap().into_iter().filter_map(|it| it.observed).collect();
    assert_eq!(pictures.len(), 30);
    assert!(pictures.iter().all(|it| it.summary.fail == 1));
    assert_eq!(pictures.iter().filter(|it| !it.worst.is_empty()).count(), 20);
    index.delete("n00", "p0", now);
    let changed = index.take_namespaces().unwrap();
    let counts: Vec<_> = changed
        .iter()
        .map(|it| (it.namespace.as_str(), it.observed.as_ref().map(|it| it.worst.len())))
        .collect();
    assert_eq!(counts, [("n00", None), ("n20", Some(1))], "another namespace takes the free place");
}

/// The fixtures of every rule, including those about running pods: the policy's spec, and the pods.
fn fixtures() -> Vec<(Value, Vec<Value>)> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let read = |path: &Path| -> Value {
        serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let mut fixtures = Vec::new();
    for folder in std::fs::read_dir(rules).unwrap().map(|entry| entry.unwrap().path()) {
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let pods = files.filter(|path| !path.ends_with("policy.yaml")).map(|path| read(&path));
        let pods = pods.enumerate().map(|(number, mut pod)| {
            pod["metadata"]["name"] = json!(format!("p{number}"));
            pod["metadata"]["namespace"] = json!("shop");
            pod
        });
        fixtures.push((read(&folder.join("policy.yaml"))["spec"].clone(), pods.collect()));
    }
    fixtures
}

#[test]
fn every_fixture_gets_the_same_verdict_from_its_stored_fields_as_from_the_whole_pod() {
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    let mut compared = 0;
    for (spec, pods) in fixtures() {
        let spec = serde_json::from_value(spec).unwrap();
        let scope = Scope::Namespace("shop".to_owned());
        let policy = Arc::new(Policy::compile(scope, "own".to_owned(), &spec).unwrap());
        let known = BTreeMap::from([("shop".to_owned(), NamespaceMetadata::default())]);
        let set = Arc::new(PolicySet::new([policy], Arc::new(known)));
        for pod in pods {
            let mut index = index();
            let _ = index.policies(Arc::clone(&set), now);
            list_begins(&mut index);
            let whole: ObservedPod<true> = serde_json::from_str(&pod.to_string()).unwrap();
            index.pod(&whole, now);
            list_ends(&mut index, now);
            let namespace = index.take_namespaces().unwrap().into_iter().find_map(|it| it.observed);
            let kept: BTreeSet<_> = namespace
                .iter()
                .flat_map(|it| &it.worst)
                .map(|it| (it.fault.id.clone(), it.severity.as_str(), it.fault.message.clone()))
                .collect();
            let analysis =
                analysis(&set, &BTreeMap::from([((0, 0), pod.clone())]), &Objects::new(), now);
            let whole: BTreeSet<_> = analysis
                .results
                .iter()
                .map(|it| (it.rule.clone(), it.severity.as_str(), cut(it.message.clone(), 256)))
                .collect();
            assert_eq!(kept, whole, "{pod}");
            compared += whole.len();
        }
    }
    assert!(compared > 25, "only {compared} violations were compared");
}
