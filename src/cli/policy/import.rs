//! `podgate policy import`

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kube::core::SelectorExt;
use serde_json::Value;

use super::super::args::ClusterArgs;
use super::super::diagnostics;
use super::super::failure::{Failure, block_on};
use super::super::output;
use crate::client::dry_run::DryRun;
use crate::clusters::{self, Cluster};
use crate::gitops::apply::{ApplyPlan, Conflicts};
use crate::gitops::{Desired, prune, selector};
use crate::manifests::policy_file::ParseOptions;
use crate::policies::files;

#[derive(Args, Debug)]
#[command(
    after_help = "Every policy is first sent as a server-side dry run; nothing is written if the API server refuses one. Objects
of other kinds are skipped.

Examples:
  podgate policy import policies/
  podgate policy import policies/ --dry-run server
  podgate policy import policies/ --prune -l managed-by=git
  podgate policy export -A --context old | podgate policy import - --context new"
)]
pub(crate) struct ImportArgs {
    /// A policy file, a folder (read recursively), or - for stdin; may be repeated
    #[arg(required = true, value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// The namespace of policies without one; policies of another namespace are refused [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Print what would be done
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    dry_run: ImportDryRun,
    /// Then delete the policies that match the selector and are not in the files: with -n in that
    /// namespace, else in all namespaces and cluster-wide
    #[arg(long, requires = "selector")]
    prune: bool,
    /// The labels by which --prune recognises the policies of these files, such as managed-by=git
    #[arg(short = 'l', long, value_name = "LABELS", requires = "prune")]
    selector: Option<String>,
    /// Take over fields that another field manager owns
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum ImportDryRun {
    /// Write
    #[default]
    None,
    /// A server-side dry run
    Server,
}

impl ImportArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(import(self))
    }
}

async fn import(args: ImportArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let desired = desired(&args.files, args.namespace.as_deref(), &cluster)?;
    if let Some(selector) = &args.selector {
        all_selected(&desired, selector)?;
    }
    let dry_run = if args.dry_run == ImportDryRun::Server { DryRun::Yes } else { DryRun::No };
    let conflicts = if args.force_conflicts { Conflicts::Force } else { Conflicts::Refuse };
    let plan = ApplyPlan::make(&cluster, &desired, conflicts).await;
    let pruned = match &args.selector {
        Some(selector) if plan.refusals.is_empty() => {
            prune::find(&cluster, &desired, args.namespace.as_deref(), selector).await?
        }
        _ => Vec::new(),
    };
    let mut refusals = plan.refusals.clone();
    for target in &pruned {
        refusals.extend(prune::delete(&cluster, target, DryRun::Yes).await.err());
    }
    diagnostics::report_refusals(refusals)?;
    write(plan, dry_run).await?;
    for target in &pruned {
        if dry_run == DryRun::No {
            prune::delete(&cluster, target, DryRun::No).await?;
        }
        print_outcome(&target.key.argument(), "pruned", dry_run)?;
    }
    Ok(())
}

/// Writes a plan and prints the outcomes; with a dry run only prints those of the plan.
pub(super) async fn write(plan: ApplyPlan<'_>, dry_run: DryRun) -> Result<(), Failure> {
    if dry_run == DryRun::Yes {
        for applied in &plan.applied {
            print_outcome(&applied.key.argument(), applied.outcome.as_str(), dry_run)?;
        }
        return Ok(());
    }
    for desired in plan.desired() {
        let applied = plan.write(desired).await?;
        print_outcome(&applied.key.argument(), applied.outcome.as_str(), dry_run)?;
    }
    Ok(())
}

fn print_outcome(policy: &str, outcome: &str, dry_run: DryRun) -> Result<(), Failure> {
    let how = if dry_run == DryRun::Yes { " (server dry run)" } else { "" };
    output::print(&format!("{policy} {outcome}{how}\n"))
}

/// The policies of files; those without a namespace get the given one, or the context's.
pub(super) fn desired(
    paths: &[PathBuf],
    namespace: Option<&str>,
    cluster: &Cluster,
) -> Result<Vec<Desired>, Failure> {
    let default = namespace.unwrap_or_else(|| cluster.client.default_namespace());
    let policies = files::read(paths, ParseOptions::gitops_folder(default))?;
    let desired =
        policies.into_iter().map(|policy| Desired::new(policy.place, &policy.document.manifest));
    let desired: Vec<_> = desired.collect();
    let elsewhere = desired.iter().find(|it| {
        namespace.is_some()
            && it.key.namespace.is_some()
            && it.key.namespace.as_deref() != namespace
    });
    match elsewhere {
        Some(it) => Err(Failure::Input(format!(
            "{}: {} is in another namespace than -n {default}; drop -n, or the namespace in the file",
            it.place, it.key
        ))),
        None => Ok(desired),
    }
}

/// Checks that every policy matches the selector of `--prune`: the next prune would not find another one.
fn all_selected(desired: &[Desired], selector: &str) -> Result<(), Failure> {
    let parsed =
        selector::parse(selector).map_err(|error| Failure::Input(format!("-l: {error}")))?;
    let labels = |policy: &Value| -> BTreeMap<String, String> {
        let labels = policy.pointer("/metadata/labels").and_then(Value::as_object);
        let text =
            |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        labels.into_iter().flatten().filter_map(text).collect()
    };
    match desired.iter().find(|it| !parsed.matches(&labels(&it.policy))) {
        Some(it) => Err(Failure::Input(format!(
            "{}: {} does not have the labels of -l {selector}, so a later --prune would not find it; add them",
            it.place, it.key
        ))),
        None => Ok(()),
    }
}
