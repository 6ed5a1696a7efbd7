//! The command line: one file a command. Data goes to stdout, everything else
//! to stderr.

mod age;
mod analyze;
mod certificates;
mod check;
mod clusters;
mod color;
mod columns;
mod completion;
mod crd;
mod diagnostics;
mod explain;
mod fix;
pub mod formats;
mod gate;
mod list;
mod manifests;
mod output;
mod policy;
mod reconcile;
mod remediate;
mod scan;
mod serve;
mod version;
mod watch;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::clusters::{ClusterError, Target};
use crate::policy::protected::Protected;
use crate::runtime::ServeError;

/// An admission-first policy controller for Kubernetes.
#[derive(Parser)]
#[command(name = "podgate", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Decide AdmissionReviews, and do everything else a replica does.
    Serve(serve::ServeArgs),
    /// Audit what runs and write what is found, without the webhook; contends for the same Lease as every replica.
    Reconcile(reconcile::ReconcileArgs),
    /// Watch the policies' scores and violations change. Writes nothing.
    Watch(watch::WatchArgs),
    /// The webhook and what belongs to it.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Preflight: API, permissions, CRDs, webhooks, policies, and what to do about what is wrong.
    Check(check::CheckArgs),
    /// Judge what runs in a cluster, once: scores, classes, worst rules, lost points.
    Analyze(analyze::AnalyzeArgs),
    /// Several clusters side by side.
    #[command(subcommand)]
    Clusters(clusters::ClustersCommand),
    /// What runs in a cluster.
    #[command(subcommand)]
    List(list::ListCommand),
    /// Judge manifests: files, folders, the output of helm template and kustomize build.
    Scan(scan::ScanArgs),
    /// Print manifests with every safe fix put in place.
    Fix(fix::FixArgs),
    /// The custom resource definitions.
    #[command(subcommand)]
    Crd(crd::CrdCommand),
    /// Print a rule's page: what it asks, why, and how to satisfy it.
    Explain(explain::ExplainArgs),
    /// The policies, and the bundles that they may start from.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Repair workloads by hand: what the leader does for policies with remediation.
    #[command(subcommand)]
    Remediate(remediate::RemediateCommand),
    /// Print a script that makes a shell complete podgate's commands.
    Completion(completion::CompletionArgs),
    /// Print the version and what it was built for.
    Version(version::VersionArgs),
}

/// Which cluster.
#[derive(Args, Debug)]
struct ClusterArgs {
    /// The kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl ClusterArgs {
    fn target(&self) -> Target {
        Target { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

/// Which namespaces, as kubectl's flags say it.
#[derive(Args, Debug)]
struct NamespaceArgs {
    /// The namespace [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

impl NamespaceArgs {
    /// The one namespace that is meant, or `None` for all of them.
    fn one(&self, default: &str) -> Option<String> {
        (!self.all_namespaces).then(|| self.namespace.clone().unwrap_or_else(|| default.to_owned()))
    }
}

/// Which namespaces podgate leaves alone.
#[derive(Args, Debug)]
struct ProtectedArgs {
    /// A namespace that is never judged, beside kube-system, kube-node-lease and kube-public (the chart's protectedNamespaces); may be repeated
    #[arg(long, value_name = "NAME")]
    protected_namespace: Vec<String>,
}

impl ProtectedArgs {
    fn list(&self) -> Protected {
        Protected::with(self.protected_namespace.iter().cloned())
    }
}

/// Why a command failed: one line, and the exit code that tells a script.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Usage or bad input: exit code 2.
    #[error("{0}")]
    Input(String),
    /// The cluster, or I/O: exit code 3.
    #[error("{0}")]
    Cluster(String),
    /// Violations that --fail-on counts: exit code 1.
    #[error("{0}")]
    Findings(String),
    /// A score below --min-score: exit code 4.
    #[error("{0}")]
    Score(String),
}

impl Failure {
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) => ExitCode::from(2),
            Self::Cluster(_) => ExitCode::from(3),
            Self::Findings(_) => ExitCode::from(1),
            Self::Score(_) => ExitCode::from(4),
        }
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(error.to_string())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Files(error) => Self::Input(error.to_string()),
            error => Self::Cluster(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Cluster(error.to_string())
    }
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What went wrong, with the exit code that says of which kind it is.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => args.run(),
            Command::Reconcile(args) => args.run(),
            Command::Watch(args) => args.run(),
            Command::Webhook(command) => command.run(),
            Command::Check(args) => args.run(),
            Command::Analyze(args) => args.run(),
            Command::Clusters(command) => command.run(),
            Command::List(command) => command.run(),
            Command::Scan(args) => args.run(),
            Command::Fix(args) => args.run(),
            Command::Crd(command) => command.run(),
            Command::Explain(args) => args.run(),
            Command::Policy(command) => command.run(),
            Command::Remediate(command) => command.run(),
            Command::Completion(args) => args.run(),
            Command::Version(args) => args.run(),
        }
    }
}

/// The whole command line, for pages and completions made from it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs a command that talks to something.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
