//! `podgate check`: whether a cluster has what podgate needs, and what to do where it has not. It writes nothing.

mod access;
mod beat;
mod holders;
mod installed;
mod rights;
mod selection;
mod webhooks;

use serde::Serialize;

use super::permissions::Names;
use crate::clusters::Cluster;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    pub state: State,
    /// What it is about.
    pub subject: Subject,
    /// What was found.
    pub what: String,
    /// What to do about it; null where nothing is to be done.
    pub todo: Option<String>,
}

/// What became of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// podgate works, but not as it should.
    Warning,
    /// podgate does not work.
    Error,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a check is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    Api,
    Permission,
    Crd,
    Webhook,
    Policy,
}

impl Subject {
    fn ok(self, what: impl Into<String>) -> Check {
        Check { state: State::Ok, subject: self, what: what.into(), todo: None }
    }

    fn warning(self, what: impl Into<String>, todo: impl Into<String>) -> Check {
        Check { state: State::Warning, subject: self, what: what.into(), todo: Some(todo.into()) }
    }

    fn error(self, what: impl Into<String>, todo: impl Into<String>) -> Check {
        Check { state: State::Error, ..self.warning(what, todo) }
    }

    /// What one may not look at is no fault of the cluster's.
    fn unseen(self, what: &str, error: &kube::Error) -> Check {
        self.warning(
            format!("{what} cannot be seen: {error}"),
            "ask a cluster admin to run podgate check",
        )
    }
}

/// Looks at everything. `release_namespace` is where podgate is, or will be, installed.
pub async fn run(cluster: &Cluster, release_namespace: &str, names: &Names) -> Vec<Check> {
    let mut checks = match installed::api(cluster).await {
        Ok(check) => vec![check],
        // Without an API server every other check would only say so again.
        Err(check) => return vec![check],
    };
    checks.extend(access::permissions(cluster, release_namespace, names).await);
    checks.extend(installed::crds(cluster).await);
    checks.extend(webhooks::webhooks(cluster).await);
    checks.push(beat::beat(cluster, release_namespace).await);
    checks.extend(holders::holders(cluster, release_namespace, names).await);
    checks.extend(installed::policies(cluster).await);
    checks
}
