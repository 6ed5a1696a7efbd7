//! `podgate policy diff`

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use similar::TextDiff;

use super::super::args::ClusterArgs;
use super::super::failure::{Failure, block_on};
use super::super::output;
use super::import;
use crate::clusters;
use crate::gitops::{live, yaml};
use crate::manifests::canonical::canonical;
use crate::policy::key::PolicyKey;

#[derive(Args, Debug)]
#[command(
    after_help = "It only needs permission to get policies. The exit code is 1 where a policy differs.

Examples:
  podgate policy diff policies/
  podgate policy export -A | podgate policy diff - --context other"
)]
pub(crate) struct DiffArgs {
    /// A policy file, a folder (read recursively), or - for stdin; may be repeated
    #[arg(required = true, value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// The namespace of policies without one; policies of another namespace are refused [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl DiffArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(diff(self))
    }
}

async fn diff(args: DiffArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let mut desired = import::desired(&args.files, args.namespace.as_deref(), &cluster)?;
    desired.sort_by(|a, b| a.key.cmp(&b.key));
    // Every policy is read before the diff is printed, since a partial diff looks like a complete one.
    let (mut text, mut different) = (String::new(), 0);
    for wanted in &desired {
        let live = live::get(&cluster, &wanted.key, &wanted.place).await?;
        let changed = changes(&wanted.key, live.as_ref(), &wanted.policy)?;
        different += usize::from(!changed.is_empty());
        text.push_str(&changed);
    }
    output::print(&text)?;
    match different {
        0 => Ok(()),
        1 => Err(Failure::Findings("1 policy differs".to_owned())),
        count => Err(Failure::Findings(format!("{count} policies differ"))),
    }
}

/// The difference as a unified diff; empty where the policies are equal.
fn changes(key: &PolicyKey, live: Option<&Value>, wanted: &Value) -> Result<String, Failure> {
    let live = live.map(canonical);
    if live.as_ref() == Some(wanted) {
        return Ok(String::new());
    }
    let before = live.map(|it| yaml(&it)).transpose()?.unwrap_or_default();
    let after = yaml(wanted)?;
    let diff = TextDiff::from_lines(&before, &after);
    let (from, to) = (format!("live/{key}"), format!("file/{key}"));
    Ok(diff.unified_diff().header(&from, &to).to_string())
}
