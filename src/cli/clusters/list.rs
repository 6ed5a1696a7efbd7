//! `podgate clusters list`

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::super::columns::{self, NOTHING, TableCell};
use super::super::failure::Failure;
use super::super::output;
use super::super::output::Versioned;
use super::contexts::{ContextArgs, UnreadFile, print_message, time};
use crate::analysis::fleet::ClusterState;
use crate::analysis::reach::{self, Reached};
use crate::clusters::contexts::Context;
use crate::clusters::{ClusterError, side_by_side};

#[derive(Args, Debug)]
#[command(
    after_help = "All clusters are read in parallel. One that cannot be reached does not affect the others.

Exit codes: 3 where a cluster or a kubeconfig file could not be read (the rest is printed), 2 where --context names a \
context that does not exist, else 0.

Examples:
  podgate clusters list
  podgate clusters list --context staging --context production --timeout 5s
  KUBECONFIG=a.yaml:b.yaml podgate clusters list -o json"
)]
pub(crate) struct ClustersListArgs {
    #[command(flatten)]
    contexts: ContextArgs,
    /// How long each cluster may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    timeout: Duration,
    #[arg(short, long, value_enum, default_value_t)]
    output: ClustersFormat,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ClustersFormat {
    #[default]
    Table,
    Json,
    Yaml,
}

/// The answer as JSON and YAML.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClustersList {
    clusters: Vec<ClusterRow>,
    unread_files: Vec<UnreadFile>,
}

/// A context, and its cluster's state.
#[derive(Debug, Serialize)]
struct ClusterRow {
    context: String,
    /// Whether it is the kubeconfig's current context.
    current: bool,
    server: Option<String>,
    state: ClusterState,
    message: Option<String>,
    #[serde(flatten)]
    reached: Option<Reached>,
}

impl ClusterRow {
    fn new(context: &Context, current: bool, reached: Result<Reached, ClusterError>) -> Self {
        let (state, message, reached) = match reached {
            Ok(reached) => (ClusterState::Reachable, None, Some(reached)),
            Err(error) => ((&error).into(), Some(error.to_string()), None),
        };
        let (context, server) = (context.name.clone(), context.server.clone());
        Self { context, current, server, state, message, reached }
    }
}

impl ClustersListArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut chosen = self.contexts.chosen()?;
        let contexts: Vec<_> = chosen.contexts.iter().collect();
        let answers = side_by_side::query_all(&contexts, self.timeout, |cluster| async move {
            reach::reach(&cluster).await
        });
        let row = |(context, answer): (&Context, _)| {
            ClusterRow::new(context, chosen.current.as_ref() == Some(&context.name), answer)
        };
        let rows: Vec<_> = chosen.contexts.iter().zip(answers).map(row).collect();
        for row in &rows {
            print_message(&row.context, row.message.as_deref());
        }
        let unread = rows.iter().filter(|row| row.state != ClusterState::Reachable).count();
        let complete = self.contexts.complete(&chosen, unread);
        let list =
            ClustersList { clusters: rows, unread_files: std::mem::take(&mut chosen.unread) };
        match self.output {
            ClustersFormat::Table => output::print(&table(&list.clusters))?,
            ClustersFormat::Json => output::json(&Versioned::of(&list))?,
            ClustersFormat::Yaml => output::yaml(&Versioned::of(&list))?,
        }
        complete
    }
}

/// The contexts and their clusters' state as a table.
fn table(rows: &[ClusterRow]) -> String {
    let row = |row: &ClusterRow| {
        let reached = row.reached.as_ref();
        let podgate = reached.and_then(|it| it.podgate.map(|served| (served, it.policies)));
        let podgate = match podgate {
            None | Some((false, _)) => NOTHING.to_owned(),
            Some((true, None)) => "v1".to_owned(),
            Some((true, Some(1))) => "v1, 1 policy".to_owned(),
            Some((true, Some(count))) => format!("v1, {count} policies"),
        };
        vec![
            TableCell::new(if row.current { "*" } else { "" }),
            TableCell::new(&row.context),
            TableCell::new(row.server.as_deref().unwrap_or(NOTHING)),
            TableCell::new(row.state.as_str()),
            TableCell::new(reached.map_or(NOTHING, |it| &it.version)),
            TableCell::new(&podgate),
        ]
    };
    let headings = ["CURRENT", "CONTEXT", "SERVER", "STATE", "VERSION", "PODGATE"];
    columns::table(&headings, rows.iter().map(row).collect())
}
