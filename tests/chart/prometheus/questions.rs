//! The questions that people bring to the dashboards, answered by the dashboards' own queries: which rule is broken most
//! in which namespace, what a policy would deny, which pods are at risk and until when a grace lets them come back, which
//! workloads are refused, which exemptions end within a week, and how the error budget stands.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::super::world::{ROLLOUT, World};
use super::PATIENCE;
use super::dashboards;
use super::server::Prometheus;
use crate::support::control_plane::seconds;
use crate::support::eventually_within;

/// The namespace with a workload that ran before its policy enforced.
const REFUSED: &str = "refused";
/// The namespace with a workload that violates a policy in its grace, and the number of its pods.
const GRACED: &str = "graced";
const PODS: u8 = 2;
/// The days until the exemption of the policy `audited` and the grace of the policy `graced` end.
const DAYS: i64 = 3;

/// Workloads that run now; once [`policies`] are in force, the one is refused, and the other is in its grace.
pub fn deploy(world: &World) {
    for namespace in [REFUSED, GRACED] {
        let web = ["deployment", "web", "-n", namespace];
        let replicas = format!("--replicas={PODS}");
        world.namespace(namespace);
        world.kubectl(&[&["create"], &web[..], &["--image=nginx", &replicas]].concat());
        world.kubectl(&[&["rollout", "status"], &web[..], &["--timeout=60s"]].concat());
    }
    world.kubectl(&["create", "deployment", "excused", "--image=nginx", "-n", "audited"]);
}

/// A policy that refuses its workload, one in its grace, and one in `audit` with an exemption that ends soon.
pub fn policies() -> String {
    let end = Timestamp::now() + SignedDuration::from_hours(24 * DAYS);
    format!(
        "
{{apiVersion: devops.stochastic.io/v1, kind: DevOpsPolicy, metadata: {{name: strict, namespace: {REFUSED}}},
 spec: {{enforcementMode: enforce, forbidLatestTag: true}}}}
---
{{apiVersion: devops.stochastic.io/v1, kind: DevOpsPolicy, metadata: {{name: own, namespace: {GRACED}}},
 spec: {{enforcementMode: enforce, graceUntil: '{end:.0}', forbidLatestTag: true}}}}
---
{{apiVersion: devops.stochastic.io/v1, kind: DevOpsPolicy, metadata: {{name: audited, namespace: audited}},
 spec: {{forbidLatestTag: true, maxRestartCount: 3, requireReadinessProbe: true, requireResourceLimits: [memory],
  exemptions: [{{rules: [forbidLatestTag], names: [excused], reason: a test, owner: tests, expiresAt: '{end:.0}'}}]}}}}
"
    )
}

/// Deletes the pods of the workload that is refused.
pub fn lose_pods(world: &World) {
    world.kubectl(&["delete", "pods", "--all", "-n", REFUSED]);
}

pub fn are_answered(world: &World, prometheus: &Prometheus) {
    which_rule_is_broken_where(world, prometheus);
    what_would_be_denied(world, prometheus);
    which_pods_are_at_risk(world, prometheus);
    which_exemptions_end(world, prometheus);
    how_the_budget_stands(world, prometheus);
    which_workloads_are_refused(world, prometheus);
}

/// The answer to each query of a panel.
fn ask(world: &World, prometheus: &Prometheus, panel: &str) -> Vec<Vec<Value>> {
    let queries = dashboards::of_panel(world, panel);
    assert!(!queries.is_empty(), "no dashboard has a panel {panel:?}");
    queries.iter().map(|it| prometheus.query(it).unwrap()).collect()
}

fn number(series: &Value) -> f64 {
    series["value"][1].as_str().unwrap().parse().unwrap()
}

/// The value of the series with these labels.
fn of(found: &[Value], labels: &[(&str, &str)]) -> Option<f64> {
    let matches = |it: &&Value| labels.iter().all(|(label, value)| it["metric"][*label] == *value);
    found.iter().find(matches).map(number)
}

fn which_rule_is_broken_where(world: &World, prometheus: &Prometheus) {
    let deployments = world.kubectl(&["get", "deployments", "-n", "audited", "-o", "name"]);
    // `good` has a version, and `excused` is exempt.
    let bad = deployments.lines().filter(|it| it.contains("/bad-")).count();
    let bad = u32::try_from(bad).map(f64::from).unwrap();
    eventually_within(PATIENCE, "the violations by namespace and rule", || {
        let found = ask(world, prometheus, "Which rule is broken in which namespace?").remove(0);
        let worst = found.first().map(|it| it["metric"]["namespace"].clone());
        let latest = of(&found, &[("namespace", "audited"), ("rule", "forbidLatestTag")]);
        if worst == Some("audited".into()) && latest == Some(bad) {
            Ok(())
        } else {
            Err(format!("{bad} workloads of {deployments:?} have no version, and found {found:?}"))
        }
    });
    let most = ask(world, prometheus, "Which rules are broken most?").remove(0);
    assert!(of(&most, &[("rule", "forbidLatestTag")]).is_some_and(|it| it >= bad), "{most:?}");
    println!("   {bad} workloads of namespace audited break forbidLatestTag");
}

fn what_would_be_denied(world: &World, prometheus: &Prometheus) {
    let mut round = 0;
    let (denials, _) = eventually_within(PATIENCE, "what the policy would deny", || {
        round += 1;
        let late = format!("late-{round}");
        world.kubectl(&["create", "deployment", &late, "--image=nginx", "-n", "audited"]);
        let answers = ask(world, prometheus, "What would each policy deny if it enforced?");
        let [info, hypothetical, denied] = &answers[..] else { panic!("{answers:?}") };
        let audited = [("namespace", "audited"), ("policy", "audited")];
        let audits = [&audited[..], &[("mode", "audit")]].concat();
        assert_eq!(of(info, &audits), Some(1.0), "{info:?}");
        assert_eq!(of(denied, &audited), Some(0.0), "a policy in audit denied: {denied:?}");
        // A policy that would deny nothing is a 0, and no gap.
        let enforced = [("namespace", "shop"), ("policy", "baseline")];
        assert_eq!(of(hypothetical, &enforced), Some(0.0), "{hypothetical:?}");
        of(hypothetical, &audited).filter(|it| *it > 0.0).ok_or_else(|| format!("{hypothetical:?}"))
    });
    println!("   the policy audited would have denied about {denials:.0} reviews in 30 s");
}

fn which_pods_are_at_risk(world: &World, prometheus: &Prometheus) {
    let graced = [("namespace", GRACED)];
    let by_policy = [&graced[..], &[("policy", "own")]].concat();
    eventually_within(PATIENCE, "the pods at risk", || {
        let policies = ask(world, prometheus, "Which policies put pods at risk?").remove(0);
        let namespaces = ask(world, prometheus, "Which namespaces have pods at risk?").remove(0);
        let found = [of(&policies, &by_policy), of(&namespaces, &graced)];
        let all = [Some(f64::from(PODS)); 2];
        if found == all { Ok(()) } else { Err(format!("{policies:?} {namespaces:?}")) }
    });
    let ends = ask(world, prometheus, "When does each grace end?").remove(0);
    assert_eq!(ends.len(), 1, "{ends:?}");
    let left = of(&ends, &by_policy).unwrap_or_else(|| panic!("{ends:?}"));
    let day = 24.0 * 3600.0;
    assert!((2.0 * day..=3.0 * day).contains(&left), "it ends in {left} seconds");
    eventually_within(PATIENCE, "PodgateGraceEnds to fire", || {
        let fired =
            prometheus.query("ALERTS{alertname=\"PodgateGraceEnds\", alertstate=\"firing\"}")?;
        if of(&fired, &by_policy).is_some() { Ok(()) } else { Err(format!("{fired:?}")) }
    });
    let told = prometheus.ask("alerts", &[]).unwrap().to_string();
    assert!(told.contains("After that 2 of the pods"), "the alert does not count the pods: {told}");
}

fn which_exemptions_end(world: &World, prometheus: &Prometheus) {
    let found = ask(world, prometheus, "Which exemptions end within a week?").remove(0);
    assert_eq!(found.len(), 1, "{found:?}");
    let labels = [("namespace", "audited"), ("policy", "audited"), ("exemption", "0")];
    let left = of(&found, &labels).unwrap_or_else(|| panic!("{found:?}"));
    let day = 24.0 * 3600.0;
    assert!((2.0 * day..=3.0 * day).contains(&left), "it ends in {left} seconds");
}

fn how_the_budget_stands(world: &World, prometheus: &Prometheus) {
    for answer in ask(world, prometheus, "Error budget left") {
        for who in ["podgate", "apiserver"] {
            let left = of(&answer, &[("seen_by", who)]).unwrap_or_else(|| panic!("{answer:?}"));
            assert!(left <= 1.0, "{answer:?}");
            println!("   the error budget that {who} sees: {:.0} %", left * 100.0);
        }
    }
}

/// The last question, because its answer is then changed: the policy does not enforce any more.
fn which_workloads_are_refused(world: &World, prometheus: &Prometheus) {
    let alerts = || prometheus.query("ALERTS{alertname=\"PodgateWorkloadsRefused\"}");
    eventually_within(PATIENCE, "the refused workload", || {
        // While podgate was killed, its pods came back.
        lose_pods(world);
        let namespaces =
            ask(world, prometheus, "Which namespaces have refused workloads?").remove(0);
        let policies = ask(world, prometheus, "Which policies refuse them?").remove(0);
        let by_namespace = of(&namespaces, &[("namespace", REFUSED)]);
        let by_policy = of(&policies, &[("namespace", REFUSED), ("policy", "strict")]);
        let one = namespaces.len() == 1 && policies.len() == 1;
        if one && by_namespace == Some(1.0) && by_policy == Some(1.0) {
            Ok(())
        } else {
            Err(format!("{namespaces:?} {policies:?}"))
        }
    });
    let ((), after) = eventually_within(PATIENCE, "PodgateWorkloadsRefused to fire", || {
        let fired = alerts()?;
        let labels = [("namespace", REFUSED), ("severity", "critical"), ("alertstate", "firing")];
        if of(&fired, &labels).is_some() { Ok(()) } else { Err(format!("{fired:?}")) }
    });
    println!("   the alert fires {} after the dashboard shows it", seconds(after));
    let told = prometheus.ask("alerts", &[]).unwrap().to_string();
    assert!(told.contains("refused/strict (1)"), "the alert does not name the policy: {told}");

    let patch = "{\"spec\": {\"enforcementMode\": \"warn\"}}";
    let policy = ["devopspolicy", "strict", "-n", REFUSED];
    world.kubectl(&[&["patch"], &policy[..], &["--type=merge", "-p", patch]].concat());
    // As the runbook says, so that the controller tries at once.
    let ((), after) = eventually_within(ROLLOUT, "the pods to come back", || {
        let again = format!("again={}", Timestamp::now().as_millisecond());
        let all = ["annotate", "deployments,replicasets", "--all", "--overwrite", &again];
        world.kubectl(&[&all[..], &["-n", REFUSED]].concat());
        let args = ["rollout", "status", "deployment", "web", "--timeout=5s", "-n", REFUSED];
        world.plane.kubectl(&args).result().map(drop)
    });
    println!("   its pods are back {} after the policy warns", seconds(after));
    eventually_within(PATIENCE, "the alert to end", || {
        let fired = alerts()?;
        if fired.is_empty() { Ok(()) } else { Err(format!("{fired:?}")) }
    });
}
