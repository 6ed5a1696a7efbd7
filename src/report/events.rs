//! Writes Events (`events.k8s.io/v1`) on workloads and policies when violations begin or end and when new pods are
//! refused, for `kubectl describe` and `kubectl events`.
//!
//! [`note`] gathers changes and words the notes, those of refused pods by [`told`]; [`queue`] paces them. All are
//! pure.

mod note;
mod queue;
mod told;

use std::future::pending;
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep_until;

use self::note::{About, Gathered, MAX_NOTE, Topic, TopicKind};
use self::queue::Queue;
use super::ownership::MANAGED_BY;
use crate::api::API_VERSION;
use crate::client::resource;
use crate::leader::claim::{Claim, WriteError};
use crate::policy::event::EventReason;
use crate::policy::observed::{Change, Notice, NoticeAbout, WorkloadKey};
use crate::policy::text::cut;

const CONTROLLER: &str = "podgate.devops.stochastic.io";
const AUDIT: &str = "Audit";
const REMEDIATE: &str = "Remediate";
/// The namespace of Events on cluster-scoped objects.
const CLUSTER_EVENTS: &str = "default";
/// The most bytes of `reportingInstance`.
const MAX_INSTANCE: usize = 128;
/// The most bytes of an object's name in its Events' names.
const MAX_PREFIX: usize = 200;

/// Writes Events until the channel of changes closes or the claim is lost. `instance` is the pod's name, the Events'
/// `reportingInstance`.
pub async fn events(
    client: Client,
    claim: Claim,
    mut instance: String,
    mut changes: Receiver<Vec<Change>>,
    mut notices: Receiver<Notice>,
) {
    instance.truncate(instance.floor_char_boundary(MAX_INSTANCE));
    let mut queue = Queue::default();
    loop {
        let due = queue.due();
        let due = async {
            if let Some(at) = due {
                sleep_until(at.into()).await;
            } else {
                pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            batch = changes.recv() => match batch {
                Some(batch) => queue.add(note::gather(&batch)),
                None => break,
            },
            Some(notice) = notices.recv() => {
                match notify(&client, &claim, &instance, &notice).await {
                    Ok(()) => {}
                    Err(WriteError::NotLeading) => return,
                    Err(error) => {
                        let reason = notice.reason.as_str();
                        tracing::warn!(reason, %error, "could not write an Event");
                    }
                }
            }
            () = due => {
                let now = Instant::now();
                if let Some((topic, gathered)) = queue.next(now) {
                    match write(&client, &claim, &instance, &topic, &gathered).await {
                        Ok(()) => {}
                        Err(WriteError::NotLeading) => return,
                        Err(error) => failed(&mut queue, topic, gathered, &error),
                    }
                }
            }
        }
        let dropped = queue.take_dropped();
        if dropped > 0 {
            tracing::warn!(dropped, "more changed than there is room for in Events");
        }
    }
    let waiting_changes = queue.waiting_changes();
    if waiting_changes > 0 {
        tracing::info!(
            waiting_changes,
            "podgate ends before the Events on all changes are written"
        );
    }
}

/// Queues an Event again, unless the API server refused it for good.
fn failed(queue: &mut Queue, topic: Topic, gathered: Gathered, error: &WriteError) {
    let again = !matches!(error.code(), Some(400..=428 | 430..=499));
    let dropped = if again { 0 } else { gathered.count() };
    tracing::warn!(about = %topic.about, %error, dropped, "could not write an Event");
    if again {
        queue.add([(topic, gathered)]);
    }
}

async fn write(
    client: &Client,
    claim: &Claim,
    instance: &str,
    topic: &Topic,
    gathered: &Gathered,
) -> Result<(), WriteError> {
    let regarding = match &topic.about {
        About::Policy { namespace, kind, name, uid } => policy(namespace.clone(), kind, name, uid),
        About::Workload(key) => match workload(client, key).await? {
            Some(regarding) => regarding,
            // The workload is gone, so nobody reads its Events.
            None => return Ok(()),
        },
    };
    create(client, claim, &event(regarding, topic, gathered, instance, Timestamp::now())).await
}

async fn create(client: &Client, claim: &Claim, event: &Event) -> Result<(), WriteError> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or(CLUSTER_EVENTS);
    let api = Api::<Event>::namespaced(client.clone(), namespace);
    claim.write(api.create(&PostParams::default(), event)).await.map(|_| ())
}

/// Writes a notice as an Event.
async fn notify(
    client: &Client,
    claim: &Claim,
    instance: &str,
    notice: &Notice,
) -> Result<(), WriteError> {
    let regarding = match &notice.about {
        NoticeAbout::Policy { key, uid } => {
            policy(key.namespace.clone(), key.kind(), &key.name, uid)
        }
        NoticeAbout::Workload(key) => match workload(client, key).await? {
            Some(regarding) => regarding,
            None => return Ok(()),
        },
    };
    let note = cut(notice.note.clone(), MAX_NOTE);
    let action = if notice.reason == EventReason::ExemptionEnds { AUDIT } else { REMEDIATE };
    let event = Event {
        action: Some(action.to_owned()),
        note: Some(note),
        ..bare_event(regarding, notice.reason, instance, Timestamp::now())
    };
    create(client, claim, &event).await
}

fn policy(namespace: Option<String>, kind: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(kind.to_owned()),
        namespace,
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// The reference of a workload; `None` where it is gone. Reads its UID, by
/// which `kubectl describe` finds Events and which the audit does not keep.
async fn workload(
    client: &Client,
    key: &WorkloadKey,
) -> Result<Option<ObjectReference>, kube::Error> {
    let Some(kind) = note::owner_kind(&key.kind) else { return Ok(None) };
    let (names, resource) = (kind.names(), resource::of(kind));
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &key.namespace, &resource);
    let found = api.get_metadata_opt(&key.name).await?;
    Ok(found.map(|found| ObjectReference {
        api_version: Some(names.api_version().into_owned()),
        kind: Some(names.kind.to_owned()),
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        uid: found.metadata.uid,
        ..ObjectReference::default()
    }))
}

fn event(
    regarding: ObjectReference,
    topic: &Topic,
    gathered: &Gathered,
    instance: &str,
    now: Timestamp,
) -> Event {
    let reason = match topic.kind {
        TopicKind::Opened => EventReason::PolicyViolation,
        TopicKind::Closed => EventReason::PolicyViolationResolved,
        TopicKind::Refused => EventReason::PodsRefused,
        TopicKind::Slipped => EventReason::AdmittedUnjudged,
    };
    Event {
        action: Some(AUDIT.to_owned()),
        note: Some(note::text(topic, gathered)),
        ..bare_event(regarding, reason, instance, now)
    }
}

/// An Event without action and note.
fn bare_event(
    regarding: ObjectReference,
    reason: EventReason,
    instance: &str,
    now: Timestamp,
) -> Event {
    let name = regarding.name.as_deref().unwrap_or_default();
    let prefix = name.get(..name.floor_char_boundary(MAX_PREFIX)).unwrap_or_default();
    let prefix = prefix.trim_end_matches(|last: char| !last.is_ascii_alphanumeric());
    let namespace = regarding.namespace.clone().unwrap_or_else(|| CLUSTER_EVENTS.to_owned());
    Event {
        metadata: ObjectMeta {
            // The form of Kubernetes' own Events' names.
            name: Some(format!("{prefix}.{:x}", now.as_nanosecond())),
            namespace: Some(namespace),
            labels: Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into()),
            ..ObjectMeta::default()
        },
        type_: Some(reason.event_type().as_str().to_owned()),
        reason: Some(reason.as_str().to_owned()),
        event_time: Some(MicroTime(now)),
        regarding: Some(regarding),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::json;
    use tokio::sync::mpsc;

    use super::super::tests::{Script, cluster_policy, policy, refusal, violation};
    use super::*;
    use crate::leader::claim::since_boot;
    use crate::policy::observed::Changed;
    use crate::policy::observed::testing::refused;

    /// Writes the Events of these changes to an API server with these answers, and returns its requests.
    async fn requests(answers: Vec<(u16, serde_json::Value)>, changes: Vec<Change>) -> Script {
        let script = Script::new(answers);
        let claim = Claim::default();
        claim.extend(since_boot() + Duration::from_mins(1));
        let (sender, receiver) = mpsc::channel(10);
        sender.try_send(changes).ok().unwrap();
        let (_silent, notices) = mpsc::channel(1);
        let instance = "podgate-0".to_owned();
        let writing = events(script.client(), claim, instance, receiver, notices);
        let _ = tokio::time::timeout(Duration::from_millis(300), writing).await;
        script
    }

    fn uid(uid: &str) -> (u16, serde_json::Value) {
        (
            200,
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"uid": uid}}),
        )
    }

    fn created() -> (u16, serde_json::Value) {
        (201, json!({"metadata": {}, "eventTime": null}))
    }

    #[tokio::test]
    async fn a_violation_is_told_on_the_policy_and_on_the_workload_by_its_uid() {
        let change = Change {
            policy: policy("baseline"),
            what: Changed::Opened(violation("cart", "forbidLatestTag")),
        };
        let script = requests(vec![created(), uid("1234"), created()], vec![change]).await;
        let events = "POST /apis/events.k8s.io/v1/namespaces/shop/events?";
        assert_eq!(
            script.asked(),
            [events, "GET /apis/apps/v1/namespaces/shop/deployments/cart", events]
        );
        let of_policy = script.sent(0);
        assert_eq!(of_policy["regarding"]["kind"], "DevOpsPolicy");
        assert_eq!(of_policy["regarding"]["uid"], "uid-of-baseline");
        let mut of_workload = script.sent(2);
        assert!(of_workload["metadata"]["name"].as_str().unwrap().starts_with("cart."));
        assert!(of_workload["eventTime"].is_string());
        for part in ["metadata", "eventTime", "note", "apiVersion", "kind"] {
            of_workload.as_object_mut().unwrap().remove(part);
        }
        assert_eq!(
            of_workload,
            json!({
                "type": "Warning", "reason": "PolicyViolation", "action": "Audit",
                "regarding": {
                    "apiVersion": "apps/v1", "kind": "Deployment",
                    "namespace": "shop", "name": "cart", "uid": "1234",
                },
                "reportingController": "podgate.devops.stochastic.io",
                "reportingInstance": "podgate-0",
            })
        );
    }

    #[tokio::test]
    async fn a_cluster_policy_is_told_in_the_namespace_default_and_a_gone_workload_not_at_all() {
        let change = Change {
            policy: cluster_policy("baseline"),
            what: Changed::Closed(violation("cart", "forbidLatestTag")),
        };
        let script = requests(vec![created(), refusal(404)], vec![change]).await;
        let asked = script.asked();
        assert_eq!(asked[0], "POST /apis/events.k8s.io/v1/namespaces/default/events?");
        assert_eq!(asked.len(), 2, "{asked:?}");
        let event = script.sent(0);
        assert_eq!(
            (&event["type"], &event["reason"]),
            (&json!("Normal"), &json!("PolicyViolationResolved"))
        );
        assert!(event["regarding"].get("namespace").is_none());
    }

    #[tokio::test]
    async fn refused_pods_of_a_cron_job_are_a_warning_on_it() {
        let mut refused = refused("report", (0, 1), &["forbidLatestTag"]);
        Arc::make_mut(&mut refused.workload).kind = "CronJob".to_owned();
        let change = Change { policy: policy("baseline"), what: Changed::Refused(refused) };
        let script = requests(vec![created(), uid("1234"), created()], vec![change]).await;
        assert_eq!(script.asked()[1], "GET /apis/batch/v1/namespaces/shop/cronjobs/report");
        let event = script.sent(2);
        let found = ["type", "reason", "note"].map(|field| event[field].as_str().unwrap());
        let note = "0 of 1 pod: new pods are refused by policy shop/baseline: spec.containers[0] breaks forbidLatestTag";
        assert_eq!(found, ["Warning", "PodsRefused", note]);
        assert_eq!(event["regarding"]["kind"], "CronJob");
    }

    #[test]
    fn what_may_be_taken_another_time_waits_and_what_is_refused_does_not() {
        for (code, waits) in [(500, true), (429, true), (403, false), (409, false)] {
            let change = Change {
                policy: policy("baseline"),
                what: Changed::Opened(violation("cart", "forbidLatestTag")),
            };
            let (topic, gathered) = note::gather(&[change]).into_iter().next().unwrap();
            let status = serde_json::from_value(refusal(code).1).unwrap();
            let error = WriteError::Api(kube::Error::Api(status));
            let mut queue = Queue::default();
            failed(&mut queue, topic, gathered, &error);
            assert_eq!(queue.waiting_changes(), u64::from(waits), "{code}");
        }
    }

    #[test]
    fn the_name_of_an_event_is_one_however_long_its_objects_is() {
        let name = format!("{}.{}", "a".repeat(199), "b".repeat(53));
        let regarding = ObjectReference { name: Some(name), ..ObjectReference::default() };
        let topic = Topic { about: About::workload_of("x"), kind: TopicKind::Opened };
        let event =
            event(regarding, &topic, &Gathered::default(), "podgate-0", Timestamp::UNIX_EPOCH);
        assert_eq!(event.metadata.name.unwrap(), format!("{}.0", "a".repeat(199)));
    }
}
