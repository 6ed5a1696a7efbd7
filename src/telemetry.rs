//! Logs: JSON lines on stderr.

use std::io;

use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, registry};

/// The environment variable with the log filter of `tracing-subscriber`: `debug`, or `podgate=debug,rustls=info`.
pub const LOG_VARIABLE: &str = "PODGATE_LOG";

/// Crates that are never logged, whatever the filter: they log API server responses that they cannot decode, and so
/// whole objects, which may hold secrets. podgate logs failed calls itself.
const NEVER: [&str; 2] = ["kube_client", "kube_runtime"];

/// Starts logging. The long-running commands call it, once.
pub fn init() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    subscriber(filter, io::stderr).init();
}

fn subscriber<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(writer);
    registry().with(filter).with(lines.with_filter(filter_fn(may_be_logged)))
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let name = metadata.target().split("::").next();
    name.is_none_or(|name| !NEVER.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The filter of `PODGATE_LOG` once replaced the one that drops the client's warnings, which hold whole bodies.
    #[test]
    fn what_the_client_says_of_bodies_is_not_logged_whatever_the_filter_says() {
        for filter in
            ["info", "debug", "trace", "kube_client=trace", "debug,kube_client::client=warn"]
        {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = subscriber(EnvFilter::new(filter), move || writer.clone());
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "kube_client::client", "s3cret");
                tracing::error!(target: "kube_client", "s3cret");
                tracing::warn!(target: "kube_runtime::watcher", "s3cret");
                tracing::error!(target: "podgate", "logged");
            });
            let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            assert!(!text.contains("s3cret"), "{filter}: {text}");
            assert_eq!(text.contains("logged"), !filter.starts_with("kube"), "{filter}: {text}");
        }
    }
}
