use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Mutex;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use super::*;

/// An API server that gives every request the same answer, and keeps the format that each asked for.
#[derive(Clone)]
struct Server {
    format: &'static str,
    status: u16,
    body: &'static [u8],
    asked: Arc<Mutex<Vec<Option<HeaderValue>>>>,
}

impl Service<Request<Body>> for Server {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.asked.lock().unwrap().push(request.headers().get(ACCEPT).cloned());
        let answer = Response::builder().status(self.status).header(CONTENT_TYPE, self.format);
        ready(Ok(answer.body(Full::from(self.body)).unwrap()))
    }
}

/// The results of two lists, and the formats that they asked for.
async fn two_lists(
    format: &'static str,
    status: u16,
    body: &'static [u8],
) -> (Vec<Result<usize, String>>, Vec<Option<HeaderValue>>) {
    let server = Server { format, status, body, asked: Arc::default() };
    let client = compact(&Client::new(server.clone(), "default"));
    let pods = Api::<Pod>::all(client);
    let mut results = Vec::new();
    for _ in 0..2 {
        let listed = pods.list(&ListParams::default()).await;
        results.push(listed.map(|it| it.items.len()).map_err(|error| error.to_string()));
    }
    let asked = server.asked.lock().unwrap().clone();
    (results, asked)
}

#[tokio::test]
async fn json_of_a_server_without_protobuf_is_handed_on() {
    let body = br#"{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[{}]}"#;
    let (results, asked) = two_lists("application/json", 200, body).await;
    assert_eq!(results, [Ok(1), Ok(1)]);
    assert_eq!(asked, [Some(PROTOBUF_OR_JSON), Some(PROTOBUF_OR_JSON)]);
}

#[tokio::test]
async fn a_refusal_in_plain_text_is_handed_on() {
    let (results, _) = two_lists("text/plain; charset=utf-8", 429, b"Too many requests").await;
    let message = results[0].as_ref().unwrap_err();
    assert!(message.contains("Too many requests"), "{message}");
}

#[tokio::test]
async fn after_protobuf_that_cannot_be_read_the_client_asks_for_json() {
    let (results, asked) = two_lists(PROTOBUF, 200, b"k8s\0\xff").await;
    let message = results[0].as_ref().unwrap_err();
    assert!(message.contains("protobuf cannot be read"), "{message}");
    assert_eq!(asked, [Some(PROTOBUF_OR_JSON), None]);
}
