//! The number of series: a thousand namespaces cause a thousand scores, and a thousand open violations of the one rule
//! that their pods break, and nothing else.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::super::world::World;
use super::PATIENCE;
use super::server::Prometheus;
use crate::support::{eventually_within, load};

const NAMESPACES: usize = 1000;

/// The series of each metric from the replicas, except the gauges of each namespace.
fn series(prometheus: &Prometheus) -> BTreeMap<String, u64> {
    let query = "count by (__name__) ({job=\"podgate\", endpoint=\"metrics\", \
                 __name__!~\"namespace_health_score|podgate_open_violations|podgate_workloads_refused\
                 |podgate_pods_at_risk\"})";
    let found = prometheus.query(query).unwrap();
    let count = |it: &Value| it["value"][1].as_str().unwrap().parse().unwrap();
    found
        .iter()
        .map(|it| (it["metric"]["__name__"].as_str().unwrap().to_owned(), count(it)))
        .collect()
}

fn gauges(prometheus: &Prometheus) -> Result<usize, String> {
    Ok(prometheus.query("max by (namespace) (namespace_health_score)")?.len())
}

pub fn of_many_namespaces(world: &World, prometheus: &Prometheus) {
    let others = gauges(prometheus).unwrap();
    let becomes = |expected: usize| {
        eventually_within(PATIENCE, &format!("{expected} gauges of namespaces"), || {
            let count = gauges(prometheus)?;
            if count == expected { Ok(()) } else { Err(format!("{count} gauges")) }
        });
    };
    // A few namespaces first, so that the series that do not depend on their number exist.
    let few = 20;
    pods(world, 0..few);
    becomes(others + few);
    let before = series(prometheus);
    pods(world, few..NAMESPACES);
    becomes(others + NAMESPACES);
    let after = series(prometheus);
    let total = |it: &BTreeMap<String, u64>| it.values().sum::<u64>();
    println!(
        "   {} namespaces: {} series beside their gauges; {}: {}",
        others + few,
        total(&before),
        others + NAMESPACES,
        total(&after)
    );
    // A series begins with its first event, which may have come meanwhile, so a few more series are allowed.
    let grown = total(&after).saturating_sub(total(&before));
    assert!(grown < NAMESPACES as u64 / 10, "{grown} more, from {before:?} to {after:?}");
    let broken = prometheus.query("max by (namespace, rule) (podgate_open_violations)").unwrap();
    let of_load = broken.iter().filter(|it| it["metric"]["rule"] == "requireLivenessProbe").count();
    println!("   {} series of open violations, {of_load} of requireLivenessProbe", broken.len());
    assert!((NAMESPACES..NAMESPACES + 100).contains(&broken.len()), "{}", broken.len());
    world.kubectl(&["delete", "namespace", &load::namespace(0, NAMESPACES)]);
    becomes(others + NAMESPACES - 1);
}

/// Creates this number of namespaces with one pod each.
fn pods(world: &World, numbers: std::ops::Range<usize>) {
    let client = &world.client;
    world.wait(stream::iter(numbers).for_each_concurrent(16, |number| async move {
        let name = load::namespace(number, NAMESPACES);
        load::make_namespace(client, &name).await;
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "web", "image": "nginx"}]},
        }))
        .unwrap();
        let api = Api::<Pod>::namespaced(client.clone(), &name);
        api.create(&PostParams::default(), &pod).await.unwrap();
    }));
}
