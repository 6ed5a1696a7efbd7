//! The HTTP side of a review: from a request to an answer, or to a status that
//! says what went wrong.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::time::{Duration, Instant, sleep, timeout_at};

use super::judged::{Denial, Judged};
use super::mutate::mutate_review;
use super::request::{Admitted, Limits, Refusal};
use super::review::BadReview;
use super::validate::Reviewer;
use crate::metrics::{AdmissionMetrics, ReviewSummary};
use crate::policy::policy_set::Policies;

/// How long a review waits until a new namespace is known, and how often it looks.
const NAMESPACE_PATIENCE: Duration = Duration::from_secs(1);
const NAMESPACE_RETRY: Duration = Duration::from_millis(20);

/// Says whether podgate may take traffic; if not, why.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What reviews share.
struct Webhook {
    policies: Policies,
    metrics: AdmissionMetrics,
    docs_url: Option<Arc<str>>,
    own_user: Option<Arc<str>>,
    limits: Limits,
}

/// Which of the two webhooks is asked.
#[derive(Clone, Copy)]
enum Door {
    Validate,
    Mutate,
}

impl Door {
    /// As metrics and logs name it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Mutate => "mutate",
        }
    }
}

/// The TLS side: reviews and health. Denials end with `docs_url`; `own_user` is who repairs workloads, if podgate does.
pub fn router(
    policies: Policies,
    metrics: AdmissionMetrics,
    docs_url: Option<Arc<str>>,
    own_user: Option<Arc<str>>,
    readiness: Readiness,
) -> Router {
    let webhook =
        Arc::new(Webhook { policies, metrics, docs_url, own_user, limits: Limits::default() });
    let door = |door: Door| {
        post(move |State(webhook): State<Arc<Webhook>>, request: Request| async move {
            answer(&webhook, door, request).await
        })
    };
    Router::new()
        .route("/validate", door(Door::Validate))
        .route("/mutate", door(Door::Mutate))
        .with_state(webhook)
        .merge(health_router(readiness))
}

/// `/healthz` answers while the process serves, `/readyz` while it should get traffic.
pub fn health_router(readiness: Readiness) -> Router {
    let ready = move || async move {
        match readiness() {
            Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        }
    };
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready))
}

async fn answer(webhook: &Webhook, door: Door, request: Request) -> Response {
    let started = Instant::now();
    let _in_flight = webhook.metrics.in_flight();
    let response = match verdict(webhook, door, request).await {
        Ok(judged) => {
            webhook.metrics.judged(&summary(door, &judged));
            if let Some(denial) = &judged.denial {
                log_denial(denial, &judged);
            }
            ([(CONTENT_TYPE, "application/json")], judged.answer).into_response()
        }
        Err(refusal) => {
            let shed = matches!(refusal, Refusal::Overloaded);
            webhook.metrics.refused(door.as_str(), if shed { "shed" } else { "error" });
            let (webhook, reason) = (door.as_str(), refusal.reason());
            tracing::warn!(webhook, reason, "a review could not be judged");
            refusal.into_response()
        }
    };
    webhook.metrics.took(started.elapsed());
    response
}

async fn verdict(webhook: &Webhook, door: Door, request: Request) -> Result<Judged, Refusal> {
    let admitted = webhook.limits.read(request).await?;
    let deadline = admitted.deadline;
    let judged = timeout_at(deadline, judge(webhook, door, &admitted));
    judged.await.unwrap_or(Err(Refusal::TooLate))
}

/// Judges by one load of the policies. A namespace may be younger than what is known of it: then
/// its review is tried again, for a while.
async fn judge(webhook: &Webhook, door: Door, admitted: &Admitted) -> Result<Judged, Refusal> {
    let patience = Instant::now() + NAMESPACE_PATIENCE;
    loop {
        match judge_now(webhook, door, &admitted.body)? {
            Err(BadReview::UnknownNamespace) if Instant::now() < patience => {
                sleep(NAMESPACE_RETRY).await;
            }
            judged => return Ok(judged?),
        }
    }
}

/// One pass over the bytes, in which nothing waits.
fn judge_now(
    webhook: &Webhook,
    door: Door,
    body: &[u8],
) -> Result<Result<Judged, BadReview>, Refusal> {
    let policies = webhook.policies.load();
    let policies = policies.as_ref().ok_or(Refusal::NotReady)?;
    let now = Timestamp::now();
    let (docs_url, own_user) = (webhook.docs_url.as_deref(), webhook.own_user.as_deref());
    let reviewer = Reviewer { policies, docs_url, own_user, now };
    Ok(match door {
        Door::Validate => reviewer.validate(body),
        Door::Mutate => mutate_review(body, policies, now),
    })
}

fn summary(door: Door, judged: &Judged) -> ReviewSummary<'_> {
    ReviewSummary {
        webhook: door.as_str(),
        operation: judged.operation.as_str(),
        kind: judged.kind.map_or("other", |kind| kind.names().kind),
        decision: judged.decision,
        denials: judged.denial.as_ref().map(|it| &*it.violations).unwrap_or_default(),
        patch_operations: judged.patch_operations,
    }
}

/// One line a denial, with names only.
fn log_denial(denial: &Denial, judged: &Judged) {
    tracing::info!(
        object = denial.object,
        operation = judged.operation.as_str(),
        dry_run = denial.dry_run,
        policies = denial.policies,
        rules = denial.rules.join(","),
        "denied"
    );
}
