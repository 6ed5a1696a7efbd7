//! `podgate policy import`

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kube::core::SelectorExt;
use serde_json::Value;

use super::super::{ClusterArgs, Failure, block_on, diagnostics, output};
use crate::clusters::{self, Cluster};
use crate::gitops::apply::{ApplyPlan, Conflicts};
use crate::gitops::{Desired, prune, selector};
use crate::manifests::policy_file::ParseOptions;
use crate::policies::files;

#[derive(Args, Debug)]
#[command(
    after_help = "The API server tries everything first, and nothing is written where it refuses a part. Objects that are no
policies are passed over.

Examples:
  podgate policy import policies/
  podgate policy import policies/ --dry-run server
  podgate policy import policies/ --prune -l managed-by=git
  podgate policy export -A --context old | podgate policy import - --context new"
)]
pub(in crate::cli) struct ImportArgs {
    /// A policy file, a folder with all that is below it, or - for stdin; may be repeated
    #[arg(required = true, value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// The namespace of policies that name none; one that names another is refused [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Say what would be done
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    dry_run: DryRun,
    /// Then delete the policies that the selector chooses and the files do not name: with -n those of the namespace, else
    /// those of all namespaces and the cluster's own
    #[arg(long, requires = "selector")]
    prune: bool,
    /// The labels by which --prune knows what comes from these files, such as managed-by=git
    #[arg(short = 'l', long, value_name = "LABELS", requires = "prune")]
    selector: Option<String>,
    /// Take over fields that somebody else set
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum DryRun {
    /// Write
    #[default]
    None,
    /// The API server tries it
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
    let dry_run = args.dry_run == DryRun::Server;
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
        refusals.extend(prune::try_delete(&cluster, target).await.err());
    }
    diagnostics::report_refusals(refusals)?;
    write(plan, dry_run).await?;
    for target in &pruned {
        if !dry_run {
            prune::delete(&cluster, target).await?;
        }
        print_outcome(&target.key.argument(), "pruned", dry_run)?;
    }
    Ok(())
}

/// Carries a plan out, or with a dry run says what it would do.
pub(super) async fn write(plan: ApplyPlan<'_>, dry_run: bool) -> Result<(), Failure> {
    if dry_run {
        for applied in &plan.applied {
            print_outcome(&applied.key.argument(), applied.outcome.as_str(), true)?;
        }
        return Ok(());
    }
    for desired in plan.desired() {
        let applied = plan.write(desired).await?;
        print_outcome(&applied.key.argument(), applied.outcome.as_str(), false)?;
    }
    Ok(())
}

fn print_outcome(policy: &str, outcome: &str, dry_run: bool) -> Result<(), Failure> {
    let how = if dry_run { " (server dry run)" } else { "" };
    output::print(&format!("{policy} {outcome}{how}\n"))
}

/// The policies of files, in the namespace that is given or the context's.
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
            "{}: {} is of another namespace than -n {default}; leave -n away, or the namespace in the file",
            it.place, it.key
        ))),
        None => Ok(desired),
    }
}

/// What is written now must be found again by the next prune, and not be taken by it.
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
            "{}: {} has not the labels of -l {selector}, so no prune would ever find it; give it those labels",
            it.place, it.key
        ))),
        None => Ok(()),
    }
}
