//! The leader's work: audit, statuses, reports, Events, remediation, and the keeping of certificates. All of it ends
//! when the Lease is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::Client;
use tokio::sync::{mpsc, oneshot, watch};

use super::certificates::Keeping;
use super::floor::Keep;
use super::source::PolicySource;
use crate::audit::index::{Began, Remembered};
use crate::audit::watch::{Audit, Listeners};
use crate::certs::keeper::Keeper;
use crate::client::backoff::Doubling;
use crate::floor::FloorWork;
use crate::leader::claim::Claim;
use crate::leader::{self, LeaseOptions};
use crate::metrics::{AuditMetrics, Metrics};
use crate::policies::watch::Announcements;
use crate::policy::called::Called;
use crate::policy::enforced::RecordedPolicy;
use crate::policy::floor_state::{FloorState, Kept};
use crate::policy::observed::{BeganKey, NamespaceUpdate};
use crate::remediation::transaction::Transactions;
use crate::remediation::work::{RemediationScope, Violating, Work};
use crate::report::events::events;
use crate::report::existing;
use crate::report::publish::{ReportMessage, publish};
use crate::status::recorded::recorded;
use crate::status::write::{Reconciled, Reconciler, Remediations};

/// The most notices of remediation and of exemptions that wait to be written as Events.
const MAX_NOTICES: usize = 256;

/// The most batches of changes that wait to be written as Events.
const MAX_BATCHES: usize = 16;

/// Called with each policy that was reconciled.
pub type OnReconciled = Arc<dyn Fn(&Reconciled) + Send + Sync>;

/// What a leader may do.
pub(super) struct LeaderOptions {
    /// The namespace of the Lease; `None` is that of the release.
    pub namespace: Option<String>,
    /// Whether to write reports, where the cluster serves them.
    pub reports: bool,
    /// The certificates to keep, where podgate keeps them.
    pub keeping: Option<Keeping>,
    /// Which policies' remediation may write to workloads.
    pub remediation: RemediationScope,
    /// Whether the API servers call podgate.
    pub called: watch::Receiver<Called>,
    /// The floor to keep.
    pub floor: Option<Keep>,
}

/// The work of a process that contends for the Lease.
#[derive(Clone)]
pub(super) struct LeaderWork {
    client: Client,
    lease: LeaseOptions,
    /// The policies, from the watch that every replica has.
    announcements: Announcements,
    metrics: Metrics,
    reports: bool,
    keeping: Option<Keeping>,
    remediation: RemediationScope,
    called: watch::Receiver<Called>,
    floor: Option<Keep>,
    floor_state: watch::Sender<FloorState>,
    pub on_reconciled: OnReconciled,
}

impl LeaderWork {
    /// `None` without a cluster.
    pub(super) fn new(
        source: &PolicySource,
        options: LeaderOptions,
        metrics: Metrics,
    ) -> Option<Self> {
        let PolicySource::Cluster { cluster, announcements, .. } = source else { return None };
        let namespace = source.release_namespace(options.namespace.as_deref());
        Some(Self {
            client: cluster.client.clone(),
            lease: LeaseOptions::new(namespace),
            announcements: announcements.clone(),
            metrics,
            reports: options.reports,
            keeping: options.keeping,
            remediation: options.remediation,
            called: options.called,
            floor_state: watch::Sender::new(FloorState {
                kept: options.floor.as_ref().map(|_| Kept::default()),
            }),
            floor: options.floor,
            on_reconciled: Arc::new(log_reconciled),
        })
    }

    /// Contends for the Lease, and works whenever this process leads, until shutdown.
    pub(super) async fn run(self, shutdown: watch::Receiver<bool>) {
        let (client, lease) = (self.client.clone(), self.lease.clone());
        let metrics = self.metrics.leader.clone();
        let stop = shutdown.clone();
        let work = |claim| Box::pin(self.clone().work(claim, stop.clone()));
        leader::lead(client, lease, Claim::default(), shutdown, metrics, work).await;
    }

    /// Works until it is dropped or, at a shutdown, until everything found is written.
    async fn work(self, claim: Claim, shutdown: watch::Receiver<bool>) {
        // The keeper starts at once, whatever the audit waits for: without certificates the API server calls no
        // replica.
        let keeping = self.keeping.clone();
        let keeper = keeping.map(|it| it.keeper(self.client.clone(), claim.clone()));
        let floor = self.floor_work(&claim);
        tokio::select! {
            () = self.audit(claim, shutdown) => {}
            () = keep(keeper) => {}
            () = keep_floor(floor) => {}
        }
    }

    fn floor_work(&self, claim: &Claim) -> Option<FloorWork> {
        let Keep { floor, owner, canary } = self.floor.clone()?;
        Some(FloorWork {
            client: self.client.clone(),
            claim: claim.clone(),
            floor,
            owner,
            policies: self.announcements.policies.subscribe(),
            called: self.called.clone(),
            canary,
            metrics: self.metrics.floor.clone(),
            state: self.floor_state.clone(),
        })
    }

    /// Audits and writes until it is dropped or, at a shutdown, until everything found is written.
    async fn audit(self, claim: Claim, mut shutdown: watch::Receiver<bool>) {
        let series = AuditSeries(self.metrics.audit.clone());
        let reports = self.reports && serves_reports(&self.client).await;
        let policies = recorded_in_statuses(&self.client).await;
        let began = if reports { began_in_reports(&self.client).await } else { began_now() };
        let remembered = Remembered { began, policies };
        let (policies, statuses) = mpsc::channel(1);
        let (namespaces, namespace_updates) = mpsc::channel(1);
        let (changes, changes_to_report) = mpsc::channel(MAX_BATCHES);
        // Remediation and the reports share one list of violating workloads.
        let violating = Violating::default();
        let listeners = Listeners {
            policies: Some(policies),
            namespaces: Some(namespaces),
            changes: Some(changes),
        };
        let metrics = self.metrics.audit.clone();
        let auditing =
            start_audit(&self.client, &self.announcements, remembered, metrics, listeners);
        let stop = async move {
            // The end of the audit closes the channels, so each writer ends when it has written everything.
            let _ = shutdown.wait_for(|signalled| *signalled).await;
            drop(auditing);
        };
        let on_reconciled = Arc::clone(&self.on_reconciled);
        let (notices, notices_to_report) = mpsc::channel(MAX_NOTICES);
        let reconciler = Reconciler {
            client: self.client.clone(),
            claim: claim.clone(),
            metrics: self.metrics.audit.clone(),
            notices: notices.clone(),
            on_reconciled: Box::new(move |reconciled| on_reconciled(reconciled)),
        };
        let faults = self.announcements.faults.subscribe();
        let instance = self.lease.identity.clone();
        let (report_messages, messages) = mpsc::channel(1);
        let (remediation_statuses, remediations) = watch::channel(Remediations::default());
        let remediation = Work {
            transactions: Transactions { client: self.client.clone(), claim: claim.clone() },
            policies: self.announcements.policies.subscribe(),
            violating: violating.clone(),
            allowed: self.remediation,
            metrics: self.metrics.remediation.clone(),
            statuses: remediation_statuses,
            notices,
        };
        let writing = async {
            tokio::join!(
                stop,
                reconciler.run(
                    statuses,
                    faults,
                    remediations,
                    self.called.clone(),
                    self.floor_state.subscribe()
                ),
                events(
                    self.client.clone(),
                    claim.clone(),
                    instance,
                    changes_to_report,
                    notices_to_report
                ),
                forward(namespace_updates, violating, reports.then_some(report_messages)),
                async {
                    if reports {
                        publish(self.client.clone(), claim, messages).await;
                    }
                },
            )
        };
        // The end of remediation alone does not end the work. In-flight repairs are recorded on the workloads; the next
        // leader resumes them.
        let remediating = async {
            remediation.run().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = writing => {}
            () = remediating => {}
        }
        drop(series);
    }
}

fn log_reconciled(reconciled: &Reconciled) {
    let Reconciled { policy, message, written } = reconciled;
    if *written {
        tracing::info!(policy, "{message}");
    } else {
        tracing::debug!(policy, "{message}");
    }
}

async fn keep(keeper: Option<Keeper>) {
    match keeper {
        Some(keeper) => keeper.run().await,
        None => std::future::pending().await,
    }
}

/// Keeps the floor. Its end alone does not end the leader's work.
async fn keep_floor(floor: Option<FloorWork>) {
    if let Some(floor) = floor {
        floor.run().await;
    }
    std::future::pending::<()>().await;
}

/// Whether the cluster serves reports; also where the API server does not say, since failed writes are retried.
async fn serves_reports(client: &Client) -> bool {
    match existing::served(client).await {
        Ok(served) => served,
        Err(error) => {
            tracing::warn!(%error, "cannot read whether the cluster serves openreports.io");
            true
        }
    }
}

/// When violations began, from the reports that an earlier leader wrote.
async fn began_in_reports(client: &Client) -> Began {
    let began = match existing::began(client).await {
        Ok(began) if !began.is_empty() => began,
        Ok(_) => return began_now(),
        Err(error) => {
            tracing::warn!(%error, "cannot read when violations began; they begin anew");
            return began_now();
        }
    };
    Box::new(move |policy, workload, fault| {
        let key = BeganKey {
            policy: policy.label.clone(),
            workload: workload.clone(),
            rule: fault.id.clone(),
            container: fault.container.clone(),
        };
        began.get(&key).copied()
    })
}

fn began_now() -> Began {
    Box::new(|_, _, _| None)
}

/// What an earlier leader wrote into the statuses of policies. It is read before this leader writes others, and tried
/// again for as long as the API server does not answer: without it, nothing would be known of what slipped through. The
/// audit does not wait for what podgate may not read, or for CRDs that are not there.
async fn recorded_in_statuses(client: &Client) -> BTreeMap<String, RecordedPolicy> {
    let mut waits = Doubling::default();
    loop {
        match recorded(client).await {
            Ok(recorded) => return recorded,
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
                tracing::warn!(error = %status, "cannot read the statuses of policies; rules deny since now");
                return BTreeMap::new();
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the statuses of policies; they are read again");
                tokio::time::sleep(waits.next().unwrap_or_default()).await;
            }
        }
    }
}

/// Forwards the audit's updates to remediation and to the reports. The first update is complete: it lists every
/// namespace that should have a report.
async fn forward(
    mut updates: mpsc::Receiver<Vec<NamespaceUpdate>>,
    violating: Violating,
    reports: Option<mpsc::Sender<ReportMessage>>,
) {
    let mut complete = false;
    while let Some(update) = updates.recv().await {
        for NamespaceUpdate { policy, namespace, observed } in &update {
            let workloads = observed.as_ref().map(|it| it.violating.clone());
            violating.set(policy.clone(), namespace.clone(), workloads.unwrap_or_default());
        }
        let Some(reports) = &reports else { continue };
        let first = !std::mem::replace(&mut complete, true);
        let messages =
            [Some(ReportMessage::Updates(update)), first.then_some(ReportMessage::Complete)];
        for message in messages.into_iter().flatten() {
            if reports.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// A running audit. Dropping it ends the audit.
pub(super) struct RunningAudit(
    #[expect(dead_code, reason = "dropping the sender ends the audit")] oneshot::Sender<()>,
);

/// Starts an audit in a thread of its own: decoding a list of many pods must delay neither reviews nor renewals of the
/// Lease.
pub(super) fn start_audit(
    client: &Client,
    announcements: &Announcements,
    remembered: Remembered,
    metrics: AuditMetrics,
    listeners: Listeners,
) -> RunningAudit {
    let (ends, ended) = oneshot::channel();
    let (client, policies) = (client.clone(), announcements.policies.subscribe());
    let audit = Audit { client, policies, remembered, metrics, listeners };
    let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                tokio::select! {
                    () = audit.run() => {}
                    _ = ended => {}
                }
            }),
            Err(error) => tracing::error!(%error, "the audit cannot start"),
        }
    });
    if let Err(error) = thread {
        tracing::error!(%error, "the audit cannot start");
    }
    RunningAudit(ends)
}

/// The leader's series of the audit. Dropping it removes them.
struct AuditSeries(AuditMetrics);

impl Drop for AuditSeries {
    fn drop(&mut self) {
        self.0.stopped();
    }
}
