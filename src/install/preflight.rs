//! `podgate check`: whether a cluster has what podgate needs, and the next step where it has not. It writes nothing.

mod access;
mod beat;
mod check;
mod floor;
mod holders;
mod installed;
mod reach;

mod rights;
mod selection;
mod standing;
mod webhooks;

use super::permissions::Names;
use crate::clusters::Cluster;

pub use check::{Check, CheckState};

/// Runs every check. `release_namespace` is the namespace in which podgate is, or will be, installed.
pub async fn run(cluster: &Cluster, release_namespace: &str, names: &Names) -> Vec<Check> {
    let mut checks = match installed::api(cluster).await {
        Ok(check) => vec![check],
        // Without an API server every other check would fail for the same reason.
        Err(check) => return vec![check],
    };
    checks.extend(access::permissions(cluster, release_namespace, names).await);
    checks.extend(installed::crds(cluster).await);
    checks.extend(webhooks::webhooks(cluster).await);
    let (beat, beats) = beat::beat(cluster, release_namespace).await;
    checks.push(beat);
    checks.push(floor::floor(cluster, &names.release).await);
    checks.extend(holders::holders(cluster, release_namespace, names).await);
    let (compiled, policies) = installed::policies(cluster).await;
    checks.extend(compiled);
    checks.extend(reach::reach(cluster, &policies, beats).await);
    checks.extend(standing::standing(cluster).await);
    checks
}
