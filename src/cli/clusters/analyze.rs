//! `podgate clusters analyze`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::super::args::{OutputFileArgs, ProtectedArgs, bundle_parser};
use super::super::columns::Detail;
use super::super::failure::Failure;
use super::super::gate::GateArgs;
use super::super::manifests;
use super::super::output;
use super::super::output::Versioned;
use super::contexts::{ContextArgs, UnreadFile, print_message, time};
use super::{html, tables};
use crate::analysis::cluster::{self, AnalysisError, Extent};
use crate::analysis::fleet::{Fleet, Member};
use crate::analysis::reach;
use crate::analysis::result::Analysis;
use crate::api::BundleName;
use crate::clusters::{Cluster, ClusterError, side_by_side};
use crate::policy::compile::Policy;
use crate::policy::protected::Protected;

#[derive(Args, Debug)]
#[command(
    after_help = "All clusters are judged in parallel, each by its own policies, or by those of --policy and --bundle. In a \
namespace where no policy is in force, the five default checks apply. A violation that several policies find counts once. A policy differs between clusters where its \
content hash does: the first digits of its spec's SHA-256. Nothing is written to any cluster.

Exit codes: 3 where a cluster or a kubeconfig file could not be fully read (the rest is printed), 2 where --context names \
a context that does not exist, else 1 by --fail-on (all violations) and 4 by --min-score (the lowest score).

Examples:
  podgate clusters analyze
  podgate clusters analyze --context staging --context production -n shop
  podgate clusters analyze --bundle restricted -o wide         # all clusters by the same rules
  podgate clusters analyze -o json --fail-on never --min-score 80
  podgate clusters analyze -o html --output-file clusters.html"
)]
pub(crate) struct ClustersAnalyzeArgs {
    #[command(flatten)]
    contexts: ContextArgs,
    /// Only this namespace
    #[arg(short, long, value_name = "NAME", conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// All namespaces that can be listed (the default)
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// A policy file or a folder of them, in place of the clusters' own policies; may be repeated
    #[arg(long, value_name = "FILE|DIR")]
    policy: Vec<PathBuf>,
    /// Judge by a built-in bundle, in place of the clusters' own policies; see: podgate policy bundles
    #[arg(long, value_name = "NAME", value_parser = bundle_parser())]
    bundle: Option<BundleName>,
    /// How long each cluster may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    timeout: Duration,
    #[arg(short, long, value_enum, default_value_t)]
    output: FleetFormat,
    #[command(flatten)]
    output_file: OutputFileArgs,
    #[command(flatten)]
    gate: GateArgs,
    #[command(flatten)]
    protected: ProtectedArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum FleetFormat {
    /// The clusters, the worst rules and the policies that differ
    #[default]
    Table,
    /// More columns and every rule
    Wide,
    Json,
    Yaml,
    /// One page for a browser, with search and sorting
    Html,
}

/// The answer as JSON and YAML.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FleetAnswer<'a> {
    #[serde(flatten)]
    fleet: &'a Fleet,
    unread_files: &'a [UnreadFile],
}

/// The parameters of a cluster's analysis, the same for every cluster.
#[derive(Clone)]
struct ClusterQuery {
    namespace: Option<String>,
    given: Option<Vec<Arc<Policy>>>,
    protected: Protected,
    now: Timestamp,
}

impl ClustersAnalyzeArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let now = Timestamp::now();
        let question = self.question(now)?;
        let chosen = self.contexts.chosen()?;
        let contexts: Vec<_> = chosen.contexts.iter().collect();
        let answers = side_by_side::query_all(&contexts, self.timeout, move |cluster| {
            let question = question.clone();
            async move { Ok(question.ask(&cluster).await) }
        });
        let members = contexts.into_iter().zip(answers).map(|(context, answer)| {
            let (version, analyzed) =
                answer.unwrap_or_else(|error: ClusterError| (None, Err(error.into())));
            Member::new(context.name.clone(), context.server.clone(), version, analyzed)
        });
        let fleet = Fleet::new(members.collect());
        for member in &fleet.clusters {
            print_message(&member.context, member.message.as_deref());
        }
        let versioned = FleetAnswer { fleet: &fleet, unread_files: &chosen.unread };
        self.output_file.write(&match self.output {
            FleetFormat::Table => tables::analysis(&fleet, Detail::Brief),
            FleetFormat::Wide => tables::analysis(&fleet, Detail::Full),
            FleetFormat::Json => output::to_json(&Versioned::of(&versioned))?,
            FleetFormat::Yaml => output::to_yaml(&Versioned::of(&versioned))?,
            FleetFormat::Html => html::page(&fleet, &chosen.unread, now),
        })?;
        self.contexts.complete(&chosen, fleet.unread())?;
        let severities = fleet.found().flat_map(|(_, found)| found.severities.each());
        let severities = severities.flat_map(|(severity, count)| (0..count).map(move |_| severity));
        let lowest = fleet.found().filter_map(|(_, found)| found.score).min();
        self.gate.check(severities, lowest)
    }

    fn question(&self, now: Timestamp) -> Result<ClusterQuery, Failure> {
        let protected = self.protected.list();
        let namespace = self.namespace.clone();
        if let Some(name) = namespace.as_ref().filter(|name| protected.contains(name)) {
            return Err(AnalysisError::Protected(name.clone()).into());
        }
        let given = manifests::given(&self.policy, self.bundle)?;
        let given = (!given.is_empty()).then_some(given);
        Ok(ClusterQuery { namespace, given, protected, now })
    }
}

impl ClusterQuery {
    /// Reads a cluster's version, if it answers, and analyzes it.
    async fn ask(self, cluster: &Cluster) -> (Option<String>, Result<Analysis, AnalysisError>) {
        let version = reach::version(cluster).await.ok();
        let extent = match self.namespace {
            Some(namespace) => Extent::One(namespace),
            None => Extent::All { or_else: cluster.client.default_namespace().to_owned() },
        };
        let analyzed = cluster::analyze(cluster, extent, self.given, self.protected, self.now);
        (version, analyzed.await)
    }
}
