//! `podgate policy apply`

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::super::{ClusterArgs, Failure, block_on, diagnostics, output};
use super::import;
use super::show::{Kind, bundle_parser};
use crate::api::{API_VERSION, BundleName, EnforcementMode};
use crate::clusters;
use crate::gitops::apply::{ApplyPlan, Conflicts};
use crate::gitops::{Desired, yaml};

#[derive(Args, Debug)]
#[command(
    after_help = "The policy names the bundle, so it asks what podgate's version of the bundle asks; its status says which is in
force. To have every field spelled out instead: podgate policy show BUNDLE.

Examples:
  podgate policy apply baseline -n shop
  podgate policy apply restricted --kind ClusterDevOpsPolicy --mode warn
  podgate policy apply baseline -n shop --dry-run client > policies/shop/baseline.yaml"
)]
pub(in crate::cli) struct ApplyArgs {
    /// The bundle's name; see: podgate policy bundles
    #[arg(value_parser = bundle_parser())]
    bundle: BundleName,
    /// The policy's kind: for one namespace, or for all
    #[arg(long, value_enum, ignore_case = true, default_value = "DevOpsPolicy")]
    kind: Kind,
    /// The namespace of a DevOpsPolicy [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The policy's name [default: the bundle's]
    #[arg(long)]
    name: Option<String>,
    /// What happens to an object that breaks a rule
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Print what would be sent (client), or say what the API server would do (server)
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    dry_run: DryRun,
    /// Print the policy instead of what was done
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    /// Take over fields that somebody else set
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Mode {
    /// Record it
    #[default]
    Audit,
    /// Admit it with a warning
    Warn,
    /// Deny it
    Enforce,
}

impl From<Mode> for EnforcementMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Audit => Self::Audit,
            Mode::Warn => Self::Warn,
            Mode::Enforce => Self::Enforce,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum DryRun {
    /// Write
    #[default]
    None,
    /// Print what would be sent; it needs no cluster
    Client,
    /// The API server tries it
    Server,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Yaml,
}

impl ApplyArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        if matches!(self.kind, Kind::ClusterDevOpsPolicy) && self.namespace.is_some() {
            let message = "a ClusterDevOpsPolicy is of no namespace; leave -n or --kind away";
            return Err(Failure::Input(message.to_owned()));
        }
        if self.dry_run == DryRun::Client {
            return output::print(&yaml(&self.desired(self.namespace.as_deref()).policy)?);
        }
        block_on(apply(self))
    }

    fn desired(&self, namespace: Option<&str>) -> Desired {
        let bundle = self.bundle.as_str();
        let kind = match self.kind {
            Kind::DevOpsPolicy => "DevOpsPolicy",
            Kind::ClusterDevOpsPolicy => "ClusterDevOpsPolicy",
        };
        let namespace = namespace.filter(|_| matches!(self.kind, Kind::DevOpsPolicy));
        let mode = EnforcementMode::from(self.mode).as_str();
        let mut manifest = json!({
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"name": self.name.as_deref().unwrap_or(bundle)},
            "spec": {"bundle": bundle, "enforcementMode": mode},
        });
        if let (Some(namespace), Some(Value::Object(metadata))) =
            (namespace, manifest.pointer_mut("/metadata"))
        {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        Desired::new(bundle.to_owned(), &manifest)
    }
}

async fn apply(args: ApplyArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let namespace = args.namespace.as_deref();
    let desired =
        [args.desired(Some(namespace.unwrap_or_else(|| cluster.client.default_namespace())))];
    let conflicts = if args.force_conflicts { Conflicts::Force } else { Conflicts::Refuse };
    let plan = ApplyPlan::make(&cluster, &desired, conflicts).await;
    diagnostics::report_refusals(plan.refusals.clone())?;
    let dry_run = args.dry_run == DryRun::Server;
    match args.output {
        None => import::write(plan, dry_run).await,
        Some(Format::Yaml) if dry_run => {
            plan.applied.iter().try_for_each(|it| output::print(&yaml(&it.policy)?))
        }
        Some(Format::Yaml) => {
            for desired in plan.desired() {
                output::print(&yaml(&plan.write(desired).await?.policy)?)?;
            }
            Ok(())
        }
    }
}
