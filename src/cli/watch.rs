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
    Change, Changed, ObservedPolicy, PolicyUpdate, RefusedWorkload, ViolatingPods, Violation,
    WorkloadKey,
};
use crate::policy::score::Score;
use crate::runtime::reconcile::{self, AuditOptions, AuditUpdates};
use crate::telemetry;

/// The most refused workloads, and the most changes, below the table.
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
        // The table shows refused workloads for as long as they are.
        let violations = changes.iter().filter(|it| !matches!(it.what, Changed::Refused(_)));
        self.recent.extend(violations.map(change_line));
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
        let header =
            ["POLICY", "MODE", "SCORE", "CLASS", "WORKLOADS", "REFUSED", "VIOLATIONS", "WORST"];
        let mut rows = vec![header.map(TableCell::new).into()];
        rows.extend(self.policies.values().map(row));
        let mut text = if self.policies.is_empty() {
            "There is no policy in this cluster; podgate policy bundles lists policies to start from.\n".to_owned()
        } else {
            align(&rows).join("\n") + "\n"
        };
        let refused: Vec<_> = self.policies.values().flat_map(refused_lines).take(RECENT).collect();
        for lines in [&refused, &self.recent].into_iter().filter(|lines| !lines.is_empty()) {
            text.push('\n');
            text.extend(lines.iter().flat_map(|line| [line, "\n"]));
        }
        text
    }
}

fn refused_lines(observed: &ObservedPolicy) -> impl Iterator<Item = String> {
    observed.refused.worst.iter().map(|it| refused_line(it, &observed.policy.label))
}

fn row(observed: &ObservedPolicy) -> Vec<TableCell> {
    let (score, worst) = (observed.score.as_ref(), observed.worst.first());
    let worst =
        worst.map(|it| format!("{} {}/{}", it.fault.id, it.workload.kind, it.workload.name));
    let nothing = observed.covers_nothing.as_ref().map(|why| format!("covers nothing: {why}"));
    let worst = nothing.or(worst);
    vec![
        TableCell::new(&observed.policy.label),
        TableCell::new(observed.policy.mode.as_str()),
        TableCell::new(&columns::score(score.map(|it| it.points))),
        TableCell::new(&columns::class(score.map(Score::classification))),
        TableCell::new(&observed.workloads.to_string()),
        TableCell::new(&observed.refused.workloads.to_string()),
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

/// A change on one line.
fn change_line(change: &Change) -> String {
    let policy = &change.policy.label;
    match &change.what {
        Changed::Opened(violation) => violation_line('+', violation, policy),
        Changed::Closed(violation) => violation_line('-', violation, policy),
        Changed::Refused(refused) => refused_line(refused, policy),
        Changed::Slipped(slipped) => slipped_line(slipped, policy),
    }
}

fn violation_line(sign: char, violation: &Violation, policy: &str) -> String {
    let Violation { workload, severity, fault, .. } = violation;
    let WorkloadKey { namespace, kind, name } = &**workload;
    let (id, message) = (&fault.id, &fault.message);
    format!("{sign} {kind}/{namespace}/{name} {id} ({severity}) {policy}: {message}")
}

fn refused_line(refused: &RefusedWorkload, policy: &str) -> String {
    let WorkloadKey { namespace, kind, name } = &*refused.workload;
    let (pods, why) = (refused.pods(), refused.why());
    format!("! {kind}/{namespace}/{name} {pods}: refused by {policy}: {why}")
}

fn slipped_line(slipped: &ViolatingPods, policy: &str) -> String {
    let WorkloadKey { namespace, kind, name } = &*slipped.workload;
    let why = slipped.why();
    format!("! {kind}/{namespace}/{name} was admitted while podgate did not judge: {policy}: {why}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::{DevOpsPolicySpec, EnforcementMode, Severity};
    use crate::policy::compile::Policy;
    use crate::policy::enforced::Enforced;
    use crate::policy::observed::testing::refused;
    use crate::policy::observed::{Affected, Refused};
    use crate::policy::scope::Scope;
    use crate::policy::score::Score;

    fn policy() -> Arc<Policy> {
        let scope = Scope::Namespace("shop".to_owned());
        let spec = DevOpsPolicySpec {
            enforcement_mode: Some(EnforcementMode::Enforce),
            ..DevOpsPolicySpec::default()
        };
        Arc::new(Policy::compile(scope, "own".to_owned(), &spec).unwrap())
    }

    fn update(refused: Refused) -> PolicyUpdate {
        let observed = ObservedPolicy {
            policy: policy(),
            score: Some(Score { points: 50, lost_points: [("forbidLatestTag", 50)].into() }),
            workloads: 2,
            open: [0; 4],
            worst: Vec::new(),
            exemptions: Vec::new(),
            refused,
            at_risk: Affected::default(),
            slipped: Affected::default(),
            enforced: Enforced::default(),
            covers_nothing: None,
        };
        PolicyUpdate { policy: observed.policy.key(), observed: Some(observed) }
    }

    fn cart() -> RefusedWorkload {
        refused("cart", (0, 4), &["forbidLatestTag", "requiredLabels"])
    }

    fn changed(what: Changed) -> Change {
        Change { policy: policy(), what }
    }

    fn violation() -> Violation {
        let RefusedWorkload { workload, faults, .. } = cart();
        let (severity, began) = (Severity::High, jiff::Timestamp::UNIX_EPOCH);
        Violation { workload, severity, fault: Arc::clone(&faults[0]), began, pods: 4 }
    }

    #[test]
    fn each_kind_of_change_has_its_sign_and_names_workload_and_policy() {
        let changes =
            [Changed::Opened(violation()), Changed::Closed(violation()), Changed::Refused(cart())];
        let lines: Vec<_> = changes.into_iter().map(|it| change_line(&changed(it))).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        + Deployment/shop/cart forbidLatestTag (high) shop/own: spec.containers[0] breaks forbidLatestTag
        - Deployment/shop/cart forbidLatestTag (high) shop/own: spec.containers[0] breaks forbidLatestTag
        ! Deployment/shop/cart 0 of 4 pods: refused by shop/own: spec.containers[0] breaks forbidLatestTag · spec.containers[0] breaks requiredLabels
        ");
    }

    #[test]
    fn the_table_shows_refused_workloads_as_long_as_they_are_refused() {
        let mut screen = Screen::default();
        screen.policies(vec![update(Refused { workloads: 1, worst: vec![cart()] })]);
        screen.changes(&[changed(Changed::Refused(cart()))]);
        insta::assert_snapshot!(screen.text(), @r"
        POLICY     MODE      SCORE   CLASS      WORKLOADS   REFUSED   VIOLATIONS   WORST
        shop/own   enforce   50      Degraded   2           1         0            <none>

        ! Deployment/shop/cart 0 of 4 pods: refused by shop/own: spec.containers[0] breaks forbidLatestTag · spec.containers[0] breaks requiredLabels
        ");
        screen.policies(vec![update(Refused::default())]);
        assert!(!screen.text().contains("cart"), "{}", screen.text());
    }

    #[test]
    fn the_line_of_a_policy_says_first_that_it_refuses_pods() {
        let line = policy_line(&update(Refused { workloads: 1, worst: vec![cart()] }));
        assert_eq!(
            line,
            "shop/own  refuses new pods of 1 workload; Degraded: score 50, no open violation in 2 workloads; mode enforce"
        );
    }
}
