//! `podgate remediate`

use std::io::{IsTerminal, Write, stderr, stdin};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

use super::args::{ClusterArgs, NamespaceArgs, ProtectedArgs};
use super::columns::{self, TableCell};
use super::failure::{Failure, block_on};
use super::output;
use super::output::Versioned;
use crate::clusters;
use crate::policy::record::{InvalidRecord, Record};
use crate::remediation::manual::{LiveWorkload, ManualRepairs, RepairOutcome};
use crate::remediation::plan::{RepairPatch, RepairPlan};
use crate::remediation::work;

#[derive(Debug, Subcommand)]
pub(super) enum RemediateCommand {
    /// Show the repairs that the policies in force ask for; writes nothing.
    Plan(PlanArgs),
    /// Repair workloads one after another, and roll back a repair that makes one worse.
    Apply(RemediateApplyArgs),
    /// Show the repaired workloads and the progress of rollouts.
    Status(StatusArgs),
    /// Restore a workload's template of before its repair.
    Rollback(RollbackArgs),
}

#[derive(Args, Debug)]
struct WorkloadArgs {
    /// Workloads as KIND/NAME, such as deployment/cart [default: all of the namespace]
    #[arg(value_name = "KIND/NAME")]
    workload: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    protected: ProtectedArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Every policy in force counts, whatever its remediation mode. A workload without a safe repair is listed with
the reason.

Examples:
  podgate remediate plan -n shop
  podgate remediate plan -n shop deployment/cart -o json"
)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    workloads: WorkloadArgs,
    #[arg(short, long, value_enum, default_value_t)]
    output: PlanFormat,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum PlanFormat {
    /// A diff for each workload
    #[default]
    Diff,
    Json,
    Yaml,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Each patch is sent as a server-side dry run, then written; the rollout is followed until the new pods are as
available as the old ones were. If they crash or do not become available, the repair is rolled back. The exit code is 1 where
a repair was rolled back or refused.

Examples:
  podgate remediate apply -n shop deployment/cart
  podgate remediate apply -n shop --dry-run
  podgate remediate apply -n shop --yes --timeout 300"
)]
pub(super) struct RemediateApplyArgs {
    #[command(flatten)]
    workloads: WorkloadArgs,
    /// Only ask the API server whether it would admit the patches
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// The seconds that a rollout may take before it is rolled back
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = clap::value_parser!(u64).range(10..=86400))]
    timeout: u64,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  podgate remediate status -A")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    workloads: WorkloadArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "It works as long as the template has not changed since the repair. podgate does not repeat the repair before the
policy or the workload changes.

Examples:
  podgate remediate rollback -n shop deployment/cart"
)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    workloads: WorkloadArgs,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

/// A plan as JSON and YAML.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlannedRepair<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    /// The patch (RFC 6902); null where there is none.
    patch: Option<Value>,
    rules: Vec<&'static str>,
    /// The number of violations that stay.
    left: usize,
    /// Why there is no patch.
    refused: Option<String>,
}

#[derive(Serialize)]
struct PlannedRepairs<'a> {
    workloads: Vec<PlannedRepair<'a>>,
}

impl RemediateCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(async {
            match self {
                Self::Plan(args) => plan(args).await,
                Self::Apply(args) => apply(args).await,
                Self::Status(args) => status(args).await,
                Self::Rollback(args) => rollback(args).await,
            }
        })
    }
}

impl WorkloadArgs {
    /// Reads the cluster's policies, and the selected workloads.
    async fn find(&self) -> Result<(ManualRepairs, Vec<LiveWorkload>), Failure> {
        let cluster = clusters::connect(&self.cluster.target()).await?;
        let namespace = self.namespace.one(cluster.client.default_namespace());
        let namespace = namespace.as_deref();
        let hand = ManualRepairs::open(cluster, namespace, self.protected.list()).await?;
        let all = hand.workloads(namespace).await?;
        if self.workload.is_empty() {
            return Ok((hand, all));
        }
        let mut found = Vec::new();
        for wanted in &self.workload {
            let named = |it: &&LiveWorkload| {
                let key = &it.target.key;
                wanted.split_once('/').is_some_and(|(kind, name)| {
                    let kind = kind.trim_end_matches('s');
                    key.kind.eq_ignore_ascii_case(kind) && key.name == name
                })
            };
            let count = found.len();
            found.extend(
                all.iter().filter(named).map(|it| LiveWorkload {
                    target: it.target.clone(),
                    object: it.object.clone(),
                }),
            );
            if found.len() == count {
                return Err(Failure::Input(format!(
                    "there is no workload {wanted}; write it as deployment/NAME, statefulset/NAME or daemonset/NAME, with -n NAMESPACE"
                )));
            }
        }
        Ok((hand, found))
    }
}

async fn plan(args: PlanArgs) -> Result<(), Failure> {
    let (hand, found) = args.workloads.find().await?;
    let plans: Vec<_> = found.iter().map(|it| (it, hand.plan(it))).collect();
    match args.output {
        PlanFormat::Diff => {
            let (mut repaired, mut refused) = (0, 0);
            for (found, plan) in &plans {
                match plan {
                    RepairPlan::Nothing => continue,
                    RepairPlan::Patch(_) => repaired += 1,
                    RepairPlan::Refused(_) => refused += 1,
                }
                output::print(&render(found, plan))?;
            }
            eprintln!("{repaired} can be repaired, {refused} cannot");
            Ok(())
        }
        PlanFormat::Json => {
            output::json(&Versioned::of(&PlannedRepairs { workloads: planned(&plans) }))
        }
        PlanFormat::Yaml => {
            output::yaml(&Versioned::of(&PlannedRepairs { workloads: planned(&plans) }))
        }
    }
}

fn planned<'a>(plans: &'a [(&'a LiveWorkload, RepairPlan)]) -> Vec<PlannedRepair<'a>> {
    let of = |(found, plan): &'a (&'a LiveWorkload, RepairPlan)| {
        let key = &found.target.key;
        let (patch, rules, left, refused) = match plan {
            RepairPlan::Nothing => return None,
            RepairPlan::Patch(RepairPatch { operations, rules, left }) => {
                let patch = serde_json::to_value(operations).ok();
                (patch, rules.iter().copied().collect(), *left, None)
            }
            RepairPlan::Refused(why) => (None, Vec::new(), 0, Some(why.to_string())),
        };
        let (kind, namespace, name) = (&*key.kind, &*key.namespace, &*key.name);
        Some(PlannedRepair { kind, namespace, name, patch, rules, left, refused })
    };
    plans.iter().filter_map(of).collect()
}

/// Renders a plan as a diff of the pod template.
fn render(found: &LiveWorkload, plan: &RepairPlan) -> String {
    let name = work::name(&found.target);
    let repair = match plan {
        RepairPlan::Nothing => return String::new(),
        RepairPlan::Refused(why) => return format!("{name}: not repaired: {why}\n\n"),
        RepairPlan::Patch(repair) => repair,
    };
    let template = |object: &Value| {
        let template = object.pointer("/spec/template").cloned().unwrap_or_default();
        serde_saphyr::to_string(&template).unwrap_or_default()
    };
    let mut after = found.object.clone();
    // The patch was planned for this object, so it applies.
    let _ = json_patch::patch(&mut after, &repair.operations);
    let (before, after) = (template(&found.object), template(&after));
    let diff = TextDiff::from_lines(&before, &after);
    let diff = diff.unified_diff().context_radius(3).header("template", "repaired").to_string();
    let rules: Vec<_> = repair.rules.iter().copied().collect();
    let left = match repair.left {
        0 => String::new(),
        1 => "; 1 violation stays".to_owned(),
        count => format!("; {count} violations stay"),
    };
    format!("{name}: {}{left}\n{diff}\n", rules.join(", "))
}

async fn apply(args: RemediateApplyArgs) -> Result<(), Failure> {
    let (hand, found) = args.workloads.find().await?;
    let (mut repairs, mut failed) = (Vec::new(), 0);
    for found in &found {
        if let Some(record) = ManualRepairs::in_flight(found).filter(|_| !args.dry_run) {
            let name = work::name(&found.target);
            eprintln!("{name}: resumes the repair that was begun by hand");
            let progress = |how: &str| eprintln!("{name}: {how}");
            let outcome = hand.resume(found, record, progress).await?;
            failed += usize::from(print_outcome(&name, &outcome)?);
            continue;
        }
        let plan = hand.plan(found);
        output::print(&render(found, &plan))?;
        if let RepairPlan::Patch(repair) = plan {
            repairs.push((found, repair));
        }
    }
    if repairs.is_empty() {
        eprintln!("nothing can be repaired");
        return gate(failed);
    }
    let count = repairs.len();
    let what = if count == 1 { "1 workload".to_owned() } else { format!("{count} workloads") };
    if !args.dry_run {
        confirm(args.yes, &format!("Repair {what}, one after another, each with one rollout?"))?;
    }
    for (found, repair) in repairs {
        let name = work::name(&found.target);
        let outcome = if args.dry_run {
            hand.dry_run(found, &repair).await?
        } else {
            let progress = |how: &str| eprintln!("{name}: {how}");
            hand.apply(found, &repair, Duration::from_secs(args.timeout), progress).await?
        };
        failed += usize::from(print_outcome(&name, &outcome)?);
    }
    gate(failed)
}

/// Prints the outcome of a workload's repair. Returns whether it failed.
fn print_outcome(name: &str, outcome: &RepairOutcome) -> Result<bool, Failure> {
    let (text, failed) = match outcome {
        RepairOutcome::Repaired(why) => (why.clone(), false),
        RepairOutcome::RolledBack(why) => (why.clone(), true),
        RepairOutcome::Refused(why) => (format!("not repaired: {why}"), true),
    };
    output::print(&format!("{name}: {text}\n"))?;
    Ok(failed)
}

fn gate(failed: usize) -> Result<(), Failure> {
    match failed {
        0 => Ok(()),
        1 => Err(Failure::Findings("1 workload is not repaired".to_owned())),
        count => Err(Failure::Findings(format!("{count} workloads are not repaired"))),
    }
}

async fn status(args: StatusArgs) -> Result<(), Failure> {
    let (_, found) = args.workloads.find().await?;
    let header: Vec<_> =
        ["WORKLOAD", "STATE", "BEGAN", "POLICIES", "MESSAGE"].map(TableCell::new).into();
    let mut rows = vec![header];
    for found in &found {
        let record = match recorded(found) {
            None => continue,
            Some(Ok(record)) => record,
            Some(Err(why)) => {
                let name = work::name(&found.target);
                eprintln!("{name}: its record is not believed: {why}");
                continue;
            }
        };
        let policies: Vec<_> = record.policies.iter().map(|it| it.policy.as_str()).collect();
        let began = record.began.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        rows.push(vec![
            TableCell::new(&work::name(&found.target)),
            TableCell::new(record.state.as_str()),
            TableCell::new(&began),
            TableCell::new(&policies.join(",")),
            TableCell::new(&record.message),
        ]);
    }
    if rows.len() == 1 {
        eprintln!("no workload here was repaired");
        return Ok(());
    }
    let lines = columns::align(&rows).into_iter().map(|line| line + "\n");
    output::print(&lines.collect::<String>())
}

async fn rollback(args: RollbackArgs) -> Result<(), Failure> {
    if args.workloads.workload.is_empty() {
        return Err(Failure::Input("name the workload, such as deployment/cart".to_owned()));
    }
    let (hand, found) = args.workloads.find().await?;
    let mut failed = 0;
    for found in &found {
        let name = work::name(&found.target);
        let record = match recorded(found) {
            Some(Ok(record)) => record,
            Some(Err(why)) => {
                return Err(Failure::Input(format!(
                    "{name}: its record is not believed: {why}; change its template by hand"
                )));
            }
            None => {
                return Err(Failure::Input(format!(
                    "{name} was not repaired by podgate, so there is nothing to roll back"
                )));
            }
        };
        confirm(
            args.yes,
            &format!("Roll back the repair of {name} ({})?", record.rules.join(", ")),
        )?;
        let outcome = hand.roll_back(found, &record).await?;
        failed += usize::from(matches!(outcome, RepairOutcome::Refused(_)));
        print_outcome(&name, &outcome)?;
    }
    gate(failed)
}

fn recorded(found: &LiveWorkload) -> Option<Result<Record, InvalidRecord>> {
    Record::of(&found.object, Timestamp::now())
}

/// Asks for confirmation on the terminal.
///
/// # Errors
/// The answer is no, or stdin is not a terminal.
fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !stdin().is_terminal() {
        return Err(Failure::Input(
            "stdin is not a terminal, so nobody can confirm; repeat with --yes".to_owned(),
        ));
    }
    eprint!("{question} [y/N] ");
    stderr().flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Input("nothing was written".to_owned())),
    }
}
