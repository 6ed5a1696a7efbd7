//! A client of the API server with the admin's permissions.

use std::path::Path;

use axum::http::{Method, Request};
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::cluster;

/// The status of a refused request.
#[derive(Debug)]
pub struct Refused {
    pub code: u16,
    pub message: String,
}

pub struct Api {
    client: Client,
    pub runtime: Runtime,
}

impl Api {
    pub fn new(kubeconfig: &Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(cluster::client(kubeconfig));
        Self { client, runtime }
    }

    pub fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|refused| panic!("{path}: {refused:?}"))
    }

    pub fn try_get(&self, path: &str) -> Result<Value, Refused> {
        self.ask(&Method::GET, path, "", &Value::Null)
    }

    /// The items of a list.
    pub fn list(&self, path: &str) -> Vec<Value> {
        self.get(path)["items"].as_array().cloned().unwrap_or_default()
    }

    pub fn post(&self, path: &str, object: &Value) -> Value {
        let made = self.ask(&Method::POST, path, "application/json", object);
        made.unwrap_or_else(|refused| panic!("{path}: {refused:?}: {object}"))
    }

    /// Replaces an object.
    pub fn put(&self, path: &str, object: &Value) -> Result<Value, Refused> {
        self.ask(&Method::PUT, path, "application/json", object)
    }

    /// A JSON merge patch.
    pub fn merge(&self, path: &str, change: &Value) -> Result<Value, Refused> {
        self.ask(&Method::PATCH, path, "application/merge-patch+json", change)
    }

    /// A JSON patch.
    pub fn patch(&self, path: &str, operations: &Value) -> Result<Value, Refused> {
        self.ask(&Method::PATCH, path, "application/json-patch+json", operations)
    }

    /// Deletes an object that may be gone already.
    pub fn delete(&self, path: &str) {
        match self.ask(&Method::DELETE, path, "", &Value::Null) {
            Ok(_) => {}
            Err(refused) => assert_eq!(refused.code, 404, "{refused:?}"),
        }
    }

    fn ask(&self, how: &Method, path: &str, kind: &str, body: &Value) -> Result<Value, Refused> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder()
            .method(how)
            .uri(path)
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap();
        self.runtime.block_on(async {
            let answer = self.client.send(request).await;
            let answer = answer.map_err(|it| Refused { code: 0, message: it.to_string() })?;
            let code = answer.status().as_u16();
            let body = answer.into_body().collect_bytes().await;
            let body = body.map_err(|it| Refused { code: 0, message: it.to_string() })?;
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            if code < 300 {
                return Ok(body);
            }
            Err(Refused { code, message: body["message"].as_str().unwrap_or_default().to_owned() })
        })
    }
}
