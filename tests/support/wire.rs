//! Writes as they go over the wire, in every form the API server takes.

use axum::http::{HeaderValue, Method, Request};
use kube::api::DeleteParams;
use kube::client::Body;
use podgate::policy::workload::Kind;
use serde_json::Value;

use super::cluster::{Cluster, Namespace, Rejection};

/// How an object is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Write {
    Post,
    Put,
    JsonPatch,
    MergePatch,
    StrategicPatch,
    /// Server-side apply, by the field manager `test`, who takes what others own.
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

/// Whether a write is to happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Run {
    Real,
    Dry,
}

/// What the API server answered.
#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    /// The object, or the `Status` that says why there is none.
    pub body: Value,
    /// The `Warning` headers, as they stand.
    pub warnings: Vec<String>,
}

impl Reply {
    pub fn admitted(&self) -> bool {
        self.code < 300
    }

    /// What a refusal says.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// The object, of a write that was admitted.
    pub fn object(self) -> Value {
        assert!(self.admitted(), "refused: {}", self.message());
        self.body
    }

    /// podgate's refusal.
    pub fn rejection(self) -> Rejection {
        self.verdict().expect_err("it was admitted")
    }

    /// Either.
    pub fn verdict(self) -> Result<Value, Rejection> {
        if self.admitted() {
            return Ok(self.body);
        }
        assert_eq!(self.code, 403, "{}", self.message());
        Err(Rejection::new(self.message().to_owned()))
    }
}

/// An object as a PUT replaces whatever stands there by now: a controller may have written meanwhile.
pub fn unversioned(mut object: Value) -> Value {
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    object
}

impl Cluster {
    /// Reads what stands at a path.
    pub fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap()
    }

    /// The same where there may be nothing, or nothing yet.
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
    /// Where a kind's objects are; `below` is an object's name, with its subresource.
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

    /// An object as it stands.
    pub fn get(&self, kind: Kind, name: &str) -> Value {
        self.cluster.get(&self.path(kind, name))
    }

    /// The same where it may be gone.
    pub fn try_get(&self, kind: Kind, name: &str) -> Result<Value, String> {
        self.cluster.try_get(&self.path(kind, name))
    }

    /// Deletes an object, which stays while a finalizer holds it.
    pub fn delete(&self, kind: Kind, name: &str) {
        let call = self.api(kind);
        self.cluster.wait(call.delete(name, &DeleteParams::background())).unwrap();
    }
}
