//! `podgate version`: facts of the build, without dates and hosts, so that builds of the same source print the same.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::Failure;
use super::output;
use crate::api::API_VERSION;
use crate::policy::bundles;

// Fails to compile where Cargo.toml selects another version's types.
k8s_openapi::k8s_if_1_36! {
    /// The Kubernetes API of the build.
    const KUBERNETES: &str = "v1.36";
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  podgate version -o json")]
pub(super) struct VersionArgs {
    /// The format
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
    /// The versions of podgate's own resources.
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
