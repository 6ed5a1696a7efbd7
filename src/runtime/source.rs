//! The source of the policies: files, or a cluster's watch; and whether the process is ready to judge by them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ListParams};
use tokio::sync::watch;

use super::error::ServeError;
use super::own_user::own_user;
use crate::admission::handler::Readiness;
use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy};
use crate::clusters::{self, Cluster, ClusterError, Target};
use crate::metrics::PolicyMetrics;
use crate::policies::Policies;
use crate::policies::files::Files;
use crate::policies::watch::{Announcements, WatchState, watch_policies};
use crate::policy::policy_set::PolicySet;
use crate::policy::protected::Protected;
use crate::remediation::work::RemediationScope;

/// How long the API server may refuse the watch of policies until the replica is not ready.
const REFUSED_LIMIT: Duration = Duration::from_mins(1);

/// Where the policies come from, by the command line.
pub enum PolicyInput {
    /// YAML files and folders; no cluster is needed.
    Files(Vec<PathBuf>),
    /// A cluster. With `register`, podgate also writes the webhook configurations there.
    Cluster { target: Target, register: bool },
}

/// An opened source. Clones share it.
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

impl PolicySource {
    /// Reads the files, or checks that the cluster serves policies.
    pub(super) async fn open(
        origin: &PolicyInput,
        protected: Protected,
        policies: &Policies,
        metrics: &PolicyMetrics,
    ) -> Result<Self, ServeError> {
        match origin {
            PolicyInput::Files(paths) => {
                let (files, set) = Files::open(paths.clone(), protected)?;
                metrics.loaded(&set, 0);
                policies.store(Some(Arc::new(set)));
                Ok(Self::Files(files))
            }
            PolicyInput::Cluster { target, register } => {
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

    /// Stores every change of the policies, until it is dropped.
    pub(super) async fn keep_up_to_date(self, policies: Policies, metrics: PolicyMetrics) {
        match self {
            Self::Files(files) => files.watch(policies, metrics).await,
            Self::Cluster { cluster, protected, state, announcements, .. } => {
                watch_policies(cluster.client, policies, protected, state, announcements, metrics)
                    .await;
            }
        }
    }

    /// Waits until the policies were read for the first time.
    pub(super) async fn first_known(&self) -> Result<(), ServeError> {
        let Self::Cluster { state, .. } = self else { return Ok(()) };
        let mut state = state.subscribe();
        let synced = state.wait_for(|state| state.synced).await;
        synced.map(|_| ()).map_err(|_| ServeError::Ended("watch of policies"))
    }

    /// Ready while the policies are loaded, and the API server does not refuse their watch.
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

    /// Subscribes to the policies. With files there is no sender: nothing waits for a change.
    pub(super) fn changes(&self) -> watch::Receiver<Option<Arc<PolicySet>>> {
        match self {
            Self::Files(_) => watch::channel(None).1,
            Self::Cluster { announcements, .. } => announcements.policies.subscribe(),
        }
    }

    /// The namespace podgate is installed in: the given one or, without one, this pod's or the context's.
    pub(super) fn release_namespace(&self, given: Option<&str>) -> String {
        let own = self.client();
        let own = own.as_ref().map(Client::default_namespace);
        given.or(own).unwrap_or_default().to_owned()
    }

    /// The user name by which the API server knows podgate; `None` where podgate may not repair workloads.
    pub(super) async fn own_user(
        &self,
        remediation: RemediationScope,
    ) -> Result<Option<Arc<str>>, ClusterError> {
        let Some(client) = self.client().filter(|_| remediation != RemediationScope::None) else {
            return Ok(None);
        };
        let user = own_user(client).await.map_err(|error| ClusterError::Api(error.to_string()))?;
        Ok(Some(user))
    }

    /// Adds podgate's own namespace to the protected ones, as in its webhooks' namespaceSelector.
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

    /// The namespaces that podgate leaves alone.
    pub(super) fn protected(&self) -> Protected {
        match self {
            Self::Files(_) => Protected::default(),
            Self::Cluster { protected, .. } => protected.clone(),
        }
    }

    /// The client for `--register`; `None` without that flag.
    pub(super) fn registering_client(&self) -> Option<Client> {
        match self {
            Self::Cluster { cluster, register: true, .. } => Some(cluster.client.clone()),
            _ => None,
        }
    }
}

/// Checks that the cluster serves both kinds of policies, and that podgate may list them: at the start an error is
/// better than a watch that retries for ever.
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
