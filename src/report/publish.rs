//! Keeps the cluster's reports up to date with the audit. Writes only the reports that differ.

use std::future::pending;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use tokio::sync::mpsc::{Receiver, error::TryRecvError};
use tokio::time::{sleep, sleep_until};

use super::ledger::{PendingWrite, ReportKey, ReportLedger, ReportWrite};
use super::ownership::{FIELD_MANAGER, MANAGED_BY};
use super::{build, existing, name};
use crate::api::Report;
use crate::leader::claim::{Claim, WriteError};
use crate::policy::observed::NamespaceUpdate;

/// The pause before the existing reports are listed again after an error.
const PAUSE: Duration = Duration::from_secs(2);

/// A message to the reports' writer.
pub enum ReportMessage {
    Updates(Vec<NamespaceUpdate>),
    /// Updates have named every report wanted: podgate's other reports are deleted.
    Complete,
}

/// Writes reports until the channel closes and every due write was tried, or until the claim is lost.
pub async fn publish(client: Client, claim: Claim, mut updates: Receiver<ReportMessage>) {
    let mut ledger = ReportLedger::default();
    while let Err(error) = existing::each_report(&client, |it| ledger.found(&it)).await {
        tracing::warn!(%error, "cannot list the reports");
        if updates.is_closed() || !claim.holds() {
            return;
        }
        ledger = ReportLedger::default();
        sleep(PAUSE).await;
    }
    let mut open = true;
    loop {
        // Receives every message first, so that of two versions of a report only the newer is written.
        while open {
            match updates.try_recv() {
                Ok(message) => apply_message(&mut ledger, message),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => open = false,
            }
        }
        if let Some(pending) = ledger.next(Instant::now()) {
            let outcome = write(&client, &claim, &pending).await;
            match settle(&mut ledger, pending, outcome) {
                Ok(()) => continue,
                Err(NotLeading) => return,
            }
        }
        if !open {
            return;
        }
        let due = ledger.due();
        let due = async {
            if let Some(at) = due { sleep_until(at.into()).await } else { pending().await }
        };
        tokio::select! {
            message = updates.recv() => match message {
                Some(message) => apply_message(&mut ledger, message),
                None => open = false,
            },
            () = due => {}
        }
    }
}

fn apply_message(ledger: &mut ReportLedger, message: ReportMessage) {
    let now = Instant::now();
    match message {
        ReportMessage::Updates(updates) => {
            for NamespaceUpdate { policy, namespace, observed } in updates {
                let write = observed.map_or(ReportWrite::Delete, |observed| {
                    ReportWrite::Apply(Box::new(build::report(&observed)))
                });
                let key = ReportKey { namespace, name: name::report(&policy) };
                ledger.want(key, write, now);
            }
        }
        ReportMessage::Complete => ledger.complete(now),
    }
}

struct NotLeading;

/// Records the outcome of a write.
fn settle(
    ledger: &mut ReportLedger,
    pending: PendingWrite,
    outcome: Result<Option<String>, WriteError>,
) -> Result<(), NotLeading> {
    let now = Instant::now();
    let ReportKey { namespace, name } = &pending.key;
    match outcome {
        Ok(version) => ledger.written(pending, version, now),
        Err(WriteError::NotLeading) => return Err(NotLeading),
        Err(error) if is_namespace_gone(&error) => {
            tracing::debug!(namespace, name, %error, "the namespace of a report is gone");
            ledger.impossible(&pending);
        }
        Err(error) => {
            tracing::warn!(namespace, name, %error, "could not write a report; it is tried again");
            if matches!(error.code(), Some(400..=428 | 430..=499)) {
                ledger.refused(pending, now);
            } else {
                ledger.unavailable(pending, now);
            }
        }
    }
    Ok(())
}

/// Whether the report's namespace is gone or terminating.
fn is_namespace_gone(error: &WriteError) -> bool {
    let WriteError::Api(kube::Error::Api(status)) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 404
        || (status.code == 403 && causes.any(|cause| cause.reason == "NamespaceTerminating"))
}

/// Writes a report, and once more where its version was not the known one. Returns its new version.
async fn write(
    client: &Client,
    claim: &Claim,
    pending: &PendingWrite,
) -> Result<Option<String>, WriteError> {
    let PendingWrite { key: ReportKey { namespace, name }, write, version, .. } = pending;
    let api = Api::<Report>::namespaced(client.clone(), namespace);
    match send(&api, claim, name, write, version.clone()).await {
        Err(error)
            if error.code() == Some(409) || (error.code() == Some(404) && version.is_some()) =>
        {
            let known = api.get_metadata_opt(name).await?;
            let ours = known.as_ref().is_some_and(|known| {
                let label = known.metadata.labels.as_ref().and_then(|it| it.get(MANAGED_BY.0));
                label.is_some_and(|it| it == MANAGED_BY.1)
            });
            if *write == ReportWrite::Delete && !ours {
                return Ok(None);
            }
            let version = known.and_then(|it| it.metadata.resource_version);
            send(&api, claim, name, write, version).await
        }
        outcome => outcome,
    }
}

async fn send(
    api: &Api<Report>,
    claim: &Claim,
    name: &str,
    write: &ReportWrite,
    version: Option<String>,
) -> Result<Option<String>, WriteError> {
    match write {
        ReportWrite::Apply(report) => {
            let mut report = report.clone();
            report.metadata.resource_version = version;
            let params = PatchParams::apply(FIELD_MANAGER).force();
            let written = claim.write(api.patch(name, &params, &Patch::Apply(&report))).await?;
            Ok(written.metadata.resource_version)
        }
        ReportWrite::Delete => {
            let known = Preconditions { resource_version: version, uid: None };
            let params = DeleteParams { preconditions: Some(known), ..DeleteParams::default() };
            match claim.write(api.delete(name, &params)).await {
                Err(error) if error.code() == Some(404) => Ok(None),
                outcome => outcome.map(|_| None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    use super::super::tests::{Script, observed, policy, refusal, violation};
    use super::*;
    use crate::leader::claim::since_boot;

    fn update(name: &str, violations: Option<usize>) -> NamespaceUpdate {
        let policy = policy(name);
        NamespaceUpdate {
            policy: policy.key(),
            namespace: "shop".to_owned(),
            observed: violations
                .map(|it| observed(policy, vec![violation("cart", "forbidLatestTag"); it])),
        }
    }

    /// A report as the API server holds it.
    fn held(name: &str, violations: usize, version: &str) -> Value {
        let mut report = build::report(&update(name, Some(violations)).observed.unwrap());
        report.metadata.resource_version = Some(version.to_owned());
        serde_json::to_value(report).unwrap()
    }

    fn list(items: &[Value]) -> (u16, Value) {
        (200, json!({"items": items}))
    }

    /// Publishes these messages to an API server with these answers, and returns its requests.
    async fn asked(
        answers: Vec<(u16, Value)>,
        messages: Vec<ReportMessage>,
    ) -> (Script, Vec<String>) {
        let script = Script::new(answers);
        let claim = Claim::default();
        claim.extend(since_boot() + Duration::from_mins(1));
        let (sender, updates) = mpsc::channel(10);
        for message in messages {
            sender.try_send(message).ok().unwrap();
        }
        drop(sender);
        publish(script.client(), claim, updates).await;
        let asked = script.asked().into_iter().skip(1).map(|it| {
            let path = "/apis/openreports.io/v1alpha1/namespaces/shop/reports/podgate-dop-";
            it.replace(path, "").replace("?&force=true&fieldManager=podgate", "")
        });
        let asked = asked.collect();
        (script, asked)
    }

    #[tokio::test]
    async fn what_differs_is_applied_what_is_equal_is_not_and_what_nobody_names_goes() {
        let answers = vec![
            list(&[held("equal", 1, "1"), held("changed", 1, "2"), held("orphan", 1, "3")]),
            (200, held("changed", 2, "4")),
            (200, held("new", 1, "5")),
            (200, json!({"kind": "Status", "status": "Success", "code": 200})),
        ];
        let messages = vec![
            ReportMessage::Updates(vec![
                update("new", Some(1)),
                update("equal", Some(1)),
                update("changed", Some(3)),
                update("never", None),
            ]),
            ReportMessage::Updates(vec![update("changed", Some(2))]),
            ReportMessage::Complete,
        ];
        let (script, asked) = asked(answers, messages).await;
        assert_eq!(asked, ["PATCH changed", "PATCH new", "DELETE orphan?"]);
        let changed = script.sent(1);
        assert_eq!(changed["metadata"]["resourceVersion"], "2");
        assert_eq!(changed["summary"]["fail"], 2);
        assert!(script.sent(2)["metadata"].get("resourceVersion").is_none());
        assert_eq!(script.sent(3)["preconditions"], json!({"resourceVersion": "3"}));
    }

    #[tokio::test]
    async fn without_word_that_it_is_complete_nothing_is_pruned() {
        let answers = vec![list(&[held("a", 1, "1")])];
        let (_, asked) = asked(answers, vec![ReportMessage::Updates(vec![])]).await;
        assert_eq!(asked, [""; 0]);
    }

    #[tokio::test]
    async fn a_report_that_another_wrote_meanwhile_is_read_again_and_written() {
        let answers = vec![
            list(&[held("a", 1, "1"), held("b", 1, "1")]),
            refusal(409),
            (200, held("a", 1, "2")),
            (200, held("a", 2, "3")),
            refusal(409),
            (200, json!({"metadata": {"name": "b", "resourceVersion": "9"}})),
        ];
        let messages = vec![ReportMessage::Updates(vec![update("a", Some(2)), update("b", None)])];
        let (script, asked) = asked(answers, messages).await;
        // That b has lost the label: it is another's now.
        assert_eq!(asked, ["PATCH a", "GET a", "PATCH a", "DELETE b?", "GET b"]);
        assert_eq!(script.sent(3)["metadata"]["resourceVersion"], "2");
    }

    #[tokio::test]
    async fn a_namespace_that_is_gone_or_ends_is_not_tried_again() {
        let mut ending = refusal(403);
        ending.1["details"] = json!({"causes": [{"reason": "NamespaceTerminating"}]});
        let answers = vec![list(&[]), refusal(404), ending];
        let messages =
            vec![ReportMessage::Updates(vec![update("a", Some(1)), update("b", Some(1))])];
        let script = Script::new(answers);
        let claim = Claim::default();
        claim.extend(since_boot() + Duration::from_mins(1));
        let (sender, updates) = mpsc::channel(10);
        for message in messages {
            sender.try_send(message).ok().unwrap();
        }
        let publishing = publish(script.client(), claim, updates);
        // Longer than what failed would rest.
        let _ = tokio::time::timeout(Duration::from_millis(600), publishing).await;
        assert_eq!(script.asked().len(), 3, "{:?}", script.asked());
        drop(sender);
    }

    #[tokio::test]
    async fn what_failed_is_tried_again() {
        let answers = vec![list(&[]), refusal(503), refusal(422), (200, held("a", 1, "1"))];
        let script = Script::new(answers);
        let claim = Claim::default();
        claim.extend(since_boot() + Duration::from_mins(1));
        let (sender, updates) = mpsc::channel(10);
        sender.try_send(ReportMessage::Updates(vec![update("a", Some(1))])).ok().unwrap();
        let publishing = publish(script.client(), claim, updates);
        let _ = tokio::time::timeout(Duration::from_secs(1), publishing).await;
        assert_eq!(script.asked().len(), 4, "{:?}", script.asked());
    }

    #[tokio::test]
    async fn without_a_claim_nothing_is_written() {
        let script = Script::new([list(&[])]);
        let (sender, updates) = mpsc::channel(10);
        sender.try_send(ReportMessage::Updates(vec![update("a", Some(1))])).ok().unwrap();
        publish(script.client(), Claim::default(), updates).await;
        assert_eq!(script.asked().len(), 1);
        drop(sender);
    }
}
