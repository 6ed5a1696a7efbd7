//! The policies and namespaces of a cluster, as the events so far tell them. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use super::stalled::{Note, PolicyKind};
use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy, DevOpsPolicyStatus};
use crate::policy::compile::{Policy, Scope};
use crate::policy::policy_set::{NamespaceMetadata, PolicySet};
use crate::policy::rule::InvalidField;

/// Everything that decides which policies judge what.
#[derive(Default)]
pub(super) struct Index {
    policies: Known<Arc<Policy>>,
    cluster_policies: Known<Arc<Policy>>,
    namespaces: Known<NamespaceMetadata>,
    /// Where a policy's status does not say what was found.
    notes: Vec<Note>,
}

type Key = (Option<String>, String);

/// What is known of one kind.
struct Known<T> {
    in_force: BTreeMap<Key, T>,
    /// Those whose newest version cannot be read.
    invalid: BTreeSet<Key>,
    /// What a list that is under way has named so far.
    listed: Option<BTreeSet<Key>>,
    /// Whether a list has ever been whole.
    complete: bool,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        let (in_force, invalid) = (BTreeMap::new(), BTreeSet::new());
        Self { in_force, invalid, listed: None, complete: false }
    }
}

impl Index {
    /// Takes an event in; says whether there is something new to publish.
    pub fn policy(&mut self, event: Event<DeserializeGuard<DevOpsPolicy>>) -> bool {
        let notes = &mut self.notes;
        self.policies.apply(event, key, |policy| {
            read(
                PolicyKind::Own,
                &policy,
                |read| read.status.as_ref(),
                notes,
                |read| {
                    let scope = Scope::Namespace(read.namespace().unwrap_or_default());
                    Policy::compile(scope, read.name_any(), &read.spec)
                },
            )
        })
    }

    /// Takes an event in; says whether there is something new to publish.
    pub fn cluster_policy(&mut self, event: Event<DeserializeGuard<ClusterDevOpsPolicy>>) -> bool {
        let notes = &mut self.notes;
        self.cluster_policies.apply(event, key, |policy| {
            read(
                PolicyKind::Cluster,
                &policy,
                |read| read.status.as_ref(),
                notes,
                |read| Policy::compile_cluster(read.name_any(), &read.spec),
            )
        })
    }

    /// Takes an event in; says whether there is something new to publish.
    pub fn namespace(&mut self, event: Event<PartialObjectMeta<Namespace>>) -> bool {
        // A namespace changes far more often than what is read of it.
        if let Event::Apply(namespace) = &event
            && self.namespaces.in_force.get(&key(namespace)) == Some(&namespace.into())
        {
            return false;
        }
        self.namespaces.apply(event, key, |namespace| Ok((&namespace).into()))
    }

    /// Whether every first list is in.
    pub fn complete(&self) -> bool {
        self.policies.complete && self.cluster_policies.complete && self.namespaces.complete
    }

    /// How many policies are in force, and of how many the newest version cannot be read.
    pub fn count(&self) -> (usize, usize) {
        let (own, all) = (&self.policies, &self.cluster_policies);
        (own.in_force.len() + all.in_force.len(), own.invalid.len() + all.invalid.len())
    }

    /// What should be written to policies' status since this was last asked.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    pub fn snapshot(&self) -> PolicySet {
        let policies =
            self.policies.in_force.values().chain(self.cluster_policies.in_force.values());
        let namespaces = self.namespaces.in_force.iter();
        let namespaces = namespaces.map(|((_, name), known)| (name.clone(), known.clone()));
        PolicySet::new(policies.cloned(), Arc::new(namespaces.collect()))
    }
}

impl<T> Known<T> {
    /// An unreadable version leaves the last good one in force.
    fn apply<K>(
        &mut self,
        event: Event<K>,
        key: impl Fn(&K) -> Key,
        mut read: impl FnMut(K) -> Result<T, String>,
    ) -> bool {
        match event {
            Event::Init => self.listed = Some(BTreeSet::new()),
            Event::InitApply(object) => {
                let key = key(&object);
                self.upsert(&key, read(object));
                self.listed.get_or_insert_default().insert(key);
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                self.in_force.retain(|key, _| listed.contains(key));
                self.invalid.retain(|key| listed.contains(key));
                self.complete = true;
            }
            Event::Apply(object) => self.upsert(&key(&object), read(object)),
            Event::Delete(object) => {
                let key = key(&object);
                self.in_force.remove(&key);
                self.invalid.remove(&key);
            }
        }
        // A list that is under way has not yet named every object.
        self.listed.is_none()
    }

    fn upsert(&mut self, key: &Key, read: Result<T, impl Display>) {
        match read {
            Ok(object) => {
                self.invalid.remove(key);
                self.in_force.insert(key.clone(), object);
            }
            Err(error) => {
                let (namespace, name) = key;
                tracing::error!(namespace, name, %error, "policy cannot be read; its last good version stays in force");
                self.invalid.insert(key.clone());
            }
        }
    }
}

/// Compiles a policy, and notes where its status does not say what came of it.
fn read<K: Resource>(
    kind: PolicyKind,
    policy: &DeserializeGuard<K>,
    status: impl FnOnce(&K) -> Option<&DevOpsPolicyStatus>,
    notes: &mut Vec<Note>,
    compile: impl FnOnce(&K) -> Result<Policy, InvalidField>,
) -> Result<Arc<Policy>, String> {
    let read = policy.0.as_ref();
    let compiled = match read {
        Ok(read) => compile(read).map(Arc::new).map_err(|fault| fault.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let status = read.ok().and_then(status);
    notes.extend(Note::of(kind, policy.meta(), status, compiled.as_ref().err()));
    compiled
}

fn key(object: &impl ResourceExt) -> Key {
    (object.namespace(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EnforcementMode;
    use serde_json::{Value, json};

    fn policy(name: &str, spec: &Value) -> DeserializeGuard<DevOpsPolicy> {
        serde_json::from_value(json!({
            "apiVersion": "devops.stochastic.io/v1",
            "kind": "DevOpsPolicy",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": spec,
        }))
        .unwrap()
    }

    fn cluster_policy(name: &str, spec: &Value) -> DeserializeGuard<ClusterDevOpsPolicy> {
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

    fn names(index: &Index, namespace: &str) -> Vec<String> {
        let set = index.snapshot();
        let plan = set.covering(Some(namespace)).unwrap();
        plan.policies().iter().map(|it| it.name.clone()).collect()
    }

    fn listed(index: &mut Index) {
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
        let mut index = Index::default();
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
    fn an_unreadable_version_leaves_the_last_good_one_in_force() {
        let mut index = Index::default();
        listed(&mut index);
        let enforce = json!({"enforcementMode": "enforce"});
        index.policy(Event::Apply(policy("a", &enforce)));
        for unreadable in [
            json!({"enforcementMode": "strict"}),
            json!({"validations": [{"name": "x", "expression": "nonsense(", "message": "m"}]}),
        ] {
            index.policy(Event::Apply(policy("a", &unreadable)));
            assert_eq!(index.count(), (1, 1), "{unreadable}");
        }
        let set = index.snapshot();
        let mode = set.covering(Some("shop")).unwrap().policies().first().map(|it| it.mode);
        assert_eq!(mode, Some(EnforcementMode::Enforce));

        index.policy(Event::Apply(policy("a", &json!({}))));
        assert_eq!(index.count(), (1, 0));
    }

    #[test]
    fn a_cluster_policy_follows_the_labels_of_namespaces() {
        let mut index = Index::default();
        assert!(!index.complete());
        listed(&mut index);
        assert!(index.complete());
        let selecting = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}});
        assert!(index.cluster_policy(Event::Apply(cluster_policy("teams", &selecting))));
        assert_eq!(names(&index, "shop"), ["teams"]);
        assert!(index.snapshot().covering(Some("new")).is_err(), "its labels are not known");

        assert!(index.namespace(Event::Apply(namespace("shop", &json!({"team": "b"})))));
        assert_eq!(names(&index, "shop"), Vec::<String>::new());
        let unchanged = namespace("shop", &json!({"team": "b"}));
        assert!(!index.namespace(Event::Apply(unchanged)), "nothing that is read has changed");
    }
}
