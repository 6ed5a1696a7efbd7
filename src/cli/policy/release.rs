//! `podgate policy release`

use clap::Args;

use super::super::args::ClusterArgs;
use super::super::failure::{Failure, block_on};
use super::super::output;
use crate::clusters;
use crate::remediation::manual;

#[derive(Args, Debug)]
#[command(
    after_help = "Policies with remediation have the finalizer, so that repairs in flight end before the policy is deleted.

Examples:
  podgate policy release baseline -n shop
  podgate policy release --all"
)]
pub(crate) struct ReleaseArgs {
    /// The policy's name
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// Every policy of the cluster
    #[arg(long)]
    all: bool,
    /// First stop the writes of every podgate that uses this namespace's Lease for a minute, as before an uninstall
    #[arg(long, value_name = "NAME", requires = "all")]
    silence: Option<String>,
    /// The namespace of a DevOpsPolicy; without it, NAME is a ClusterDevOpsPolicy
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl ReleaseArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(release(self))
    }
}

async fn release(args: ReleaseArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    if let Some(namespace) = &args.silence {
        manual::stop_leader(&cluster, namespace.clone()).await?;
    }
    let wanted = |namespace: Option<&str>, name: &str| {
        args.all || (namespace == args.namespace.as_deref() && Some(name) == args.name.as_deref())
    };
    let released = manual::release(&cluster, wanted).await?;
    for policy in &released {
        output::print(&format!("{policy} released\n"))?;
    }
    if released.is_empty() {
        eprintln!("podgate: no such policy has podgate's finalizer");
    }
    Ok(())
}
