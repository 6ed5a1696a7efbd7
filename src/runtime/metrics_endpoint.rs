//! The plain-text listener: `/metrics`, `/healthz` and `/readyz`.

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::admission::callers::Callers;
use crate::admission::connections::{Capacity, Connections};
use crate::admission::handler::{self, Readiness};
use crate::admission::server::Server;
use crate::metrics::Metrics;

pub(super) fn server(metrics: &Metrics, readiness: Readiness, capacity: Capacity) -> Server {
    let connections = Connections::new(capacity, Callers::default(), metrics.connections.clone());
    let router = router(metrics.clone(), readiness);
    Server { tls: None, asks_certificates: false, router, connections }
}

pub(super) fn router(metrics: Metrics, readiness: Readiness) -> Router {
    let expose = move || async move {
        match metrics.expose() {
            Ok(text) => ([("content-type", prometheus::TEXT_FORMAT)], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    };
    handler::health_router(readiness).route("/metrics", get(expose))
}
