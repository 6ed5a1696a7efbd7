//! `podgate watch`

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::net::SocketAddr;

use clap::Args;

use super::args::{ClusterArgs, ProtectedArgs};
use super::columns::{self, TableCell, align};
use super::failure::{Failure, block_on};
use super::serve::address;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{
    Change, Changed, ObservedPolicy, PolicyUpdate, RefusedWorkload, Violation, WorkloadKey,
};
use crate::policy::score::Score;
use crate::runtime::reconcile::{self, AuditOptions, AuditUpdates};
use crate::telemetry;

/// The number of changes below the table.
const RECENT: usize = 10;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  podgate watch                      # a table that updates, in a terminal
  podgate watch | tee changes.txt    # a line for each change, elsewhere")]
pub(super) struct WatchArgs {
    /// The address of /metrics, /healthz and /readyz, without TLS
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    metrics_listen: SocketAddr,
    #[command(flatten)]
    protected: ProtectedArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// How updates are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum WatchView {
    /// A table that updates in place, with the newest changes below it.
    Table,
    /// A line for each update.
    Lines,
}

impl WatchArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let view = if stdout().is_terminal() { WatchView::Table } else { WatchView::Lines };
        if view == WatchView::Lines {
            telemetry::init();
        }
        let options = AuditOptions {
            target: self.cluster.target(),
            metrics_listen: self.metrics_listen,
            protected: self.protected.list(),
        };
        block_on(async {
            Ok(reconcile::observe(options, async move |it| show(it, view).await).await?)
        })
    }
}

/// Shows updates until their channels or stdout close.
async fn show(mut audit: AuditUpdates, view: WatchView) {
    let mut screen = Screen::default();
    loop {
        let shown = tokio::select! {
            Some(updates) = audit.policies.recv() => {
                if view == WatchView::Table {
                    screen.policies(updates);
                    screen.draw()
                } else {
                    print(updates.iter().map(policy_line))
                }
            }
            Some(changes) = audit.changes.recv() => {
                if view == WatchView::Table {
                    screen.changes(&changes);
                    screen.draw()
                } else {
                    print(changes.iter().map(change_line))
                }
            }
            else => return,
        };
        // The reader of stdout has closed it.
        if shown.is_err() {
            return;
        }
    }
}

fn print(lines: impl Iterator<Item = String>) -> std::io::Result<()> {
    let mut out = stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// The content of the terminal.
#[derive(Default)]
struct Screen {
    policies: BTreeMap<PolicyKey, ObservedPolicy>,
    recent: Vec<String>,
}

impl Screen {
    fn policies(&mut self, updates: Vec<PolicyUpdate>) {
        for PolicyUpdate { policy, observed } in updates {
            match observed {
                Some(observed) => drop(self.policies.insert(policy, observed)),
                None => drop(self.policies.remove(&policy)),
            }
        }
    }

    fn changes(&mut self, changes: &[Change]) {
        self.recent.extend(changes.iter().map(change_line));
        let over = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..over);
    }

    fn draw(&self) -> std::io::Result<()> {
        let mut out = stdout().lock();
        // Moves the cursor home and clears the screen.
        write!(out, "\x1b[H\x1b[2J{}", self.text())?;
        out.flush()
    }

    fn text(&self) -> String {
        let header = ["POLICY", "MODE", "SCORE", "CLASS", "WORKLOADS", "VIOLATIONS", "WORST"];
        let mut rows = vec![header.map(TableCell::new).into()];
        rows.extend(self.policies.values().map(row));
        let mut text = if self.policies.is_empty() {
            "There is no policy in this cluster; podgate policy bundles lists policies to start from.\n".to_owned()
        } else {
            align(&rows).join("\n") + "\n"
        };
        if !self.recent.is_empty() {
            text.push('\n');
            text.extend(self.recent.iter().flat_map(|line| [line, "\n"]));
        }
        text
    }
}

fn row(observed: &ObservedPolicy) -> Vec<TableCell> {
    let (score, worst) = (observed.score.as_ref(), observed.worst.first());
    let worst =
        worst.map(|it| format!("{} {}/{}", it.fault.id, it.workload.kind, it.workload.name));
    vec![
        TableCell::new(&observed.policy.label),
        TableCell::new(observed.policy.mode.as_str()),
        TableCell::new(&columns::score(score.map(|it| it.points))),
        TableCell::new(&columns::class(score.map(Score::classification))),
        TableCell::new(&observed.workloads.to_string()),
        TableCell::new(&observed.violations().to_string()),
        TableCell::or_none(&worst.unwrap_or_default()),
    ]
}

/// A policy's state on one line.
fn policy_line(update: &PolicyUpdate) -> String {
    match &update.observed {
        Some(observed) => format!("{}  {}", observed.policy.label, observed.sentence()),
        None => format!("{}  gone", update.policy.label()),
    }
}

/// A change on one line.
fn change_line(change: &Change) -> String {
    let policy = &change.policy.label;
    match &change.what {
        Changed::Opened(violation) => violation_line('+', violation, policy),
        Changed::Closed(violation) => violation_line('-', violation, policy),
        Changed::Refused(refused) => refused_line(refused, policy),
    }
}

fn violation_line(sign: char, violation: &Violation, policy: &str) -> String {
    let Violation { workload, severity, fault, .. } = violation;
    let WorkloadKey { namespace, kind, name } = &**workload;
    let (id, message) = (&fault.id, &fault.message);
    format!("{sign} {kind}/{namespace}/{name} {id} ({severity}) {policy}: {message}")
}

fn refused_line(refused: &RefusedWorkload, policy: &str) -> String {
    let RefusedWorkload { workload, wanted, running, faults } = refused;
    let WorkloadKey { namespace, kind, name } = &**workload;
    let messages: Vec<_> = faults.iter().map(|it| it.message.as_str()).collect();
    let messages = messages.join(" · ");
    format!(
        "! {kind}/{namespace}/{name} {running} of {wanted} pods: refused by {policy}: {messages}"
    )
}
