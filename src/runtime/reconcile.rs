//! The audit without the webhook: `podgate reconcile` also writes its findings, `podgate watch` only shows them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::error::ServeError;
use super::leader_work::{LeaderOptions, LeaderWork, OnReconciled, start_audit};
use super::source::{PolicyInput, PolicySource};
use super::{listen, metrics_endpoint, signals};
use crate::admission::server::{self, Drain};
use crate::audit::index::Remembered;
use crate::audit::watch::Listeners;
use crate::clusters::Target;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::policy::called::Called;
use crate::policy::observed::{Change, PolicyUpdate};
use crate::policy::protected::Protected;
use crate::remediation::work::RemediationScope;

/// Options of both commands.
pub struct AuditOptions {
    pub target: Target,
    pub metrics_listen: SocketAddr,
    /// The namespaces that podgate leaves alone.
    pub protected: Protected,
}

/// What `podgate reconcile` writes.
pub struct WriteOptions {
    pub lease_namespace: String,
    /// Whether to write reports, where the cluster serves them.
    pub reports: bool,
    /// Which policies' remediation may write to workloads.
    pub remediation: RemediationScope,
}

/// The drain of the metrics listener, which no API server calls.
const DRAIN: Drain = Drain { at_least: Duration::ZERO, at_most: Duration::from_secs(1) };

/// Audits and writes whenever this process leads, until SIGTERM or SIGINT.
///
/// # Errors
/// Why it could not start, or what ended without a signal.
pub async fn reconcile(
    options: AuditOptions,
    write: WriteOptions,
    on_reconciled: OnReconciled,
) -> Result<(), ServeError> {
    let process = Process::start(options).await?;
    let leader = LeaderOptions {
        namespace: Some(write.lease_namespace),
        reports: write.reports,
        keeping: None,
        remediation: write.remediation,
        called: watch::channel(Called::NoBeat).1,
        floor: None,
    };
    let Some(mut work) = LeaderWork::new(&process.source, leader, process.metrics.clone()) else {
        return Err(ServeError::Ended("cluster"));
    };
    work.on_reconciled = on_reconciled;
    let work = Box::pin(work.run(process.shutdown.subscribe()));
    process.run(work).await
}

/// The audit's updates, as `podgate watch` shows them.
pub struct AuditUpdates {
    pub policies: mpsc::Receiver<Vec<PolicyUpdate>>,
    pub changes: mpsc::Receiver<Vec<Change>>,
}

/// Audits, and passes the updates to `show`, until it returns or SIGTERM or SIGINT comes. Writes nothing.
///
/// # Errors
/// Why it could not start, or what ended without a signal.
pub async fn observe(
    options: AuditOptions,
    show: impl AsyncFnOnce(AuditUpdates),
) -> Result<(), ServeError> {
    let process = Process::start(options).await?;
    let PolicySource::Cluster { cluster, announcements, .. } = &process.source else {
        return Err(ServeError::Ended("cluster"));
    };
    let (policies, policy_updates) = mpsc::channel(1);
    let (changes, change_updates) = mpsc::channel(1);
    let listeners =
        Listeners { policies: Some(policies), changes: Some(changes), ..Listeners::default() };
    let auditing = start_audit(
        &cluster.client,
        announcements,
        Remembered::default(),
        process.metrics.audit.clone(),
        listeners,
    );
    let updates = AuditUpdates { policies: policy_updates, changes: change_updates };
    let mut shutdown = process.shutdown.subscribe();
    let outcome = process
        .run(async move {
            tokio::select! {
                () = show(updates) => {}
                _ = shutdown.wait_for(|signalled| *signalled) => {}
            }
        })
        .await;
    drop(auditing);
    outcome
}

/// A process of either command: the policies, the metrics listener, and the shutdown.
struct Process {
    source: PolicySource,
    metrics: Metrics,
    shutdown: watch::Sender<bool>,
    signals: watch::Receiver<u32>,
    servers: JoinSet<()>,
    updates: JoinSet<()>,
}

impl Process {
    async fn start(options: AuditOptions) -> Result<Self, ServeError> {
        let signals = signals::count().map_err(ServeError::Signals)?;
        let metrics = Metrics::new()?;
        let policies = Policies::new(ArcSwapOption::empty());
        let origin = PolicyInput::Cluster { target: options.target, register: false };
        let source =
            PolicySource::open(&origin, options.protected, &policies, &metrics.policies).await?;
        let (listener, address) = listen::bind(options.metrics_listen, "--metrics-listen")?;
        let shutdown = watch::Sender::new(false);
        let readiness = source.readiness(&policies);
        let router = metrics_endpoint::router(metrics.clone(), Arc::clone(&readiness));
        let mut servers = JoinSet::new();
        servers.spawn(server::serve(listener, None, router, shutdown.subscribe(), DRAIN));
        let mut updates = JoinSet::new();
        updates.spawn(source.clone().keep_up_to_date(policies, metrics.policies.clone()));
        source.first_known().await?;
        tracing::info!(metrics = %address, "serving");
        Ok(Self { source, metrics, shutdown, signals, servers, updates })
    }

    /// Runs until the work ends. The first signal ends the work through `shutdown`; a second one ends the process at
    /// once. Then the listener drains.
    async fn run(mut self, work: impl Future<Output = ()>) -> Result<(), ServeError> {
        let shutdown = self.shutdown.clone();
        let signals = self.signals.clone();
        let forward_signal = async {
            signals::reached(signals, 1).await;
            tracing::info!("draining");
            shutdown.send_replace(true);
            std::future::pending::<()>().await;
        };
        let updates = &mut self.updates;
        let outcome = tokio::select! {
            () = work => Ok(()),
            () = forward_signal => Ok(()),
            () = signals::reached(self.signals.clone(), 2) => return Ok(()),
            _ = updates.join_next() => Err(ServeError::Ended("watch of policies")),
        };
        self.shutdown.send_replace(true);
        while self.servers.join_next().await.is_some() {}
        outcome
    }
}
