//! A webhook of the suite, which the API server calls for one namespace.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Bytes;
use axum::routing::post;
use k8s_openapi::ByteString;
use podgate::admission::server::{self, Drain};
use podgate::certs::authority;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use super::api::Api;
use super::shop::Shop;

/// Given a review's request, the JSON patch of the object, or null.
pub type Answer = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

/// A registered webhook; when this value is dropped, it is unregistered and ends.
pub struct Webhook {
    api: Arc<Api>,
    path: String,
    _keeps: Keeps,
}

/// The resources of a webhook, which live as long as it.
enum Keeps {
    Serving {
        _until: watch::Sender<bool>,
    },
    /// A reserved port without a listener.
    Down {
        _port: TcpSocket,
    },
}

const PODS: &str = "pods";
pub const DEPLOYMENTS: &str = "deployments";

impl Webhook {
    /// A webhook that changes pods at creation.
    pub fn of_pods(shop: &Shop<'_>, answer: Answer) -> Self {
        Self::serve(shop, PODS, answer)
    }

    /// A webhook that sees each write to a workload before it happens.
    pub fn of_workloads(shop: &Shop<'_>, answer: Answer) -> Self {
        Self::serve(shop, DEPLOYMENTS, answer)
    }

    /// A webhook that never answers, so that no workload of the namespace can be changed.
    pub fn that_is_down(shop: &Shop<'_>) -> Self {
        // The socket is bound but does not listen: no other process can use its port, and calls are refused.
        let port = TcpSocket::new_v4().unwrap();
        port.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let url = format!("https://{}/", port.local_addr().unwrap());
        let keeps = Keeps::Down { _port: port };
        Self::register(shop, DEPLOYMENTS, &url, &ByteString::default(), keeps)
    }

    fn serve(shop: &Shop<'_>, resources: &str, answer: Answer) -> Self {
        let runtime = &shop.arena.api.runtime;
        let names = ["127.0.0.1".to_owned()];
        let identity = authority::self_signed(&names, SystemTime::now().into()).unwrap();
        let tls = identity.server_config().unwrap();
        let (serving, draining) = watch::channel(false);
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let answers = post(move |review: Bytes| {
            let answer = Arc::clone(&answer);
            async move { tokio::task::block_in_place(|| respond(&review, &answer)) }
        });
        let router = axum::Router::new().route("/", answers);
        runtime.spawn(server::serve(listener, Some(tls), router, draining, Drain::NONE));
        let ca = ByteString(identity.ca.unwrap().into_bytes());
        Self::register(shop, resources, &url, &ca, Keeps::Serving { _until: serving })
    }

    fn register(
        shop: &Shop<'_>,
        resources: &str,
        url: &str,
        ca: &ByteString,
        keeps: Keeps,
    ) -> Self {
        let rule = match resources {
            PODS => json!({"apiGroups": [""], "operations": ["CREATE"], "resources": [PODS]}),
            _ => json!({"apiGroups": ["apps"], "operations": ["UPDATE"],
                "resources": ["deployments", "statefulsets", "daemonsets"]}),
        };
        let mut rule = rule;
        rule["apiVersions"] = json!(["v1"]);
        let configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        let api = Arc::clone(&shop.arena.api);
        api.post(
            configurations,
            &json!({
                "metadata": {"name": shop.name},
                "webhooks": [{
                    "name": "suite.example.com",
                    "clientConfig": {"url": url, "caBundle": ca},
                    "rules": [rule],
                    "namespaceSelector": {"matchLabels": {"shop": shop.name}},
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }],
            }),
        );
        let path = format!("{configurations}/{}", shop.name);
        Self { api, path, _keeps: keeps }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.api.delete(&self.path);
    }
}

fn respond(review: &[u8], answer: &Answer) -> ([(&'static str, &'static str); 1], String) {
    let review: Value = serde_json::from_slice(review).unwrap();
    let request = &review["request"];
    let mut response = json!({"uid": request["uid"], "allowed": true});
    let patch = answer(request);
    if !patch.is_null() {
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(ByteString(patch.to_string().into_bytes()));
    }
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
    });
    ([("content-type", "application/json")], answer.to_string())
}
