//! Wires the floor: what the leader keeps, what the beat tells of it, and its end with `--register`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::watch;

use super::expected::ExpectedConfigurations;
use super::source::PolicySource;
use crate::admission::handler::Reviews;
use crate::beat::FloorBeat;
use crate::floor;
use crate::metrics::FloorMetrics;
use crate::nonce::LEASE;
use crate::policy::floor_state::Canary;
use crate::policy::vap::floor::{Floor, break_glass};

/// The name in the place of the release's, where podgate registers itself.
const DEFAULT_RELEASE: &str = "podgate";
/// How long the removal may take at the shutdown.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The floor that a leader keeps.
#[derive(Clone)]
pub(super) struct Keep {
    pub floor: Arc<Floor>,
    /// As [`floor::FloorWork::owner`].
    pub owner: Option<String>,
    pub canary: watch::Receiver<Canary>,
}

/// The floor below these webhooks and reviews, if it is to be kept: for the leader and for the beat.
pub(super) fn open(
    expected: Option<&ExpectedConfigurations>,
    namespace: &str,
    source: &PolicySource,
    reviews: &Reviews,
    metrics: &FloorMetrics,
) -> Option<(Keep, FloorBeat)> {
    let ExpectedConfigurations { rendered, deployment } = expected?;
    let conditions = rendered.match_conditions.iter().map(|it| it.expression.clone());
    let floor = Floor {
        release: deployment.clone().unwrap_or_else(|| DEFAULT_RELEASE.to_owned()),
        namespace: namespace.to_owned(),
        lease: LEASE,
        conditions: conditions.collect(),
        own_user: reviews.own_user.as_deref().map(str::to_owned),
        protected: source.protected(),
        controllers: reviews.controllers.clone(),
    };
    // The chart's ClusterRole that comes and goes with floor.enabled.
    let owner = deployment.as_ref().map(|release| format!("{release}-floor"));
    let (told, canary) = watch::channel(Canary::Undecided);
    let keep = Keep { floor: Arc::new(floor), owner, canary };
    Some((keep, FloorBeat::new(metrics.clone(), told, Instant::now())))
}

/// Removes the floor of `--register`. Only after the leader's work has ended, or that would make it anew.
pub(super) async fn remove(client: &Client) {
    let removed = tokio::time::timeout(REMOVE_TIMEOUT, floor::remove(client, DEFAULT_RELEASE));
    let advice = break_glass(DEFAULT_RELEASE);
    match removed.await {
        Ok(Ok(())) => tracing::info!("the floor is removed"),
        Ok(Err(error)) => tracing::error!(%error, advice, "the floor is left behind"),
        Err(_) => tracing::error!(advice, "the floor may be left behind: no answer"),
    }
}
