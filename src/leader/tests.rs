//! Leading against an API server in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::fake_api::{FakeApi, until};
use super::*;
use crate::metrics::Metrics;

/// A podgate that contends for the Lease, and what is seen of it.
struct Contender {
    claim: Claim,
    metrics: Metrics,
    /// How many works run now, and how many were begun.
    working: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
    shutdown: watch::Sender<bool>,
    lead: JoinHandle<()>,
}

struct Working(Arc<AtomicUsize>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Long enough that a busy machine renews in time, short enough to see it not renewed.
fn options(identity: &str) -> LeaseOptions {
    LeaseOptions {
        identity: identity.to_owned(),
        duration: Duration::from_secs(2),
        renew_deadline: Duration::from_millis(1500),
        retry: Duration::from_millis(50),
        ..LeaseOptions::new("podgate-system".to_owned())
    }
}

/// `ends` is whether the work ends at a shutdown.
fn contend(api: &FakeApi, identity: &str, ends: bool) -> Contender {
    let (shutdown, stop) = watch::channel(false);
    let (working, begun) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let metrics = Metrics::new().unwrap();
    let claim = Claim::default();
    let work = {
        let (working, begun, stop) = (working.clone(), begun.clone(), stop.clone());
        move |claim: Claim| {
            let (working, mut stop) = (working.clone(), stop.clone());
            begun.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(claim.holds(), "work begins with the right to write");
                working.fetch_add(1, Ordering::SeqCst);
                let _working = Working(working);
                signalled(&mut stop).await;
                if !ends {
                    std::future::pending::<()>().await;
                }
            }
        }
    };
    let of_leader = metrics.leader.clone();
    let led = lead(api.client(), options(identity), claim.clone(), stop, of_leader, work);
    Contender { claim, metrics, working, begun, shutdown, lead: tokio::spawn(led) }
}

impl Contender {
    fn leads(&self) -> bool {
        let works = self.working.load(Ordering::SeqCst) == 1;
        works && self.claim.holds() && self.shows("podgate_leader 1")
    }

    fn has_lost(&self) -> bool {
        let works = self.working.load(Ordering::SeqCst) == 1;
        !works && !self.claim.holds() && self.shows("podgate_leader 0")
    }

    fn shows(&self, line: &str) -> bool {
        let text = String::from_utf8(self.metrics.expose().unwrap()).unwrap();
        text.lines().any(|it| it == line)
    }
}

fn held_by(holder: &str, renewed: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "podgate", "namespace": "podgate-system"},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 1,
            "renewTime": renewed,
            "leaseTransitions": 4,
        },
    })
}

#[test]
fn two_processes_of_one_host_have_two_names() {
    let (one, other) = (identity(), identity());
    assert_ne!(one, other);
    assert_eq!(one.rsplit_once('_').unwrap().0, other.rsplit_once('_').unwrap().0);
}

#[tokio::test]
async fn one_leads_and_the_next_leads_when_it_ends() {
    let api = FakeApi::default();
    let first = contend(&api, "first", true);
    until("the first to lead", || first.leads()).await;
    let second = contend(&api, "second", true);
    let renewed = || api.lease().unwrap()["spec"]["renewTime"].clone();
    let before = renewed();
    until("renewals", || renewed() != before).await;
    assert_eq!(second.begun.load(Ordering::SeqCst), 0);
    first.shutdown.send_replace(true);
    first.lead.await.unwrap();
    assert!(!first.claim.holds());
    until("the second to lead", || second.leads()).await;
    let spec = api.lease().unwrap()["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!("second"), &json!(1)));
    assert!(second.shows("podgate_leader_transitions_total 1"));
}

#[tokio::test]
async fn a_released_lease_names_nobody_and_a_candidate_ends_at_once() {
    let api = FakeApi::default();
    let leader = contend(&api, "leader", false);
    until("it to lead", || leader.leads()).await;
    let candidate = contend(&api, "candidate", true);
    candidate.shutdown.send_replace(true);
    candidate.lead.await.unwrap();
    assert_eq!(api.holder().as_deref(), Some("leader"));
    // Its work does not end, and is ended.
    leader.shutdown.send_replace(true);
    leader.lead.await.unwrap();
    assert_eq!(leader.working.load(Ordering::SeqCst), 0);
    assert_eq!(api.holder(), None);
    assert!(api.lease().unwrap()["spec"]["renewTime"].is_string());
}

#[tokio::test]
async fn a_lease_that_a_chart_made_is_adopted_with_its_labels() {
    let api = FakeApi::default();
    api.put(json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "podgate", "labels": {"helm": "yes"}},
    }));
    let contender = contend(&api, "own", true);
    until("it to lead", || contender.leads()).await;
    let lease = api.lease().unwrap();
    assert_eq!(lease["metadata"]["labels"]["helm"], "yes");
    assert_eq!(lease["spec"]["holderIdentity"], "own");
    assert_eq!(lease["spec"]["leaseTransitions"], 0);
}

#[tokio::test]
async fn of_many_one_leads() {
    let api = FakeApi::default();
    let names = ["a", "b", "c", "d", "e"];
    let contenders = names.map(|name| contend(&api, name, true));
    until("one to lead", || contenders.iter().any(Contender::leads)).await;
    let before = api.lease();
    until("a renewal", || api.lease() != before).await;
    assert_eq!(contenders.iter().filter(|it| it.begun.load(Ordering::SeqCst) > 0).count(), 1);
}

#[tokio::test]
async fn work_ends_when_nothing_answers_and_begins_again_when_something_does() {
    let silent: fn(&FakeApi, bool) = |api, fails| api.silent(fails);
    let refusing: fn(&FakeApi, bool) = |api, fails| api.refuse(fails.then_some(500));
    for failing in [silent, refusing] {
        let api = FakeApi::default();
        let contender = contend(&api, "own", true);
        until("it to lead", || contender.leads()).await;
        failing(&api, true);
        until("it to notice", || contender.has_lost()).await;
        failing(&api, false);
        until("it to lead again", || contender.leads()).await;
        assert_eq!(contender.begun.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_leader_ends_though_nothing_answers() {
    let api = FakeApi::default();
    let contender = contend(&api, "own", true);
    until("it to lead", || contender.leads()).await;
    api.silent(true);
    contender.shutdown.send_replace(true);
    contender.lead.await.unwrap();
    assert!(!contender.claim.holds());
}

#[tokio::test]
async fn a_short_silence_ends_nothing() {
    let api = FakeApi::default();
    let contender = contend(&api, "own", true);
    until("it to lead", || contender.leads()).await;
    api.silent(true);
    let before = api.lease();
    let began = std::time::Instant::now();
    until("a call to run into its limit", || began.elapsed() > Duration::from_millis(200)).await;
    api.silent(false);
    until("a renewal", || api.lease() != before).await;
    assert!(contender.leads());
    assert_eq!(contender.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn whoever_takes_the_lease_by_hand_ends_the_work() {
    let api = FakeApi::default();
    let contender = contend(&api, "own", true);
    until("it to lead", || contender.leads()).await;
    api.put(held_by("another", "2026-01-01T00:00:00.000000Z"));
    until("it to notice", || contender.has_lost()).await;
    // Nobody renews it, so its second is over soon.
    until("it to lead again", || contender.leads()).await;
    assert_eq!(api.lease().unwrap()["spec"]["leaseTransitions"], 5);
}

#[tokio::test]
async fn a_leader_whose_lease_is_deleted_or_emptied_leads_on() {
    let api = FakeApi::default();
    let contender = contend(&api, "own", true);
    until("it to lead", || contender.leads()).await;
    api.delete();
    until("the lease to be back", || api.holder().is_some()).await;
    api.put(json!({"metadata": {"name": "podgate"}, "spec": {}}));
    until("it to hold the lease", || api.holder().as_deref() == Some("own")).await;
    assert!(contender.leads());
    assert_eq!(contender.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn work_that_ends_by_itself_releases_the_lease() {
    let api = FakeApi::default();
    let (_shutdown, stop) = watch::channel(false);
    let metrics = Metrics::new().unwrap();
    let claim = Claim::default();
    let led = lead(
        api.client(),
        options("own"),
        claim.clone(),
        stop,
        metrics.leader,
        |claim| async move { assert!(claim.holds()) },
    );
    led.await;
    assert!(!claim.holds());
    assert!(api.lease().is_some());
    assert_eq!(api.holder(), None);
}
