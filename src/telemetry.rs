//! Logs: JSON lines on stderr.

use tracing_subscriber::EnvFilter;

/// The environment variable that says what is logged, as `tracing` filters do:
/// `debug`, or `podgate=debug,kube=info`.
pub const LOG_VARIABLE: &str = "PODGATE_LOG";

/// Starts logging. Called once, by the long-running commands.
pub fn init() {
    // What the client says of a failed call, podgate says itself, in its own words.
    let filter = EnvFilter::try_from_env(LOG_VARIABLE)
        .unwrap_or_else(|_| EnvFilter::new("info,kube_client=off,kube_runtime=off"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
