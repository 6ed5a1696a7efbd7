//! The bypass matrix: every resource that the live API server serves and that bears a pod, with a violation at every
//! place in that pod, by every way to write it. A resource or a field that the matrix does not know fails the test.

mod cell;
mod corners;
mod discovery;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use podgate::policy::workload::Kind;
use serde_json::json;

use crate::admission::enforce;
use crate::support::cluster::Cluster;
use crate::support::manifests::{in_pod, workload};
use crate::support::suite::{Trials, trials};
use crate::support::wire::{Run, Write};
use cell::{Target, amended};
use discovery::{Resource, Served};
use table::{Place, Route, Verdict, clean_pod, policy, verdict};

pub const TRIALS: Trials<Cluster> = trials![
    no_way_to_write_a_pod_that_the_api_server_serves_leads_past_podgate,
    corners::a_pod_can_neither_become_a_mirror_pod_nor_stop_being_one,
    corners::a_suspended_job_is_judged_by_what_its_template_becomes,
    corners::a_resize_of_the_whole_pod_is_judged_in_its_containers,
    corners::an_old_violation_is_no_pass_for_the_same_value_in_another_field,
];

fn no_way_to_write_a_pod_that_the_api_server_serves_leads_past_podgate(cluster: &Cluster) {
    let served = Served::by(cluster);
    let mut routes: BTreeMap<&str, Vec<(&Resource, Route)>> = BTreeMap::new();
    for resource in &served.pod_bearing {
        let route = Route::of(resource).unwrap_or_else(|| {
            panic!(
                "{} {} takes a body with a pod's spec in it, and the bypass matrix does not know it: have \
                 podgate judge it (src/policy/workload.rs, src/admission/registration.rs), or say in \
                 tests/cluster/admission/bypass/table.rs why that is not needed",
                resource.api_version(),
                resource.name
            )
        });
        routes.entry(route.kind().names().kind).or_default().push((resource, route));
    }
    let found: Vec<_> = routes.values().flatten().map(|(_, route)| *route).collect();
    let known = Kind::ALL.map(Route::Object);
    for route in known.iter().chain(&[Route::EphemeralContainers, Route::Resize]) {
        assert!(found.contains(route), "{route:?} was not discovered");
    }
    print_summary(&served);

    let tried: Vec<Cell> = thread::scope(|scope| {
        let kinds = routes.values().map(|routes| scope.spawn(|| try_all(cluster, routes)));
        let kinds: Vec<_> = kinds.collect();
        kinds.into_iter().flat_map(|kind| kind.join().unwrap()).collect()
    });
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for cell in &tried {
        *counts.entry(format!("{:?}", cell.verdict)).or_default() += 1;
    }
    println!("the bypass matrix tried {} cells, each with its clean twin:", tried.len());
    for (verdict, count) in counts {
        println!("{count:6} {verdict}");
    }
    let failures: Vec<_> = tried.iter().filter_map(|cell| cell.failure.as_deref()).collect();
    assert!(failures.is_empty(), "{} cells failed:\n{}", failures.len(), failures.join("\n"));
}

fn print_summary(served: &Served) {
    let versions: BTreeSet<_> = served.pod_bearing.iter().map(Resource::api_version).collect();
    println!(
        "the API server serves {} resources that can be written; {} bear a pod, in {versions:?}",
        served.writable.len(),
        served.pod_bearing.len(),
    );
    let previews = served.writable.iter().filter(|it| it.version.contains(['a', 'b']));
    let previews: BTreeSet<_> = previews.map(Resource::api_version).collect();
    println!("alpha and beta versions among them: {previews:?}");
}

/// The result of one cell of the matrix.
struct Cell {
    verdict: Verdict,
    failure: Option<String>,
}

/// All cells of a kind and its subresources, in a namespace of their own.
fn try_all(cluster: &Cluster, routes: &[(&Resource, Route)]) -> Vec<Cell> {
    let shop = cluster.namespace("shop");
    shop.policy("matrix", &enforce(&policy()));
    let kind = routes[0].1.kind();
    let labels = in_pod(kind, json!({"metadata": {"labels": {"team": "cart"}}}));
    let manifest = amended(&workload(kind, clean_pod()), &labels);
    shop.write(Run::Real, Write::Apply, kind, "web", &manifest).object();
    let mut cells = Vec::new();
    for &(resource, route) in routes {
        for place in Place::ALL {
            for step in route.steps() {
                let verdict = verdict(route, place, step);
                let target = Target { shop: &shop, resource, kind, manifest: &manifest };
                let failure = target
                    .check(place, step, verdict)
                    .err()
                    .map(|why| format!("{} {place:?} {step:?}: {why}", resource.name));
                cells.push(Cell { verdict, failure });
            }
        }
    }
    cells
}
