//! A third-party mutating webhook: it adds a container to pods, as service meshes and log shippers do.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use axum::body::Bytes;
use axum::routing::post;
use k8s_openapi::ByteString;
use podgate::admission::server::{self, Drain};
use podgate::certs::authority;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::cluster::{Cluster, Namespace};

/// The container that it adds, which satisfies no policy.
pub const CONTAINER: &str = "shipper";

/// A registered webhook; when this value is dropped, it is unregistered and ends.
pub struct Injector<'c> {
    cluster: &'c Cluster,
    configuration: String,
    _serving: watch::Sender<bool>,
}

impl<'c> Injector<'c> {
    /// Serves it for one namespace. The API server calls configurations in the order of their names.
    pub fn register(cluster: &'c Cluster, namespace: &Namespace<'_>, prefix: &str) -> Self {
        let names = ["127.0.0.1".to_owned()];
        let identity = authority::self_signed(&names, SystemTime::now().into()).unwrap();
        let tls = identity.server_config().unwrap();
        let (serving, draining) = watch::channel(false);
        let listener = cluster.wait(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/", post(async |review: Bytes| answer(&review)));
        cluster.spawn(server::serve(listener, Some(tls), router, draining, Drain::NONE));

        let configuration = format!("{prefix}-{}", namespace.name);
        let ca = ByteString(identity.ca.unwrap().into_bytes());
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": configuration},
            "webhooks": [{
                "name": "inject.example.com",
                "clientConfig": {"url": url, "caBundle": ca},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "reinvocationPolicy": "IfNeeded",
                "admissionReviewVersions": ["v1"],
            }],
        });
        cluster.plane.kubectl(&["create", "-f", "-"]).given(&object).ok();
        Self { cluster, configuration, _serving: serving }
    }
}

impl Drop for Injector<'_> {
    fn drop(&mut self) {
        let name = &self.configuration;
        self.cluster.plane.kubectl(&["delete", "mutatingwebhookconfiguration", name]).run();
    }
}

fn answer(review: &[u8]) -> ([(&'static str, &'static str); 1], String) {
    let review: Value = serde_json::from_slice(review).unwrap();
    let request = &review["request"];
    let containers = request["object"]["spec"]["containers"].as_array().unwrap();
    let there = containers.iter().any(|it| it["name"] == CONTAINER);
    let container = json!({"name": CONTAINER, "image": "ghcr.io/example/shipper"});
    let patch = json!([{"op": "add", "path": "/spec/containers/0", "value": container}]);
    let mut response = json!({"uid": request["uid"], "allowed": true});
    if !there {
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(ByteString(patch.to_string().into_bytes()));
    }
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
    });
    ([("content-type", "application/json")], answer.to_string())
}
