//! `podgate reconcile`

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;

use super::serve::{Remediation, Reports, address};
use super::{ClusterArgs, Failure, ProtectedArgs, block_on};
use crate::policy::protected::Protected;
use crate::runtime::reconcile::{self, AuditOptions, WriteOptions};
use crate::status::write::Reconciled;
use crate::telemetry;

/// Where a pod reads which namespace it is in.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  podgate reconcile --lease-namespace podgate-system     # instead of a replica that leads there, or after it
It prints a line whenever the state of a policy changed; logs are JSON on stderr, PODGATE_LOG=debug says more.")]
pub(super) struct ReconcileArgs {
    /// The namespace podgate is installed in, whose Lease says who writes [default: this pod's]
    #[arg(long, value_name = "NAME")]
    lease_namespace: Option<String>,
    /// Where /metrics, /healthz and /readyz are served, without TLS
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    metrics_listen: SocketAddr,
    /// Write reports (openreports.io): where the cluster serves them, or never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    reports: Reports,
    /// Whose remediation may change workloads: no policy's, that of cluster policies, or that of all
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t)]
    remediation: Remediation,
    #[command(flatten)]
    protected: ProtectedArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl ReconcileArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        telemetry::init();
        let own = || std::fs::read_to_string(OWN_NAMESPACE).ok().map(|it| it.trim().to_owned());
        let Some(lease_namespace) = self.lease_namespace.or_else(own) else {
            let message = "say in which namespace podgate is installed, so that only one writes: --lease-namespace podgate-system";
            return Err(Failure::Input(message.to_owned()));
        };
        let options = AuditOptions {
            target: self.cluster.target(),
            metrics_listen: self.metrics_listen,
            // podgate's own namespace is left alone, as its webhooks leave it alone.
            protected: Protected::with(
                [lease_namespace.clone()].into_iter().chain(self.protected.protected_namespace),
            ),
        };
        let write = WriteOptions {
            lease_namespace,
            reports: self.reports == Reports::Auto,
            remediation: self.remediation.allowed(),
        };
        let on_reconciled = Arc::new(|reconciled: &Reconciled| {
            if reconciled.written {
                println!("{}  {}", reconciled.policy, reconciled.message);
            }
        });
        block_on(async { Ok(Box::pin(reconcile::reconcile(options, write, on_reconciled)).await?) })
    }
}
