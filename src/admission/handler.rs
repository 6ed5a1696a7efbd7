//! The HTTP routes: `/validate`, `/mutate` and `/alive` turn a request into an AdmissionReview or, with a [`Refusal`],
//! into an HTTP error; `/healthz` and `/readyz` report health.
//!
//! A review is judged by one load of the policies: [`answer`] → [`verdict`] (limits) → [`judge`] → [`pass`].

use std::net::Ipv6Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout_at};

use super::alive::{Alive, Now};
use super::body;
use super::callers::{Caller, Callers, ClientCertificate, PeerAddress};
use super::judged::{Denial, Judged};
use super::judging::{AT_ONCE, Judging, cost_within};
use super::limits::{Admitted, Limits};
use super::log_limit::LogLimit;
use super::mutate::mutate_review;
use super::refusal::Refusal;
use super::retries::Retries;
use super::review::BadReview;
use super::validate::Reviewer;
use crate::metrics::{AdmissionMetrics, ReviewSummary};
use crate::policies::Policies;
use crate::policy::grace::ControllerUsers;
use crate::policy::policy_set::PolicySet;

/// How long a review waits for a new namespace's labels.
const NAMESPACE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest name of a namespace (an RFC 1123 label). A review of a longer one does not wait.
const MAX_NAMESPACE: usize = 63;
/// The part of a review's time that expressions must leave for the answer.
const ANSWER_TIME: Duration = Duration::from_millis(200);

/// Whether podgate may take traffic; an error says why not.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the webhooks need to judge reviews.
#[derive(Clone)]
pub struct Reviews {
    pub policies: Policies,
    /// The policies at each change. If its sender was dropped, reviews wait for no change.
    pub changes: watch::Receiver<Option<Arc<PolicySet>>>,
    pub callers: Callers,
    pub metrics: AdmissionMetrics,
    /// The URL that denials end with: the admin's own page.
    pub docs_url: Option<Arc<str>>,
    /// podgate's user name, where it repairs workloads.
    pub own_user: Option<Arc<str>>,
    /// The users of Kubernetes' controllers.
    pub controllers: ControllerUsers,
    pub alive: Arc<Alive>,
}

/// The state that all reviews share.
struct Webhooks {
    reviews: Reviews,
    limits: Limits,
    judging: Judging,
    log_limit: LogLimit,
    retries: Retries,
}

/// A webhook, by its path.
#[derive(Clone, Copy)]
enum WebhookPath {
    Validate,
    Mutate,
    Alive,
}

impl WebhookPath {
    /// The name in metrics and logs.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Mutate => "mutate",
            Self::Alive => "alive",
        }
    }
}

/// The routes of the TLS listener: reviews and health.
pub fn router(reviews: Reviews, readiness: Readiness) -> Router {
    let webhooks = Arc::new(Webhooks {
        reviews,
        limits: Limits::default(),
        judging: Judging::default(),
        log_limit: LogLimit::default(),
        retries: Retries::default(),
    });
    let route = |path: WebhookPath| {
        post(move |State(webhooks): State<Arc<Webhooks>>, request: Request| async move {
            answer(&webhooks, path, request).await
        })
    };
    Router::new()
        .route("/validate", route(WebhookPath::Validate))
        .route("/mutate", route(WebhookPath::Mutate))
        .route("/alive", route(WebhookPath::Alive))
        .with_state(webhooks)
        .merge(health_router(readiness))
}

/// The health routes: `/healthz` succeeds while the process serves, `/readyz` while it should get traffic.
pub fn health_router(readiness: Readiness) -> Router {
    let ready = move || async move {
        match readiness() {
            Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        }
    };
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready))
}

async fn answer(webhooks: &Arc<Webhooks>, path: WebhookPath, request: Request) -> Response {
    let started = Instant::now();
    let metrics = &webhooks.reviews.metrics;
    let _in_flight = metrics.in_flight();
    let response = match verdict(webhooks, path, request).await {
        Ok(judged) => {
            let template = judged.denial.as_ref().and_then(|denial| denial.template);
            let retry = template
                .is_some_and(|template| webhooks.retries.is_retry(template, started.into_std()));
            metrics.judged(&summary(path, &judged, retry));
            if let Some(denial) = judged.denial.as_ref().filter(|_| !retry) {
                log_denial(denial, &judged);
            }
            let mut response =
                ([(CONTENT_TYPE, "application/json")], judged.answer).into_response();
            if matches!(path, WebhookPath::Alive) {
                // The next beat then takes a new connection, and may reach another replica: each must learn the
                // callers.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
        Err(refusal) => {
            let shed = matches!(refusal, Refusal::Overloaded);
            let (webhook, reason) = (path.as_str(), refusal.reason());
            metrics.refused(webhook, if shed { "shed" } else { "error" }, reason);
            if let Some(left_out) = webhooks.log_limit.next_line(started.into_std()) {
                tracing::warn!(webhook, reason, left_out, "a review could not be judged");
            }
            refusal.into_response()
        }
    };
    metrics.took(started.elapsed());
    response
}

async fn verdict(
    webhooks: &Arc<Webhooks>,
    path: WebhookPath,
    request: Request,
) -> Result<Judged, Refusal> {
    let caller = match caller(&webhooks.reviews.callers, &request) {
        Ok(caller) => caller,
        Err(refusal) => return Err(body::refuse(request.into_body(), refusal).await),
    };
    let admitted = webhooks.limits.read(caller, request).await?;
    let deadline = admitted.deadline;
    let judged = timeout_at(deadline, judge(webhooks, path, &admitted));
    judged.await.unwrap_or(Err(Refusal::TooLate))
}

/// The caller, which must have shown a certificate where `--client-ca` asks for one.
fn caller(callers: &Callers, request: &Request) -> Result<Caller, Refusal> {
    let extensions = request.extensions();
    if extensions.get() == Some(&ClientCertificate::Missing) {
        return Err(Refusal::NoCertificate);
    }
    // A request without a peer address did not come through this server.
    let address = extensions.get().map_or(Ipv6Addr::UNSPECIFIED.into(), |it: &PeerAddress| it.0);
    Ok(Caller { address, known: callers.is_known(address, Instant::now().into_std()) })
}

/// Judges a review. The review of a new namespace whose labels are not known yet waits for them for a while, and is
/// judged again.
async fn judge(
    webhooks: &Arc<Webhooks>,
    path: WebhookPath,
    admitted: &Admitted,
) -> Result<Judged, Refusal> {
    let judged = judge_now(webhooks, path, admitted).await;
    if let Err(Refusal::Review(BadReview::UnknownNamespace(name))) = &judged
        && becomes_known(webhooks, name, admitted).await
    {
        return judge_now(webhooks, path, admitted).await;
    }
    judged
}

/// Waits until the labels of a namespace are known; false if they stay unknown. A large body of an unknown caller does
/// not wait: it would hold up the queue of large bodies.
async fn becomes_known(webhooks: &Webhooks, namespace: &str, admitted: &Admitted) -> bool {
    let holds_others_up = admitted.is_large() && !admitted.caller.known;
    if namespace.len() > MAX_NAMESPACE || holds_others_up {
        return false;
    }
    let known = |policies: &Option<Arc<PolicySet>>| {
        policies.as_ref().is_some_and(|it| it.covering(Some(namespace)).is_ok())
    };
    let mut changes = webhooks.reviews.changes.clone();
    let until = Instant::now() + NAMESPACE_TIMEOUT;
    matches!(timeout_at(until, changes.wait_for(known)).await, Ok(Ok(_)))
}

/// Judges a review by the policies of this moment.
async fn judge_now(
    webhooks: &Arc<Webhooks>,
    path: WebhookPath,
    admitted: &Admitted,
) -> Result<Judged, Refusal> {
    let caller = admitted.caller;
    let turn = webhooks.judging.turn(caller).await.ok_or(Refusal::Unfinished)?;
    let judged = if admitted.is_large() {
        // In another thread, so that decoding does not delay other reviews.
        let (webhooks, body) = (Arc::clone(webhooks), admitted.body.clone());
        let judged =
            tokio::task::spawn_blocking(move || pass(&webhooks, path, caller, &body, AT_ONCE));
        judged.await.map_err(|_| Refusal::Unfinished)?
    } else {
        pass(webhooks, path, caller, &admitted.body, AT_ONCE)
    }?;
    drop(turn);
    if judged.interrupted.is_some() {
        judge_costly(webhooks, path, admitted, judged).await
    } else {
        Ok(judged)
    }
}

/// Judges a review with costly expressions again, when its turn comes. If the turn does not come in time, the
/// interrupted judgement stands, in which these validations are undecided.
async fn judge_costly(
    webhooks: &Arc<Webhooks>,
    path: WebhookPath,
    admitted: &Admitted,
    interrupted: Judged,
) -> Result<Judged, Refusal> {
    let end = admitted.deadline.checked_sub(ANSWER_TIME).unwrap_or(admitted.deadline);
    let namespace = interrupted.interrupted.as_deref().unwrap_or_default();
    let Ok(Some(turn)) = timeout_at(end, webhooks.judging.costly_turn(namespace)).await else {
        return Ok(interrupted);
    };
    let cost = cost_within(end.saturating_duration_since(Instant::now()));
    let (webhooks, caller, body) = (Arc::clone(webhooks), admitted.caller, admitted.body.clone());
    let judged = tokio::task::spawn_blocking(move || {
        let judged = pass(&webhooks, path, caller, &body, cost);
        drop(turn);
        judged
    });
    match timeout_at(end, judged).await {
        Ok(judged) => judged.map_err(|_| Refusal::Unfinished)?,
        Err(_) => Ok(interrupted),
    }
}

/// Decodes and judges the body in one pass, without waiting. `cost` bounds the expressions.
fn pass(
    webhooks: &Webhooks,
    path: WebhookPath,
    caller: Caller,
    body: &[u8],
    cost: u64,
) -> Result<Judged, Refusal> {
    let reviews = &webhooks.reviews;
    let policies = reviews.policies.load();
    let policies = policies.as_ref().ok_or(Refusal::NotReady)?;
    let now = Timestamp::now();
    let (docs_url, own_user) = (reviews.docs_url.as_deref(), reviews.own_user.as_deref());
    let (controllers, seed) = (&reviews.controllers, &webhooks.retries.seed);
    let observer = None;
    let reviewer =
        Reviewer { policies, docs_url, own_user, controllers, cost, now, seed, observer };
    let judged = match path {
        WebhookPath::Validate => reviewer.validate(body),
        WebhookPath::Mutate => mutate_review(body, policies, now),
        WebhookPath::Alive => {
            let now = Now { time: now, instant: Instant::now().into_std() };
            reviews.alive.judge(body, caller.address, now)
        }
    };
    Ok(judged?)
}

fn summary(path: WebhookPath, judged: &Judged, retry: bool) -> ReviewSummary<'_> {
    ReviewSummary {
        webhook: path.as_str(),
        operation: judged.operation.as_str(),
        kind: judged.kind.map_or("other", |kind| kind.names().kind),
        decision: judged.decision,
        decided: &judged.decided,
        retry,
        patch_operations: judged.patch_operations,
    }
}

/// Logs one line for a denial, with names only.
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
