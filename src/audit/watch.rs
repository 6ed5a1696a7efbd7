//! Lists and watches the cluster's pods and workloads for the index, and retries for ever. While the API server does
//! not answer, the index keeps its state.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, StreamExt, select_all};
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::began::Remembered;
use super::index::{AuditIndex, NextStep};
use super::pod::ObservedPod;
use super::workload::ObservedWorkload;
use crate::api::BundleName;
use crate::client::backoff::Doubling;
use crate::client::compact::compact;
use crate::client::resource;
use crate::clusters::cause;
use crate::metrics::AuditMetrics;
use crate::policy::key::PolicyKey;
use crate::policy::made_pod::{MAKERS, MadePod};
use crate::policy::observed::{Change, Changed, NamespaceUpdate, PolicyUpdate};
use crate::policy::policy_set::PolicySet;
use crate::policy::workload::Kind;

/// How long changes are gathered before they are published: a change that is undone within is not worth a write.
const GATHER: Duration = Duration::from_millis(500);
/// The objects in a page of a list. A whole page is in memory while it is decoded: with 10 000 pods, pages of 1000
/// took a tenth less time, and 11 MiB more.
const PAGE: u32 = 500;
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

/// A watch event: of pods decoded with or without their whole JSON, or of a kind of workloads.
enum Watched {
    Cut(Event<ObservedPod<false>>),
    Whole(Event<ObservedPod<true>>),
    Workload(WorkloadEvent),
}

/// A watch event of a kind of workloads; each workload with its namespace and name.
enum WorkloadEvent {
    ListBegins,
    Listed((String, String), Made),
    ListEnds,
    Changed((String, String), Made),
    Deleted((String, String)),
}

/// The pod that a workload would make, as [`ObservedWorkload`] has it.
type Made = Result<Option<MadePod>, String>;

/// The events of one kind, or of all.
type Events = BoxStream<'static, (Kind, watcher::Result<Watched>)>;

/// Why [`Audit::follow`] ended.
enum Followed {
    ListAgain,
    PoliciesClosed,
}

impl Audit {
    /// Audits until it is dropped.
    pub async fn run(mut self) {
        let started = Instant::now();
        let mut index = AuditIndex::new(std::mem::take(&mut self.remembered));
        let Some(first) = self.next_policies().await else { return };
        let _ = index.policies(first, Timestamp::now());
        loop {
            let events = watch_all(&self.client, index.reads_documents());
            match self.follow(&mut index, events, started).await {
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

    /// Applies events until everything must be listed again or the policies' channel closes.
    async fn follow(
        &mut self,
        index: &mut AuditIndex,
        events: Events,
        started: Instant,
    ) -> Followed {
        let mut events = pin!(events.ready_chunks(AT_ONCE));
        let mut gathered = tokio::time::interval(GATHER);
        gathered.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                next = events.next() => {
                    for (kind, event) in next.into_iter().flatten() {
                        self.apply_event(index, kind, event, started);
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
                    if next == NextStep::ListAgain || whole != index.reads_documents() {
                        return Followed::ListAgain;
                    }
                }
                _ = gathered.tick() => {
                    let next = index.age(Timestamp::now());
                    self.publish(index);
                    if next == NextStep::ListAgain {
                        return Followed::ListAgain;
                    }
                }
            }
        }
    }

    fn apply_event(
        &self,
        index: &mut AuditIndex,
        kind: Kind,
        event: watcher::Result<Watched>,
        started: Instant,
    ) {
        let first = !index.complete();
        match event {
            Ok(Watched::Cut(event)) => self.apply(index, event),
            Ok(Watched::Whole(event)) => self.apply(index, event),
            Ok(Watched::Workload(event)) => self.apply_workload(index, kind, event),
            Err(error) => {
                self.metrics.watch_failed();
                let resource = kind.names().resource;
                tracing::warn!(
                    resource,
                    error = cause(&error),
                    "a watch of the audit failed; it is tried again"
                );
                if kind != Kind::Pod && is_forbidden(&error) {
                    index.list_is_forbidden(kind);
                }
            }
        }
        if first && index.complete() {
            let seconds = started.elapsed().as_secs_f64();
            tracing::info!(pods = index.pods(), seconds, "every pod is audited");
            self.metrics.first_list(seconds);
        }
    }

    fn apply_workload(&self, index: &mut AuditIndex, kind: Kind, event: WorkloadEvent) {
        let now = Timestamp::now();
        let mut apply = |(namespace, name): (String, String), made: Made| match made {
            Ok(made) => index.workload(kind, (&namespace, &name), made.as_ref(), now),
            Err(error) => {
                let kind = kind.names().kind;
                // The API server validates workloads, so this is a fault worth a log line.
                tracing::error!(kind, namespace, name, error, "a workload cannot be read");
            }
        };
        match event {
            WorkloadEvent::ListBegins => index.list_begins(kind),
            WorkloadEvent::Listed(key, made) => apply(key, made),
            WorkloadEvent::ListEnds => index.list_ends(kind, now),
            WorkloadEvent::Changed(key, made) => {
                self.metrics.workload_event();
                apply(key, made);
            }
            WorkloadEvent::Deleted((namespace, name)) => {
                self.metrics.workload_event();
                index.delete_workload(kind, (&namespace, &name), now);
            }
        }
    }

    fn apply<const WHOLE: bool>(&self, index: &mut AuditIndex, event: Event<ObservedPod<WHOLE>>) {
        let now = Timestamp::now();
        match event {
            Event::Init => index.list_begins(Kind::Pod),
            Event::InitApply(pod) => index.pod(&pod, now),
            Event::InitDone => index.list_ends(Kind::Pod, now),
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
            self.metrics.cluster(scores.cluster.as_ref().map(|score| score.points));
            for it in &scores.changed {
                let score = it.score.as_ref().map(|score| score.points);
                self.metrics.namespace(&it.name, score);
                self.metrics.open_violations(&it.name, &it.open);
                self.metrics.refusals(&it.name, score.map(|_| (it.refused, it.at_risk)));
            }
        }
        let changes = index.take_changes();
        for Change { policy, .. } in
            changes.iter().filter(|it| matches!(it.what, Changed::Opened(_)))
        {
            let PolicyKey { namespace, name } = policy.key();
            self.metrics.began(&namespace.unwrap_or_default(), &name);
        }
        self.publish_changes(changes);
        offer(self.listeners.policies.as_ref(), || {
            let updates = index.take_policies(now);
            for PolicyUpdate { policy: PolicyKey { namespace, name }, observed } in &updates {
                let namespace = namespace.as_deref().unwrap_or_default();
                match observed {
                    Some(it) => {
                        let score = it.score.as_ref().map(|score| score.points);
                        let refused = it.refused.workloads;
                        self.metrics.policy(namespace, name, score, it.open, refused);
                        let pods = [it.at_risk.pods, it.slipped.pods];
                        let grace_end = it.enforced.graced_until().map(Timestamp::as_second);
                        self.metrics.enforced.set(namespace, name, pods, grace_end);
                        self.metrics.exemptions.set(namespace, name, it.exemption_ends());
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
            tracing::warn!(count, "changes without an Event: too many at once");
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

fn is_forbidden(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchStartFailed};
    let (InitialListFailed(kube::Error::Api(status))
    | WatchStartFailed(kube::Error::Api(status))
    | WatchError(status)) = error
    else {
        return false;
    };
    status.code == 403
}

/// Watches pods and every kind of workloads; as protobuf, unless whole objects are needed.
fn watch_all(client: &Client, whole: bool) -> Events {
    let client = if whole { client.clone() } else { compact(client) };
    let pods = if whole {
        watch_kind(Api::all(client.clone()), Kind::Pod, Watched::Whole)
    } else {
        watch_kind(Api::all(client.clone()), Kind::Pod, Watched::Cut)
    };
    let workloads = MAKERS.into_iter().map(|kind| watch_workloads(&client, kind));
    select_all(workloads.chain([pods])).boxed()
}

fn watch_workloads(client: &Client, kind: Kind) -> Events {
    let api = Api::all_with(client.clone(), &resource::of(kind));
    watch_kind(api, kind, move |event: Event<ObservedWorkload>| {
        let event = match event {
            Event::Init => WorkloadEvent::ListBegins,
            Event::InitApply(it) => WorkloadEvent::Listed(it.key(), it.made(kind)),
            Event::InitDone => WorkloadEvent::ListEnds,
            Event::Apply(it) => WorkloadEvent::Changed(it.key(), it.made(kind)),
            Event::Delete(it) => WorkloadEvent::Deleted(it.key()),
        };
        Watched::Workload(event)
    })
}

fn watch_kind<K>(
    api: Api<K>,
    kind: Kind,
    watched: impl Fn(Event<K>) -> Watched + Send + 'static,
) -> Events
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watch_objects(api, watcher::Config::default().page_size(PAGE))
        .backoff(Doubling::default())
        .map(move |event| (kind, event.map(&watched)))
        .boxed()
}
