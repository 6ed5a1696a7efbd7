//! The audit without the webhook: `podgate reconcile` writes what it finds, `podgate watch` only shows it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::leading::{Auditing, OnReconciled, nothing, start_audit};
use super::source::{Lease, PolicySource};
use super::{ServeError, Source, listen, metrics_router, signals};
use crate::admission::server::{self, Drain};
use crate::audit::watch::Listeners;
use crate::clusters::Target;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::policy::observed::{Change, PolicyUpdate};
use crate::policy::protected::Protected;
use crate::remediation::work::RemediationScope;

/// Which cluster, and where its metrics are served.
pub struct Options {
    pub target: Target,
    pub metrics_listen: SocketAddr,
    /// The namespaces that are left alone.
    pub protected: Protected,
}

/// Nobody needs to hear of the end, and open connections may take a moment.
const DRAIN: Drain = Drain { at_least: Duration::ZERO, at_most: Duration::from_secs(1) };

/// Audits and writes whenever it leads, until SIGTERM or SIGINT.
///
/// # Errors
/// What stands in the way of starting.
pub async fn reconcile(
    options: Options,
    lease_namespace: String,
    reports: bool,
    remediation: RemediationScope,
    on_reconciled: OnReconciled,
) -> Result<(), ServeError> {
    let parts = Parts::start(options).await?;
    let lease = Lease { namespace: Some(lease_namespace), reports, keeping: None, remediation };
    let Some(mut leading) = parts.source.leading(lease, parts.metrics.clone()) else {
        return Err(ServeError::Ended("cluster"));
    };
    leading.on_reconciled = on_reconciled;
    let work = Box::pin(leading.run(parts.shutdown.subscribe()));
    parts.until_signalled(work).await
}

/// What `podgate watch` is told.
pub struct AuditUpdates {
    pub policies: mpsc::Receiver<Vec<PolicyUpdate>>,
    pub changes: mpsc::Receiver<Vec<Change>>,
}

/// Audits, and hands what it finds to `show`, until that ends or SIGTERM or SIGINT. Writes nothing.
///
/// # Errors
/// What stands in the way of starting.
pub async fn observe(
    options: Options,
    show: impl AsyncFnOnce(AuditUpdates),
) -> Result<(), ServeError> {
    let parts = Parts::start(options).await?;
    let PolicySource::Cluster { cluster, announcements, .. } = &parts.source else {
        return Err(ServeError::Ended("cluster"));
    };
    let (policies, seen_policies) = mpsc::channel(1);
    let (changes, seen_changes) = mpsc::channel(1);
    let listeners =
        Listeners { policies: Some(policies), changes: Some(changes), ..Listeners::default() };
    let auditing: Auditing = start_audit(
        &cluster.client,
        announcements,
        nothing(),
        parts.metrics.audit.clone(),
        listeners,
    );
    let seen = AuditUpdates { policies: seen_policies, changes: seen_changes };
    let mut told = parts.shutdown.subscribe();
    let shown = parts
        .until_signalled(async move {
            tokio::select! {
                () = show(seen) => {}
                _ = told.wait_for(|told| *told) => {}
            }
        })
        .await;
    drop(auditing);
    shown
}

/// What both have in common: the policies, the metrics, and an end.
struct Parts {
    source: PolicySource,
    metrics: Metrics,
    shutdown: watch::Sender<bool>,
    signals: watch::Receiver<u32>,
    servers: JoinSet<()>,
    updates: JoinSet<()>,
}

impl Parts {
    async fn start(options: Options) -> Result<Self, ServeError> {
        let signals = signals::count().map_err(ServeError::Signals)?;
        let metrics = Metrics::new()?;
        let policies = Policies::new(ArcSwapOption::empty());
        let source = Source::Cluster { target: options.target, register: false };
        let source =
            PolicySource::open(&source, options.protected, &policies, &metrics.policies).await?;
        let (listener, address) = listen::bind(options.metrics_listen, "--metrics-listen")?;
        let shutdown = watch::Sender::new(false);
        let readiness = source.readiness(&policies);
        let router = metrics_router(metrics.clone(), Arc::clone(&readiness));
        let mut servers = JoinSet::new();
        servers.spawn(server::serve(listener, None, router, shutdown.subscribe(), DRAIN));
        let mut updates = JoinSet::new();
        updates.spawn(source.clone().keep_up_to_date(policies, metrics.policies.clone()));
        source.first_known().await?;
        tracing::info!(metrics = %address, "serving");
        Ok(Self { source, metrics, shutdown, signals, servers, updates })
    }

    /// Works until the work ends, which is told of the first signal; a second one ends it at once. Then everything ends, in
    /// bounded time.
    async fn until_signalled(mut self, work: impl Future<Output = ()>) -> Result<(), ServeError> {
        let shutdown = self.shutdown.clone();
        let signals = self.signals.clone();
        let told = async {
            signals::reached(signals, 1).await;
            tracing::info!("draining");
            shutdown.send_replace(true);
            std::future::pending::<()>().await;
        };
        let updates = &mut self.updates;
        let outcome = tokio::select! {
            () = work => Ok(()),
            () = told => Ok(()),
            () = signals::reached(self.signals.clone(), 2) => return Ok(()),
            _ = updates.join_next() => Err(ServeError::Ended("watch of policies")),
        };
        self.shutdown.send_replace(true);
        while self.servers.join_next().await.is_some() {}
        outcome
    }
}
