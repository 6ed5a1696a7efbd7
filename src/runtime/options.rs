//! The options of `podgate serve` and `podgate webhook serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::certificates::Certificates;
use super::source::PolicyInput;
use crate::admission::server::Drain;
use crate::policy::grace::ControllerUsers;
use crate::policy::protected::Protected;
use crate::remediation::work::RemediationScope;

/// What to serve, and how.
pub struct ServeOptions {
    pub listen: SocketAddr,
    pub metrics_listen: SocketAddr,
    pub certificates: Certificates,
    pub policies: PolicyInput,
    /// The URL that denials end with: the admin's own page.
    pub docs_url: Option<String>,
    /// How long to serve on after a shutdown signal.
    pub drain: Drain,
    /// The namespaces that podgate leaves alone.
    pub protected: Protected,
    /// The namespace of the leader's Lease; `None` is the namespace of this pod or, outside a cluster, of the context.
    pub lease_namespace: Option<String>,
    /// Whether to write reports, where the cluster serves them.
    pub reports: bool,
    /// Which policies' remediation may write to workloads.
    pub remediation: RemediationScope,
    /// The users of Kubernetes' controllers.
    pub controllers: ControllerUsers,
    /// The file with the CA of callers' client certificates; `None` asks callers for no certificate.
    pub client_ca: Option<PathBuf>,
    /// Whether the leader keeps the floor.
    pub floor: bool,
    pub role: Role,
}

/// What a serving process does beside answering reviews.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// It contends for the leader's Lease and, as the leader, audits and writes. It sends beats.
    Replica,
    /// It takes no Lease and writes nothing.
    Webhook,
}
