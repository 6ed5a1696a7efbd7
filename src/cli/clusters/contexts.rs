//! The contexts that `podgate clusters` asks, and the messages about them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use serde::Serialize;

use super::super::failure::Failure;
use crate::clusters::contexts::{Context, Contexts};
use crate::policy::text;
use crate::policy::text::{brief, clip};

/// The longest `--timeout`.
const LONGEST: Duration = Duration::from_hours(1);
/// The most bytes of a message on stderr.
const MESSAGE: usize = 1000;

/// Selects the clusters.
#[derive(Args, Debug)]
pub(super) struct ContextArgs {
    /// A context of the kubeconfig; may be repeated [default: all of them]
    #[arg(long, value_name = "NAME")]
    context: Vec<String>,
    /// The kubeconfig file [default: every file of $KUBECONFIG, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A kubeconfig file that could not be read; its clusters are unknown.
#[derive(Debug, Serialize)]
pub(super) struct UnreadFile {
    pub file: String,
    pub message: String,
}

/// The selected contexts, in the order of the kubeconfig.
pub(super) struct ChosenContexts {
    pub contexts: Vec<Context>,
    /// The name of the current context.
    pub current: Option<String>,
    pub unread: Vec<UnreadFile>,
}

impl ContextArgs {
    pub(super) fn chosen(&self) -> Result<ChosenContexts, Failure> {
        let mut all = Contexts::read(self.kubeconfig.as_deref())?;
        let unread: Vec<_> = all
            .unread
            .iter()
            .map(|it| UnreadFile { file: it.path.display().to_string(), message: it.cause.clone() })
            .collect();
        for UnreadFile { file, message } in &unread {
            eprintln!("podgate: cannot read {}: {}", clip(file), brief(message.clone(), MESSAGE));
        }
        for name in &self.context {
            all.named(name).map_err(|error| Failure::Input(error.to_string()))?;
        }
        let selected =
            |context: &Context| self.context.is_empty() || self.context.contains(&context.name);
        all.all.retain(selected);
        Ok(ChosenContexts { contexts: all.all, current: all.current, unread })
    }

    /// Fails where `unread` clusters, or a kubeconfig file, could not be fully read.
    pub(super) fn complete(&self, chosen: &ChosenContexts, unread: usize) -> Result<(), Failure> {
        let mut missing = Vec::new();
        if unread > 0 {
            let all = chosen.contexts.len();
            let verb = if unread == 1 { "was" } else { "were" };
            missing.push(format!("{unread} of {all} clusters {verb} not fully read"));
        }
        // Contexts named by --context were all found.
        if self.context.is_empty() && !chosen.unread.is_empty() {
            let files = text::count(chosen.unread.len() as u64, "kubeconfig file");
            missing.push(format!("{files} cannot be read"));
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::Cluster(format!("{}; see the messages above", missing.join(", and "))))
    }
}

/// Prints a cluster's message to stderr, if it has one.
pub(super) fn print_message(context: &str, message: Option<&str>) {
    if let Some(message) = message {
        eprintln!("podgate: {}: {}", clip(context), brief(message.to_owned(), MESSAGE));
    }
}

/// Parses a duration such as `10s` or `1m30s`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<SignedDuration>().ok().and_then(|it| Duration::try_from(it).ok());
    duration
        .filter(|it| !it.is_zero() && *it <= LONGEST)
        .ok_or_else(|| "write it as 10s or 1m30s, at most 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_positive_has_a_unit_and_an_end() {
        assert_eq!(time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(time("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "10", "0s", "-1s", "2h", "soon", "9999999999999h"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
