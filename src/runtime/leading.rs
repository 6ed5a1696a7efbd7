//! What the podgate that leads does beside deciding reviews: it audits what runs, and writes what it finds. Everything
//! here is tied to the Lease: it ends when that is lost.

use std::sync::Arc;

use kube::Client;
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::index::Remembered;
use crate::audit::watch::{Audit, Listeners};
use crate::clusters::claim::Claim;
use crate::controller::reconcile::{Reconciled, Reconciler};
use crate::controller::snapshot::Announcements;
use crate::leader::{self, Options};
use crate::metrics::{AuditMetrics, Metrics};

/// Says what was reconciled.
pub type Tell = Arc<dyn Fn(&Reconciled) + Send + Sync>;

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
    pub tell: Tell,
}

impl Leading {
    /// Leads whenever it can, until shutdown.
    pub(super) async fn run(self, shutdown: watch::Receiver<bool>) {
        let (client, lease) = (self.client.clone(), self.lease.clone());
        let metrics = self.metrics.leader.clone();
        let told = shutdown.clone();
        let work = |claim| self.clone().work(claim, told.clone());
        leader::lead(client, lease, Claim::default(), shutdown, metrics, work).await;
    }

    /// Audits and writes until it is dropped or, at a shutdown, until what was found is written.
    async fn work(self, claim: Claim, mut shutdown: watch::Receiver<bool>) {
        let (policies, statuses) = mpsc::channel(1);
        let listeners = Listeners { policies: Some(policies), ..Listeners::default() };
        let series = LeadersSeries(self.metrics.audit.clone());
        let auditing = start_audit(
            &self.client,
            &self.announcements,
            Box::new(|_, _, _| None),
            self.metrics.audit.clone(),
            listeners,
        );
        let tell = Arc::clone(&self.tell);
        let reconciler = Reconciler {
            client: self.client.clone(),
            claim: claim.clone(),
            metrics: self.metrics.audit.clone(),
            tell: Box::new(move |reconciled| tell(reconciled)),
        };
        let faults = self.announcements.faults.subscribe();
        let stop = async move {
            // The end of the audit closes the channels, and so ends whoever writes once everything is written.
            let _ = shutdown.wait_for(|told| *told).await;
            drop(auditing);
        };
        tokio::join!(stop, reconciler.run(statuses, faults));
        drop(series);
    }
}

/// Ends the audit when it is dropped.
pub(super) struct Auditing(#[expect(dead_code, reason = "its end is what counts")] oneshot::Sender<()>);

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
