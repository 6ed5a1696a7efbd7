//! `podgate drain-check`

use std::fmt::Write;

use clap::{ArgGroup, Args, ValueEnum};
use jiff::Timestamp;

use super::args::{ClusterArgs, ProtectedArgs};
use super::columns::{self, TableCell};
use super::failure::{Failure, block_on};
use super::output::Versioned;
use super::{diagnostics, output};
use crate::analysis::drain::answer::{DrainCheck, DrainedWorkload};
use crate::analysis::drain::{self, DrainError, NodeSelection};
use crate::clusters;
use crate::policy::text::{clip, count};

#[derive(Args, Debug)]
#[command(
    after_help = "Each pod counts as the pod that its controller would make now, after mutations, by the policies in force. A pod \
without a controller of Kubernetes counts as it is. Pods of DaemonSets count too: kubectl drain leaves them alone, but the \
node that takes a drained node's place needs them. Static pods, and pods of protected namespaces, are never refused. \
Nothing is written to the cluster.

PODS has the refused pods on these nodes, of all pods of the workload: \"3 of 3\" is an outage. \"0 of 3 (3 in grace)\" \
becomes one when the policies' grace ends (spec.graceUntil).

Exit codes: 2 where a node does not exist, 3 where something could not be read (the rest is checked), else 1 where a pod \
would be refused.

Examples:
  podgate drain-check node-1 node-2
  podgate drain-check -l topology.kubernetes.io/zone=a
  podgate drain-check --all -o json",
    group(ArgGroup::new("selection").required(true).args(["nodes", "all", "selector"]))
)]
pub(super) struct DrainCheckArgs {
    /// The nodes
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    /// Every node
    #[arg(long)]
    all: bool,
    /// The nodes that this label selector matches, such as pool=spot
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: DrainFormat,
    #[command(flatten)]
    protected: ProtectedArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum DrainFormat {
    /// One line for each workload
    #[default]
    Table,
    Json,
    Yaml,
}

impl From<DrainError> for Failure {
    fn from(error: DrainError) -> Self {
        match error {
            DrainError::Analysis(error) => error.into(),
            DrainError::NoNode(_) | DrainError::NoneMatches(_) => Self::Input(error.to_string()),
        }
    }
}

impl DrainCheckArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(check(self))
    }

    fn selection(&mut self) -> NodeSelection {
        if self.all {
            return NodeSelection::All;
        }
        let named = || NodeSelection::Named(std::mem::take(&mut self.nodes));
        self.selector.take().map_or_else(named, NodeSelection::Labelled)
    }
}

async fn check(mut args: DrainCheckArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let (selection, protected) = (args.selection(), args.protected.list());
    let check = drain::drain_check(&cluster, selection, protected, Timestamp::now()).await?;
    diagnostics::report_notes(&check.notes, &check.faults);
    match args.output {
        DrainFormat::Table => output::print(&table(&check))?,
        DrainFormat::Json => output::json(&Versioned::of(&check))?,
        DrainFormat::Yaml => output::yaml(&Versioned::of(&check))?,
    }
    diagnostics::require_complete("check", &check.faults)?;
    match check.summary.refused {
        0 => Ok(()),
        refused => Err(Failure::Findings(format!(
            "{} would be refused; fix or exempt the workloads before the nodes are drained",
            count(refused, "pod")
        ))),
    }
}

fn table(check: &DrainCheck) -> String {
    let mut text = headline(check) + "\n";
    if !check.workloads.is_empty() {
        let headings = ["NAMESPACE", "WORKLOAD", "PODS", "POLICY", "REASON"];
        let rows = check.workloads.iter().map(row).collect();
        let _ = write!(text, "\n{}", columns::table(&headings, rows));
    }
    text
}

fn headline(check: &DrainCheck) -> String {
    let summary = check.summary;
    let pods =
        format!("{} on {}", count(summary.pods, "pod"), count(check.nodes.len() as u64, "node"));
    let graced = match summary.graced {
        0 => String::new(),
        graced => format!("; {graced} in grace would be after it ends"),
    };
    if summary.refused == 0 {
        return format!("none of {pods} would be refused if they were evicted now{graced}");
    }
    let lost = match summary.lost {
        0 => String::new(),
        lost => format!("; {} would lose every pod", count(lost, "workload")),
    };
    format!("{} of {pods} would be refused if they were evicted now{lost}{graced}", summary.refused)
}

fn row(it: &DrainedWorkload) -> Vec<TableCell> {
    let policies: Vec<_> = it.policies.iter().map(|policy| clip(policy)).collect();
    vec![
        TableCell::new(&it.namespace),
        TableCell::new(&clip(&format!("{}/{}", it.kind, it.name))),
        TableCell::new(&share(it)),
        TableCell::new(&policies.join(", ")),
        TableCell::new(&it.message),
    ]
}

/// The refused pods of a workload, of all its pods.
fn share(it: &DrainedWorkload) -> String {
    let graced = match it.graced {
        0 => String::new(),
        graced => format!(" ({graced} in grace)"),
    };
    format!("{} of {}{graced}", it.refused, it.replicas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::drain::answer::DrainSummary;

    fn workload(name: &str, refused: u64, replicas: u64) -> DrainedWorkload {
        DrainedWorkload {
            namespace: "shop".to_owned(),
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
            refused,
            graced: 0,
            replicas,
            policies: vec!["shop/baseline".to_owned(), "restricted".to_owned()],
            message: "spec.containers[0].image is \"nginx\" (no tag means :latest); give a version"
                .to_owned(),
        }
    }

    fn drained(workloads: Vec<DrainedWorkload>) -> DrainCheck {
        let refused = workloads.iter().map(|it| it.refused).sum();
        let graced = workloads.iter().map(|it| it.graced).sum();
        let lost = workloads.iter().filter(|it| it.is_lost()).count() as u64;
        DrainCheck {
            nodes: vec!["node-1".to_owned(), "node-2".to_owned()],
            summary: DrainSummary { pods: 12, refused, graced, lost },
            workloads,
            faults: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn the_table_has_each_workloads_share() {
        let check = drained(vec![workload("cart", 3, 3), workload("web", 1, 4)]);
        insta::assert_snapshot!(table(&check), @r#"
        4 of 12 pods on 2 nodes would be refused if they were evicted now; 1 workload would lose every pod

        NAMESPACE   WORKLOAD          PODS     POLICY                      REASON
        shop        Deployment/cart   3 of 3   shop/baseline, restricted   spec.containers[0].image is "nginx" (no tag means :latest); give a version
        shop        Deployment/web    1 of 4   shop/baseline, restricted   spec.containers[0].image is "nginx" (no tag means :latest); give a version
        "#);
        insta::assert_snapshot!(table(&drained(vec![workload("web", 1, 4)])).lines().next().unwrap(), @r#"1 of 12 pods on 2 nodes would be refused if they were evicted now"#);
        insta::assert_snapshot!(table(&drained(Vec::new())), @r#"none of 12 pods on 2 nodes would be refused if they were evicted now"#);
        let mut graced = workload("web", 0, 4);
        graced.graced = 2;
        insta::assert_snapshot!(table(&drained(vec![graced])), @r#"
        none of 12 pods on 2 nodes would be refused if they were evicted now; 2 in grace would be after it ends

        NAMESPACE   WORKLOAD         PODS                  POLICY                      REASON
        shop        Deployment/web   0 of 4 (2 in grace)   shop/baseline, restricted   spec.containers[0].image is "nginx" (no tag means :latest); give a version
        "#);
        let odd = drained(vec![workload("a\u{1b}[2J", 1, 1)]);
        assert!(!table(&odd).contains('\u{1b}'));
    }

    #[test]
    fn the_json_has_these_fields() {
        let check = drained(vec![workload("cart", 3, 3)]);
        insta::assert_snapshot!(output::to_json(&Versioned::of(&check)).unwrap(), @r#"
        {
          "apiVersion": "podgate/v1",
          "nodes": [
            "node-1",
            "node-2"
          ],
          "summary": {
            "pods": 12,
            "refused": 3,
            "graced": 0,
            "lost": 1
          },
          "workloads": [
            {
              "namespace": "shop",
              "kind": "Deployment",
              "name": "cart",
              "refused": 3,
              "graced": 0,
              "replicas": 3,
              "policies": [
                "shop/baseline",
                "restricted"
              ],
              "message": "spec.containers[0].image is \"nginx\" (no tag means :latest); give a version"
            }
          ]
        }
        "#);
    }
}
