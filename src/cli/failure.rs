//! Why a command failed, with its exit code.

use std::process::ExitCode;

use crate::analysis::cluster::AnalysisError;
use crate::clusters::ClusterError;
use crate::gitops::{Blame, WriteRefusal};
use crate::policy::text::printable;
use crate::runtime::ServeError;

/// Why a command failed: one line for people, and the exit code for scripts.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Usage or bad input: exit code 2.
    #[error("{0}")]
    Input(String),
    /// The cluster, or I/O: exit code 3.
    #[error("{0}")]
    Cluster(String),
    /// Violations that --fail-on counts: exit code 1. Without a message where what was printed says it.
    #[error("{0}")]
    Findings(String),
    /// A score below --min-score: exit code 4.
    #[error("{0}")]
    Score(String),
}

impl Failure {
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) => ExitCode::from(2),
            Self::Cluster(_) => ExitCode::from(3),
            Self::Findings(_) => ExitCode::from(1),
            Self::Score(_) => ExitCode::from(4),
        }
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(error.to_string())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Files(error) => Self::Input(error.to_string()),
            error => Self::Cluster(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Cluster(error.to_string())
    }
}

impl From<AnalysisError> for Failure {
    fn from(error: AnalysisError) -> Self {
        match error {
            AnalysisError::Cluster(error) => error.into(),
            AnalysisError::NoNamespace(_) | AnalysisError::Protected(_) => {
                Self::Input(error.to_string())
            }
        }
    }
}

impl From<WriteRefusal> for Failure {
    fn from(refusal: WriteRefusal) -> Self {
        let message = format!("{}: {}", printable(&refusal.place), printable(&refusal.message));
        match refusal.blame {
            Blame::Input => Self::Input(message),
            Blame::Cluster => Self::Cluster(message),
        }
    }
}

/// Runs an async command to its end.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
