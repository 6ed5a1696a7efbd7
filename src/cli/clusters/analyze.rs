//! `podgate clusters analyze`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::super::gate::GateArgs;
use super::super::output::Versioned;
use super::super::policy::bundle_parser;
use super::super::{Failure, ProtectedArgs, manifests, output};
use super::{ContextArgs, UnreadFile, print_message, tables, time};
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
    after_help = "All are judged at once, each by its own policies, or by what --policy and --bundle give. In a \
namespace where no policy is in force, the five default checks apply. A policy differs between clusters where its \
content hash does: the first digits of its spec's SHA-256. Nothing is written to any cluster.

Exit codes: 3 where a cluster or a kubeconfig file could not be fully read (the rest is printed all the same), 2 where \
--context names what is not there, else 1 and 4 as --fail-on says of all violations and --min-score of the lowest score.

Examples:
  podgate clusters analyze
  podgate clusters analyze --context staging --context production -n shop
  podgate clusters analyze --bundle restricted -o wide         # all by the same measure
  podgate clusters analyze -o json --fail-on never --min-score 80"
)]
pub(in crate::cli) struct AnalyzeArgs {
    #[command(flatten)]
    contexts: ContextArgs,
    /// Only this namespace
    #[arg(short, long, value_name = "NAME", conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// All namespaces that can be listed, which is the default
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
    output: Format,
    #[command(flatten)]
    gate: GateArgs,
    #[command(flatten)]
    protected: ProtectedArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// The clusters, the worst rules, and the policies that differ
    #[default]
    Table,
    /// More columns, and every rule
    Wide,
    Json,
    Yaml,
}

/// The whole answer, in the shape that its JSON has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(flatten)]
    fleet: &'a Fleet,
    unread_files: &'a [UnreadFile],
}

/// What is asked of every cluster.
#[derive(Clone)]
struct Question {
    namespace: Option<String>,
    given: Option<Vec<Arc<Policy>>>,
    protected: Protected,
    now: Timestamp,
}

impl AnalyzeArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let question = self.question()?;
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
        let versioned = Answer { fleet: &fleet, unread_files: &chosen.unread };
        match self.output {
            Format::Table => output::print(&tables::analysis(&fleet, false))?,
            Format::Wide => output::print(&tables::analysis(&fleet, true))?,
            Format::Json => output::json(&Versioned::of(&versioned))?,
            Format::Yaml => output::yaml(&Versioned::of(&versioned))?,
        }
        self.contexts.complete(&chosen, fleet.unread())?;
        let severities = fleet.found().flat_map(|(_, found)| found.severities.each());
        let severities = severities.flat_map(|(severity, count)| (0..count).map(move |_| severity));
        let lowest = fleet.found().map(|(_, found)| found.score).min();
        self.gate.check(severities, lowest.unwrap_or_default())
    }

    fn question(&self) -> Result<Question, Failure> {
        let protected = self.protected.list();
        let namespace = self.namespace.clone();
        if let Some(name) = namespace.as_ref().filter(|name| protected.contains(name)) {
            return Err(AnalysisError::Protected(name.clone()).into());
        }
        let given = manifests::given(&self.policy, self.bundle)?;
        let given = (!given.is_empty()).then_some(given);
        Ok(Question { namespace, given, protected, now: Timestamp::now() })
    }
}

impl Question {
    /// The version, if the cluster says it, and the analysis.
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
