//! Write requests in every form that the API server accepts.

use axum::http::{HeaderValue, Method, Request};
use kube::api::DeleteParams;
use kube::client::Body;
use podgate::policy::workload::Kind;
use serde_json::Value;

use super::cluster::{Cluster, Namespace, Rejection};

/// The form of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Write {
    Post,
    Put,
    JsonPatch,
    MergePatch,
    StrategicPatch,
    /// Server-side apply, by the field manager `test`, who takes over fields of other managers.
    Apply,
}

impl Write {
    fn method(self) -> Method {
        match self {
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            _ => Method::PATCH,
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Post | Self::Put => "application/json",
            Self::JsonPatch => "application/json-patch+json",
            Self::MergePatch => "application/merge-patch+json",
            Self::StrategicPatch => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// Whether a write is real or a dry run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Run {
    Real,
    Dry,
}

/// The API server's response.
#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    /// The object, or the `Status` with the error.
    pub body: Value,
    /// The raw `Warning` headers.
    pub warnings: Vec<String>,
}

impl Reply {
    pub fn admitted(&self) -> bool {
        self.code < 300
    }

    /// The message of a refusal.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// Asserts that the write was admitted; returns the object.
    pub fn object(self) -> Value {
        assert!(self.admitted(), "refused: {}", self.message());
        self.body
    }

    /// Asserts that podgate denied the write; returns the denial.
    pub fn rejection(self) -> Rejection {
        self.verdict().expect_err("the write was admitted")
    }

    /// The object, or podgate's denial.
    pub fn verdict(self) -> Result<Value, Rejection> {
        if self.admitted() {
            return Ok(self.body);
        }
        assert_eq!(self.code, 403, "{}", self.message());
        Err(Rejection::new(self.message().to_owned()))
    }
}

/// The object without its version, so that a PUT succeeds even if a controller has written meanwhile.
pub fn unversioned(mut object: Value) -> Value {
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    object
}

impl Cluster {
    /// Reads the object at a path.
    pub fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap()
    }

    /// The same for an object that may not exist yet.
    pub fn try_get(&self, path: &str) -> Result<Value, String> {
        let request = Request::get(path).body(Vec::new()).unwrap();
        self.wait(self.client.request(request)).map_err(|error| error.to_string())
    }

    /// Writes at a path: a collection for POST, else an object or a subresource of it.
    pub fn write(&self, run: Run, write: Write, path: &str, body: &Value) -> Reply {
        let dry_run = if run == Run::Dry { "&dryRun=All" } else { "" };
        let force = if write == Write::Apply { "&force=true" } else { "" };
        let request = Request::builder()
            .method(write.method())
            .uri(format!("{path}?fieldManager=test{force}{dry_run}"))
            .header("content-type", write.content_type())
            .body(Body::from(body.to_string().into_bytes()))
            .unwrap();
        self.wait(async {
            let response = self.client.send(request).await.unwrap();
            let code = response.status().as_u16();
            let warnings = response.headers().get_all("warning").iter();
            let text = |it: &HeaderValue| String::from_utf8_lossy(it.as_bytes()).into_owned();
            let warnings = warnings.map(text).collect();
            let body = response.into_body().collect_bytes().await.unwrap();
            Reply { code, body: serde_json::from_slice(&body).unwrap(), warnings }
        })
    }
}

impl Namespace<'_> {
    /// The path of a kind's objects; `below` is an object's name, with its subresource.
    pub fn path(&self, kind: Kind, below: &str) -> String {
        let names = kind.names();
        let root = if names.group.is_empty() { "/api" } else { "/apis" };
        let slash = if below.is_empty() { "" } else { "/" };
        let (version, resource) = (names.api_version(), names.resource);
        format!("{root}/{version}/namespaces/{}/{resource}{slash}{below}", self.name)
    }

    /// Writes an object, or a subresource of it: `web/status`.
    pub fn write(&self, run: Run, write: Write, kind: Kind, at: &str, body: &Value) -> Reply {
        self.cluster.write(run, write, &self.path(kind, at), body)
    }

    /// The current object.
    pub fn get(&self, kind: Kind, name: &str) -> Value {
        self.cluster.get(&self.path(kind, name))
    }

    /// The same for an object that may be gone.
    pub fn try_get(&self, kind: Kind, name: &str) -> Result<Value, String> {
        self.cluster.try_get(&self.path(kind, name))
    }

    /// Deletes an object, which stays while a finalizer holds it.
    pub fn delete(&self, kind: Kind, name: &str) {
        let call = self.api(kind);
        self.cluster.wait(call.delete(name, &DeleteParams::background())).unwrap();
    }
}
