//! The HTTP side of a review: from a request to an answer, or to a status that
//! says what went wrong.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, sleep, timeout_at};

use super::alive::Alive;
use super::callers::PeerAddress;
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
/// How many reviews by policies with CEL are judged at a time, and how many of them there may be, waiting ones too.
const MAX_DOCUMENT_REVIEWS: usize = 4;
const MAX_DOCUMENT_QUEUE: usize = 64;

/// Says whether podgate may take traffic; if not, why.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What reviews share.
struct Webhook {
    policies: Policies,
    metrics: AdmissionMetrics,
    docs_url: Option<Arc<str>>,
    own_user: Option<Arc<str>>,
    alive: Arc<Alive>,
    limits: Limits,
    document_reviews: Arc<Semaphore>,
    document_queue: Semaphore,
}

/// Which of the webhooks is asked.
#[derive(Clone, Copy)]
enum Door {
    Validate,
    Mutate,
    Alive,
}

impl Door {
    /// As metrics and logs name it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Mutate => "mutate",
            Self::Alive => "alive",
        }
    }
}

/// The TLS side: reviews and health. Denials end with `docs_url`; `own_user` is who repairs workloads, if podgate does;
/// `alive` judges the beats.
pub fn router(
    policies: Policies,
    metrics: AdmissionMetrics,
    docs_url: Option<Arc<str>>,
    own_user: Option<Arc<str>>,
    alive: Arc<Alive>,
    readiness: Readiness,
) -> Router {
    let webhook = Arc::new(Webhook {
        policies,
        metrics,
        docs_url,
        own_user,
        alive,
        limits: Limits::default(),
        document_reviews: Arc::new(Semaphore::new(MAX_DOCUMENT_REVIEWS)),
        document_queue: Semaphore::new(MAX_DOCUMENT_QUEUE),
    });
    let door = |door: Door| {
        post(move |State(webhook): State<Arc<Webhook>>, request: Request| async move {
            answer(&webhook, door, request).await
        })
    };
    Router::new()
        .route("/validate", door(Door::Validate))
        .route("/mutate", door(Door::Mutate))
        .route("/alive", door(Door::Alive))
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
            let mut response =
                ([(CONTENT_TYPE, "application/json")], judged.answer).into_response();
            if matches!(door, Door::Alive) {
                // The next beat takes a new connection, and so perhaps another replica: each is to know the callers.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
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
    let peer = request.extensions().get::<PeerAddress>().map(|peer| peer.0);
    let admitted = webhook.limits.read(request).await?;
    let deadline = admitted.deadline;
    let judged = timeout_at(deadline, judge(webhook, door, peer, &admitted));
    judged.await.unwrap_or(Err(Refusal::TooLate))
}

/// Judges by one load of the policies. A namespace may be younger than what is known of it: then
/// its review is tried again, for a while.
async fn judge(
    webhook: &Webhook,
    door: Door,
    peer: Option<IpAddr>,
    admitted: &Admitted,
) -> Result<Judged, Refusal> {
    let patience = Instant::now() + NAMESPACE_PATIENCE;
    loop {
        let judged = match judge_now(webhook, door, peer, &admitted.body)? {
            Ok(None) => judge_documents(webhook, &admitted.body).await?,
            judged => judged,
        };
        match judged {
            Err(BadReview::UnknownNamespace) if Instant::now() < patience => {
                sleep(NAMESPACE_RETRY).await;
            }
            judged => return judged?.ok_or(Refusal::Unfinished),
        }
    }
}

/// What a try to judge comes to; `None` where the policies want whole documents.
type Tried = Result<Option<Judged>, BadReview>;

/// One pass over the bytes, in which nothing waits.
fn judge_now(
    webhook: &Webhook,
    door: Door,
    peer: Option<IpAddr>,
    body: &[u8],
) -> Result<Tried, Refusal> {
    let policies = webhook.policies.load();
    let policies = policies.as_ref().ok_or(Refusal::NotReady)?;
    let now = Timestamp::now();
    let (docs_url, own_user) = (webhook.docs_url.as_deref(), webhook.own_user.as_deref());
    let reviewer = Reviewer { policies, docs_url, own_user, documents: false, now };
    Ok(match door {
        Door::Validate => reviewer.validate(body),
        Door::Mutate => mutate_review(body, policies, now).map(Some),
        Door::Alive => webhook.alive.judge(body, peer, (now, std::time::Instant::now())).map(Some),
    })
}

/// CEL runs apart, so that an expensive policy cannot keep reviews of others from being read.
async fn judge_documents(webhook: &Webhook, body: &Bytes) -> Result<Tried, Refusal> {
    let _queued = webhook.document_queue.try_acquire().map_err(|_| Refusal::Overloaded)?;
    let permit = Arc::clone(&webhook.document_reviews).acquire_owned().await;
    let policies = webhook.policies.load_full().ok_or(Refusal::NotReady)?;
    let (body, docs_url) = (body.clone(), webhook.docs_url.clone());
    let own_user = webhook.own_user.clone();
    let judged = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let (policies, docs_url) = (&*policies, docs_url.as_deref());
        let (own_user, now) = (own_user.as_deref(), Timestamp::now());
        Reviewer { policies, docs_url, own_user, documents: true, now }.validate(&body)
    });
    judged.await.map_err(|_| Refusal::Unfinished)
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
