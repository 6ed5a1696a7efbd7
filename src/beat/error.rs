//! Why a beat fails.

/// Why a beat failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeatError {
    #[error("there is no certificate yet, so nonces cannot be signed")]
    NoKey,
    #[error("podgate is not ready: {0}")]
    NotReady(String),
    #[error("no API server answers: {0}")]
    NoAnswer(String),
    #[error(
        "the API server ({0}) admitted a beat without calling podgate; compare the webhook alive. with: podgate webhook config"
    )]
    NotCalled(String),
    #[error("the API server ({route}) refuses the beat: {message}")]
    Refused { route: String, message: String },
    #[error(
        "the API server ({0}) announces itself, and has not answered for half a minute, so it is not known whether it \
         calls podgate; let podgate reach it: kubectl get endpointslice kubernetes -n default"
    )]
    CutOff(String),
    #[error("the webhooks are not as they were rendered: {0}; helm upgrade restores them")]
    Changed(String),
    #[error(
        "the Deployment {0}, which would own the Lease, does not exist; name it with --release"
    )]
    NoOwner(String),
}
