//! `podgate crd generate` and `podgate crd install`

use std::time::Duration;

use clap::{Args, Subcommand};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;

use super::args::ClusterArgs;
use super::failure::{Failure, block_on};
use super::output;
use crate::api::{CRDS, REPORT_CRD};
use crate::clusters::{self, Cluster};
use crate::install::crd;

const FIELD_MANAGER: &str = "podgate";
/// The time that the API server has to serve a new resource; it usually takes a second.
const ESTABLISH_TIMEOUT: Duration = Duration::from_mins(1);
/// How often the API server is asked whether it does.
const ASK_AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, Subcommand)]
pub(super) enum CrdCommand {
    /// Print the CRDs as YAML.
    Generate(CrdArgs),
    /// Install or upgrade the CRDs, and wait until they are served.
    Install(InstallArgs),
}

#[derive(Args, Debug)]
pub(super) struct CrdArgs {
    /// Include the CRD of OpenReports' reports (openreports.io), for clusters without it
    #[arg(long)]
    reports: bool,
}

impl CrdArgs {
    /// The CRDs as YAML.
    fn crds(&self) -> impl Iterator<Item = &'static str> {
        CRDS.into_iter().chain(self.reports.then_some(REPORT_CRD))
    }
}

#[derive(Args, Debug)]
pub(super) struct InstallArgs {
    #[command(flatten)]
    crds: CrdArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl CrdCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Generate(args) => {
                let documents: String = args.crds().flat_map(|crd| ["---\n", crd]).collect();
                output::print(&documents)
            }
            Self::Install(args) => block_on(install(args)),
        }
    }
}

async fn install(args: InstallArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let api = crd::api(cluster.client.clone());
    for ours in args.crds.crds() {
        let ours = crd::parse(ours).map_err(Failure::Input)?;
        let name = ours.name_any();
        let outcome = apply(&cluster, &api, &name, &ours).await?;
        match tokio::time::timeout(ESTABLISH_TIMEOUT, established(&api, &name)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                return Err(Failure::Cluster(format!("{name} {outcome}, but: {error}")));
            }
            Err(_) => {
                return Err(Failure::Cluster(format!(
                    "{name} {outcome}, but is not served after {} s; see: kubectl describe crd {name}",
                    ESTABLISH_TIMEOUT.as_secs()
                )));
            }
        }
        output::print(&format!("customresourcedefinition/{name} {outcome}\n"))?;
    }
    Ok(())
}

/// Waits until the API server serves a CRD.
async fn established(api: &Api<DynamicObject>, name: &str) -> Result<(), kube::Error> {
    while !crd::is_established(&api.get(name).await?) {
        tokio::time::sleep(ASK_AGAIN).await;
    }
    Ok(())
}

/// Applies a CRD. Returns kubectl's word for the outcome.
async fn apply(
    cluster: &Cluster,
    api: &Api<DynamicObject>,
    name: &str,
    crd: &DynamicObject,
) -> Result<&'static str, Failure> {
    let before = api.get_opt(name).await.map_err(|error| cluster.explain(error))?;
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let after = api
        .patch(name, &params, &Patch::Apply(crd))
        .await
        .map_err(|error| cluster.explain(error))?;
    Ok(match before {
        None => "created",
        Some(before) if before.resource_version() == after.resource_version() => "unchanged",
        Some(_) => "configured",
    })
}
