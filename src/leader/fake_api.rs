//! An API server that keeps one Lease in memory, refuses a write of an old version, and can fall silent.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use serde_json::{Value, json};

#[derive(Clone, Default)]
pub(super) struct FakeApi(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lease: Option<Value>,
    version: u64,
    /// Takes requests and answers none.
    silent: bool,
    /// Answers this to everything.
    refuses: Option<u16>,
}

impl FakeApi {
    pub fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    pub fn lease(&self) -> Option<Value> {
        self.0.lock().unwrap().lease.clone()
    }

    pub fn holder(&self) -> Option<String> {
        self.lease()?["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }

    /// Puts a Lease there as somebody else would.
    pub fn put(&self, lease: Value) {
        self.0.lock().unwrap().store(lease);
    }

    pub fn delete(&self) {
        self.0.lock().unwrap().lease = None;
    }

    pub fn silent(&self, silent: bool) {
        self.0.lock().unwrap().silent = silent;
    }

    pub fn refuse(&self, code: Option<u16>) {
        self.0.lock().unwrap().refuses = code;
    }
}

impl State {
    fn store(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        lease
    }

    fn answer(&mut self, method: &Method, body: &[u8]) -> (u16, Value) {
        let refuse = |code: u16| {
            let reason = if code == 404 { "NotFound" } else { "" };
            let status = json!({"kind": "Status", "code": code, "reason": reason, "message": "no"});
            (code, status)
        };
        if let Some(code) = self.refuses {
            return refuse(code);
        }
        let sent = || serde_json::from_slice::<Value>(body).unwrap();
        match (method, self.lease.clone()) {
            // What names no version is made, and replaces nothing.
            (&Method::PUT, None) if sent()["metadata"]["resourceVersion"].is_null() => {
                (201, self.store(sent()))
            }
            (_, None) => refuse(404),
            (&Method::GET, Some(lease)) => (200, lease),
            (&Method::PUT, Some(lease)) => {
                let sent = sent();
                let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
                if version(&sent).is_null() {
                    refuse(422)
                } else if version(&sent) == version(&lease) {
                    (200, self.store(sent))
                } else {
                    refuse(409)
                }
            }
            (method, _) => panic!("podgate may not {method} a Lease"),
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl tower_service::Service<Request<kube::client::Body>> for FakeApi {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Answer {
        let api = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            if api.0.lock().unwrap().silent {
                pending::<()>().await;
            }
            let (status, answer) = api.0.lock().unwrap().answer(&parts.method, &body);
            Ok(Response::builder().status(status).body(Body::from(answer.to_string())).unwrap())
        })
    }
}

/// Waits until something is so.
pub(super) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
