//! A real Prometheus scrapes both replicas and the API server through real load: the exposition is valid, every query
//! of dashboards and rules returns data, the dashboards answer people's questions, and many namespaces do not cause many
//! series.

mod dashboards;
mod questions;
mod scrape;
mod series;
mod server;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::helm::{Helm, RELEASE};
use super::load::Load;
use super::release::SHOP;
use super::world::{NAMESPACE, World};
use crate::support::control_plane::{seconds, text};
use crate::support::suite::{Trials, trials};
use crate::support::{eventually, eventually_within};
use dashboards::{queries, without_data};
use server::{Prometheus, tool};

/// The last trial of the suite, because its namespaces take long to delete.
pub const TRIALS: Trials<World> =
    trials![a_prometheus_gets_what_dashboards_and_alerts_ask_and_no_more_series_than_that,];

/// A cluster policy, and a namespace whose pods are completed. [`questions::policies`] has the others.
const POLICIES: &str = "
{apiVersion: devops.stochastic.io/v1, kind: ClusterDevOpsPolicy, metadata: {name: everywhere}, spec: {requireLivenessProbe: true}}
---
{apiVersion: devops.stochastic.io/v1, kind: DevOpsPolicy, metadata: {name: completed, namespace: completed},
 spec: {mutate: true, requireResourceLimits: [memory], defaultResources: {memoryLimit: 64Mi}}}
";
/// With a floor, because a row of a dashboard is about it.
const SETTINGS: &str = "--set=floor.enabled=true,metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboards.enabled=true";
/// The timeout for every query: some have a long range, and some need violations to appear first.
const PATIENCE: Duration = Duration::from_mins(4);

fn a_prometheus_gets_what_dashboards_and_alerts_ask_and_no_more_series_than_that(world: &World) {
    scrape::serve_monitoring(world);
    Helm::Four.install(world, &[SETTINGS]);
    world.shop();
    world.namespace("audited");
    world.namespace("completed");
    questions::deploy(world);
    world.apply(POLICIES);
    world.apply(&questions::policies());
    world.denies();
    let prometheus = Prometheus::start(world);
    eventually("both replicas to be scraped", || {
        let up = prometheus.query("count(up{job=\"podgate\"} == 1)")?;
        if up.first().is_some_and(|it| it["value"][1] == "2") {
            Ok(())
        } else {
            Err(format!("{up:?}"))
        }
    });
    let load = Load::start(world, SHOP);
    every_query_returns_data(world, &prometheus);
    println!("   the load meanwhile: {}", load.end());
    dashboards::variables_offer_values(world, &prometheus);
    questions::are_answered(world, &prometheus);
    labels_are_podgates_own(&prometheus);
    rules_are_evaluated(world, &prometheus);
    the_exposition_passes_promtool(world);
    series::of_many_namespaces(world, &prometheus);
    drop(prometheus);
    Helm::Four.uninstall(world);
    world.is_clean();
}

fn every_query_returns_data(world: &World, prometheus: &Prometheus) {
    let mut pending = queries(world);
    let count = pending.len();
    world.kubectl(&["create", "deployment", "good", "--image=nginx:1.29", "-n", "audited"]);
    let mut round = 0;
    let mut open = 0.0;
    let ((), after) = eventually_within(PATIENCE, "every query to return data", || {
        round += 1;
        // Running pods get worse, a client posts an invalid review, and pods are completed.
        let bad = format!("bad-{round}");
        world.kubectl(&["create", "deployment", &bad, "--image=nginx", "-n", "audited"]);
        world.kubectl(&["run", &bad, "--image=nginx:1.29", "-n", "completed"]);
        questions::lose_pods(world);
        world
            .kubelet
            .pods()
            .iter()
            .filter_map(|pod| pod.address())
            .for_each(|it| post_nothing(&it));
        if round == 5 {
            // The API server fails open, another replica leads, and all counters start again.
            open = world.failed_open();
            world.kubelet.kill_all();
        }
        pending = without_data(prometheus, std::mem::take(&mut pending));
        let left: Vec<_> = pending.iter().map(|it| format!("{}: {}", it.from, it.text)).collect();
        if left.is_empty() && round > 5 { Ok(()) } else { Err(left.join("\n")) }
    });
    let open = world.failed_open() - open;
    println!("   {count} queries of 3 dashboards returned data, the last after {}", seconds(after));
    println!("   {open} calls failed open while all replicas were killed");
    world.runs(2);
}

/// Posts an empty body to `/validate`, which is an error.
fn post_nothing(address: &str) {
    let tls = ureq::tls::TlsConfig::builder().disable_verification(true).build();
    let agent = ureq::Agent::config_builder().tls_config(tls).build().new_agent();
    // A replica may be down now.
    let _ = agent.post(format!("https://{address}:8443/validate")).send_empty();
}

/// One series of a query, as its labels.
fn one(prometheus: &Prometheus, query: &str) -> Value {
    let mut found = prometheus.query(query).unwrap();
    assert_eq!(found.len(), 1, "{query}: {found:?}");
    found.remove(0)["metric"].take()
}

fn labels_are_podgates_own(prometheus: &Prometheus) {
    let score = one(prometheus, "cluster_health_score");
    for (label, value) in [
        ("job", RELEASE),
        ("namespace", NAMESPACE),
        ("service", RELEASE),
        ("endpoint", "metrics"),
        ("container", "podgate"),
    ] {
        assert_eq!(score[label], value, "{score}");
    }
    assert!(score["pod"].as_str().is_some_and(|it| it.starts_with(RELEASE)), "{score}");
    let of_namespace = one(prometheus, "namespace_health_score{namespace=\"audited\"}");
    assert_eq!(of_namespace["exported_namespace"], Value::Null, "{of_namespace}");
    one(prometheus, "devopspolicy_health_score{namespace=\"audited\", policy=\"audited\"}");
    let of_cluster = one(prometheus, "devopspolicy_health_score{policy=\"everywhere\"}");
    assert_eq!(
        of_cluster["namespace"],
        Value::Null,
        "a cluster policy has no namespace: {of_cluster}"
    );
}

fn rules_are_evaluated(world: &World, prometheus: &Prometheus) {
    let given = scrape::rules(world);
    let rules = |groups: &Value| -> Vec<Value> {
        let groups = groups["groups"].as_array().unwrap().iter();
        groups.flat_map(|it| it["rules"].as_array().unwrap().clone()).collect()
    };
    let evaluated = rules(&prometheus.ask("rules", &[]).unwrap());
    assert_eq!(evaluated.len(), rules(&given).len());
    for rule in &evaluated {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    // All replicas were killed.
    let (alerts, _) = eventually("PodgateFailOpen to fire", || {
        let fired =
            prometheus.query("ALERTS{alertname=\"PodgateFailOpen\", alertstate=\"firing\"}")?;
        if fired.is_empty() { Err("it does not".to_owned()) } else { prometheus.ask("alerts", &[]) }
    });
    assert!(!alerts.to_string().contains("error expanding"), "{alerts}");
    let names: std::collections::BTreeSet<_> = alerts["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {}", it["labels"]["alertname"], it["state"]))
        .collect();
    println!("   {} rules are evaluated; alerts now: {names:?}", evaluated.len());
}

fn the_exposition_passes_promtool(world: &World) {
    for pod in world.kubelet.pods() {
        let url = format!("http://{}:8080/metrics", pod.address().unwrap());
        let exposed = ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap();
        let mut promtool = Command::new(tool("promtool"));
        let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped());
        let mut child = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(exposed.as_bytes()).unwrap();
        let checked = child.wait_with_output().unwrap();
        let output = text(&checked.stdout) + &text(&checked.stderr);
        assert!(checked.status.success() && output.is_empty(), "promtool check metrics: {output}");
        println!(
            "   promtool check metrics: {} lines of {} are clean",
            exposed.lines().count(),
            pod.name
        );
    }
}
