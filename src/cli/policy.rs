//! `podgate policy`

mod apply;
mod diff;
mod export;
mod import;
mod preview;
mod release;
mod show;

use clap::Subcommand;

use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// List the built-in bundles that a policy may start from.
    Bundles,
    /// Print a bundle as a policy of its own, every field spelled out.
    Show(show::ShowArgs),
    /// Write a policy that follows a bundle into a cluster.
    Apply(apply::PolicyApplyArgs),
    /// Print a cluster's policies as they belong in git.
    Export(export::ExportArgs),
    /// Write the policies of files into a cluster: all of them, or none.
    Import(import::ImportArgs),
    /// Show what differs between the policies of files and a cluster's.
    Diff(diff::DiffArgs),
    /// Tell what policies would do to a live cluster if they were enforced. Writes nothing.
    Preview(preview::PreviewArgs),
    /// Take podgate's finalizer off policies, where no podgate is there to do it.
    Release(release::ReleaseArgs),
}

impl PolicyCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Bundles => show::bundles(),
            Self::Show(args) => args.run(),
            Self::Apply(args) => args.run(),
            Self::Export(args) => args.run(),
            Self::Import(args) => args.run(),
            Self::Diff(args) => args.run(),
            Self::Preview(args) => args.run(),
            Self::Release(args) => args.run(),
        }
    }
}
