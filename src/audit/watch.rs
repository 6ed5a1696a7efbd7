//! Lists and watches the cluster's pods for the index, and retries for ever. While the API server does not answer, the
//! index keeps its state.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use kube::Client;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::began::Remembered;
use super::index::{AuditIndex, NextStep};
use super::pod::ObservedPod;
use crate::api::BundleName;
use crate::client::backoff::Doubling;
use crate::clusters::cause;
use crate::metrics::AuditMetrics;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{Change, NamespaceUpdate, PolicyUpdate};
use crate::policy::policy_set::PolicySet;

/// How long changes are gathered before they are published: a change that is undone within is not worth a write.
const GATHER: Duration = Duration::from_millis(500);
/// The pods in a page of a list: a whole page is in memory while it is decoded.
const PAGE: u32 = 250;
/// The most watch events applied before policies and timers have their turn.
const AT_ONCE: usize = 256;

/// The channels that the audit publishes to. A slow listener gets the newest state once its channel has room.
#[derive(Default)]
pub struct Listeners {
    pub policies: Option<mpsc::Sender<Vec<PolicyUpdate>>>,
    /// Policies in namespaces. The first update names all of them and may be empty.
    pub namespaces: Option<mpsc::Sender<Vec<NamespaceUpdate>>>,
    pub changes: Option<mpsc::Sender<Vec<Change>>>,
}

/// The audit's inputs and outputs.
pub struct Audit {
    pub client: Client,
    /// The policies in force, as they change.
    pub policies: watch::Receiver<Option<Arc<PolicySet>>>,
    pub remembered: Remembered,
    pub metrics: AuditMetrics,
    pub listeners: Listeners,
}

/// A watch event, of pods decoded with or without their whole JSON.
enum PodEvent {
    Cut(Event<ObservedPod<false>>),
    Whole(Event<ObservedPod<true>>),
}

/// Why [`Audit::follow`] ended.
enum Followed {
    ListAgain,
    PoliciesClosed,
}

impl Audit {
    /// Audits until it is dropped.
    pub async fn run(mut self) {
        let started = Instant::now();
        let mut index =
            AuditIndex::new(std::mem::replace(&mut self.remembered, Box::new(|_, _, _| None)));
        let Some(first) = self.next_policies().await else { return };
        let _ = index.policies(first, Timestamp::now());
        loop {
            let pods = watch_pods(&self.client, index.reads_documents());
            match self.follow(&mut index, pods, started).await {
                Followed::ListAgain => {}
                Followed::PoliciesClosed => return,
            }
        }
    }

    /// Waits for policies that were not seen yet, and returns the newest. `None` where the channel is closed.
    async fn next_policies(&mut self) -> Option<Arc<PolicySet>> {
        loop {
            if let Some(policies) = self.policies.borrow_and_update().clone() {
                return Some(policies);
            }
            self.policies.changed().await.ok()?;
        }
    }

    /// Applies events until the pods must be listed again or the policies' channel closes.
    async fn follow(
        &mut self,
        index: &mut AuditIndex,
        pods: BoxStream<'static, watcher::Result<PodEvent>>,
        started: Instant,
    ) -> Followed {
        let mut pods = pin!(pods.ready_chunks(AT_ONCE));
        let mut gathered = tokio::time::interval(GATHER);
        gathered.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                events = pods.next() => {
                    for event in events.into_iter().flatten() {
                        self.apply_event(index, event, started);
                    }
                }
                changed = self.policies.changed() => {
                    if changed.is_err() {
                        return Followed::PoliciesClosed;
                    }
                    let Some(policies) = self.next_policies().await else {
                        return Followed::PoliciesClosed;
                    };
                    let whole = index.reads_documents();
                    let next = index.policies(policies, Timestamp::now());
                    if next == NextStep::ListPods || whole != index.reads_documents() {
                        return Followed::ListAgain;
                    }
                }
                _ = gathered.tick() => {
                    let next = index.age(Timestamp::now());
                    self.publish(index);
                    if next == NextStep::ListPods {
                        return Followed::ListAgain;
                    }
                }
            }
        }
    }

    fn apply_event(
        &self,
        index: &mut AuditIndex,
        event: watcher::Result<PodEvent>,
        started: Instant,
    ) {
        let first = !index.complete();
        match event {
            Ok(PodEvent::Cut(event)) => self.apply(index, event),
            Ok(PodEvent::Whole(event)) => self.apply(index, event),
            Err(error) => {
                self.metrics.watch_failed();
                tracing::warn!(
                    error = cause(&error),
                    "the watch of pods failed; it is tried again"
                );
            }
        }
        if first && index.complete() {
            let seconds = started.elapsed().as_secs_f64();
            tracing::info!(pods = index.pods(), seconds, "every pod is audited");
            self.metrics.first_list(seconds);
        }
    }

    fn apply<const WHOLE: bool>(&self, index: &mut AuditIndex, event: Event<ObservedPod<WHOLE>>) {
        let now = Timestamp::now();
        match event {
            Event::Init => index.list_begins(),
            Event::InitApply(pod) => index.pod(&pod, now),
            Event::InitDone => index.list_ends(now),
            Event::Apply(pod) => {
                self.metrics.pod_event();
                index.pod(&pod, now);
            }
            Event::Delete(pod) => {
                self.metrics.pod_event();
                let (namespace, name) = pod.key();
                index.delete(namespace, name, now);
            }
        }
    }

    /// Sends updates to each listener whose channel has room. The metrics are set first, and always.
    fn publish(&self, index: &mut AuditIndex) {
        if !index.complete() {
            return;
        }
        let now = Timestamp::now();
        self.metrics.pods(index.pods());
        if let Some(scores) = index.take_scores() {
            self.metrics.cluster(scores.cluster.points);
            for (namespace, score) in &scores.changed {
                self.metrics.namespace(namespace, score.as_ref().map(|score| score.points));
            }
        }
        let changes = index.take_changes();
        for change in changes.iter().filter(|change| !change.gone) {
            let PolicyKey { namespace, name } = change.policy.key();
            self.metrics.began(&namespace.unwrap_or_default(), &name);
        }
        self.publish_changes(changes);
        offer(self.listeners.policies.as_ref(), || {
            let updates = index.take_policies(now);
            for PolicyUpdate { policy: PolicyKey { namespace, name }, observed } in &updates {
                let namespace = namespace.as_deref().unwrap_or_default();
                match observed {
                    Some(it) => {
                        self.metrics.policy(namespace, name, it.score.points, it.open);
                        let bundle = it.policy.bundle.map_or("", BundleName::as_str);
                        self.metrics.policy_info(namespace, name, it.policy.mode.as_str(), bundle);
                    }
                    None => self.metrics.policy_gone(namespace, name),
                }
            }
            (!updates.is_empty()).then_some(updates)
        });
        offer(self.listeners.namespaces.as_ref(), || index.take_namespaces());
    }

    fn publish_changes(&self, changes: Vec<Change>) {
        let Some(listener) = self.listeners.changes.as_ref().filter(|_| !changes.is_empty()) else {
            return;
        };
        let count = changes.len();
        if listener.try_send(changes).is_err() {
            tracing::warn!(count, "violations began or went without an Event: too many at once");
        }
    }
}

/// Sends an update, if the listener's channel has room for it.
fn offer<T>(listener: Option<&mpsc::Sender<Vec<T>>>, take: impl FnOnce() -> Option<Vec<T>>) {
    let Some(Ok(room)) = listener.map(mpsc::Sender::try_reserve) else { return };
    if let Some(update) = take() {
        room.send(update);
    }
}

fn watch_pods(client: &Client, whole: bool) -> BoxStream<'static, watcher::Result<PodEvent>> {
    fn events<const WHOLE: bool>(
        client: &Client,
        variant: fn(Event<ObservedPod<WHOLE>>) -> PodEvent,
    ) -> BoxStream<'static, watcher::Result<PodEvent>>
    where
        ObservedPod<WHOLE>: Debug,
    {
        watch_objects(Api::all(client.clone()), watcher::Config::default().page_size(PAGE))
            .backoff(Doubling::default())
            .map(move |event| event.map(variant))
            .boxed()
    }
    if whole { events(client, PodEvent::Whole) } else { events(client, PodEvent::Cut) }
}
