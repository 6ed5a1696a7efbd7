//! The policies and namespaces of a cluster, built from watch events. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::Event;

use super::Faults;
use crate::policy::compile::Policy;
use crate::policy::in_force::PolicyFault;
use crate::policy::key::PolicyKey;
use crate::policy::policy_set::{NamespaceMetadata, PolicySet};

/// The state of the watches: policies, cluster policies and namespaces.
#[derive(Default)]
pub struct PolicyIndex {
    policies: Known<Arc<Policy>>,
    cluster_policies: Known<Arc<Policy>>,
    namespaces: Known<Arc<NamespaceMetadata>>,
}

/// The known objects of one kind.
struct Known<T> {
    in_force: BTreeMap<PolicyKey, T>,
    /// The objects whose newest version is not in force, or only in part.
    invalid: BTreeMap<PolicyKey, PolicyFault>,
    /// The objects of an unfinished list, so far.
    listed: Option<BTreeSet<PolicyKey>>,
    /// Whether a list has ever been complete.
    complete: bool,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        let (in_force, invalid) = (BTreeMap::new(), BTreeMap::new());
        Self { in_force, invalid, listed: None, complete: false }
    }
}

impl PolicyIndex {
    /// Applies an event. Returns whether there is a change to publish.
    pub fn policy(&mut self, event: Event<DynamicObject>) -> bool {
        self.policies.apply(event, |known, policy| read(known, &policy))
    }

    /// Applies an event. Returns whether there is a change to publish.
    pub fn cluster_policy(&mut self, event: Event<DynamicObject>) -> bool {
        self.cluster_policies.apply(event, |known, policy| read(known, &policy))
    }

    /// Applies an event. Returns whether there is a change to publish.
    pub fn namespace(&mut self, event: Event<PartialObjectMeta<Namespace>>) -> bool {
        self.namespaces.apply(event, |known, namespace| {
            // Namespaces change far more often than their labels and annotations.
            let read = Arc::new(NamespaceMetadata::from(&namespace));
            (known != Some(&read)).then_some(Read { in_force: Some(read), fault: None })
        })
    }

    /// Whether the first list of every kind is complete.
    pub fn complete(&self) -> bool {
        self.policies.complete && self.cluster_policies.complete && self.namespaces.complete
    }

    /// The number of policies in force, and of policies whose newest version is not in force, or only in part.
    pub fn count(&self) -> (usize, usize) {
        let (own, all) = (&self.policies, &self.cluster_policies);
        (own.in_force.len() + all.in_force.len(), own.invalid.len() + all.invalid.len())
    }

    /// The policies whose newest version does not compile.
    pub fn faults(&self) -> Faults {
        let all = self.policies.invalid.iter().chain(&self.cluster_policies.invalid);
        Arc::new(all.map(|(key, fault)| (key.clone(), fault.clone())).collect())
    }

    /// The set of the policies in force, made from the set of before.
    pub fn set_after(&self, before: &PolicySet) -> PolicySet {
        let policies =
            self.policies.in_force.values().chain(self.cluster_policies.in_force.values());
        let namespaces = self.namespaces.in_force.iter();
        let namespaces = namespaces.map(|(key, known)| (key.name.as_str(), known));
        before.updated(policies.cloned(), namespaces)
    }
}

impl<T> Known<T> {
    /// Applies an event. Returns whether anything changed. `read` receives the object in force, and returns `None` if
    /// it reads the same.
    fn apply<K: ResourceExt>(
        &mut self,
        event: Event<K>,
        read: impl Fn(Option<&T>, K) -> Option<Read<T>>,
    ) -> bool {
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
                false
            }
            Event::InitApply(object) => {
                let key = PolicyKey::of(&object);
                self.listed.get_or_insert_default().insert(key.clone());
                self.upsert(&key, object, read);
                // An unfinished list does not have every object yet.
                false
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                self.in_force.retain(|key, _| listed.contains(key));
                self.invalid.retain(|key, _| listed.contains(key));
                self.complete = true;
                true
            }
            Event::Apply(object) => {
                self.upsert(&PolicyKey::of(&object), object, read) && self.listed.is_none()
            }
            Event::Delete(object) => {
                let key = PolicyKey::of(&object);
                self.in_force.remove(&key);
                self.invalid.remove(&key);
                self.listed.is_none()
            }
        }
    }

    fn upsert<K>(
        &mut self,
        key: &PolicyKey,
        object: K,
        read: impl Fn(Option<&T>, K) -> Option<Read<T>>,
    ) -> bool {
        // If the last version had a fault, the version in force is an older one, so it does not count as known.
        let known = self.in_force.get(key).filter(|_| !self.invalid.contains_key(key));
        let Some(Read { in_force, fault }) = read(known, object) else { return false };
        if let Some(fault) = &fault {
            if self.invalid.get(key) == Some(fault) {
                return false;
            }
            let PolicyKey { namespace, name } = key;
            tracing::error!(
                namespace,
                name,
                error = fault.message,
                "the policy's newest version cannot be put in force; {}",
                fault.in_force()
            );
        }
        replace(&mut self.invalid, key, fault);
        replace(&mut self.in_force, key, in_force);
        true
    }
}

/// The result of reading an object.
struct Read<T> {
    in_force: Option<T>,
    fault: Option<PolicyFault>,
}

fn replace<T>(all: &mut BTreeMap<PolicyKey, T>, key: &PolicyKey, one: Option<T>) {
    match one {
        Some(one) => drop(all.insert(key.clone(), one)),
        None => drop(all.remove(key)),
    }
}

/// Reads a policy; `None` if its spec is already in force, as after a write of its status. The result depends on the
/// object alone, so a replica that has just started has the same policy in force.
fn read(known: Option<&Arc<Policy>>, object: &DynamicObject) -> Option<Read<Arc<Policy>>> {
    let origin = super::origin(&object.metadata);
    if known.is_some_and(|known| known.origin.as_ref() == Some(&origin)) {
        return None;
    }
    let (in_force, fault) = super::in_force(object);
    Some(Read { in_force, fault })
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EnforcementMode;
    use serde_json::{Value, json};

    /// As the API server has it: each spec has a generation of its own.
    fn policy(name: &str, spec: &Value) -> DynamicObject {
        kept(name, spec, &Value::Null)
    }

    /// The same, whose status keeps a spec.
    fn kept(name: &str, spec: &Value, last_good: &Value) -> DynamicObject {
        let last_good =
            if last_good.is_null() { Value::Null } else { last_good.to_string().into() };
        let generation = spec.to_string().len();
        serde_json::from_value(json!({
            "apiVersion": "devops.stochastic.io/v1",
            "kind": "DevOpsPolicy",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": generation},
            "spec": spec,
            "status": {"lastGood": last_good},
        }))
        .unwrap()
    }

    fn cluster_policy(name: &str, spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "devops.stochastic.io/v1",
            "kind": "ClusterDevOpsPolicy",
            "metadata": {"name": name},
            "spec": spec,
        }))
        .unwrap()
    }

    fn namespace(name: &str, labels: &Value) -> PartialObjectMeta<Namespace> {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
    }

    fn snapshot(index: &PolicyIndex) -> PolicySet {
        index.set_after(&PolicySet::default())
    }

    fn names(index: &PolicyIndex, namespace: &str) -> Vec<String> {
        let set = snapshot(index);
        let plan = set.covering(Some(namespace)).unwrap();
        plan.policies().iter().map(|it| it.name.clone()).collect()
    }

    fn listed(index: &mut PolicyIndex) {
        index.policy(Event::Init);
        index.policy(Event::InitDone);
        index.cluster_policy(Event::Init);
        index.cluster_policy(Event::InitDone);
        index.namespace(Event::Init);
        index.namespace(Event::InitApply(namespace("shop", &json!({"team": "a"}))));
        index.namespace(Event::InitDone);
    }

    #[test]
    fn a_relist_publishes_once_and_forgets_what_is_gone() {
        let mut index = PolicyIndex::default();
        listed(&mut index);
        assert!(!index.policy(Event::Init));
        assert!(!index.policy(Event::InitApply(policy("a", &json!({})))));
        assert!(index.policy(Event::InitDone));
        assert!(index.policy(Event::Apply(policy("b", &json!({})))));
        assert_eq!(names(&index, "shop"), ["a", "b"]);

        assert!(!index.policy(Event::Init));
        assert!(!index.policy(Event::InitApply(policy("b", &json!({})))));
        assert!(index.policy(Event::InitDone));
        assert_eq!(names(&index, "shop"), ["b"]);
        assert!(index.policy(Event::Delete(policy("b", &json!({})))));
        assert_eq!(names(&index, "shop"), Vec::<String>::new());
    }

    #[test]
    fn a_version_that_does_not_compile_leaves_the_one_in_force_that_its_status_keeps() {
        let enforce = json!({"enforcementMode": "enforce"});
        for bad in [
            json!({"enforcementMode": "strict"}),
            json!({"validations": [{"name": "x", "expression": "nonsense(", "message": "m"}]}),
        ] {
            // It makes no difference whether this replica has seen the good one.
            for seen in [true, false] {
                let mut index = PolicyIndex::default();
                listed(&mut index);
                if seen {
                    index.policy(Event::Apply(policy("a", &enforce)));
                }
                index.policy(Event::Apply(kept("a", &bad, &enforce)));
                assert_eq!(index.count(), (1, 1), "{bad}");
                let set = snapshot(&index);
                let mode = set.covering(Some("shop")).unwrap().policies().first().map(|it| it.mode);
                assert_eq!(mode, Some(EnforcementMode::Enforce), "{bad}, seen: {seen}");
                index.policy(Event::Apply(policy("a", &json!({}))));
                assert_eq!(index.count(), (1, 0));
            }
        }
    }

    #[test]
    fn a_last_good_spec_that_appears_later_is_in_force_and_a_policy_of_unknown_namespaces_never_is()
    {
        let mut index = PolicyIndex::default();
        listed(&mut index);
        let bad =
            json!({"enforcementMode": "enforce", "requiredLabels": [{"key": "a", "pattern": "("}]});
        assert!(index.policy(Event::Apply(policy("a", &bad))));
        assert_eq!(index.count(), (1, 1), "what compiles of it is in force");
        assert!(!index.policy(Event::Apply(policy("a", &bad))), "nothing is new");
        assert!(index.policy(Event::Apply(kept("a", &bad, &json!({})))));
        assert_eq!(snapshot(&index).policies()[0].mode, EnforcementMode::Audit);
        let unknown_operator =
            json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Maybe"}]}});
        assert!(index.cluster_policy(Event::Apply(cluster_policy("b", &unknown_operator))));
        assert_eq!(index.count(), (1, 2));
    }

    #[test]
    fn a_write_of_a_status_publishes_nothing_and_keeps_what_is_compiled() {
        let mut index = PolicyIndex::default();
        listed(&mut index);
        assert!(index.policy(Event::Apply(policy("a", &json!({})))));
        let before = Arc::clone(&snapshot(&index).policies()[0]);
        assert!(!index.policy(Event::Apply(policy("a", &json!({})))));
        assert!(Arc::ptr_eq(&before, &snapshot(&index).policies()[0]));
        let bad = json!({"enforcementMode": "strict"});
        assert!(index.policy(Event::Apply(policy("a", &bad))));
        assert!(!index.policy(Event::Apply(policy("a", &bad))), "the fault is known");
        assert_eq!(index.faults().len(), 1);
        assert!(index.policy(Event::Apply(policy("a", &json!({})))), "the old spec is back");
        assert!(index.faults().is_empty());
    }

    #[test]
    fn an_edit_of_one_policy_compiles_one_policy() {
        let mut index = PolicyIndex::default();
        listed(&mut index);
        for name in ["a", "b"] {
            index.policy(Event::Apply(policy(name, &json!({}))));
            index.cluster_policy(Event::Apply(cluster_policy(name, &json!({}))));
        }
        let before = snapshot(&index);
        let edited = policy("b", &json!({"enforcementMode": "warn"}));
        assert!(index.policy(Event::Apply(edited)));
        assert!(index.namespace(Event::Apply(namespace("new", &json!({})))));
        let after = index.set_after(&before);
        let pairs = before.policies().iter().zip(after.policies());
        let new = pairs.filter(|(before, after)| !Arc::ptr_eq(before, after));
        assert_eq!(new.map(|(_, after)| &*after.label).collect::<Vec<_>>(), ["shop/b"]);
    }

    #[test]
    fn a_cluster_policy_follows_the_labels_of_namespaces() {
        let mut index = PolicyIndex::default();
        assert!(!index.complete());
        listed(&mut index);
        assert!(index.complete());
        let selecting = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}});
        assert!(index.cluster_policy(Event::Apply(cluster_policy("teams", &selecting))));
        assert_eq!(names(&index, "shop"), ["teams"]);
        assert!(snapshot(&index).covering(Some("new")).is_err(), "its labels are not known");

        assert!(index.namespace(Event::Apply(namespace("shop", &json!({"team": "b"})))));
        assert_eq!(names(&index, "shop"), Vec::<String>::new());
        let unchanged = namespace("shop", &json!({"team": "b"}));
        assert!(!index.namespace(Event::Apply(unchanged)), "nothing that is read has changed");
    }
}
