//! The command line: one file a command. Data goes to stdout, everything else
//! to stderr.

mod age;
mod analyze;
mod args;
mod certificates;
mod check;
mod clusters;
mod color;
mod columns;
mod completion;
mod crd;
mod diagnostics;
mod explain;
mod failure;
mod fix;
mod formats;
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

use clap::{CommandFactory, Parser, Subcommand};

pub use failure::Failure;

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
            Command::Completion(args) => args.run(command()),
            Command::Version(args) => args.run(),
        }
    }
}

/// The whole command line, for pages and completions made from it.
pub fn command() -> clap::Command {
    Cli::command()
}
