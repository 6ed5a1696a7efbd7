//! An API server that only reads out what a test gives it, for commands that need no control plane.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::binary;
use super::ran::Ran;

/// The answers by path, and the requests so far. A path without an answer is an empty list.
#[derive(Default)]
struct Stub {
    answers: BTreeMap<String, (u16, String)>,
    asked: Mutex<Vec<String>>,
}

/// A server in a thread of its own, which ends with the test's process.
pub struct StubApi {
    stub: Arc<Stub>,
    url: String,
    folder: TempDir,
}

/// The answers of a [`StubApi`].
#[derive(Default)]
pub struct Answers(BTreeMap<String, (u16, String)>);

impl Answers {
    /// A list of objects.
    pub fn list(self, path: &str, items: &[Value]) -> Self {
        self.text(path, &json!({"metadata": {}, "items": items}).to_string())
    }

    pub fn text(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.to_owned(), (200, text.to_owned()));
        self
    }

    /// The user may not read it.
    pub fn forbid(self, path: &str) -> Self {
        self.status(path, 403)
    }

    /// The API server answers with this status.
    pub fn status(mut self, path: &str, code: u16) -> Self {
        let reason = match code {
            403 => "Forbidden",
            404 => "NotFound",
            _ => "InternalError",
        };
        let message = format!("{path} is refused");
        let status = json!({"kind": "Status", "code": code, "reason": reason, "message": message});
        self.0.insert(path.to_owned(), (code, status.to_string()));
        self
    }

    /// # Panics
    /// The server cannot listen.
    pub fn serve(self) -> StubApi {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "stub",
            "clusters": [{
                "name": "stub",
                "cluster": {"server": url},
            }],
            "users": [{"name": "jane", "user": {}}],
            "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "jane"}}],
        });
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let stub = Arc::new(Stub { answers: self.0, ..Stub::default() });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&stub));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        StubApi { stub, url, folder }
    }
}

/// An object with this name, and of this namespace if it has one.
pub fn named(namespace: Option<&str>, name: &str, mut rest: Value) -> Value {
    rest["metadata"]["name"] = name.into();
    if let Some(namespace) = namespace {
        rest["metadata"]["namespace"] = namespace.into();
    }
    rest
}

async fn answer(State(stub): State<Arc<Stub>>, request: Request) -> (StatusCode, String) {
    let path = request.uri().path();
    stub.asked.lock().unwrap().push(format!("{} {path}", request.method()));
    if request.method() != Method::GET {
        return (StatusCode::METHOD_NOT_ALLOWED, String::new());
    }
    let nothing = || (200, json!({"metadata": {}, "items": []}).to_string());
    let (status, text) = stub.answers.get(path).cloned().unwrap_or_else(nothing);
    (StatusCode::from_u16(status).unwrap(), text)
}

impl StubApi {
    /// Runs podgate against it.
    pub fn run(&self, args: &[&str]) -> Ran {
        let mut podgate = binary::command();
        podgate.args(args).arg("--kubeconfig").arg(self.folder.path().join("kubeconfig"));
        let output: Output = podgate.output().unwrap();
        Ran::of(&output)
    }

    /// Its address, for a kubeconfig of several clusters.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// `METHOD PATH` of every request.
    pub fn asked(&self) -> Vec<String> {
        self.stub.asked.lock().unwrap().clone()
    }
}
