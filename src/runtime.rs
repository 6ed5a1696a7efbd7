//! Wires the parts of `podgate serve`, and shuts them down in order. It only wires: each part says what it does.
//!
//! Graceful shutdown: on the first SIGTERM or SIGINT, `/readyz` fails, `--register` removes its configurations, and the
//! leader's work ends and releases the Lease. The listeners serve on for as long as [`Drain`] says; a second signal
//! ends the process at once.
//!
//! [`leader_work`] is what the leader does, [`availability`] what every replica does to know that the API servers call
//! it, [`certificates`] where the serving certificate comes from, and [`source`] where the policies come from.
//! [`reconcile`] wires `podgate reconcile` and `podgate watch`.
//!
//! [`Drain`]: crate::admission::server::Drain

mod availability;
mod certificates;
mod error;
mod expected;
mod floor;
mod leader_work;
mod listen;
mod metrics_endpoint;
mod options;
mod own_user;
pub(crate) mod reconcile;
mod signals;
mod source;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use kube::Client;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admission::alive::Alive;
use crate::admission::callers::Callers;
use crate::admission::connections::Connections;
use crate::admission::handler::{self, Readiness, Reviews};
use crate::admission::registration::{MUTATING, Registration, VALIDATING};
use crate::admission::self_registration::SelfRegistration;
use crate::admission::server::{Drain, Server};
use crate::certs::Resolver;
use crate::certs::client_ca::ClientCa;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::policy::called::Called;

use availability::Availability;
use certificates::OpenCertificates;
pub use certificates::{Certificates, SharedCertificates};
pub use error::ServeError;
pub use expected::WebhookValues;
use leader_work::{LeaderOptions, LeaderWork};
pub use options::{Role, ServeOptions};
pub use source::PolicyInput;
use source::PolicySource;

/// How long the removal of self-registered configurations may take at the shutdown.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT, then drains. A second signal ends it at once.
///
/// # Errors
/// Why it could not start; nothing is left in the cluster.
pub async fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let signals = signals::count().map_err(ServeError::Signals)?;
    tokio::select! {
        served = run(options, signals.clone()) => served,
        () = signals::reached(signals, 2) => Ok(()),
    }
}

async fn run(options: ServeOptions, signals: watch::Receiver<u32>) -> Result<(), ServeError> {
    // Open what can fail: policies, sockets, certificates.
    let metrics = Metrics::new()?;
    let policies = Policies::new(ArcSwapOption::empty());
    let mut source =
        PolicySource::open(&options.policies, options.protected, &policies, &metrics.policies)
            .await?;
    let (listener, address) = listen::bind(options.listen, "--listen")?;
    let (metrics_listener, metrics_address) =
        listen::bind(options.metrics_listen, "--metrics-listen")?;
    let capacities = listen::capacities();
    let resolver = Resolver::default();
    let client_ca = options.client_ca.as_deref().map(ClientCa::read).transpose()?;
    let tls = tls_config(&resolver, client_ca.clone());
    let callers = Callers::default();
    let alive = Arc::new(Alive::reporting_to(callers.clone()));
    let namespace = source.release_namespace(options.lease_namespace.as_deref());
    let registration = source.registering_client().map(|it| SelfRegistration::new(it, &namespace));
    let OpenCertificates { shared, expected, watched } = certificates::open(
        options.certificates,
        &mut source,
        &namespace,
        address,
        resolver,
        &alive.key,
        &metrics.certificates,
    )?;

    // The listeners.
    let (drain, draining) = watch::channel(false);
    let (registered, is_registered) = watch::channel(registration.is_none());
    let trusted = shared.as_ref().map(|it| Arc::clone(&it.readiness));
    let readiness =
        readiness(draining.clone(), source.readiness(&policies), trusted, is_registered);
    let reviews = Reviews {
        policies: policies.clone(),
        changes: source.changes(),
        callers: callers.clone(),
        metrics: metrics.admission.clone(),
        docs_url: options.docs_url.map(Arc::from),
        own_user: source.own_user(options.remediation).await?,
        controllers: options.controllers,
        alive: Arc::clone(&alive),
    };
    let webhook = Server {
        tls: Some(tls),
        asks_certificates: client_ca.is_some(),
        router: handler::router(reviews.clone(), Arc::clone(&readiness)),
        connections: Connections::new(capacities.webhook, callers, metrics.connections.clone()),
    };
    let plain = metrics_endpoint::server(&metrics, Arc::clone(&readiness), capacities.plain);
    let mut tasks = Tasks::default();
    tasks.serve("webhook server", listener, webhook, &draining, options.drain);
    tasks.serve("metrics server", metrics_listener, plain, &draining, options.drain);

    // The updates of every replica: policies, certificates, the beat, the client CA.
    tasks.updates.spawn(source.clone().keep_up_to_date(policies, metrics.policies.clone()));
    let keeping = shared.as_ref().and_then(|it| it.keeping.clone());
    if let (Some(shared), Some(client)) = (shared, source.client()) {
        tasks.updates.spawn(shared.serving.run(client));
    }
    let rendered = expected.as_ref().map(|it| it.rendered.clone());
    let kept = expected.as_ref().filter(|_| options.floor);
    let (keep, floor_beat) =
        floor::open(kept, &namespace, &source, &reviews, &metrics.floor).unzip();
    let (called, is_called) = watch::channel(Called::NoBeat);
    if let (Some(expected), Some(cluster)) = (expected, source.cluster().cloned()) {
        let metrics = metrics.beat.clone();
        let availability =
            Availability { cluster, namespace, expected, watched, alive, readiness, metrics };
        tasks.updates.spawn(availability.run(options.role, called, floor_beat));
    }
    if let (Some(client_ca), Some(path)) = (client_ca, options.client_ca) {
        tasks.updates.spawn(client_ca.keep_up_to_date(path));
    }

    // Leader election and the leader's work.
    let leader = LeaderOptions {
        namespace: options.lease_namespace,
        reports: options.reports,
        keeping,
        remediation: options.remediation,
        called: is_called,
        floor: keep,
    };
    if let (Role::Replica, Some(work)) =
        (options.role, LeaderWork::new(&source, leader, metrics.clone()))
    {
        tasks.leader.spawn(work.run(draining.clone()));
    }

    let served = async {
        source.first_known().await?;
        register(registration.as_ref().zip(rendered.as_ref())).await?;
        registered.send_replace(true);
        tracing::info!(listen = %address, metrics = %metrics_address, "serving");
        Err(tasks.first_to_end().await)
    };
    let outcome = tokio::select! {
        failed = served => failed,
        () = signals::reached(signals, 1) => Ok(()),
    };
    tracing::info!("draining");
    drain.send_replace(true);
    let floor = source.registering_client().filter(|_| options.floor);
    tasks.shut_down(registration.as_ref(), floor, outcome).await
}

/// With a client CA, callers must have a certificate of it.
fn tls_config(resolver: &Resolver, client_ca: Option<ClientCa>) -> Arc<ServerConfig> {
    match client_ca {
        Some(client_ca) => resolver.server_config_for(client_ca),
        None => resolver.server_config(),
    }
}

/// The tasks of a process that serves. Dropping them aborts them.
#[derive(Default)]
struct Tasks {
    /// The listeners, by name.
    servers: JoinSet<&'static str>,
    updates: JoinSet<()>,
    leader: JoinSet<()>,
}

impl Tasks {
    fn serve(
        &mut self,
        name: &'static str,
        listener: TcpListener,
        server: Server,
        draining: &watch::Receiver<bool>,
        drain: Drain,
    ) {
        let serving = server.serve(listener, draining.clone(), drain);
        self.servers.spawn(async move {
            serving.await;
            name
        });
    }

    /// Waits until all tasks have drained, or no longer than for the leader if the outcome is an error.
    async fn shut_down(
        mut self,
        registration: Option<&SelfRegistration>,
        floor: Option<Client>,
        outcome: Result<(), ServeError>,
    ) -> Result<(), ServeError> {
        if let Some(registration) = registration {
            // First, so that the API server stops calling.
            unregister(registration).await;
        }
        // The leader ends before the last connection does, so that another replica leads soon; it takes a few seconds
        // at most.
        while self.leader.join_next().await.is_some() {}
        if let Some(client) = floor {
            floor::remove(&client).await;
        }
        outcome?;
        while self.servers.join_next().await.is_some() {}
        Ok(())
    }

    /// Waits until a task ends, which none should before the shutdown.
    async fn first_to_end(&mut self) -> ServeError {
        tokio::select! {
            ended = self.servers.join_next() => {
                ServeError::Ended(ended.and_then(Result::ok).unwrap_or("server"))
            }
            _ = self.updates.join_next() => ServeError::Ended("watch of policies or certificates"),
            Some(_) = self.leader.join_next() => ServeError::Ended("work of the leader"),
        }
    }
}

/// Ready while each of these is ready, and the process is not draining.
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

/// Writes the webhook configurations, with `--register`.
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
