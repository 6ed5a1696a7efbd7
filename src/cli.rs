//! The command line: one file for each command. Data goes to stdout, everything else to stderr.

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
mod drain_check;
mod explain;
mod failure;
mod fix;
mod formats;
mod gate;
mod html;
mod kubectl;
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

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use failure::Failure;
use kubectl::CalledAs;

/// An admission-first policy controller for Kubernetes.
#[derive(Parser)]
#[command(name = "podgate", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a replica: answer AdmissionReviews and, as the leader, audit and write.
    Serve(serve::ServeArgs),
    /// Audit running pods and write status, reports and Events, without the webhook; competes for the replicas' Lease.
    Reconcile(reconcile::ReconcileArgs),
    /// Watch policies' scores and violations change. Writes nothing to the cluster.
    Watch(watch::WatchArgs),
    /// Serve the webhook, and print or delete its configurations.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Check API, permissions, CRDs, webhooks and policies, and name the next step for each fault.
    Check(check::CheckArgs),
    /// Judge a cluster's workloads once: what is refused, scores, worst rules, violations.
    Analyze(analyze::AnalyzeArgs),
    /// Show which pods of nodes would be refused if they were evicted now. Writes nothing to the cluster.
    DrainCheck(drain_check::DrainCheckArgs),
    /// List and compare several clusters.
    #[command(subcommand)]
    Clusters(clusters::ClustersCommand),
    /// List a cluster's pods.
    #[command(subcommand)]
    List(list::ListCommand),
    /// Judge manifests: files, folders, the output of helm template and kustomize build.
    Scan(scan::ScanArgs),
    /// Print manifests with every safe fix applied.
    Fix(fix::FixArgs),
    /// Print or install the custom resource definitions.
    #[command(subcommand)]
    Crd(crd::CrdCommand),
    /// Print a rule's page: what it requires, why, and how to satisfy it.
    Explain(explain::ExplainArgs),
    /// Write, compare and preview policies, and print the built-in bundles.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Repair workloads by hand, as the leader does for policies with remediation.
    #[command(subcommand)]
    Remediate(remediate::RemediateCommand),
    /// Print a shell's completion script for podgate's commands.
    Completion(completion::CompletionArgs),
    /// Print the version, and the platform and APIs of the build.
    Version(version::VersionArgs),
}

impl Cli {
    /// The command that this process was called with; `None` where the answer is printed. Ends the process for bad usage.
    ///
    /// # Errors
    /// The answer cannot be printed.
    pub fn of_process() -> Result<Option<Self>, Failure> {
        let mut command = command();
        match CalledAs::of(std::env::args_os().next().as_deref()) {
            CalledAs::Podgate => {}
            CalledAs::Plugin => command = command.bin_name("kubectl podgate"),
            CalledAs::Completion => {
                let words = std::env::args_os().skip(1);
                let words: Vec<_> = words.map(|it| it.to_string_lossy().into_owned()).collect();
                output::print(&kubectl::complete(command, &words))?;
                return Ok(None);
            }
        }
        let matches = command.get_matches();
        Ok(Some(Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())))
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Why the command failed, with its exit code.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => args.run(),
            Command::Reconcile(args) => args.run(),
            Command::Watch(args) => args.run(),
            Command::Webhook(command) => command.run(),
            Command::Check(args) => args.run(),
            Command::Analyze(args) => args.run(),
            Command::DrainCheck(args) => args.run(),
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

/// The command line's definition, from which the reference page and completions are generated.
pub fn command() -> clap::Command {
    Cli::command()
}
