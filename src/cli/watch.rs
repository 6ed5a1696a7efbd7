//! `podgate watch`

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::net::SocketAddr;

use clap::Args;

use super::columns::{Cell, align};
use super::serve::address;
use super::{ClusterArgs, Failure, ProtectedArgs, block_on};
use crate::policy::key::PolicyKey;
use crate::policy::observed::{Change, ObservedPolicy, PolicyUpdate};
use crate::runtime::reconcile::{self, AuditOptions, AuditUpdates};
use crate::telemetry;

/// How many changes stand below the table.
const RECENT: usize = 10;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  podgate watch                      # a table that updates, in a terminal
  podgate watch | tee changes.txt    # a line for each change, elsewhere")]
pub(super) struct WatchArgs {
    /// Where /metrics, /healthz and /readyz are served, without TLS
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    metrics_listen: SocketAddr,
    #[command(flatten)]
    protected: ProtectedArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl WatchArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let terminal = stdout().is_terminal();
        if !terminal {
            telemetry::init();
        }
        let options = AuditOptions {
            target: self.cluster.target(),
            metrics_listen: self.metrics_listen,
            protected: self.protected.list(),
        };
        block_on(async {
            Ok(reconcile::observe(options, async move |seen| show(seen, terminal).await).await?)
        })
    }
}

async fn show(mut seen: AuditUpdates, terminal: bool) {
    let mut screen = Screen::default();
    loop {
        let shown = tokio::select! {
            Some(updates) = seen.policies.recv() => {
                if terminal {
                    screen.policies(updates);
                    screen.draw()
                } else {
                    print(updates.iter().map(policy_line))
                }
            }
            Some(changes) = seen.changes.recv() => {
                if terminal {
                    screen.changes(&changes);
                    screen.draw()
                } else {
                    print(changes.iter().map(change_line))
                }
            }
            else => return,
        };
        // Whoever read has gone.
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

/// What a terminal shows.
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
        // Home, and everything below it cleared.
        write!(out, "\x1b[H\x1b[2J{}", self.text())?;
        out.flush()
    }

    fn text(&self) -> String {
        let header = ["POLICY", "MODE", "SCORE", "CLASS", "WORKLOADS", "VIOLATIONS", "WORST"];
        let mut rows = vec![header.map(Cell::new).into()];
        rows.extend(self.policies.values().map(row));
        let mut text = if self.policies.is_empty() {
            "There is no policy in this cluster; podgate policy bundles shows what one may start from.\n".to_owned()
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

fn row(observed: &ObservedPolicy) -> Vec<Cell> {
    let worst = observed.worst.first();
    let worst =
        worst.map(|it| format!("{} {}/{}", it.fault.id, it.workload.kind, it.workload.name));
    vec![
        Cell::new(&observed.policy.label),
        Cell::new(observed.policy.mode.as_str()),
        Cell::new(&observed.score.points.to_string()),
        Cell::new(&format!("{:?}", observed.score.classification())),
        Cell::new(&observed.workloads.to_string()),
        Cell::new(&observed.violations().to_string()),
        Cell::or_none(&worst.unwrap_or_default()),
    ]
}

/// A policy's state on one line.
fn policy_line(update: &PolicyUpdate) -> String {
    match &update.observed {
        Some(observed) => format!("{}  {}", observed.policy.label, observed.sentence()),
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
