//! A client that lists and watches pods and workloads as protobuf, which an API server writes in a third of the time
//! that JSON takes it, and hands them on as JSON with the fields of [`schema`], about a tenth of the whole. The caller
//! sees nothing but JSON, so pages, bookmarks and expired versions are handled where they always were.
//!
//! What is not protobuf (JSON of a server that knows nothing else, the plain text of a 429) is handed on as it is.
//! Protobuf that cannot be read fails that request, and the client asks for JSON from then on.

mod fields;
mod frames;
mod json;
mod schema;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::BoxError;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, Response};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Bytes;
use kube::Client;
use kube::client::Body;
use tower_service::Service;

use fields::Malformed;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PROTOBUF_OR_JSON: HeaderValue =
    HeaderValue::from_static("application/vnd.kubernetes.protobuf, application/json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// `json` keeps pods and workloads in JSON, in case protobuf is to be ruled out as the cause of something.
const ENCODING: &str = "PODGATE_ENCODING";

type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// The same client, for lists and watches of pods and workloads alone: it cannot read the protobuf of other kinds.
/// Whoever needs whole objects (CEL) uses the client itself.
pub fn compact(client: &Client) -> Client {
    let json = std::env::var(ENCODING).is_ok_and(|it| it == "json");
    let compact = Compact { client: client.clone(), protobuf: Arc::new(AtomicBool::new(!json)) };
    Client::new(compact, client.default_namespace())
}

#[derive(Clone)]
struct Compact {
    client: Client,
    /// Whether protobuf is asked for.
    protobuf: Arc<AtomicBool>,
}

impl Service<Request<Body>> for Compact {
    type Response = Response<AnyBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // `send` waits until the client is ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

impl Compact {
    async fn answer(self, mut request: Request<Body>) -> Result<Response<AnyBody>, BoxError> {
        if self.protobuf.load(Ordering::Relaxed) {
            request.headers_mut().insert(ACCEPT, PROTOBUF_OR_JSON);
        }
        let answer = self.client.send(request).await?;
        let format = answer.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let format = format.unwrap_or_default();
        if !format.starts_with(PROTOBUF) {
            return Ok(answer.map(|body| body.map_err(Into::into).boxed_unsync()));
        }
        let watch = format.contains("stream=watch");
        let (mut head, body) = answer.into_parts();
        head.headers.insert(CONTENT_TYPE, JSON);
        let body = if watch {
            let lines = frames::lines(body.into_data_stream());
            StreamBody::new(lines.inspect_err(move |error| self.look_at(error))).boxed_unsync()
        } else {
            let message = body.collect().await?.to_bytes();
            let json = json::object_of_kind(&message).map_err(BoxError::from);
            let json = json.inspect_err(|error| self.look_at(error))?;
            Full::new(Bytes::from(json)).map_err(|never| match never {}).boxed_unsync()
        };
        Ok(Response::from_parts(head, body))
    }

    /// Asks for JSON from now on if the error is that of protobuf.
    fn look_at(&self, error: &BoxError) {
        if error.is::<Malformed>() && self.protobuf.swap(false, Ordering::Relaxed) {
            tracing::warn!(%error, "pods and workloads are read as JSON from now on");
        }
    }
}

#[cfg(test)]
mod tests;
