//! The heartbeat of a release: every replica detects that the API server calls podgate, the Lease shows it, and it
//! costs few writes.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::helm::{HA, Helm, RELEASE};
use super::world::{NAMESPACE, World};
use crate::support::control_plane::seconds;
use crate::support::suite::{Trials, trials};
use crate::support::{audit, eventually};

pub const TRIALS: Trials<World> =
    trials![replicas_beat_and_share_one_write_and_the_lease_goes_with_the_release,];

const LEASE: &str = "podgate-alive";
/// How long writes are counted; one replica beats every eight to eleven seconds.
const COUNTED: Duration = Duration::from_mins(1);
const MOST_WRITES: usize = 10;

fn replicas_beat_and_share_one_write_and_the_lease_goes_with_the_release(world: &World) {
    Helm::Four.install(world, &["--values", HA]);
    world.runs(3);
    let (lease, after) = eventually("the Lease", || {
        world.get(&["lease", LEASE, "-n", NAMESPACE]).ok_or_else(|| "there is none".to_owned())
    });
    println!("   the first beat came back {} after three replicas were ready", seconds(after));
    let owner = &lease["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["name"]),
        (&"Deployment".into(), &RELEASE.into()),
        "{lease}"
    );
    let ((), after) = eventually("every replica to detect the API server's calls", || {
        for pod in world.kubelet.pods() {
            let exposed = metrics(&pod.address().ok_or("a pod has no address yet")?)?;
            let is = |series: &str, so: &dyn Fn(f64) -> bool| {
                let value =
                    exposed.lines().find_map(|it| it.strip_prefix(series)?.trim().parse().ok());
                value
                    .filter(|it| so(*it))
                    .map(|_| ())
                    .ok_or_else(|| format!("{}: {series}{value:?}", pod.name))
            };
            is("podgate_known_callers ", &|it| it >= 1.0)?;
            is("podgate_called ", &|it| it < 15.0)?;
            is("podgate_webhook_configuration_intact{configuration=\"validating\"} ", &|it| {
                it > 0.5
            })?;
            is("podgate_webhook_configuration_intact{configuration=\"mutating\"} ", &|it| {
                it > 0.5
            })?;
        }
        Ok(())
    });
    println!("   all know it {} later", seconds(after));
    let before = written(world);
    let began = Instant::now();
    // Only beats happen in this minute.
    std::thread::sleep(COUNTED);
    let (writes, took) = (written(world) - before, began.elapsed());
    println!("   three replicas wrote the Lease {writes} times in {}", seconds(took));
    assert!((1..=MOST_WRITES).contains(&writes), "{writes} writes");
    world.checks();

    // A deleted Lease is recreated, and is deleted with the release.
    world.kubectl(&["delete", "lease", LEASE, "-n", NAMESPACE]);
    eventually("the Lease to be recreated", || {
        world
            .get(&["lease", LEASE, "-n", NAMESPACE])
            .map(|_| ())
            .ok_or_else(|| "there is none".to_owned())
    });
    Helm::Four.uninstall(world);
    world.is_clean();
    world.forget_all();
}

/// The value of a series of the pod with this address.
pub fn series(address: &str, name: &str) -> Result<Option<f64>, String> {
    let exposed = metrics(address)?;
    Ok(exposed.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()))
}

/// The metrics of a pod.
fn metrics(address: &str) -> Result<String, String> {
    let text = ureq::get(format!("http://{address}:8080/metrics")).call();
    let text = text.and_then(|mut it| it.body_mut().read_to_string());
    text.map_err(|error| error.to_string())
}

/// The number of real writes of the Lease.
fn written(world: &World) -> usize {
    let writes = world.plane.writes();
    let real = |it: &&Value| {
        let object = &it["objectRef"];
        object["name"] == LEASE
            && audit::is_success(it)
            && !it["requestURI"].as_str().unwrap_or_default().contains("dryRun")
    };
    writes.iter().filter(real).count()
}
