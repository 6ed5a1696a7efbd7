//! `podgate analyze`

mod html;
mod tables;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::args::{ClusterArgs, OutputFileArgs, ProtectedArgs};
use super::columns::Detail;
use super::failure::{Failure, block_on};
use super::gate::GateArgs;
use super::html::place;
use super::output::Versioned;
use super::{diagnostics, output};
use crate::analysis::cluster::{self, Extent};
use crate::clusters;
use crate::policies::files;
use crate::policy::compile::Policy;

#[derive(Args, Debug)]
#[command(
    after_help = "In a namespace where no policy is in force, the five default checks apply. A workload without pods is judged by \
its template. What several pods of a workload or several policies have in common is listed once; JSON and YAML list it \
for each policy. Nothing is written to the cluster.

\"Refused now\" lists the workloads that want more pods than they have, and whose new pods admission would deny. It is \
empty with --policy, by which admission does not decide.

Exit codes: 3 where something could not be read (the rest is analyzed), else 1 by --fail-on and 4 by --min-score.

Examples:
  podgate analyze
  podgate analyze -n shop -o wide
  podgate analyze --policy stricter.yaml             # the violations if this policy were in force
  podgate analyze -o json --fail-on never --min-score 80
  podgate analyze -o html --output-file report.html"
)]
pub(super) struct AnalyzeArgs {
    /// Only this namespace
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// All namespaces that can be listed (the default)
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// A policy file or a folder of them, in place of the cluster's own policies; may be repeated
    #[arg(long, value_name = "FILE|DIR")]
    policy: Vec<PathBuf>,
    #[arg(short, long, value_enum, default_value_t)]
    output: AnalysisFormat,
    #[command(flatten)]
    output_file: OutputFileArgs,
    #[command(flatten)]
    gate: GateArgs,
    #[command(flatten)]
    protected: ProtectedArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum AnalysisFormat {
    /// The refused workloads, the namespaces, the rules and the worst violations
    #[default]
    Table,
    /// More columns and every row
    Wide,
    Json,
    Yaml,
    /// One page for a browser, with search and sorting
    Html,
}

impl AnalyzeArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(analyze(self))
    }
}

async fn analyze(args: AnalyzeArgs) -> Result<(), Failure> {
    let given = given(&args.policy)?;
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let namespace = args.namespace.filter(|_| !args.all_namespaces);
    let place = place(&cluster.name, namespace.as_deref());
    let extent = match namespace {
        Some(namespace) => Extent::One(namespace),
        None => Extent::All { or_else: cluster.client.default_namespace().to_owned() },
    };
    let now = Timestamp::now();
    let analysis = cluster::analyze(&cluster, extent, given, args.protected.list(), now).await?;
    diagnostics::report_notes(&analysis.notes, &analysis.faults);
    let versioned = Versioned::of(&analysis);
    args.output_file.write(&match args.output {
        AnalysisFormat::Table => tables::table(&analysis, Detail::Brief),
        AnalysisFormat::Wide => tables::table(&analysis, Detail::Full),
        AnalysisFormat::Json => output::to_json(&versioned)?,
        AnalysisFormat::Yaml => output::to_yaml(&versioned)?,
        AnalysisFormat::Html => html::page(&analysis, &place, now),
    })?;
    diagnostics::require_complete("analysis", &analysis.faults)?;
    let severities = analysis.distinct().into_iter().map(|it| it.violation.severity);
    args.gate.check(severities, analysis.summary.counts.score)
}

/// The policies of `--policy`; `None` without the flag.
fn given(paths: &[PathBuf]) -> Result<Option<Vec<Arc<Policy>>>, Failure> {
    if paths.is_empty() {
        return Ok(None);
    }
    files::load(paths).map(Some).map_err(|error| Failure::Input(error.to_string()))
}
