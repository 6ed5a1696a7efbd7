//! `podgate clusters`

mod analyze;
mod contexts;
mod list;
mod tables;

use clap::Subcommand;

use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum ClustersCommand {
    /// List the kubeconfig's contexts: which answer, which Kubernetes they run, whether podgate is there.
    List(list::ClustersListArgs),
    /// Judge what runs in every cluster: scores, violations by rule, and where policies differ.
    Analyze(analyze::ClustersAnalyzeArgs),
}

impl ClustersCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(args) => args.run(),
            Self::Analyze(args) => args.run(),
        }
    }
}
