//! The state of a cluster, derived from the error of its analysis.

use serde::Serialize;

use super::super::cluster::AnalysisError;
use crate::clusters::ClusterError;

/// Whether a cluster could be analyzed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum ClusterState {
    /// Everything was read.
    Reachable,
    /// A part could not be read or judged; the findings are those of the rest.
    Incomplete,
    /// Its API server answers with errors.
    Failing,
    /// Its API server does not answer in time.
    Unreachable,
    /// Its API server rejects the credentials.
    Unauthorized,
    /// The user lacks the permission to read it.
    Forbidden,
    /// The kubeconfig's context or its credentials cannot be used, so no request was sent.
    Invalid,
}

impl ClusterState {
    /// The value in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reachable => "Reachable",
            Self::Incomplete => "Incomplete",
            Self::Failing => "Failing",
            Self::Unreachable => "Unreachable",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::Invalid => "Invalid",
        }
    }
}

impl From<&ClusterError> for ClusterState {
    fn from(error: &ClusterError) -> Self {
        match error {
            ClusterError::NoAnswer { .. }
            | ClusterError::Unreachable { .. }
            | ClusterError::Thread(_) => Self::Unreachable,
            ClusterError::Forbidden(_) => Self::Forbidden,
            ClusterError::Unauthorized(_) => Self::Unauthorized,
            ClusterError::NotServed(_) | ClusterError::Api(_) => Self::Failing,
            ClusterError::File { .. }
            | ClusterError::NoContexts(_)
            | ClusterError::UnknownContext { .. }
            | ClusterError::NoCurrentContext(_)
            | ClusterError::Context { .. }
            | ClusterError::None(_)
            | ClusterError::Client(_) => Self::Invalid,
        }
    }
}

impl From<&AnalysisError> for ClusterState {
    fn from(error: &AnalysisError) -> Self {
        match error {
            AnalysisError::Cluster(error) => error.into(),
            AnalysisError::NoNamespace(_) | AnalysisError::Protected(_) => Self::Incomplete,
        }
    }
}
