//! Follows the pods of a cluster for the index, by lists and watches that never give up. What was known stays known while
//! the API server is away.

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

use super::index::{Index, NextStep, Remembered};
use super::pod::ObservedPod;
use crate::client::backoff::Doubling;
use crate::metrics::AuditMetrics;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{Change, NamespaceUpdate, PolicyUpdate};
use crate::policy::policy_set::PolicySet;

/// How long changes are gathered before they are published: what comes and goes within is not worth a write.
const GATHER: Duration = Duration::from_millis(500);
/// How many pods a page of a list has: a page is held whole while it is read.
const PAGE: u32 = 250;
/// The most events that are taken in between two looks at everything else.
const AT_ONCE: usize = 256;

/// Whom the audit tells. Who takes long gets the newest state when it is ready for it.
#[derive(Default)]
pub struct Listeners {
    pub policies: Option<mpsc::Sender<Vec<PolicyUpdate>>>,
    /// Of policies in namespaces. The first update names all that there are, though there may be none.
    pub namespaces: Option<mpsc::Sender<Vec<NamespaceUpdate>>>,
    pub changes: Option<mpsc::Sender<Vec<Change>>>,
}

/// What the audit needs.
pub struct Audit {
    pub client: Client,
    /// The policies in force, as they change.
    pub policies: watch::Receiver<Option<Arc<PolicySet>>>,
    pub remembered: Remembered,
    pub metrics: AuditMetrics,
    pub listeners: Listeners,
}

enum Observed {
    Cut(Event<ObservedPod<false>>),
    Whole(Event<ObservedPod<true>>),
}

impl Audit {
    /// Audits until it is dropped.
    pub async fn run(mut self) {
        let started = Instant::now();
        let mut index =
            Index::new(std::mem::replace(&mut self.remembered, Box::new(|_, _, _| None)));
        let Some(first) = self.next_policies().await else { return };
        let _ = index.policies(first, Timestamp::now());
        loop {
            let pods = watch_pods(&self.client, index.reads_documents());
            if !self.follow(&mut index, pods, started).await {
                return;
            }
        }
    }

    /// The newest policies, once there are any that were not seen.
    async fn next_policies(&mut self) -> Option<Arc<PolicySet>> {
        loop {
            if let Some(policies) = self.policies.borrow_and_update().clone() {
                return Some(policies);
            }
            self.policies.changed().await.ok()?;
        }
    }

    /// Takes events in until the pods must be listed again; false where nobody wants to know any more.
    async fn follow(
        &mut self,
        index: &mut Index,
        pods: BoxStream<'static, watcher::Result<Observed>>,
        started: Instant,
    ) -> bool {
        let mut pods = pin!(pods.ready_chunks(AT_ONCE));
        let mut gathered = tokio::time::interval(GATHER);
        gathered.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                events = pods.next() => {
                    for event in events.into_iter().flatten() {
                        self.take_in(index, event, started);
                    }
                }
                changed = self.policies.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    let Some(policies) = self.next_policies().await else { return false };
                    let whole = index.reads_documents();
                    let next = index.policies(policies, Timestamp::now());
                    if next == NextStep::ListPods || whole != index.reads_documents() {
                        return true;
                    }
                }
                _ = gathered.tick() => {
                    let next = index.age(Timestamp::now());
                    self.publish(index);
                    if next == NextStep::ListPods {
                        return true;
                    }
                }
            }
        }
    }

    fn take_in(&self, index: &mut Index, event: watcher::Result<Observed>, started: Instant) {
        let first = !index.complete();
        match event {
            Ok(Observed::Cut(event)) => self.apply(index, event),
            Ok(Observed::Whole(event)) => self.apply(index, event),
            Err(error) => {
                self.metrics.watch_failed();
                tracing::warn!(%error, "the watch of pods failed; it is tried again");
            }
        }
        if first && index.complete() {
            let seconds = started.elapsed().as_secs_f64();
            tracing::info!(pods = index.pods(), seconds, "every pod is audited");
            self.metrics.first_list(seconds);
        }
    }

    fn apply<const WHOLE: bool>(&self, index: &mut Index, event: Event<ObservedPod<WHOLE>>) {
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
    fn publish(&self, index: &mut Index) {
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
                    Some(it) => self.metrics.policy(namespace, name, it.score.points, it.open),
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
            tracing::warn!(count, "violations began or went and nobody is told: too many at once");
        }
    }
}

/// Hands over what there is, if the listener has dealt with what it got before.
fn offer<T>(listener: Option<&mpsc::Sender<Vec<T>>>, take: impl FnOnce() -> Option<Vec<T>>) {
    let Some(Ok(room)) = listener.map(mpsc::Sender::try_reserve) else { return };
    if let Some(news) = take() {
        room.send(news);
    }
}

fn watch_pods(client: &Client, whole: bool) -> BoxStream<'static, watcher::Result<Observed>> {
    fn events<const WHOLE: bool>(
        client: &Client,
        observed: fn(Event<ObservedPod<WHOLE>>) -> Observed,
    ) -> BoxStream<'static, watcher::Result<Observed>>
    where
        ObservedPod<WHOLE>: Debug,
    {
        watch_objects(Api::all(client.clone()), watcher::Config::default().page_size(PAGE))
            .backoff(Doubling::default())
            .map(move |event| event.map(observed))
            .boxed()
    }
    if whole { events(client, Observed::Whole) } else { events(client, Observed::Cut) }
}
