//! A scripted API server for unit tests.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{Request, Response};
use futures::FutureExt;
use http_body_util::BodyExt;
use kube::Client;
use serde_json::Value;

/// An API server that gives scripted answers in order and records the requests. A string is answered as plain text,
/// every other value as JSON. After the last answer, it answers with status 500.
#[derive(Clone, Default)]
pub(crate) struct Script {
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
        let body = match body {
            Value::String(text) => text,
            json => json.to_string(),
        };
        ready(Ok(Response::builder().status(status).body(Body::from(body)).unwrap()))
    }
}
