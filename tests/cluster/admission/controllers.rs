//! Effects of the verdicts through the real controllers: Jobs that finish, and pods that start or are refused.

use std::time::Duration;

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::admission::enforce;
use crate::support::cluster::{Cluster, Namespace};
use crate::support::control_plane::seconds;
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Trials, trials};
use crate::support::wire::{Run, Write};
use crate::support::{PATIENCE, eventually, eventually_within};

pub const TRIALS: Trials<Cluster> = trials![
    the_cron_job_controllers_jobs_run_where_exempt_and_are_refused_elsewhere,
    a_violating_job_from_before_is_finished_by_its_controller,
    an_exempt_deployments_pods_come_up_and_anothers_are_refused,
    a_job_made_from_an_exempt_cron_job_runs_and_one_from_another_is_refused,
];

/// Far above the minute that the CronJob controller waits for its schedule.
const A_MINUTE: Duration = Duration::from_mins(5);

/// Denies floating images, except those of one workload.
fn exempting(kind: Kind, name: &str) -> Value {
    let exemption = json!({
        "rules": ["forbidLatestTag"], "kinds": [kind.names().kind], "names": [name],
        "reason": "the vendor has no tags", "owner": "team cart",
    });
    enforce(&json!({"forbidLatestTag": true, "exemptions": [exemption]}))
}

fn named(kind: Kind, name: &str) -> Value {
    let mut object = workload(kind, pod("nginx"));
    object["metadata"]["name"] = json!(name);
    object
}

/// The pods of a namespace whose name has this prefix.
fn pods(shop: &Namespace<'_>, prefix: &str) -> Vec<Value> {
    let mut list = shop.cluster.get(&shop.path(Kind::Pod, ""));
    let pods = list["items"].take();
    let named = |pod: &&Value| pod["metadata"]["name"].as_str().unwrap().starts_with(prefix);
    pods.as_array().unwrap().iter().filter(named).cloned().collect()
}

/// Waits for a pod of this workload.
fn comes_up(shop: &Namespace<'_>, workload: &str, patience: Duration) -> Duration {
    let (_, after) = eventually_within(patience, &format!("a pod of {workload}"), || {
        pods(shop, workload).pop().ok_or_else(|| "there is none".to_owned())
    });
    after
}

/// The failed creations in the namespace's Events.
fn refusals(shop: &Namespace<'_>) -> Vec<String> {
    let path = format!("/api/v1/namespaces/{}/events", shop.name);
    let list = shop.cluster.get(&path);
    let failed = |event: &&Value| event["reason"].as_str().unwrap().starts_with("Failed");
    let describe = |event: &Value| {
        let owner = event["involvedObject"]["name"].as_str().unwrap();
        format!("{owner}: {}", event["message"].as_str().unwrap())
    };
    list["items"].as_array().unwrap().iter().filter(failed).map(describe).collect()
}

/// Waits for an Event of this owner with podgate's denial.
fn is_refused(shop: &Namespace<'_>, owner: &str, patience: Duration) {
    eventually_within(patience, &format!("the refusal of {owner}'s pod"), || {
        let messages = refusals(shop);
        let found =
            messages.iter().any(|it| it.starts_with(owner) && it.contains("forbidLatestTag"));
        if found { Ok(()) } else { Err(format!("{messages:?}")) }
    });
}

fn an_exempt_deployments_pods_come_up_and_anothers_are_refused(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    // The Deployment and its ReplicaSet are older than the policy, so only the new pod is refused.
    shop.create(&named(Kind::Deployment, "old")).unwrap();
    comes_up(&shop, "old-", PATIENCE);
    shop.policy("baseline", &exempting(Kind::Deployment, "vendor"));
    shop.create(&named(Kind::Deployment, "vendor")).unwrap();
    shop.patch(Kind::Deployment, "old", &json!({"spec": {"replicas": 2}})).unwrap();
    comes_up(&shop, "vendor-", PATIENCE);
    is_refused(&shop, "old-", PATIENCE);
    assert_eq!(pods(&shop, "old-").len(), 1);
    shop.rejects(&named(Kind::Deployment, "vendor-2"));
}

fn a_job_made_from_an_exempt_cron_job_runs_and_one_from_another_is_refused(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.create(&named(Kind::CronJob, "backup")).unwrap();
    shop.policy("baseline", &exempting(Kind::CronJob, "vendor"));
    shop.create(&named(Kind::CronJob, "vendor")).unwrap();
    let from = |cron_job: &str, job: &str| {
        shop.kubectl(&["create", "job", job, &format!("--from=cronjob/{cron_job}")]).output()
    };
    let (created, printed) = from("vendor", "vendor-1");
    assert!(created, "{printed}");
    comes_up(&shop, "vendor-1-", PATIENCE);
    let (created, printed) = from("backup", "backup-1");
    assert!(!created, "{printed}");
    assert!(printed.contains(&format!("Job {}/backup-1 breaks 1 rule", shop.name)), "{printed}");
}

fn the_cron_job_controllers_jobs_run_where_exempt_and_are_refused_elsewhere(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let every_minute = |name: &str| {
        let mut cron_job = named(Kind::CronJob, name);
        cron_job["spec"]["schedule"] = json!("* * * * *");
        cron_job
    };
    // It is resumed after the policy is in force. This passes because the template does not change.
    let mut backup = every_minute("backup");
    backup["spec"]["suspend"] = json!(true);
    shop.create(&backup).unwrap();
    shop.policy("baseline", &exempting(Kind::CronJob, "vendor"));
    shop.create(&every_minute("vendor")).unwrap();
    shop.patch(Kind::CronJob, "backup", &json!({"spec": {"suspend": false}})).unwrap();
    let after = comes_up(&shop, "vendor-", A_MINUTE);
    println!(
        "the exempt CronJob's pod came after {} (at most a minute is expected)",
        seconds(after)
    );
    is_refused(&shop, "backup", PATIENCE);
    assert_eq!(pods(&shop, "backup-").len(), 0);
}

fn a_violating_job_from_before_is_finished_by_its_controller(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.create(&workload(Kind::Job, pod("nginx"))).unwrap();
    comes_up(&shop, "web-", PATIENCE);
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    let tracked = |pod: &Value| {
        let finalizers = pod["metadata"]["finalizers"].as_array();
        finalizers.into_iter().flatten().any(|it| it == "batch.kubernetes.io/job-tracking")
    };
    let pod = pods(&shop, "web-").remove(0);
    assert!(tracked(&pod));
    let at = format!("{}/status", pod["metadata"]["name"].as_str().unwrap());
    let succeeded = json!({"status": {"phase": "Succeeded"}});
    shop.write(Run::Real, Write::MergePatch, Kind::Pod, &at, &succeeded).object();
    shop.awaits("the Job to be complete", Kind::Job, "web", |job| {
        let conditions = job.data["status"]["conditions"].as_array();
        let complete = |it: &Value| it["type"] == "Complete" && it["status"] == "True";
        conditions.into_iter().flatten().any(complete)
    });
    eventually("the pod to be deleted", || {
        let pod = pods(&shop, "web-").pop().ok_or("it is gone")?;
        if tracked(&pod) { Err(pod["metadata"].to_string()) } else { Ok(()) }
    });
    shop.delete(Kind::Job, "web");
    eventually("the Job's pod to be gone with it", || {
        let left = pods(&shop, "web-").len();
        if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
    });
}
