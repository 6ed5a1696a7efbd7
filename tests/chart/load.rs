//! Pods created at a steady rate while podgate is disturbed: every other one breaks a policy. Wrongly admitted, wrongly
//! denied and failed requests are counted. A machine that cannot keep the rate gets as much as it can answer, since
//! requests that only wait for each other would fail by the webhook's timeout, which says nothing about podgate.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use podgate::admission::registration::VALIDATE_WEBHOOK;
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::world::World;
use crate::support::cluster::client;

/// Pods per second, at most.
pub const RATE: u32 = 100;
/// Unanswered requests, at most. A quiet machine has two or three of them.
const AT_ONCE: usize = 10;

/// The results so far.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub admitted: u64,
    pub denied: u64,
    /// Violating pods that were admitted.
    pub let_past: u64,
    /// Good pods that were denied by podgate.
    pub wronged: u64,
    /// Failed requests, by the API server's message.
    pub failed: BTreeMap<String, u64>,
    took: Vec<Duration>,
}

/// The least number of admitted and of denied pods in a load.
const LEAST_OF_EACH: u64 = 400;
/// How long a load continues at its end to reach that number. A quiet machine needs at most eight seconds in all.
const PATIENCE: Duration = Duration::from_mins(2);

impl Counts {
    /// Asserts that there was a load, without failures and wrong verdicts.
    ///
    /// # Panics
    /// Otherwise.
    pub fn check(&self) {
        let clean = self.let_past == 0 && self.wronged == 0 && self.failed.is_empty();
        assert!(clean, "{self}");
        assert!(self.is_a_load(), "too little load: {self}");
    }

    fn is_a_load(&self) -> bool {
        self.admitted >= LEAST_OF_EACH && self.denied >= LEAST_OF_EACH
    }

    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut took = self.took.clone();
        took.sort();
        let at = |share: usize| took.get(took.len() * share / 1000).copied().unwrap_or_default();
        let Self { admitted, denied, let_past, wronged, .. } = self;
        write!(
            f,
            "{admitted} admitted, {denied} denied, {let_past} violating admitted, {wronged} good denied, "
        )?;
        write!(
            f,
            "{} failed; p50 {:?}, p99 {:?}, longest {:?}",
            self.failures(),
            at(500),
            at(990),
            took.last()
        )?;
        self.failed.iter().try_for_each(|(why, count)| write!(f, "\n     {count} times: {why}"))
    }
}

/// A load that runs until it is ended.
pub struct Load {
    counts: Arc<Mutex<Counts>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Creates pods in a namespace where `forbidLatestTag` is enforced.
    pub fn start(world: &World, namespace: &str) -> Self {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let ended = Arc::new(AtomicBool::new(false));
        let kubeconfig = world.plane.kubeconfig("admin");
        let namespace = namespace.to_owned();
        let (results, stop) = (Arc::clone(&counts), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let client = client(&kubeconfig).await;
                let api = Api::namespaced(client, &namespace);
                create_until(api, &stop, &results).await;
            });
        });
        Self { counts, ended, thread: Some(thread) }
    }

    pub fn so_far(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }

    /// Ends the load, after the least number of pods; on a busy machine that may take longer than the tested event.
    pub fn end(mut self) -> Counts {
        let started = Instant::now();
        while !self.so_far().is_a_load() && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(100));
        }
        self.join();
        self.so_far()
    }

    fn join(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

async fn create_until(api: Api<Pod>, ended: &AtomicBool, counts: &Arc<Mutex<Counts>>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = tokio::task::JoinSet::new();
    for number in 0.. {
        if ended.load(Ordering::SeqCst) {
            break;
        }
        ticks.tick().await;
        if running.len() >= AT_ONCE {
            running.join_next().await;
        }
        running.spawn(create(api.clone(), number, Arc::clone(counts)));
        while running.try_join_next().is_some() {}
    }
    running.join_all().await;
}

async fn create(api: Api<Pod>, number: u64, counts: Arc<Mutex<Counts>>) {
    let good = number.is_multiple_of(2);
    let name = format!("load-{number}");
    let image = if good { "nginx:1.29" } else { "nginx" };
    let pod = json!({
        "metadata": {"name": name},
        // The pods are not scheduled, so that all of the load is admission.
        "spec": {"schedulerName": "nobody", "containers": [{"name": "web", "image": image}]},
    });
    let pod = serde_json::from_value(pod).unwrap();
    let started = Instant::now();
    let created = api.create(&PostParams::default(), &pod).await;
    let took = started.elapsed();
    {
        let mut counts = counts.lock().unwrap();
        counts.took.push(took);
        match (&created, good) {
            (Ok(_), true) => counts.admitted += 1,
            (Ok(_), false) => counts.let_past += 1,
            (Err(error), good) if is_denial(error) => {
                if good {
                    counts.wronged += 1;
                } else {
                    counts.denied += 1;
                }
            }
            (Err(error), _) => *counts.failed.entry(error.to_string()).or_default() += 1,
        }
    }
    if created.is_ok() {
        let _ = api.delete(&name, &DeleteParams::default().grace_period(0)).await;
    }
}

fn is_denial(error: &kube::Error) -> bool {
    let words = format!("admission webhook \"{VALIDATE_WEBHOOK}\" denied the request: ");
    matches!(error, kube::Error::Api(status) if status.code == 403 && status.message.contains(&words))
}

/// Checks that a pod that breaks `forbidLatestTag` is denied now; returns the reason if not.
pub async fn is_denied(client: &Client, namespace: &str) -> Result<(), String> {
    let pod = json!({"metadata": {"generateName": "probe-"},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "web", "image": "nginx"}]}});
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    match api.create(&params, &serde_json::from_value(pod).unwrap()).await {
        Ok(_) => Err("it is admitted".to_owned()),
        Err(error) if is_denial(&error) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
