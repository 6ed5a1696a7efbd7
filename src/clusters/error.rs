//! Errors of reaching a cluster.

use std::path::PathBuf;
use std::time::Duration;

use kube::client::AuthError;
use kube::config;

use super::kubeconfig::Unreadable;

/// Why a cluster cannot be used. Each message says the next step.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("cannot read the kubeconfig {path}: {cause}; check KUBECONFIG and --kubeconfig")]
    File { path: PathBuf, cause: String },
    #[error("there is no context in {0}; set KUBECONFIG or pass --kubeconfig FILE")]
    NoContexts(String),
    #[error("there is no context {name:?} in the kubeconfig; there are: {known}")]
    UnknownContext { name: String, known: String },
    #[error("the kubeconfig has no current context; pass --context, one of: {0}")]
    NoCurrentContext(String),
    #[error("context {name} cannot be used: {cause}; check the kubeconfig")]
    Context { name: String, cause: String },
    #[error(
        "there is no kubeconfig that can be read, and this is not running in a pod; set KUBECONFIG or pass --kubeconfig FILE ({0})"
    )]
    None(kube::config::InClusterError),
    #[error("cannot make a client: {0}")]
    Client(kube::Error),
    #[error("cannot start a thread: {0}; choose fewer clusters with --context")]
    Thread(std::io::Error),
    #[error(
        "the API server at {url} did not answer everything within {limit:?}; check that it runs, or raise --timeout"
    )]
    NoAnswer { url: String, limit: Duration },
    #[error(
        "the API server at {url} does not answer: {cause}; check that it runs and that --context names the right cluster"
    )]
    Unreachable { url: String, cause: String },
    #[error("the API server refuses podgate: {0}; ask a cluster admin for that permission")]
    Forbidden(String),
    #[error(
        "the API server does not know who podgate is: {0}; check the credentials in the kubeconfig"
    )]
    Unauthorized(String),
    #[error("the cluster does not serve {0}; install it with: podgate crd install")]
    NotServed(&'static str),
    #[error("the API server answers: {0}")]
    Api(String),
}

impl From<Unreadable> for ClusterError {
    fn from(Unreadable { path, cause }: Unreadable) -> Self {
        Self::File { path, cause }
    }
}

/// The root cause of an error, or the API server's message; the errors around it only say that something inside failed.
/// A credential plugin's output is left out, because it may hold a token.
pub fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    loop {
        if let Some(kube::Error::Api(status)) = cause.downcast_ref() {
            return status.message.clone();
        }
        match cause.downcast_ref::<AuthError>() {
            Some(AuthError::AuthExecRun { out, .. }) => {
                let errors = String::from_utf8_lossy(&out.stderr);
                let last = errors.lines().rev().find(|line| !line.trim().is_empty());
                let last = last.map(|line| format!(": {line}")).unwrap_or_default();
                return format!("its credential plugin failed with {}{last}", out.status);
            }
            Some(AuthError::AuthExecParse(_)) => {
                return "its credential plugin printed what is no ExecCredential".to_owned();
            }
            Some(AuthError::AuthExecStart(error)) => {
                return format!("its credential plugin cannot be run: {error}");
            }
            Some(other) => return other.to_string(),
            None => {}
        }
        match cause.source() {
            // Its source alone would not name the file.
            Some(_) if cause.is::<config::KubeconfigError>() => return cause.to_string(),
            Some(source) => cause = source,
            None => return cause.to_string(),
        }
    }
}
