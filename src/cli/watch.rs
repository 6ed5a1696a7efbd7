//! `podgate watch`

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::net::SocketAddr;

use clap::Args;

use super::args::{ClusterArgs, ProtectedArgs};
use super::columns::{TableCell, align};
use super::failure::{Failure, block_on};
use super::serve::address;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{Change, ObservedPolicy, PolicyUpdate};
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
    let worst = observed.worst.first();
    let worst =
        worst.map(|it| format!("{} {}/{}", it.fault.id, it.workload.kind, it.workload.name));
    let nothing = observed.covers_nothing.as_ref().map(|why| format!("covers nothing: {why}"));
    let worst = nothing.or(worst);
    vec![
        TableCell::new(&observed.policy.label),
        TableCell::new(observed.policy.mode.as_str()),
        TableCell::new(&observed.score.points.to_string()),
        TableCell::new(observed.score.classification().as_str()),
        TableCell::new(&observed.workloads.to_string()),
        TableCell::new(&observed.violations().to_string()),
        TableCell::or_none(&worst.unwrap_or_default()),
    ]
}

/// A policy's state on one line.
fn policy_line(update: &PolicyUpdate) -> String {
    match &update.observed {
        Some(observed) => {
            let (policy, state) = (&observed.policy, observed.sentence());
            format!("{}  {state}; mode {}", policy.label, policy.mode.as_str())
        }
        None => format!("{}  gone", update.policy.label()),
    }
}

/// A violation that began or went, on one line.
fn change_line(change: &Change) -> String {
    let Change { policy, violation, gone } = change;
    let (workload, fault) = (&violation.workload, &violation.fault);
    let sign = if *gone { '-' } else { '+' };
    format!(
        "{sign} {}/{}/{} {} ({}) {}: {}",
        workload.kind,
        workload.namespace,
        workload.name,
        fault.id,
        violation.severity,
        policy.label,
        fault.message
    )
}
