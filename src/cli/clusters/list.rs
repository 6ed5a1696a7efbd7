//! `podgate clusters list`

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::super::output::Versioned;
use super::super::{Failure, output};
use super::{ContextArgs, UnreadFile, print_message, tables, time};
use crate::analysis::fleet::ClusterState;
use crate::analysis::reach::{self, Reached};
use crate::clusters::contexts::Context;
use crate::clusters::{ClusterError, side_by_side};

#[derive(Args, Debug)]
#[command(
    after_help = "All are asked at once. A context that cannot be used, or a cluster that does not \
answer, hides no other.

Exit codes: 3 where a cluster or a kubeconfig file could not be read (the rest is printed all the same), 2 where \
--context names what is not there, else 0.

Examples:
  podgate clusters list
  podgate clusters list --context staging --context production --timeout 5s
  KUBECONFIG=a.yaml:b.yaml podgate clusters list -o json"
)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    contexts: ContextArgs,
    /// How long each cluster may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    timeout: Duration,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

/// The whole answer, in the shape that its JSON has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    clusters: Vec<Row>,
    unread_files: Vec<UnreadFile>,
}

/// A context, and what its cluster says.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub context: String,
    /// Whether it is the kubeconfig's current one.
    pub current: bool,
    pub server: Option<String>,
    pub state: ClusterState,
    pub message: Option<String>,
    #[serde(flatten)]
    pub reached: Option<Reached>,
}

impl Row {
    fn new(context: &Context, current: bool, reached: Result<Reached, ClusterError>) -> Self {
        let (state, message, reached) = match reached {
            Ok(reached) => (ClusterState::Reachable, None, Some(reached)),
            Err(error) => ((&error).into(), Some(error.to_string()), None),
        };
        let (context, server) = (context.name.clone(), context.server.clone());
        Self { context, current, server, state, message, reached }
    }
}

impl ListArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut chosen = self.contexts.chosen()?;
        let contexts: Vec<_> = chosen.contexts.iter().collect();
        let answers = side_by_side::query_all(&contexts, self.timeout, |cluster| async move {
            reach::reach(&cluster).await
        });
        let row = |(context, answer): (&Context, _)| {
            Row::new(context, chosen.current.as_ref() == Some(&context.name), answer)
        };
        let rows: Vec<_> = chosen.contexts.iter().zip(answers).map(row).collect();
        for row in &rows {
            print_message(&row.context, row.message.as_deref());
        }
        let unread = rows.iter().filter(|row| row.state != ClusterState::Reachable).count();
        let complete = self.contexts.complete(&chosen, unread);
        let list = List { clusters: rows, unread_files: std::mem::take(&mut chosen.unread) };
        match self.output {
            Format::Table => output::print(&tables::list(&list.clusters))?,
            Format::Json => output::json(&Versioned::of(&list))?,
            Format::Yaml => output::yaml(&Versioned::of(&list))?,
        }
        complete
    }
}
