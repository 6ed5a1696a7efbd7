//! What the podgate that leads does beside deciding reviews: it audits what runs, and writes what it finds. Everything
//! here is tied to the Lease: it ends when that is lost.

use std::sync::Arc;

use kube::Client;
use tokio::sync::{mpsc, oneshot, watch};

use super::certificates::Keeping;
use crate::audit::index::Remembered;
use crate::audit::watch::{Audit, Listeners};
use crate::certs::keeper::Keeper;
use crate::leader::claim::Claim;
use crate::leader::{self, Options};
use crate::metrics::{AuditMetrics, Metrics};
use crate::policies::watch::Announcements;
use crate::policy::observed::{BeganKey, NamespaceUpdate};
use crate::remediation::transaction::Transactions;
use crate::remediation::work::{RemediationScope, Violating, Work};
use crate::report::events::events;
use crate::report::existing;
use crate::report::publish::{ReportMessage, publish};
use crate::status::write::{Reconciled, Reconciler, Remediations};

/// Says what was reconciled.
pub type OnReconciled = Arc<dyn Fn(&Reconciled) + Send + Sync>;

/// What leading takes.
#[derive(Clone)]
pub(super) struct Leading {
    pub client: Client,
    pub lease: Options,
    /// The policies, from the watch that every replica has.
    pub announcements: Announcements,
    pub metrics: Metrics,
    /// Whether to write reports, where the cluster serves them.
    pub reports: bool,
    /// What else is kept: the certificates, where they are podgate's to keep.
    pub keeping: Option<Keeping>,
    /// Whose remediation may write to workloads.
    pub remediation: RemediationScope,
    pub on_reconciled: OnReconciled,
}

impl Leading {
    /// Leads whenever it can, until shutdown.
    pub(super) async fn run(self, shutdown: watch::Receiver<bool>) {
        let (client, lease) = (self.client.clone(), self.lease.clone());
        let metrics = self.metrics.leader.clone();
        let told = shutdown.clone();
        let work = |claim| Box::pin(self.clone().work(claim, told.clone()));
        leader::lead(client, lease, Claim::default(), shutdown, metrics, work).await;
    }

    /// Works until it is dropped or, at a shutdown, until what was found is written.
    async fn work(self, claim: Claim, shutdown: watch::Receiver<bool>) {
        // At once, whatever the audit waits for: without certificates nobody is asked anything.
        let keeping = self.keeping.clone();
        let keeper = keeping.map(|it| it.keeper(self.client.clone(), claim.clone()));
        tokio::select! {
            () = self.audit(claim, shutdown) => {}
            () = keep(keeper) => {}
        }
    }

    /// Audits and writes until it is dropped or, at a shutdown, until what was found is written.
    async fn audit(self, claim: Claim, mut shutdown: watch::Receiver<bool>) {
        let series = LeadersSeries(self.metrics.audit.clone());
        let reports = self.reports && served(&self.client).await;
        let remembered = if reports { remembered(&self.client).await } else { nothing() };
        let (policies, statuses) = mpsc::channel(1);
        let (namespaces, in_namespaces) = mpsc::channel(1);
        let (changes, told) = mpsc::channel(MAX_BATCHES);
        // Remediation follows what the reports follow, so that one list of what there is serves both.
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
            // The end of the audit closes the channels, and so ends whoever writes once everything is written.
            let _ = shutdown.wait_for(|told| *told).await;
            drop(auditing);
        };
        let on_reconciled = Arc::clone(&self.on_reconciled);
        let reconciler = Reconciler {
            client: self.client.clone(),
            claim: claim.clone(),
            metrics: self.metrics.audit.clone(),
            on_reconciled: Box::new(move |reconciled| on_reconciled(reconciled)),
        };
        let faults = self.announcements.faults.subscribe();
        let instance = self.lease.identity.clone();
        let (reported, messages) = mpsc::channel(1);
        let (statuses_told, remediations) = watch::channel(Remediations::default());
        let (notices, to_notify) = mpsc::channel(MAX_NOTICES);
        let remediation = Work {
            transactions: Transactions { client: self.client.clone(), claim: claim.clone() },
            policies: self.announcements.policies.subscribe(),
            violating: violating.clone(),
            allowed: self.remediation,
            metrics: self.metrics.remediation.clone(),
            statuses: statuses_told,
            notices,
        };
        let writing = async {
            tokio::join!(
                stop,
                reconciler.run(statuses, faults, remediations),
                events(self.client.clone(), claim.clone(), instance, told, to_notify),
                hand_on(in_namespaces, violating, reports.then_some(reported)),
                async {
                    if reports {
                        publish(self.client.clone(), claim, messages).await;
                    }
                },
            )
        };
        // What is under way stands on the workloads themselves: whoever leads next goes on from there.
        tokio::select! {
            _ = writing => {}
            () = endless(remediation.run()) => {}
        }
        drop(series);
    }
}

/// The same work, whose end ends nothing else.
async fn endless(work: impl Future<Output = ()>) {
    work.await;
    std::future::pending::<()>().await;
}

async fn keep(keeper: Option<Keeper>) {
    match keeper {
        Some(keeper) => keeper.run().await,
        None => std::future::pending().await,
    }
}

/// How many notices may wait to be told as Events.
const MAX_NOTICES: usize = 256;

/// How many batches of changes may wait to be told as Events.
const MAX_BATCHES: usize = 16;

/// Whether the cluster serves reports. Where that cannot be known now, it is taken to: then writes are tried again.
async fn served(client: &Client) -> bool {
    match existing::served(client).await {
        Ok(served) => served,
        Err(error) => {
            tracing::warn!(%error, "cannot see whether the cluster serves openreports.io");
            true
        }
    }
}

/// When violations began that an earlier leader has told of.
async fn remembered(client: &Client) -> Remembered {
    let began = match existing::began(client).await {
        Ok(began) if !began.is_empty() => began,
        Ok(_) => return nothing(),
        Err(error) => {
            tracing::warn!(%error, "cannot read when violations began; they begin anew");
            return nothing();
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

pub(super) fn nothing() -> Remembered {
    Box::new(|_, _, _| None)
}

/// Hands the audit's updates to remediation and to the reports. The first names every report that there should be.
async fn hand_on(
    mut updates: mpsc::Receiver<Vec<NamespaceUpdate>>,
    violating: Violating,
    told: Option<mpsc::Sender<ReportMessage>>,
) {
    let mut complete = false;
    while let Some(update) = updates.recv().await {
        for NamespaceUpdate { policy, namespace, observed } in &update {
            let workloads = observed.as_ref().map(|it| it.violating.clone());
            violating.set(policy.clone(), namespace.clone(), workloads.unwrap_or_default());
        }
        let Some(told) = &told else { continue };
        let first = !std::mem::replace(&mut complete, true);
        let messages =
            [Some(ReportMessage::Updates(update)), first.then_some(ReportMessage::Complete)];
        for message in messages.into_iter().flatten() {
            if told.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// Ends the audit when it is dropped.
pub(super) struct Auditing(
    #[expect(dead_code, reason = "its end is what counts")] oneshot::Sender<()>,
);

/// Starts an audit in a thread of its own: a list of many pods must not hold up a review, nor a renewal of the Lease.
pub(super) fn start_audit(
    client: &Client,
    announcements: &Announcements,
    remembered: Remembered,
    metrics: AuditMetrics,
    listeners: Listeners,
) -> Auditing {
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
    Auditing(ends)
}

/// Takes the leader's series away when it is dropped.
struct LeadersSeries(AuditMetrics);

impl Drop for LeadersSeries {
    fn drop(&mut self) {
        self.0.stopped();
    }
}
