//! `podgate reconcile`

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;

use super::args::{ClusterArgs, ProtectedArgs};
use super::failure::{Failure, block_on};
use super::serve::{RemediationArg, ReportsArg, address};
use crate::policy::protected::Protected;
use crate::runtime::reconcile::{self, AuditOptions, WriteOptions};
use crate::status::write::Reconciled;
use crate::telemetry;

/// The file with the namespace of the pod.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  podgate reconcile --lease-namespace podgate-system     # writes while it holds the Lease there
It prints a line for each changed policy status. Logs are JSON on stderr; set PODGATE_LOG=debug for more.")]
pub(super) struct ReconcileArgs {
    /// The namespace of the Lease whose holder writes, which is podgate's own [default: this pod's]
    #[arg(long, value_name = "NAME")]
    lease_namespace: Option<String>,
    /// The address of /metrics, /healthz and /readyz, without TLS
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    metrics_listen: SocketAddr,
    /// When to write reports (openreports.io): auto, where the cluster serves them, or none
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    reports: ReportsArg,
    /// The policies whose remediation may change workloads: none, cluster policies, or all policies
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t)]
    remediation: RemediationArg,
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
            let message = "name podgate's namespace, so that only the holder of its Lease writes: --lease-namespace podgate-system";
            return Err(Failure::Input(message.to_owned()));
        };
        let options = AuditOptions {
            target: self.cluster.target(),
            metrics_listen: self.metrics_listen,
            // podgate's own namespace is never judged, as by its webhooks.
            protected: Protected::with(
                [lease_namespace.clone()].into_iter().chain(self.protected.protected_namespace),
            ),
        };
        let write = WriteOptions {
            lease_namespace,
            reports: self.reports == ReportsArg::Auto,
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
