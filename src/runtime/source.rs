//! Where the policies come from, and whether they can be relied on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ListParams};
use tokio::sync::watch;

use super::ServeError;
use super::beating::who;
use super::certificates::Keeping;
use super::leading::Leading;
use crate::admission::handler::Readiness;
use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy};
use crate::clusters::{self, Cluster, ClusterError, Target};
use crate::leader;
use crate::metrics::{Metrics, PolicyMetrics};
use crate::policies::Policies;
use crate::policies::files::Files;
use crate::policies::watch::{Announcements, WatchState, watch_policies};
use crate::policy::policy_set::PolicySet;
use crate::policy::protected::Protected;
use crate::remediation::work::RemediationScope;
use crate::status::write::Reconciled;

/// How long the API server may refuse the watch of policies before this
/// replica says it is not ready.
const REFUSED_LIMIT: Duration = Duration::from_mins(1);

/// Where the policies come from, as the command line says it.
pub enum Source {
    /// YAML files and folders; no cluster is needed.
    Files(Vec<PathBuf>),
    /// A cluster's watch. With `register`, also write the webhook configuration.
    Cluster { target: Target, register: bool },
}

/// An opened source.
#[derive(Clone)]
pub(super) enum PolicySource {
    Files(Files),
    Cluster {
        cluster: Cluster,
        register: bool,
        protected: Protected,
        state: watch::Sender<WatchState>,
        announcements: Announcements,
    },
}

/// What the podgate that leads is told.
pub(super) struct Lease {
    pub namespace: Option<String>,
    pub reports: bool,
    /// What else the leader keeps.
    pub keeping: Option<Keeping>,
    /// Whose remediation may write to workloads.
    pub remediation: RemediationScope,
}

impl PolicySource {
    /// Reads the files, or sees that the cluster serves policies.
    pub(super) async fn open(
        source: &Source,
        protected: Protected,
        policies: &Policies,
        metrics: &PolicyMetrics,
    ) -> Result<Self, ServeError> {
        match source {
            Source::Files(paths) => {
                let (files, set) = Files::open(paths.clone(), protected)?;
                metrics.loaded(set.len(), 0);
                policies.store(Some(Arc::new(set)));
                Ok(Self::Files(files))
            }
            Source::Cluster { target, register } => {
                let cluster = clusters::connect(target).await?;
                check_served(&cluster).await?;
                Ok(Self::Cluster {
                    cluster,
                    register: *register,
                    protected,
                    state: watch::Sender::default(),
                    announcements: Announcements::default(),
                })
            }
        }
    }

    /// Publishes every change until it is dropped.
    pub(super) async fn keep_up_to_date(self, policies: Policies, metrics: PolicyMetrics) {
        match self {
            Self::Files(files) => files.watch(policies, metrics).await,
            Self::Cluster { cluster, protected, state, announcements, .. } => {
                watch_policies(cluster.client, policies, protected, state, announcements, metrics)
                    .await;
            }
        }
    }

    /// Waits until the policies are known for the first time.
    pub(super) async fn first_known(&self) -> Result<(), ServeError> {
        let Self::Cluster { state, .. } = self else { return Ok(()) };
        let mut state = state.subscribe();
        let synced = state.wait_for(|state| state.synced).await;
        synced.map(|_| ()).map_err(|_| ServeError::Ended("watch of policies"))
    }

    /// Whether the policies can be relied on.
    pub(super) fn readiness(&self, policies: &Policies) -> Readiness {
        let policies = policies.clone();
        let state = match self {
            Self::Files(_) => None,
            Self::Cluster { state, .. } => Some(state.subscribe()),
        };
        Arc::new(move || {
            if policies.load().is_none() {
                return Err("the policies are not loaded yet".to_owned());
            }
            let refused = state.as_ref().and_then(|state| state.borrow().refused_since);
            if refused.is_some_and(|since| since.elapsed() > REFUSED_LIMIT) {
                return Err(
                    "the API server has refused the watch of policies for a minute".to_owned()
                );
            }
            Ok(())
        })
    }

    /// Tells of every change of the policies; of files nobody waits for one.
    pub(super) fn changes(&self) -> watch::Receiver<Option<Arc<PolicySet>>> {
        match self {
            Self::Files(_) => watch::channel(None).1,
            Self::Cluster { announcements, .. } => announcements.policies.subscribe(),
        }
    }

    /// What this podgate does when it leads; nothing without a cluster.
    pub(super) fn leading(&self, lease: Lease, metrics: Metrics) -> Option<Leading> {
        let Self::Cluster { cluster, announcements, .. } = self else { return None };
        let namespace = self.release_namespace(lease.namespace.as_deref());
        Some(Leading {
            client: cluster.client.clone(),
            lease: leader::Options::new(namespace),
            announcements: announcements.clone(),
            metrics,
            reports: lease.reports,
            keeping: lease.keeping,
            remediation: lease.remediation,
            on_reconciled: Arc::new(|reconciled| {
                let Reconciled { policy, message, written } = reconciled;
                if *written {
                    tracing::info!(policy, "{message}");
                } else {
                    tracing::debug!(policy, "{message}");
                }
            }),
        })
    }

    /// The namespace podgate is installed in: what was said or, in a pod, its own.
    pub(super) fn release_namespace(&self, said: Option<&str>) -> String {
        let own = self.client();
        let own = own.as_ref().map(Client::default_namespace);
        said.or(own).unwrap_or_default().to_owned()
    }

    /// Who the API server takes this podgate for, where it may repair workloads.
    pub(super) async fn own_user(
        &self,
        remediation: RemediationScope,
    ) -> Result<Option<Arc<str>>, ClusterError> {
        let Some(client) = self.client().filter(|_| remediation != RemediationScope::None) else {
            return Ok(None);
        };
        let user = who(client).await.map_err(|error| ClusterError::Api(error.to_string()))?;
        Ok(Some(user.into()))
    }

    /// Leaves podgate's own namespace alone too, as its webhooks do.
    pub(super) fn protect(&mut self, namespace: &str) {
        if let Self::Cluster { protected, .. } = self {
            *protected = protected.and(namespace);
        }
    }

    pub(super) fn client(&self) -> Option<Client> {
        self.cluster().map(|cluster| cluster.client.clone())
    }

    /// The cluster, if there is one.
    pub(super) fn cluster(&self) -> Option<&Cluster> {
        match self {
            Self::Files(_) => None,
            Self::Cluster { cluster, .. } => Some(cluster),
        }
    }

    /// The namespaces that are left alone.
    pub(super) fn protected(&self) -> Protected {
        match self {
            Self::Files(_) => Protected::default(),
            Self::Cluster { protected, .. } => protected.clone(),
        }
    }

    /// The client to register with, if that was asked for.
    pub(super) fn registering_client(&self) -> Option<Client> {
        match self {
            Self::Cluster { cluster, register: true, .. } => Some(cluster.client.clone()),
            _ => None,
        }
    }
}

/// A watch would only wait and retry; at the start it is better to say what is wrong.
async fn check_served(cluster: &Cluster) -> Result<(), ClusterError> {
    let one = ListParams::default().limit(1);
    let own = Api::<DevOpsPolicy>::all(cluster.client.clone());
    let own = own.list_metadata(&one).await.map(|_| ());
    let all = Api::<ClusterDevOpsPolicy>::all(cluster.client.clone());
    let all = all.list_metadata(&one).await.map(|_| ());
    for (listed, kind) in [
        (own, "DevOpsPolicy (devops.stochastic.io/v1)"),
        (all, "ClusterDevOpsPolicy (devops.stochastic.io/v1)"),
    ] {
        match listed {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Err(ClusterError::NotServed(kind));
            }
            Err(error) => return Err(cluster.explain(error)),
        }
    }
    Ok(())
}
