//! `podgate serve` and `podgate webhook serve`

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::certificates::CertificateArgs;
use super::{ClusterArgs, Failure, ProtectedArgs, block_on};
use crate::admission::server::Drain;
use crate::remediation::work::Allowed;
use crate::runtime::{self, Certificates, PolicyOrigin, Role, ServeOptions};
use crate::telemetry;

/// Longer than the API server keeps an idle connection (90 s), so that it is
/// always the API server that hangs up.
const CLUSTER_DRAIN_SECONDS: u64 = 95;
/// Where no cluster's API server keeps connections, nobody needs to wait.
const DEVELOPMENT_DRAIN_SECONDS: u64 = 5;
/// How long a cluster may take to hear that this replica is not to be called any more.
const CLUSTER_DELAY_SECONDS: u64 = 10;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  podgate serve --standalone --policy policies/ --cert-dir /tmp/podgate-certs
  podgate serve --register --listen 127.0.0.1:8443     # develop against the current context
Logs are JSON on stderr; PODGATE_LOG=debug says more.")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    webhook: WebhookArgs,
    /// For development: write the webhook configuration to the cluster, and remove it at the end
    #[arg(long, conflicts_with_all = ["standalone", "certificates"])]
    register: bool,
    /// Where the Lease is by which replicas agree who writes [default: this pod's namespace, or the context's]
    #[arg(long, value_name = "NAME", conflicts_with = "standalone")]
    lease_namespace: Option<String>,
    /// Write reports (openreports.io): where the cluster serves them, or never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    reports: Reports,
    /// Whose remediation may change workloads: no policy's, that of cluster policies, or that of all
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t, conflicts_with = "standalone")]
    remediation: Remediation,
}

#[derive(Args, Debug)]
#[command(after_help = "It takes no Lease and writes nothing: what it decides by, others keep.

Examples:
  podgate webhook serve --certificates provided --tls-secret podgate-tls
  podgate webhook serve --standalone --policy policies/ --cert-dir /tmp/podgate-certs
Logs are JSON on stderr; PODGATE_LOG=debug says more.")]
pub(super) struct WebhookServeArgs {
    #[command(flatten)]
    webhook: WebhookArgs,
}

/// How reviews are decided, whatever else the process does.
#[derive(Args, Debug)]
struct WebhookArgs {
    /// Where reviews are answered, by TLS: /validate, /healthz, /readyz
    #[arg(long, value_name = "ADDR", default_value = "[::]:8443", value_parser = address)]
    listen: SocketAddr,
    /// Where /metrics, /healthz and /readyz are served, without TLS
    #[arg(long, value_name = "ADDR", default_value = "[::]:8080", value_parser = address)]
    metrics_listen: SocketAddr,
    /// The folder of tls.crt, tls.key and ca.crt; they are made there if absent [default: in memory]
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Answer reviews only to callers with a certificate that an authority in this file has signed; read again when it changes [default: to everybody]
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Take the policies from files, without any cluster
    #[arg(long, requires = "policy", conflicts_with_all = ["kubeconfig", "context"])]
    standalone: bool,
    /// A policy file or a folder of them, read again when it changes; may be repeated
    #[arg(long, value_name = "FILE|DIR", requires = "standalone")]
    policy: Vec<PathBuf>,
    /// A page of yours that denials end with
    #[arg(long, value_name = "URL")]
    docs_url: Option<String>,
    /// How long to serve on after SIGTERM, whoever is connected: until nobody calls this address any more [default: 10; 0 with --standalone or --register]
    #[arg(long, value_name = "SECONDS")]
    shutdown_delay: Option<u64>,
    /// How long open connections may take to end after SIGTERM [default: 95; 5 with --standalone or --register]
    #[arg(long, value_name = "SECONDS")]
    drain_timeout: Option<u64>,
    #[command(flatten)]
    certificates: CertificateArgs,
    #[command(flatten)]
    protected: ProtectedArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl ServeArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let options = ServeOptions {
            lease_namespace: self.lease_namespace,
            reports: self.reports == Reports::Auto,
            remediation: self.remediation.allowed(),
            role: Role::Replica,
            ..self.webhook.options(self.register)?
        };
        serve(options)
    }
}

impl WebhookServeArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        serve(self.webhook.options(false)?)
    }
}

fn serve(options: ServeOptions) -> Result<(), Failure> {
    telemetry::init();
    block_on(async { Ok(runtime::serve(options).await?) })
}

impl WebhookArgs {
    /// What decides reviews and does nothing else.
    fn options(self, register: bool) -> Result<ServeOptions, Failure> {
        let development = self.standalone || register;
        let (at_least, at_most) = if development {
            (0, DEVELOPMENT_DRAIN_SECONDS)
        } else {
            (CLUSTER_DELAY_SECONDS, CLUSTER_DRAIN_SECONDS)
        };
        let at_least = self.shutdown_delay.unwrap_or(at_least);
        let at_most = self.drain_timeout.unwrap_or(at_most).max(at_least);
        let certificates = match self.certificates.shared()? {
            Some(shared) => Certificates::Shared(shared),
            None => Certificates::Own(self.cert_dir),
        };
        let policies = if self.standalone {
            PolicyOrigin::Files(self.policy)
        } else {
            PolicyOrigin::Cluster { target: self.cluster.target(), register }
        };
        Ok(ServeOptions {
            listen: self.listen,
            metrics_listen: self.metrics_listen,
            certificates,
            client_ca: self.client_ca,
            policies,
            docs_url: self.docs_url,
            lease_namespace: None,
            reports: false,
            remediation: Allowed::None,
            role: Role::Webhook,
            protected: self.protected.list(),
            drain: Drain {
                at_least: Duration::from_secs(at_least),
                at_most: Duration::from_secs(at_most),
            },
        })
    }
}

/// When to write reports.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Reports {
    /// Where the cluster serves openreports.io.
    #[default]
    Auto,
    None,
}

/// Whose remediation may write.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Remediation {
    /// Patches are proposed, whatever policies say
    #[default]
    None,
    ClusterPolicies,
    AllPolicies,
}

impl Remediation {
    pub(super) const fn allowed(self) -> Allowed {
        match self {
            Self::None => Allowed::None,
            Self::ClusterPolicies => Allowed::ClusterPolicies,
            Self::AllPolicies => Allowed::AllPolicies,
        }
    }
}

/// `HOST:PORT`, or `:PORT` for every address.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    let mut addresses = full.to_socket_addrs().map_err(|error| {
        format!("{error}; write it as 127.0.0.1:8443, [::1]:8443, localhost:8443 or :8443")
    })?;
    addresses.next().ok_or_else(|| "it names no address".to_owned())
}
