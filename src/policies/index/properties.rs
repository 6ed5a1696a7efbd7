//! A set that is made from the one before it equals the set that is made from nothing.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::policy::engine::judge;
use crate::policy::object::Object;
use crate::policy::plan::EvaluationPlan;
use crate::policy::subject::Subject;
use crate::policy::workload::Kind;

const NAMESPACES: [&str; 4] = ["lab", "shop", "web", "kube-system"];
const POD: &str = r#"{"spec": {"containers": [{"name": "web", "image": "nginx"}]}}"#;

/// A change of the objects of one kind. Objects have numbers, and differ by their version.
#[derive(Clone, Copy, Debug)]
enum Change {
    Apply {
        number: usize,
        version: usize,
    },
    Delete {
        number: usize,
    },
    /// All are listed again; those whose number is in the mask are gone.
    List {
        gone: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Policies(Change),
    ClusterPolicies(Change),
    Namespaces(Change),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = || {
        prop_oneof![
            6 => (0..4usize, 0..4usize).prop_map(|(number, version)| Change::Apply { number, version }),
            2 => (0..4usize).prop_map(|number| Change::Delete { number }),
            1 => (0..16usize).prop_map(|gone| Change::List { gone }),
        ]
    };
    let step = prop_oneof![
        change().prop_map(Step::Policies),
        change().prop_map(Step::ClusterPolicies),
        change().prop_map(Step::Namespaces),
    ];
    prop::collection::vec(step, 1..30)
}

fn object(
    namespace: Option<&str>,
    number: usize,
    version: usize,
    mut spec: Value,
) -> DynamicObject {
    let rules = [
        json!({"forbidLatestTag": true}),
        json!({"requireLivenessProbe": true, "forbidLatestTag": true}),
        json!({"requiredLabels": [{"key": "app"}], "severityOverrides": {"requiredLabels": "low"}}),
        json!({"requiredLabels": [{"key": "app", "pattern": "("}]}),
    ];
    spec.as_object_mut().unwrap().extend(rules[version].as_object().unwrap().clone());
    let metadata = json!({"namespace": namespace, "name": format!("p{number}"), "uid": number.to_string(), "generation": version});
    let object = json!({"apiVersion": "devops.stochastic.io/v1", "kind": "any", "metadata": metadata, "spec": spec});
    serde_json::from_value(object).unwrap()
}

fn policy(number: usize, version: usize) -> DynamicObject {
    object(Some(NAMESPACES[number / 2]), number, version, json!({}))
}

fn cluster_policy(number: usize, version: usize) -> DynamicObject {
    let team = |team: &str| json!({"namespaceSelector": {"matchLabels": {"team": team}}});
    let scopes = [json!({}), team("a"), team("b"), json!({"excludeNamespaces": ["shop", "new"]})];
    object(None, number, version, scopes[(number + version) % scopes.len()].clone())
}

fn namespace(number: usize, version: usize) -> PartialObjectMeta<Namespace> {
    let labels = [json!({}), json!({"team": "a"}), json!({"team": "b"}), json!({"team": "b"})];
    let metadata = json!({"name": NAMESPACES[number], "labels": labels[version]});
    serde_json::from_value(json!({"metadata": metadata})).unwrap()
}

type Objects<K> = BTreeMap<usize, K>;

/// Its objects.
#[derive(Default)]
struct ApiServer {
    policies: Objects<DynamicObject>,
    cluster_policies: Objects<DynamicObject>,
    namespaces: Objects<PartialObjectMeta<Namespace>>,
}

impl ApiServer {
    fn change(&mut self, index: &mut PolicyIndex, step: Step) {
        match step {
            Step::Policies(change) => {
                apply(&mut self.policies, change, policy, |event| index.policy(event));
            }
            Step::ClusterPolicies(change) => {
                apply(&mut self.cluster_policies, change, cluster_policy, |event| {
                    index.cluster_policy(event)
                });
            }
            Step::Namespaces(change) => {
                apply(&mut self.namespaces, change, namespace, |event| index.namespace(event));
            }
        }
    }

    /// An index that has just listed everything.
    fn listed(&self) -> PolicyIndex {
        let mut index = PolicyIndex::default();
        list(&self.policies, |event| index.policy(event));
        list(&self.cluster_policies, |event| index.cluster_policy(event));
        list(&self.namespaces, |event| index.namespace(event));
        index
    }
}

fn apply<K: Clone>(
    objects: &mut Objects<K>,
    change: Change,
    object: impl Fn(usize, usize) -> K,
    mut apply: impl FnMut(Event<K>) -> bool,
) {
    match change {
        Change::Apply { number, version } => {
            let object = object(number, version);
            objects.insert(number, object.clone());
            apply(Event::Apply(object));
        }
        Change::Delete { number } => {
            if let Some(object) = objects.remove(&number) {
                apply(Event::Delete(object));
            }
        }
        Change::List { gone } => {
            objects.retain(|number, _| gone & (1 << number) == 0);
            list(objects, apply);
        }
    }
}

fn list<K: Clone>(objects: &Objects<K>, mut apply: impl FnMut(Event<K>) -> bool) {
    apply(Event::Init);
    for object in objects.values() {
        apply(Event::InitApply(object.clone()));
    }
    apply(Event::InitDone);
}

/// Everything of a plan: its policies with the versions in force, and what it finds.
fn described(plan: &EvaluationPlan) -> (Vec<String>, Vec<String>) {
    let object: Object = serde_json::from_str(POD).unwrap();
    let subject = Subject::of(Kind::Pod, &object).unwrap();
    let policies = plan.policies().iter().map(|it| format!("{} {:?}", it.label, it.origin));
    let found = judge(plan, &subject, Timestamp::UNIX_EPOCH).violations;
    let found =
        found.iter().map(|it| format!("{} {} {}", it.policy.label, it.severity, it.sentence()));
    (policies.collect(), found.collect())
}

/// The names of the namespaces that are known or named anywhere, and of one that is not.
const ASKED: [Option<&str>; 7] = [
    None,
    Some("lab"),
    Some("shop"),
    Some("web"),
    Some("kube-system"),
    Some("new"),
    Some("elsewhere"),
];

fn plan<'s>(set: &'s PolicySet, namespace: Option<&str>) -> (bool, &'s EvaluationPlan) {
    match set.covering(namespace) {
        Ok(plan) => (true, plan),
        Err(unknown) => (false, unknown.assumed),
    }
}

/// Two namespaces have one plan if the same policies cover them, also if the policies are of the set before.
fn assert_shared(set: &PolicySet, before: &PolicySet) {
    let policies =
        |plan: &EvaluationPlan| plan.policies().iter().map(Arc::as_ptr).collect::<Vec<_>>();
    let names = || ASKED.into_iter().flatten().filter(|it| !set.protects(it));
    for (name, other) in names().flat_map(|name| names().map(move |other| (name, other))) {
        let (_, one) = plan(set, Some(name));
        for (_, another) in [plan(set, Some(other)), plan(before, Some(other))] {
            let same = policies(one) == policies(another);
            assert_eq!(std::ptr::eq(one, another), same, "{name} {other}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn after_any_sequence_of_events_every_namespace_has_the_plan_of_a_set_made_from_nothing(
        steps in steps(),
    ) {
        let mut cluster = ApiServer::default();
        let mut index = cluster.listed();
        let mut set = index.set_after(&PolicySet::default());
        for step in steps {
            cluster.change(&mut index, step);
            let next = index.set_after(&set);
            assert_shared(&next, &set);
            set = next;
        }
        let fresh = cluster.listed().set_after(&PolicySet::default());
        prop_assert_eq!(set.covering_nothing(), fresh.covering_nothing());
        for namespace in ASKED {
            let ((known, plan), (also, fresh)) = (plan(&set, namespace), plan(&fresh, namespace));
            prop_assert_eq!(known, also);
            prop_assert_eq!(described(plan), described(fresh));
            prop_assert_eq!(plan.reads_documents(), fresh.reads_documents());
        }
    }
}
