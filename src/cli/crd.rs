//! `podgate crd generate` and `podgate crd install`

use std::time::Duration;

use clap::{Args, Subcommand};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;

use super::args::ClusterArgs;
use super::failure::{Failure, block_on};
use super::output;
use crate::api::{crds, report_crd};
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
    fn crds(&self) -> Result<Vec<CustomResourceDefinition>, Failure> {
        let mut crds = crds();
        if self.reports {
            let crd = report_crd().map_err(|error| {
                Failure::Input(format!("cannot make the CRD of reports: {error}"))
            })?;
            crds.push(crd);
        }
        Ok(crds)
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
            Self::Generate(args) => output::print(&generate(&args.crds()?)?),
            Self::Install(args) => block_on(install(args)),
        }
    }
}

fn generate(crds: &[CustomResourceDefinition]) -> Result<String, Failure> {
    let mut text = String::new();
    for crd in crds {
        let yaml = serde_saphyr::to_string(crd)
            .map_err(|error| Failure::Input(format!("cannot write {}: {error}", crd.name_any())))?;
        text.push_str("---\n");
        text.push_str(&yaml);
    }
    Ok(text)
}

async fn install(args: InstallArgs) -> Result<(), Failure> {
    let crds = args.crds.crds()?;
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let api = crd::api(cluster.client.clone());
    for ours in crds {
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
    crd: &CustomResourceDefinition,
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
