//! `podgate serve` and `podgate webhook serve`

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};

use super::args::{ClusterArgs, ProtectedArgs};
use super::certificates::CertificateArgs;
use super::failure::{Failure, block_on};
use crate::admission::server::Drain;
use crate::policy::grace::ControllerUsers;
use crate::remediation::work::RemediationScope;
use crate::runtime::{self, Certificates, PolicyInput, Role, ServeOptions};
use crate::telemetry;

/// Longer than the API server keeps an idle connection (90 s), so that the API server always closes it first.
const CLUSTER_DRAIN_SECONDS: u64 = 95;
/// Without a cluster no API server keeps connections open, so the drain is short.
const DEVELOPMENT_DRAIN_SECONDS: u64 = 5;
/// The time in which a cluster removes this replica's endpoint.
const CLUSTER_DELAY_SECONDS: u64 = 10;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  podgate serve --standalone --policy policies/ --cert-dir /tmp/podgate-certs
  podgate serve --register --listen 127.0.0.1:8443     # develop against the current context
Logs are JSON on stderr; set PODGATE_LOG=debug for more.")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    webhook: WebhookArgs,
    /// For development: write the webhook configurations to the cluster, and remove them at the end
    #[arg(long, group = "beats", conflicts_with_all = ["standalone", "certificates"])]
    register: bool,
    /// The namespace of the Lease whose holder writes [default: this pod's namespace, or the context's]
    #[arg(long, value_name = "NAME", conflicts_with = "standalone")]
    lease_namespace: Option<String>,
    /// When to write reports (openreports.io): auto, where the cluster serves them, or none
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    reports: ReportsArg,
    /// The policies whose remediation may change workloads: none, cluster policies, or all policies
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t, conflicts_with = "standalone")]
    remediation: RemediationArg,
    /// Keep the floor: the policies that deny as the API server's own,
    /// which judge only while it hears nothing of podgate (Kubernetes 1.33)
    #[arg(long, conflicts_with = "standalone", requires = "beats")]
    floor: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "It takes no Lease and writes nothing: other replicas maintain the certificate and the webhook
configurations.

Examples:
  podgate webhook serve --certificates provided --tls-secret podgate-tls
  podgate webhook serve --standalone --policy policies/ --cert-dir /tmp/podgate-certs
Logs are JSON on stderr; set PODGATE_LOG=debug for more."
)]
pub(super) struct WebhookServeArgs {
    #[command(flatten)]
    webhook: WebhookArgs,
}

/// The flags of the webhook, shared by `serve` and `webhook serve`.
#[derive(Args, Debug)]
struct WebhookArgs {
    /// The address of the webhook, with TLS: /validate, /healthz, /readyz
    #[arg(long, value_name = "ADDR", default_value = "[::]:8443", value_parser = address)]
    listen: SocketAddr,
    /// The address of /metrics, /healthz and /readyz, without TLS
    #[arg(long, value_name = "ADDR", default_value = "[::]:8080", value_parser = address)]
    metrics_listen: SocketAddr,
    /// The folder of tls.crt, tls.key and ca.crt, which are created if absent [default: in memory]
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Answer only callers with a certificate signed by an authority in
    /// this file; read again when it changes [default: answer every caller]
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Read the policies from files, without a cluster
    #[arg(long, requires = "policy", conflicts_with_all = ["kubeconfig", "context"])]
    standalone: bool,
    /// A policy file or a folder of them, read again when it changes; may be repeated
    #[arg(long, value_name = "FILE|DIR", requires = "standalone")]
    policy: Vec<PathBuf>,
    /// A page of your own, linked at the end of each denial
    #[arg(long, value_name = "URL")]
    docs_url: Option<String>,
    /// A user of Kubernetes' controllers, for graceUntil, beside system:kube-controller-manager
    /// and the service accounts in kube-system; may be repeated
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    controller_user: Vec<String>,
    /// The seconds to keep serving after SIGTERM, while endpoints
    /// are removed [default: 10; 0 with --standalone or --register]
    #[arg(long, value_name = "SECONDS")]
    shutdown_delay: Option<u64>,
    /// The seconds that open connections have to end after SIGTERM [default: 95; 5 with --standalone or --register]
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
            reports: self.reports == ReportsArg::Auto,
            remediation: self.remediation.allowed(),
            floor: self.floor,
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
    /// The options of a process that only answers reviews.
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
            PolicyInput::Files(self.policy)
        } else {
            PolicyInput::Cluster { target: self.cluster.target(), register }
        };
        Ok(ServeOptions {
            listen: self.listen,
            metrics_listen: self.metrics_listen,
            certificates,
            client_ca: self.client_ca,
            policies,
            docs_url: self.docs_url,
            controllers: ControllerUsers::with(self.controller_user),
            lease_namespace: None,
            reports: false,
            remediation: RemediationScope::None,
            floor: false,
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
pub(super) enum ReportsArg {
    /// Where the cluster serves openreports.io.
    #[default]
    Auto,
    None,
}

/// The policies whose remediation may write.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum RemediationArg {
    /// Patches are only proposed, whatever policies say
    #[default]
    None,
    ClusterPolicies,
    AllPolicies,
}

impl RemediationArg {
    pub(super) const fn allowed(self) -> RemediationScope {
        match self {
            Self::None => RemediationScope::None,
            Self::ClusterPolicies => RemediationScope::ClusterPolicies,
            Self::AllPolicies => RemediationScope::AllPolicies,
        }
    }
}

/// Parses `HOST:PORT`, or `:PORT` for every address.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    let mut addresses = full.to_socket_addrs().map_err(|error| {
        format!("{error}; write it as 127.0.0.1:8443, [::1]:8443, localhost:8443 or :8443")
    })?;
    addresses.next().ok_or_else(|| "the host has no address; write it as 127.0.0.1:8443".to_owned())
}
