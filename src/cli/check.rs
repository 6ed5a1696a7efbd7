//! `podgate check`

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::args::ClusterArgs;
use super::columns::{self, TableCell};
use super::failure::{Failure, block_on};
use super::output;
use super::output::Versioned;
use crate::clusters;
use crate::install::permissions::Names;
use crate::install::preflight::{self, Check, CheckState};

#[derive(Args, Debug)]
#[command(
    after_help = "Permissions are those of the kubeconfig's user: run it as podgate's ServiceAccount to check podgate's own \
permissions. All policies of the cluster are compiled: run the new version's check before an upgrade. Nothing is written to \
the cluster. The exit code is 3 where a check is an error.

Examples:
  podgate check
  podgate check -n podgate-system -o json"
)]
pub(super) struct CheckArgs {
    /// The namespace of the release [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The full name of the release, the prefix of its webhook configurations' names
    #[arg(long, value_name = "NAME", default_value = "podgate")]
    release: String,
    /// The Secret of the certificate
    #[arg(long, value_name = "NAME", default_value = "podgate-tls")]
    tls_secret: String,
    #[arg(short, long, value_enum, default_value_t)]
    output: CheckFormat,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum CheckFormat {
    /// One line for each check
    #[default]
    Table,
    Json,
    Yaml,
}

/// The answer as JSON and YAML.
#[derive(Serialize)]
struct Checks<'a> {
    checks: &'a [Check],
}

impl CheckArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(check(self))
    }
}

async fn check(args: CheckArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let names = Names { release: args.release, tls_secret: args.tls_secret };
    let namespace = args.namespace.as_deref().unwrap_or(cluster.client.default_namespace());
    let checks = preflight::run(&cluster, namespace, &names).await;
    let answer = Checks { checks: &checks };
    match args.output {
        CheckFormat::Table => output::print(&lines(&checks))?,
        CheckFormat::Json => output::json(&Versioned::of(&answer))?,
        CheckFormat::Yaml => output::yaml(&Versioned::of(&answer))?,
    }
    match checks.iter().filter(|check| check.state == CheckState::Error).count() {
        0 => Ok(()),
        1 => Err(Failure::Cluster("1 check is an error".to_owned())),
        count => Err(Failure::Cluster(format!("{count} checks are errors"))),
    }
}

fn lines(checks: &[Check]) -> String {
    let row = |check: &Check| {
        let todo = check.todo.as_ref().map(|todo| format!(" → {todo}")).unwrap_or_default();
        vec![TableCell::new(check.state.as_str()), TableCell::new(&format!("{}{todo}", check.what))]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    columns::align(&rows).into_iter().map(|line| line + "\n").collect()
}
