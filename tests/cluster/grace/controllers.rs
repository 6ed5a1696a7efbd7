//! What controllers create in the grace of a policy and after it: a CronJob's runs, pods beside an adopted orphan, and
//! pods of a Job that another controller manages.

use jiff::{SignedDuration, Timestamp};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::node::{self, evict};
use super::{ENDED, LASTS, QUEUE, account, current, denied, enforce, named, owner, refused};
use crate::support::cluster::{Cluster, Namespace};
use crate::support::eventually;
use crate::support::manifests::{pod, probed_pod};
use crate::support::suite::{Trials, trials};
use crate::support::wire::{Run, Write};

pub const TRIALS: Trials<Cluster> = trials![
    a_grace_ends_by_the_clock,
    a_cron_job_runs_until_the_grace_ends,
    an_orphan_is_adopted_and_its_successor_is_judged,
    a_job_that_another_controller_manages_gets_pods_from_an_added_user_only,
];

/// Lets a CronJob that runs once a year run at once: its controller makes up for the last time that it missed.
pub fn run_now(shop: &Namespace<'_>, cron_job: &str) {
    let long_ago = Timestamp::now() - SignedDuration::from_hours(24 * 400);
    let status = json!({"status": {"lastScheduleTime": format!("{long_ago:.0}")}});
    let at = format!("{cron_job}/status");
    shop.write(Run::Real, Write::MergePatch, Kind::CronJob, &at, &status).object();
}

fn a_grace_ends_by_the_clock(cluster: &Cluster) {
    let shop = cluster.namespace("clock");
    shop.create(&named(Kind::ReplicaSet, "web", pod("nginx"))).unwrap();
    let first = node::until(&shop, "the pod", |pods| pods.len() == 1);
    enforce(&shop, &json!({}), LASTS);
    evict(&shop, &[&first[0]]);
    let second = node::until(&shop, "the pod to be back", |pods| pods.len() == 1);
    let end = Timestamp::now() + SignedDuration::from_secs(3);
    let end = format!("{end:.0}");
    let own = ["devopspolicy", "own"];
    let spec = json!({"spec": {"graceUntil": end}}).to_string();
    shop.kubectl(&[&["patch"], &own[..], &["--type=merge", "-p", &spec]].concat()).ok();
    eventually("the status to tell the end", || {
        let policy = shop.kubectl(&[&["get", "-o", "json"], &own[..]].concat()).json();
        let ended = policy["status"]["grace"] == json!({"until": end, "state": "Ended"});
        if ended { Ok(()) } else { Err(policy["status"].to_string()) }
    });
    evict(&shop, &[&second[0]]);
    let path = format!("namespaces/{}/pods", shop.name);
    let user = account("replicaset-controller");
    node::until(&shop, "the refusal of the pod", |pods| {
        pods.is_empty() && refused(cluster, &user, &path) > 0
    });
}

fn a_cron_job_runs_until_the_grace_ends(cluster: &Cluster) {
    let shop = cluster.namespace("runs");
    let yearly = |month: u32| json!({"schedule": format!("0 0 1 {month} *")});
    let mut cron_job = named(Kind::CronJob, "report", pod("nginx"));
    cron_job["spec"]["schedule"] = yearly(1)["schedule"].clone();
    shop.create(&cron_job).unwrap();
    enforce(&shop, &json!({}), LASTS);
    run_now(&shop, "report");
    node::until(&shop, "the pod of the run", |pods| {
        pods.len() == 1 && pods[0].workload.starts_with("Job/report-")
    });

    enforce(&shop, &json!({}), ENDED);
    shop.patch(Kind::CronJob, "report", &json!({"spec": yearly(2)})).unwrap();
    run_now(&shop, "report");
    let path = format!("namespaces/{}/jobs", shop.name);
    eventually("the refusal of the next run", || {
        let refused = refused(cluster, &account("cronjob-controller"), &path);
        if refused > 0 { Ok(()) } else { Err("it was not refused".to_owned()) }
    });
    let jobs = shop.kubectl(&["get", "jobs", "-o", "name"]).ok();
    assert_eq!(jobs.lines().count(), 1, "{jobs}");
}

fn an_orphan_is_adopted_and_its_successor_is_judged(cluster: &Cluster) {
    let shop = cluster.namespace("adopted");
    shop.create(&named(Kind::Pod, "web", pod("nginx"))).unwrap();
    node::until(&shop, "the orphan", |pods| pods.len() == 1);
    enforce(&shop, &json!({}), LASTS);
    // One whose own template violates the policy is never there to adopt it.
    shop.rejects(&named(Kind::ReplicaSet, "web", pod("nginx")));
    shop.create(&named(Kind::ReplicaSet, "web", probed_pod("nginx:1.29"))).unwrap();
    let adopted = node::until(&shop, "its adoption", |pods| {
        pods.len() == 1 && pods[0].controller == "ReplicaSet/web"
    });
    assert_eq!((&*adopted[0].name, &*adopted[0].image), ("web", "nginx"));
    evict(&shop, &[&adopted[0]]);
    node::until(&shop, "its successor", |pods| pods.len() == 1 && pods[0].image == "nginx:1.29");
}

fn a_job_that_another_controller_manages_gets_pods_from_an_added_user_only(cluster: &Cluster) {
    let shop = cluster.namespace("managed");
    let mut job = named(Kind::Job, "web", pod("nginx"));
    job["spec"]["managedBy"] = json!("example.com/queue");
    shop.create(&job).unwrap();
    enforce(&shop, &json!({}), LASTS);
    let uid = current(&shop, Kind::Job, "web").metadata.uid.unwrap();
    let create = |user: &str, name: &str, owners: Value| {
        let mut pod = named(Kind::Pod, name, pod("nginx"));
        pod["metadata"]["ownerReferences"] = owners;
        let kubeconfig = cluster.plane.kubeconfig_for(user);
        let (created, output) =
            shop.kubectl(&["create", "-f", "-"]).by(kubeconfig).given(&pod).output();
        if created { Ok(output) } else { Err(output) }
    };
    let of_job = || json!([owner(Kind::Job, "web", &uid)]);
    denied(create("another-controller", "web-1", of_job())).because(&["image is \"nginx\""]);
    let output = create(QUEUE, "web-1", of_job()).unwrap();
    assert!(output.contains(&format!("podgate: denied from {LASTS} on")), "{output}");
    denied(create(QUEUE, "web-2", Value::Null));
    let mut another = job.clone();
    another["metadata"]["name"] = json!("another");
    shop.rejects(&another);
}
