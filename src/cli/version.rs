//! `podgate version`: facts of the build. None is a date or a host, so two builds of one source say the same.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::Failure;
use super::output;
use crate::api::API_VERSION;
use crate::policy::bundles;

// Missing, and so an error, as soon as Cargo.toml asks for another version's types.
k8s_openapi::k8s_if_1_36! {
    /// The API that it was built against.
    const KUBERNETES: &str = "v1.36";
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  podgate version -o json")]
pub(super) struct VersionArgs {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: VersionFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VersionFormat {
    Text,
    Json,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Build {
    version: &'static str,
    /// Of podgate's own resources.
    api_versions: [&'static str; 1],
    kubernetes_version: &'static str,
    bundle_version: &'static str,
    os: &'static str,
    arch: &'static str,
}

impl VersionArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let build = Build {
            version: env!("CARGO_PKG_VERSION"),
            api_versions: [API_VERSION],
            kubernetes_version: KUBERNETES,
            bundle_version: bundles::VERSION,
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
        };
        match self.output {
            VersionFormat::Text => output::print(&text(&build)),
            VersionFormat::Json => output::json(&build),
        }
    }
}

fn text(build: &Build) -> String {
    format!(
        "podgate {} for {}/{}\npolicies: {}\nKubernetes API: {}\nbundles: version {}\n",
        build.version,
        build.os,
        build.arch,
        build.api_versions.join(", "),
        build.kubernetes_version,
        build.bundle_version,
    )
}
