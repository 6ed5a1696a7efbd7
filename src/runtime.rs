//! Wires the parts of `podgate serve` together and ends them in order.

mod beating;
mod certificates;
mod leading;
mod listen;
pub mod reconcile;
mod signals;
mod source;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admission::alive::Alive;
use crate::admission::callers::Callers;
use crate::admission::connections::Connections;
use crate::admission::handler::{self, Readiness, Reviews};
use crate::admission::register::{RegisterError, SelfRegistration};
use crate::admission::registration::{MUTATING, Registration, VALIDATING};
use crate::admission::server::{Drain, Server};
use crate::certs::client_ca::{ClientCa, ClientCaError};
use crate::certs::{IdentityError, Resolver, folder};
use crate::clusters::ClusterError;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::policies::files::FilesError;
use crate::policy::protected::Protected;
use crate::remediation::work::RemediationScope;

use beating::Beating;
pub use beating::Rendered;
use certificates::Served;
pub use certificates::{Certificates, Shared};
pub use leading::OnReconciled;
pub use source::Source;
use source::{Lease, PolicySource};

/// How long the API server may take to forget this webhook at the end.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(5);

/// What to serve.
pub struct Options {
    pub listen: SocketAddr,
    pub metrics_listen: SocketAddr,
    pub certificates: Certificates,
    pub source: Source,
    /// The admin's own page, with which denials end.
    pub docs_url: Option<String>,
    /// How long to go on after a signal.
    pub drain: Drain,
    /// The namespaces that are left alone.
    pub protected: Protected,
    /// Where the Lease is that says who writes; `None` is the namespace of this pod or, outside of one, the context's.
    pub lease_namespace: Option<String>,
    /// Whether to write reports, where the cluster serves them.
    pub reports: bool,
    /// Whose remediation may write to workloads.
    pub remediation: RemediationScope,
    /// The file of the authorities that must have signed callers' certificates; `None` asks for none.
    pub client_ca: Option<PathBuf>,
    /// What this process does.
    pub role: Role,
}

/// What a process that serves does beside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// All that a replica does: it contends for the Lease, and the one that holds it audits and writes.
    Replica,
    /// It decides reviews. It takes no Lease and writes nothing.
    Webhook,
}

/// Why `serve` could not start or ended by itself, as a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(
        "cannot listen on {address}: {source}; end what uses the port, or choose another with {flag}"
    )]
    Listen { address: SocketAddr, flag: &'static str, source: std::io::Error },
    #[error(transparent)]
    Certificates(#[from] folder::FolderError),
    #[error("the certificates cannot be used: {0}; check tls.crt and tls.key in --cert-dir")]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    ClientCa(#[from] ClientCaError),
    #[error("cannot make certificates: {0}")]
    MakeCertificates(#[from] rcgen::Error),
    #[error("--register needs ca.crt beside tls.crt, to tell the API server whom to trust")]
    NoCa,
    #[error("cannot register the webhook: {0}")]
    Register(#[from] RegisterError),
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    #[error(
        "the {0} ended unexpectedly; this is a fault of podgate, please report it with the log"
    )]
    Ended(&'static str),
}

/// Serves until SIGTERM or SIGINT, then drains. A second signal ends it at once.
///
/// # Errors
/// What stands in the way of starting; nothing is left behind.
pub async fn serve(options: Options) -> Result<(), ServeError> {
    let signals = signals::count().map_err(ServeError::Signals)?;
    tokio::select! {
        served = run(options, signals.clone()) => served,
        () = signals::reached(signals, 2) => Ok(()),
    }
}

async fn run(options: Options, signals: watch::Receiver<u32>) -> Result<(), ServeError> {
    let metrics = Metrics::new()?;
    let policies = Policies::new(ArcSwapOption::empty());
    let mut source =
        PolicySource::open(&options.source, options.protected, &policies, &metrics.policies)
            .await?;
    let (listener, address) = listen::bind(options.listen, "--listen")?;
    let (metrics_listener, metrics_address) =
        listen::bind(options.metrics_listen, "--metrics-listen")?;
    let (files, plain_files) = listen::files();
    let resolver = Resolver::default();
    let client_ca = options.client_ca.as_deref().map(ClientCa::read).transpose()?;
    let tls = client_ca.clone().map_or_else(
        || resolver.server_config(),
        |client_ca| resolver.server_config_for(client_ca),
    );
    let callers = Callers::default();
    let alive = Arc::new(Alive::reporting_to(callers.clone()));
    let namespace = source.release_namespace(options.lease_namespace.as_deref());
    let registration = source.registering_client().map(|it| SelfRegistration::new(it, &namespace));
    let Served { shared, expected, watched } = certificates::open(
        options.certificates,
        &mut source,
        &namespace,
        address,
        resolver,
        &alive.key,
        &metrics.certificates,
    )?;

    let (drain, draining) = watch::channel(false);
    let (registered, is_registered) = watch::channel(registration.is_none());
    let trusted = shared.as_ref().map(|it| Arc::clone(&it.readiness));
    let known = source.readiness(&policies);
    let readiness = readiness(draining.clone(), known, trusted, is_registered);
    let reviews = Reviews {
        policies: policies.clone(),
        changes: source.changes(),
        callers: callers.clone(),
        metrics: metrics.admission.clone(),
        docs_url: options.docs_url.map(Arc::from),
        own_user: source.own_user(options.remediation).await?,
        alive: Arc::clone(&alive),
    };
    let webhook = Server {
        tls: Some(tls),
        asks_certificates: client_ca.is_some(),
        router: handler::router(reviews, Arc::clone(&readiness)),
        connections: Connections::new(files, callers, metrics.connections.clone()),
    };
    let plain = Server {
        tls: None,
        asks_certificates: false,
        router: metrics_router(metrics.clone(), Arc::clone(&readiness)),
        connections: Connections::new(plain_files, Callers::default(), metrics.connections.clone()),
    };
    let all = [("webhook server", listener, webhook), ("metrics server", metrics_listener, plain)];
    let mut servers = start(all, &draining, options.drain);
    // Dropped at the end of this function, which ends the updates.
    let mut updates = JoinSet::new();
    updates.spawn(source.clone().keep_up_to_date(policies, metrics.policies.clone()));
    let keeping = shared.as_ref().and_then(|it| it.keeping.clone());
    if let (Some(shared), Some(client)) = (shared, source.client()) {
        updates.spawn(shared.serving.run(client));
    }
    let rendered = expected.as_ref().map(|it| it.rendered.clone());
    if let (Some(expected), Some(cluster)) = (expected, source.cluster().cloned()) {
        let metrics = metrics.beat.clone();
        let beating = Beating { cluster, namespace, expected, watched, alive, readiness, metrics };
        updates.spawn(beating.run(options.role));
    }
    if let (Some(client_ca), Some(path)) = (client_ca, options.client_ca) {
        updates.spawn(client_ca.keep_up_to_date(path));
    }
    let (namespace, reports, remediation) =
        (options.lease_namespace, options.reports, options.remediation);
    let lease = Lease { namespace, reports, keeping, remediation };
    let mut leading = JoinSet::new();
    if let (Role::Replica, Some(work)) = (options.role, source.leading(lease, metrics.clone())) {
        leading.spawn(work.run(draining.clone()));
    }

    let served = async {
        source.first_known().await?;
        register(registration.as_ref().zip(rendered.as_ref())).await?;
        registered.send_replace(true);
        tracing::info!(listen = %address, metrics = %metrics_address, "serving");
        Err(first_to_end(&mut servers, &mut updates, &mut leading).await)
    };
    let outcome = tokio::select! {
        failed = served => failed,
        () = signals::reached(signals, 1) => Ok(()),
    };
    tracing::info!("draining");
    drain.send_replace(true);
    if let Some(registration) = &registration {
        // First of all, so that the API server stops calling.
        unregister(registration).await;
    }
    // At most as long as the work may take to end; others lead sooner if the Lease is released before the last
    // connection ends.
    while leading.join_next().await.is_some() {}
    outcome?;
    while servers.join_next().await.is_some() {}
    Ok(())
}

/// What ended that should not.
async fn first_to_end(
    servers: &mut JoinSet<&'static str>,
    updates: &mut JoinSet<()>,
    leading: &mut JoinSet<()>,
) -> ServeError {
    tokio::select! {
        ended = servers.join_next() => {
            ServeError::Ended(ended.and_then(Result::ok).unwrap_or("server"))
        }
        _ = updates.join_next() => ServeError::Ended("watch of policies or certificates"),
        Some(_) = leading.join_next() => ServeError::Ended("work of the leader"),
    }
}

/// Ready where all of these say so.
fn readiness(
    draining: watch::Receiver<bool>,
    source: Readiness,
    trusted: Option<Readiness>,
    registered: watch::Receiver<bool>,
) -> Readiness {
    Arc::new(move || {
        if *draining.borrow() {
            return Err("it is shutting down".to_owned());
        }
        source()?;
        trusted.as_ref().map_or(Ok(()), |trusted| trusted())?;
        registered.borrow().then_some(()).ok_or_else(|| "not registered yet".to_owned())
    })
}

/// Starts servers, each with the name that is told if it ends.
fn start(
    all: [(&'static str, TcpListener, Server); 2],
    draining: &watch::Receiver<bool>,
    drain: Drain,
) -> JoinSet<&'static str> {
    let mut servers = JoinSet::new();
    for (name, listener, server) in all {
        let serving = server.serve(listener, draining.clone(), drain);
        servers.spawn(async move {
            serving.await;
            name
        });
    }
    servers
}

/// Writes the configurations, where this podgate is to.
async fn register(
    registration: Option<(&SelfRegistration, &Registration)>,
) -> Result<(), ServeError> {
    let Some((registration, rendered)) = registration else { return Ok(()) };
    registration.write(rendered).await?;
    tracing::info!(configurations = ?[VALIDATING, MUTATING], "registered");
    Ok(())
}

async fn unregister(registration: &SelfRegistration) {
    let advice = "podgate webhook delete";
    match tokio::time::timeout(UNREGISTER_TIMEOUT, registration.remove()).await {
        Ok(Ok(())) => tracing::info!(configurations = ?[VALIDATING, MUTATING], "unregistered"),
        Ok(Err(error)) => {
            tracing::error!(%error, advice, "the webhook configurations are left behind");
        }
        Err(_) => {
            tracing::error!(advice, "the webhook configurations may be left behind: no answer");
        }
    }
}

/// The plain side: metrics and health.
fn metrics_router(metrics: Metrics, readiness: Readiness) -> Router {
    let expose = move || async move {
        match metrics.expose() {
            Ok(text) => ([("content-type", prometheus::TEXT_FORMAT)], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    };
    handler::health_router(readiness).route("/metrics", get(expose))
}
