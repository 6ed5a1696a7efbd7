//! The HTTP side of a review: from a request to an answer, or to a status that
//! says what went wrong.

use std::net::Ipv6Addr;
use std::num::NonZero;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Duration, Instant, timeout_at};

use super::alive::Alive;
use super::callers::{Caller, Callers, Certificate, PeerAddress};
use super::costly::{self, AT_ONCE, cost_within};
use super::judged::{Denial, Judged};
use super::mutate::mutate_review;
use super::request::{Admitted, Limits, Refusal, pass_over};
use super::review::BadReview;
use super::seldom::Seldom;
use super::validate::Reviewer;
use crate::metrics::{AdmissionMetrics, ReviewSummary};
use crate::policies::Policies;
use crate::policy::policy_set::PolicySet;

/// How long a review waits until a new namespace is known.
const NAMESPACE_PATIENCE: Duration = Duration::from_secs(1);
/// The longest name of a namespace (RFC 1123's label); no longer one is waited for.
const MAX_NAMESPACE: usize = 63;
/// How many reviews are judged at a time, of known callers and of others: what each takes while it is decoded has an end.
const MAX_JUDGED: usize = 4;

/// What is left of a review's time for its answer, where its expressions take all that there is.
const TO_ANSWER: Duration = Duration::from_millis(200);

/// Says whether podgate may take traffic; if not, why.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What reviews are judged by, and for whom.
pub struct Reviews {
    pub policies: Policies,
    /// Tells of every change of them; without a sender there is none to wait for.
    pub changes: watch::Receiver<Option<Arc<PolicySet>>>,
    /// Who has room of its own.
    pub callers: Callers,
    pub metrics: AdmissionMetrics,
    /// The admin's own page, with which denials end.
    pub docs_url: Option<Arc<str>>,
    /// Who repairs workloads, if podgate does.
    pub own_user: Option<Arc<str>>,
    /// Who judges the beats.
    pub alive: Arc<Alive>,
}

/// What reviews share.
struct Webhook {
    reviews: Reviews,
    limits: Limits,
    judging: Judging,
    costly: costly::Turns,
    refusals: Seldom,
}

/// How many reviews may be judged now.
struct Judging {
    known: Semaphore,
    /// Fewer than there are cores, where there are several: one is left to those that are known.
    unknown: Semaphore,
}

impl Judging {
    fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let unknown = cores.saturating_sub(1).clamp(1, MAX_JUDGED);
        Self { known: Semaphore::new(MAX_JUDGED), unknown: Semaphore::new(unknown) }
    }

    /// Waits until a caller's review may be judged, which it may until this is dropped.
    async fn turn(&self, caller: Caller) -> Result<SemaphorePermit<'_>, Refusal> {
        let turns = if caller.known { &self.known } else { &self.unknown };
        turns.acquire().await.map_err(|_| Refusal::Unfinished)
    }
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

/// The TLS side: reviews and health.
pub fn router(reviews: Reviews, readiness: Readiness) -> Router {
    let webhook = Arc::new(Webhook {
        reviews,
        limits: Limits::default(),
        judging: Judging::new(),
        costly: costly::Turns::default(),
        refusals: Seldom::default(),
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

async fn answer(webhook: &Arc<Webhook>, door: Door, request: Request) -> Response {
    let started = Instant::now();
    let metrics = &webhook.reviews.metrics;
    let _in_flight = metrics.in_flight();
    let response = match verdict(webhook, door, request).await {
        Ok(judged) => {
            metrics.judged(&summary(door, &judged));
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
            let (door, reason) = (door.as_str(), refusal.reason());
            metrics.refused(door, if shed { "shed" } else { "error" }, reason);
            if let Some(left_out) = webhook.refusals.line(started.into_std()) {
                tracing::warn!(webhook = door, reason, left_out, "a review could not be judged");
            }
            refusal.into_response()
        }
    };
    metrics.took(started.elapsed());
    response
}

async fn verdict(webhook: &Arc<Webhook>, door: Door, request: Request) -> Result<Judged, Refusal> {
    let caller = match caller(&webhook.reviews.callers, &request) {
        Ok(caller) => caller,
        Err(refusal) => return Err(pass_over(request.into_body(), refusal).await),
    };
    let admitted = webhook.limits.read(caller, request).await?;
    let deadline = admitted.deadline;
    let judged = timeout_at(deadline, judge(webhook, door, &admitted));
    judged.await.unwrap_or(Err(Refusal::TooLate))
}

/// Who asks, who must have shown a certificate where one is asked for.
fn caller(callers: &Callers, request: &Request) -> Result<Caller, Refusal> {
    let extensions = request.extensions();
    if extensions.get() == Some(&Certificate::Missing) {
        return Err(Refusal::NoCertificate);
    }
    // Without an address it came by no connection of this server's.
    let address = extensions.get().map_or(Ipv6Addr::UNSPECIFIED.into(), |it: &PeerAddress| it.0);
    Ok(Caller { address, known: callers.is_known(address, Instant::now().into_std()) })
}

/// Judges by one load of the policies. A namespace may be younger than what is known of it: then its review is judged
/// once it is known, if that is soon.
async fn judge(webhook: &Arc<Webhook>, door: Door, admitted: &Admitted) -> Result<Judged, Refusal> {
    let mut judged = judge_now(webhook, door, admitted).await?;
    if let Err(BadReview::UnknownNamespace(name)) = &judged
        && becomes_known(webhook, name, admitted).await
    {
        judged = judge_now(webhook, door, admitted).await?;
    }
    Ok(judged?)
}

/// Waits until the labels of a namespace are known, for a while; says whether they are. Nobody who is not known keeps
/// others from their turn by that.
async fn becomes_known(webhook: &Webhook, namespace: &str, admitted: &Admitted) -> bool {
    let holds_others_up = admitted.is_large() && !admitted.caller.known;
    if namespace.len() > MAX_NAMESPACE || holds_others_up {
        return false;
    }
    let known = |policies: &Option<Arc<PolicySet>>| {
        policies.as_ref().is_some_and(|it| it.covering(Some(namespace)).is_ok())
    };
    let mut changes = webhook.reviews.changes.clone();
    let patience = Instant::now() + NAMESPACE_PATIENCE;
    matches!(timeout_at(patience, changes.wait_for(known)).await, Ok(Ok(_)))
}

/// What a try to judge comes to.
type ReviewResult = Result<Judged, BadReview>;

/// One pass over the bytes.
async fn judge_now(
    webhook: &Arc<Webhook>,
    door: Door,
    admitted: &Admitted,
) -> Result<ReviewResult, Refusal> {
    let caller = admitted.caller;
    let turn = webhook.judging.turn(caller).await?;
    let judged = if admitted.is_large() {
        // Others are not to wait while it is decoded.
        let (webhook, body) = (Arc::clone(webhook), admitted.body.clone());
        let judged =
            tokio::task::spawn_blocking(move || pass(&webhook, door, caller, &body, AT_ONCE));
        judged.await.map_err(|_| Refusal::Unfinished)?
    } else {
        pass(webhook, door, caller, &admitted.body, AT_ONCE)
    }?;
    drop(turn);
    match judged {
        Ok(interrupted) if interrupted.interrupted.is_some() => {
            judge_costly(webhook, door, admitted, interrupted).await
        }
        judged => Ok(judged),
    }
}

/// Judges a review whose expressions cost much, when it is its turn. If that is not in time, what is known counts:
/// that they are undecided.
async fn judge_costly(
    webhook: &Arc<Webhook>,
    door: Door,
    admitted: &Admitted,
    interrupted: Judged,
) -> Result<ReviewResult, Refusal> {
    let end = admitted.deadline.checked_sub(TO_ANSWER).unwrap_or(admitted.deadline);
    let namespace = interrupted.interrupted.as_deref().unwrap_or_default();
    let Ok(Some(turn)) = timeout_at(end, webhook.costly.turn(namespace)).await else {
        return Ok(Ok(interrupted));
    };
    let cost = cost_within(end.saturating_duration_since(Instant::now()));
    let (webhook, caller, body) = (Arc::clone(webhook), admitted.caller, admitted.body.clone());
    let judged = tokio::task::spawn_blocking(move || {
        let judged = pass(&webhook, door, caller, &body, cost);
        drop(turn);
        judged
    });
    match timeout_at(end, judged).await {
        Ok(judged) => judged.map_err(|_| Refusal::Unfinished)?,
        Err(_) => Ok(Ok(interrupted)),
    }
}

/// One pass over the bytes, in which nothing waits; `cost` is what expressions may cost.
fn pass(
    webhook: &Webhook,
    door: Door,
    caller: Caller,
    body: &[u8],
    cost: u64,
) -> Result<ReviewResult, Refusal> {
    let reviews = &webhook.reviews;
    let policies = reviews.policies.load();
    let policies = policies.as_ref().ok_or(Refusal::NotReady)?;
    let now = Timestamp::now();
    let (docs_url, own_user) = (reviews.docs_url.as_deref(), reviews.own_user.as_deref());
    let reviewer = Reviewer { policies, docs_url, own_user, cost, now };
    Ok(match door {
        Door::Validate => reviewer.validate(body),
        Door::Mutate => mutate_review(body, policies, now),
        Door::Alive => {
            let now = (now, Instant::now().into_std());
            reviews.alive.judge(body, caller.address, now)
        }
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
