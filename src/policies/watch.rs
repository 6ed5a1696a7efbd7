//! The policies of a cluster, by a watch that retries without end.
//!
//! While the API server is unavailable, the last known policies stay in force. A relist never removes a policy for a
//! moment.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use futures::stream::{BoxStream, StreamExt, select_all};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::Faults;
use super::Policies;
use super::index::PolicyIndex;
use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy};
use crate::client::backoff::Doubling;
use crate::clusters::cause;
use crate::metrics::PolicyMetrics;
use crate::policy::policy_set::PolicySet;
use crate::policy::protected::Protected;

/// The most events that are published together: of many at once, the first do not wait for all.
const AT_ONCE: usize = 32;

/// The channels that publish every change, besides the set for reviews.
#[derive(Clone, Default)]
pub struct Announcements {
    pub policies: watch::Sender<Option<Arc<PolicySet>>>,
    pub faults: watch::Sender<Faults>,
}

/// The state of the watch, for readiness.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchState {
    /// Whether the first lists are complete.
    pub synced: bool,
    /// Since when the API server has answered with errors; `None` while the watch works, and also if the server does
    /// not answer at all, which is no reason to stop serving the known policies.
    pub refused_since: Option<Instant>,
}

/// An event of any of the watches.
enum WatchEvent {
    Policy(Event<DynamicObject>),
    ClusterPolicy(Event<DynamicObject>),
    Namespace(Event<PartialObjectMeta<Namespace>>),
}

/// Watches policies and namespaces, and publishes every change, until the caller drops it.
pub async fn watch_policies(
    client: Client,
    policies: Policies,
    protected: Protected,
    state: watch::Sender<WatchState>,
    announcements: Announcements,
    metrics: PolicyMetrics,
) {
    // Untyped objects: a policy that does not decode must not break the watch.
    let own = ApiResource::erase::<DevOpsPolicy>(&());
    let all = ApiResource::erase::<ClusterDevOpsPolicy>(&());
    let changes = select_all([
        watch_all(Api::all_with(client.clone(), &own), WatchEvent::Policy),
        watch_all(Api::all_with(client.clone(), &all), WatchEvent::ClusterPolicy),
        watch_all(Api::all(client), WatchEvent::Namespace),
    ]);
    let mut index = PolicyIndex::default();
    let mut in_force = Arc::new(PolicySet::default().protecting(protected));
    let mut changes = changes.ready_chunks(AT_ONCE);
    while let Some(changes) = changes.next().await {
        let mut publish = false;
        for change in changes {
            publish |= match change {
                Ok(WatchEvent::Policy(event)) => index.policy(event),
                Ok(WatchEvent::ClusterPolicy(event)) => index.cluster_policy(event),
                Ok(WatchEvent::Namespace(event)) => index.namespace(event),
                Err(error) => {
                    metrics.watch_failed();
                    tracing::warn!(
                        error = cause(&error),
                        "the watch of policies failed; it is tried again"
                    );
                    if is_answer(&error) {
                        state.send_modify(|state| {
                            state.refused_since.get_or_insert_with(Instant::now);
                        });
                    }
                    continue;
                }
            };
            state.send_if_modified(|state| state.refused_since.take().is_some());
        }
        if publish && index.complete() {
            let (_, invalid) = index.count();
            in_force = Arc::new(index.set_after(&in_force));
            metrics.loaded(&in_force, invalid);
            policies.store(Some(Arc::clone(&in_force)));
            announcements.policies.send_replace(Some(Arc::clone(&in_force)));
            announcements.faults.send_replace(index.faults());
            state.send_if_modified(|state| !std::mem::replace(&mut state.synced, true));
        }
    }
}

/// The events of all objects of a kind, in all namespaces.
fn watch_all<K>(
    api: Api<K>,
    change: fn(Event<K>) -> WatchEvent,
) -> BoxStream<'static, watcher::Result<WatchEvent>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watch_objects(api, watcher::Config::default())
        .backoff(Doubling::default())
        .map(move |event| event.map(change))
        .boxed()
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
