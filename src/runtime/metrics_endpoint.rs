//! The plain-text listener: `/metrics`, `/healthz` and `/readyz`.

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::admission::handler::{self, Readiness};
use crate::metrics::Metrics;

pub(super) fn router(metrics: Metrics, readiness: Readiness) -> Router {
    let expose = move || async move {
        match metrics.expose() {
            Ok(text) => ([("content-type", prometheus::TEXT_FORMAT)], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    };
    handler::health_router(readiness).route("/metrics", get(expose))
}
