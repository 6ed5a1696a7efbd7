//! `podgate policy`. The image is built without the feature `authoring`.

mod apply;
#[cfg(feature = "authoring")]
mod convert;
mod diff;
mod export;
mod import;
#[cfg(feature = "authoring")]
mod init;
mod preview;
mod release;
mod show;
#[cfg(feature = "authoring")]
mod test;
mod to_vap;

use clap::Subcommand;

use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// List the built-in bundles.
    Bundles,
    /// Print a bundle as a policy with every field spelled out.
    Show(show::ShowArgs),
    /// Write a policy that follows a bundle into a cluster.
    Apply(apply::PolicyApplyArgs),
    /// Print a cluster's policies as manifests for git.
    Export(export::ExportArgs),
    /// Write the policies of files into a cluster: all of them, or none.
    Import(import::ImportArgs),
    /// Show the differences between files' policies and a cluster's.
    Diff(diff::DiffArgs),
    /// Show what policies would deny in a live cluster if they were enforced. Writes nothing.
    Preview(preview::PreviewArgs),
    /// Run tests of policies: what they decide about objects, in reviews and in scans.
    #[cfg(feature = "authoring")]
    Test(test::TestArgs),
    /// Write a policy, its tests, and a pipeline that runs them.
    #[cfg(feature = "authoring")]
    Init(init::InitArgs),
    /// Print policies as the API server's own (ValidatingAdmissionPolicy), which judge without podgate.
    ToVap(to_vap::ToVapArgs),
    /// Convert the policies of Kyverno, Gatekeeper and Pod Security into podgate's, and report what fits.
    #[cfg(feature = "authoring")]
    Convert(convert::ConvertArgs),
    /// Remove podgate's finalizer from policies, where podgate is not running.
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
            #[cfg(feature = "authoring")]
            Self::Test(args) => args.run(),
            #[cfg(feature = "authoring")]
            Self::Init(args) => args.run(),
            Self::ToVap(args) => args.run(),
            #[cfg(feature = "authoring")]
            Self::Convert(args) => args.run(),
            Self::Release(args) => args.run(),
        }
    }
}
