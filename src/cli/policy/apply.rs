//! `podgate policy apply`

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::args::{ClusterArgs, bundle_parser};
use super::super::diagnostics;
use super::super::failure::{Failure, block_on};
use super::super::output;
use super::import;
use super::show::PolicyKind;
use crate::api::{API_VERSION, BundleName, EnforcementMode};
use crate::client::dry_run::DryRun;
use crate::clusters;
use crate::gitops::apply::{ApplyPlan, Conflicts};
use crate::gitops::{Desired, yaml};

#[derive(Args, Debug)]
#[command(
    after_help = "The policy names the bundle, so its rules are those of the running podgate's version of the bundle; its status
names that version. For a policy with every field spelled out: podgate policy show BUNDLE.

Examples:
  podgate policy apply baseline -n shop
  podgate policy apply restricted --kind ClusterDevOpsPolicy --mode warn
  podgate policy apply baseline -n shop --mode enforce --grace 30d
  podgate policy apply baseline -n shop --dry-run client > policies/shop/baseline.yaml"
)]
pub(crate) struct PolicyApplyArgs {
    /// The bundle's name; see: podgate policy bundles
    #[arg(value_parser = bundle_parser())]
    bundle: BundleName,
    /// The policy's kind: for one namespace, or for all namespaces
    #[arg(long, value_enum, ignore_case = true, default_value = "DevOpsPolicy")]
    kind: PolicyKind,
    /// The namespace of a DevOpsPolicy [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The policy's name [default: the bundle's]
    #[arg(long)]
    name: Option<String>,
    /// What podgate does with an object that violates a rule
    #[arg(long, value_enum, default_value_t)]
    mode: ModeArg,
    /// With --mode enforce: how long what runs already is admitted with warnings (spec.graceUntil), such as 30d
    /// [default: no grace; that of the applied policy ends]
    #[arg(long, value_name = "DURATION", value_parser = grace)]
    grace: Option<SignedDuration>,
    /// Print the policy instead of sending it (client), or send it as a server-side dry run (server)
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    dry_run: ApplyDryRun,
    /// Print the policy instead of the outcome
    #[arg(short, long, value_enum)]
    output: Option<ApplyFormat>,
    /// Take over fields that another field manager owns
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum ModeArg {
    /// Record the violation
    #[default]
    Audit,
    /// Admit the object with a warning
    Warn,
    /// Deny the object
    Enforce,
}

impl From<ModeArg> for EnforcementMode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Audit => Self::Audit,
            ModeArg::Warn => Self::Warn,
            ModeArg::Enforce => Self::Enforce,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum ApplyDryRun {
    /// Write
    #[default]
    None,
    /// Print the policy; needs no cluster
    Client,
    /// A server-side dry run
    Server,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ApplyFormat {
    Yaml,
}

impl PolicyApplyArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        if matches!(self.kind, PolicyKind::ClusterDevOpsPolicy) && self.namespace.is_some() {
            let message = "ClusterDevOpsPolicy is cluster-scoped; drop -n or --kind";
            return Err(Failure::Input(message.to_owned()));
        }
        if self.grace.is_some() && self.mode != ModeArg::Enforce {
            let message = "--grace is for --mode enforce; the other modes deny nothing";
            return Err(Failure::Input(message.to_owned()));
        }
        if self.dry_run == ApplyDryRun::Client {
            let desired = self.desired(self.namespace.as_deref(), Timestamp::now());
            return output::print(&yaml(&desired.policy)?);
        }
        block_on(apply(self))
    }

    fn desired(&self, namespace: Option<&str>, now: Timestamp) -> Desired {
        let bundle = self.bundle.as_str();
        let kind = match self.kind {
            PolicyKind::DevOpsPolicy => "DevOpsPolicy",
            PolicyKind::ClusterDevOpsPolicy => "ClusterDevOpsPolicy",
        };
        let namespace = namespace.filter(|_| matches!(self.kind, PolicyKind::DevOpsPolicy));
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
        if let (Some(grace), Some(Value::Object(spec))) =
            (self.grace, manifest.pointer_mut("/spec"))
        {
            // Of whole seconds, as the API has it.
            let end = Timestamp::from_second(now.as_second()).unwrap_or(now) + grace;
            spec.insert("graceUntil".to_owned(), end.to_string().into());
        }
        Desired::new(bundle.to_owned(), &manifest)
    }
}

/// Parses the length of a grace: a number with its unit, at most ten years.
fn grace(text: &str) -> Result<SignedDuration, String> {
    const MAX_HOURS: i64 = 3650 * 24;
    let form = "write it as a whole number of d or h, such as 30d, from 1h to 3650d";
    let hours = [('d', 24), ('h', 1)].into_iter().find_map(|(unit, hours)| {
        let count = text.strip_suffix(unit)?;
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        count.parse::<u32>().ok().filter(|_| digits).map(|count| i64::from(count) * hours)
    });
    match hours {
        Some(hours) if (1..=MAX_HOURS).contains(&hours) => Ok(SignedDuration::from_hours(hours)),
        _ => Err(form.to_owned()),
    }
}

async fn apply(args: PolicyApplyArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let namespace = args.namespace.as_deref();
    let namespace = namespace.unwrap_or_else(|| cluster.client.default_namespace());
    let desired = [args.desired(Some(namespace), Timestamp::now())];
    let conflicts = if args.force_conflicts { Conflicts::Force } else { Conflicts::Refuse };
    let plan = ApplyPlan::make(&cluster, &desired, conflicts).await;
    diagnostics::report_refusals(plan.refusals.clone())?;
    let dry_run = if args.dry_run == ApplyDryRun::Server { DryRun::Yes } else { DryRun::No };
    match args.output {
        None => import::write(plan, dry_run).await,
        Some(ApplyFormat::Yaml) if dry_run == DryRun::Yes => {
            plan.applied.iter().try_for_each(|it| output::print(&yaml(&it.policy)?))
        }
        Some(ApplyFormat::Yaml) => {
            for desired in plan.desired() {
                output::print(&yaml(&plan.write(desired).await?.policy)?)?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: PolicyApplyArgs,
    }

    #[test]
    fn a_grace_is_a_number_with_a_unit() {
        for (text, hours) in [("30d", 720), ("1h", 1), ("36h", 36), ("3650d", 87_600)] {
            assert_eq!(grace(text), Ok(SignedDuration::from_hours(hours)), "{text}");
        }
        for bad in [
            "",
            "d",
            "30",
            "0d",
            "-1d",
            "+1d",
            "1.5d",
            "1d12h",
            "30D",
            "30m",
            "3651d",
            "4294967296h",
            "never",
            " 30d",
        ] {
            assert!(grace(bad).is_err_and(|why| why.starts_with("write it as")), "{bad}");
        }
    }

    #[test]
    fn a_grace_is_written_as_the_time_at_which_it_ends() {
        let spec = |args: &[&str]| {
            let args = Cli::parse_from(["apply", "baseline"].iter().chain(args)).args;
            let now = "2027-01-01T08:00:00.123456Z".parse().unwrap();
            args.desired(Some("shop"), now).policy["spec"].clone()
        };
        let end = "2027-01-31T08:00:00Z";
        assert_eq!(spec(&["--mode", "enforce", "--grace", "30d"])["graceUntil"], end);
        assert_eq!(spec(&["--mode", "enforce"]).get("graceUntil"), None);
    }
}
