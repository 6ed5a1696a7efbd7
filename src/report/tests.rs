use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{Request, Response};
use futures::FutureExt;
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use crate::api::{ClusterDevOpsPolicySpec, DevOpsPolicySpec, Severity};
use crate::policy::compile::{Origin, Policy, Scope};
use crate::policy::picture::{Fault, NamespacePicture, Summary, Violation, WorkloadKey};

/// An API server that gives these answers in order, and remembers what it was asked. What it was not told to answer,
/// it answers with 500.
#[derive(Clone, Default)]
pub(super) struct Script {
    answers: Arc<Mutex<Vec<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Script {
    pub fn new(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self { answers, asked: Arc::default() }
    }

    pub fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    /// `METHOD PATH` of every request.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(asked, _)| asked.clone()).collect()
    }

    /// The body of a request.
    pub fn sent(&self, index: usize) -> Value {
        self.asked.lock().unwrap()[index].1.clone()
    }
}

impl tower_service::Service<Request<kube::client::Body>> for Script {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let asked = format!("{} {}", request.method(), request.uri());
        let body = request.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        self.asked.lock().unwrap().push((asked, body));
        let mut answers = self.answers.lock().unwrap();
        let (status, body) =
            if answers.is_empty() { (500, Value::Null) } else { answers.remove(0) };
        ready(Ok(Response::builder().status(status).body(Body::from(body.to_string())).unwrap()))
    }
}

/// A refusal as the API server words it.
pub(super) fn refusal(code: u16) -> (u16, Value) {
    (code, json!({"kind": "Status", "status": "Failure", "message": "no", "code": code}))
}

fn with_origin(mut policy: Policy) -> Arc<Policy> {
    policy.origin = Some(Origin { uid: format!("uid-of-{}", policy.name), generation: 1 });
    Arc::new(policy)
}

/// Of the namespace `shop`.
pub(super) fn policy(name: &str) -> Arc<Policy> {
    let scope = Scope::Namespace("shop".to_owned());
    with_origin(Policy::compile(scope, name.to_owned(), &DevOpsPolicySpec::default()).unwrap())
}

pub(super) fn cluster_policy(name: &str) -> Arc<Policy> {
    let spec = ClusterDevOpsPolicySpec::default();
    with_origin(Policy::compile_cluster(name.to_owned(), &spec).unwrap())
}

/// Of a Deployment in `shop`.
pub(super) fn violation(name: &str, rule: &'static str) -> Violation {
    Violation {
        workload: Arc::new(WorkloadKey {
            namespace: "shop".to_owned(),
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
        }),
        severity: Severity::High,
        fault: Arc::new(Fault {
            rule,
            id: rule.to_owned(),
            container: Some("web".to_owned()),
            path: "spec.containers[0].image".to_owned(),
            message: "spec.containers[0].image is \"nginx\" (no tag means :latest); give a version, such as nginx:1.29".to_owned(),
            undecided: false,
        }),
        began: Timestamp::from_second(1_700_000_000).unwrap(),
        pods: 1,
    }
}

pub(super) fn picture(policy: Arc<Policy>, worst: Vec<Violation>) -> NamespacePicture {
    let fail = worst.len().try_into().unwrap();
    let summary = Summary { pass: 4, fail, error: 0, skip: 2 };
    NamespacePicture { policy, namespace: "shop".to_owned(), summary, worst }
}
