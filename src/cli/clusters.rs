//! `podgate clusters`

mod analyze;
mod contexts;
mod html;
mod list;
mod tables;

use clap::Subcommand;

use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum ClustersCommand {
    /// List the kubeconfig's contexts: whether each cluster answers,
    /// its Kubernetes version, and whether podgate is installed.
    List(list::ClustersListArgs),
    /// Judge every cluster's workloads: scores, violations by rule, and policies that differ.
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
