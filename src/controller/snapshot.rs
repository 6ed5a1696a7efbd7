//! The policies of a cluster, by a watch that never gives up.
//!
//! What was known stays in force while the API server is away: a policy is
//! never briefly absent because something was being reloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, pin_mut};
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Client, ResourceExt};
use tokio::sync::watch;

use crate::api::DevOpsPolicy;
use crate::metrics::PolicyMetrics;
use crate::policy::compile::{Policy, Scope};
use crate::policy::policy_set::{Policies, PolicySet};

/// The first and the longest wait before the watch is tried again.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Waits twice as long each time, up to [`MAX_BACKOFF`].
struct Doubling(Duration);

impl Iterator for Doubling {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(MAX_BACKOFF);
        Some(wait)
    }
}

impl Backoff for Doubling {
    fn reset(&mut self) {
        self.0 = MIN_BACKOFF;
    }
}

type Guarded = DeserializeGuard<DevOpsPolicy>;
type Key = (Option<String>, String);

/// How the watch is doing, for readiness.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchState {
    /// Whether the first list is in.
    pub synced: bool,
    /// Since when the API server has answered with errors. A server that does
    /// not answer at all is no reason to stop serving what is known.
    pub refused_since: Option<Instant>,
}

/// Watches until its caller drops it.
pub async fn watch_policies(
    client: Client,
    policies: Policies,
    state: watch::Sender<WatchState>,
    metrics: PolicyMetrics,
) {
    let events = watch_objects(Api::<Guarded>::all(client), watcher::Config::default())
        .backoff(Doubling(MIN_BACKOFF));
    pin_mut!(events);
    let mut index = Index::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                state.send_if_modified(|state| state.refused_since.take().is_some());
                if index.apply(event) {
                    metrics.loaded(index.in_force.len(), index.invalid.len());
                    policies.store(Some(Arc::new(index.snapshot())));
                    state.send_if_modified(|state| !std::mem::replace(&mut state.synced, true));
                }
            }
            Err(error) => {
                metrics.watch_failed();
                tracing::warn!(%error, "the watch of policies failed; it is tried again");
                if is_answer(&error) {
                    state.send_modify(|state| {
                        state.refused_since.get_or_insert_with(Instant::now);
                    });
                }
            }
        }
    }
}

/// Whether the API server answered at all.
fn is_answer(error: &watcher::Error) -> bool {
    use watcher::Error::{
        InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
    };
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => {
            matches!(error, kube::Error::Api(_))
        }
        WatchError(_) | NoResourceVersion => true,
    }
}

/// The policies as the events so far tell them. No I/O.
#[derive(Default)]
struct Index {
    in_force: BTreeMap<Key, Arc<Policy>>,
    /// Those whose newest version cannot be read.
    invalid: BTreeSet<Key>,
    /// What a list that is under way has named so far.
    listed: Option<BTreeSet<Key>>,
}

impl Index {
    /// Takes an event in; says whether there is something new to publish.
    fn apply(&mut self, event: Event<Guarded>) -> bool {
        match event {
            Event::Init => self.listed = Some(BTreeSet::new()),
            Event::InitApply(policy) => {
                let key = self.upsert(policy);
                self.listed.get_or_insert_default().insert(key);
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                self.in_force.retain(|key, _| listed.contains(key));
                self.invalid.retain(|key| listed.contains(key));
            }
            Event::Apply(policy) => {
                self.upsert(policy);
            }
            Event::Delete(policy) => {
                let key = key(&policy);
                self.in_force.remove(&key);
                self.invalid.remove(&key);
            }
        }
        // A list that is under way has not yet named every policy.
        self.listed.is_none()
    }

    /// An unreadable version leaves the last good one in force.
    fn upsert(&mut self, policy: Guarded) -> Key {
        let key = key(&policy);
        match policy.0 {
            Ok(policy) => {
                let (namespace, name) = key.clone();
                let scope = Scope::Namespace(namespace.unwrap_or_default());
                match Policy::compile(scope, name, &policy.spec) {
                    Ok(compiled) => {
                        self.invalid.remove(&key);
                        self.in_force.insert(key.clone(), Arc::new(compiled));
                    }
                    Err(error) => self.refused(&key, &error),
                }
            }
            Err(error) => self.refused(&key, &error),
        }
        key
    }

    fn refused(&mut self, key: &Key, error: &dyn std::fmt::Display) {
        let (namespace, name) = key;
        tracing::error!(namespace, name, %error, "policy cannot be read; its last good version stays in force");
        self.invalid.insert(key.clone());
    }

    fn snapshot(&self) -> PolicySet {
        PolicySet::new(self.in_force.values().cloned(), Arc::default())
    }
}

fn key(policy: &Guarded) -> Key {
    (policy.namespace(), policy.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(name: &str, spec: &serde_json::Value) -> Guarded {
        serde_json::from_value(json!({
            "apiVersion": "devops.stochastic.io/v1",
            "kind": "DevOpsPolicy",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": spec,
        }))
        .unwrap()
    }

    fn names(index: &Index) -> Vec<String> {
        index
            .snapshot()
            .covering(Some("shop"))
            .unwrap()
            .policies()
            .iter()
            .map(|it| it.name.clone())
            .collect()
    }

    #[test]
    fn a_relist_publishes_once_and_forgets_what_is_gone() {
        let mut index = Index::default();
        assert!(!index.apply(Event::Init));
        assert!(!index.apply(Event::InitApply(policy("a", &json!({})))));
        assert!(index.apply(Event::InitDone));
        assert!(index.apply(Event::Apply(policy("b", &json!({})))));
        assert_eq!(names(&index), ["a", "b"]);

        assert!(!index.apply(Event::Init));
        assert!(!index.apply(Event::InitApply(policy("b", &json!({})))));
        assert!(index.apply(Event::InitDone));
        assert_eq!(names(&index), ["b"]);
        assert!(index.apply(Event::Delete(policy("b", &json!({})))));
        assert_eq!(names(&index), Vec::<String>::new());
    }

    #[test]
    fn an_unreadable_version_leaves_the_last_good_one_in_force() {
        let mut index = Index::default();
        let enforce = json!({"enforcementMode": "enforce"});
        index.apply(Event::Apply(policy("a", &enforce)));
        index.apply(Event::Apply(policy("a", &json!({"enforcementMode": "strict"}))));
        assert_eq!(index.invalid.len(), 1);
        let mode =
            index.snapshot().covering(Some("shop")).unwrap().policies().first().map(|it| it.mode);
        assert_eq!(mode, Some(crate::api::EnforcementMode::Enforce));

        index.apply(Event::Apply(policy("a", &json!({}))));
        assert!(index.invalid.is_empty());
    }
}
