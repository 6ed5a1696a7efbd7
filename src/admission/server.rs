//! The listener: TCP, TLS, HTTP/1.1, and how connections end.
//!
//! HTTP/1.1 only, because that is what the API server speaks to a `service:`
//! webhook: what the tests drive is then what production does.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::callers::PeerAddress;

/// The most connections served at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be idle. Above the 90 seconds for which the API
/// server keeps one: it does not retry a POST, so if this side hangs up first
/// a user may see an error.
const IDLE_TIMEOUT: Duration = Duration::from_secs(100);
/// How long a connection may take until its first request is there. Later ones come from somebody who has shown that
/// it is no idler, and may take [`IDLE_TIMEOUT`].
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes that are read of a connection before somebody wants them.
const MAX_BUFFER: usize = 64 * 1024;
/// How long to wait after an accept failed, as it does when files run out.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// How long a server goes on after it was told to end.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// Though nobody is connected: some may not have heard yet that they should call others.
    pub at_least: Duration,
    /// Though somebody still is.
    pub at_most: Duration,
}

impl Drain {
    /// Whoever is connected is hung up on.
    pub const NONE: Self = Self { at_least: Duration::ZERO, at_most: Duration::ZERO };
}

/// Serves until `draining` turns true, then until the last connection is gone, as the drain's limits allow. While it
/// drains, new connections are still served, and every response asks its client to close.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    draining: watch::Receiver<bool>,
    drain: Drain,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let after = |limit: Duration| {
        let mut draining = draining.clone();
        async move {
            // An error means the sender is gone, which ends serving too.
            let _ = draining.wait_for(|it| *it).await;
            tokio::time::sleep(limit).await;
        }
    };
    let (mut heard, mut drained) = (pin!(after(drain.at_least)), pin!(after(drain.at_most)));
    let mut all_heard = false;
    loop {
        tokio::select! {
            accepted = accept(&listener, &slots) => {
                if let Some((stream, peer, slot)) = accepted {
                    let (router, draining) = (router.clone(), draining.clone());
                    let connection = Connection { router, draining, peer };
                    let acceptor = acceptor.clone();
                    connections.spawn(async move {
                        connection.run(stream, acceptor).await;
                        drop(slot);
                    });
                }
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
            () = &mut heard, if !all_heard => all_heard = true,
            () = &mut drained => break,
        }
        if all_heard && connections.is_empty() {
            break;
        }
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, PeerAddress, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, PeerAddress(peer.ip().to_canonical()), slot)),
        Err(error) => {
            tracing::warn!(%error, "could not accept a connection");
            tokio::time::sleep(ACCEPT_BACKOFF).await;
            None
        }
    }
}

struct Connection {
    router: Router,
    draining: watch::Receiver<bool>,
    peer: PeerAddress,
}

impl Connection {
    async fn run(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        // An AdmissionReview's answer is one small write: waiting to fill a
        // packet would only delay it.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = acceptor else { return self.serve(stream).await };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Self { router, draining, peer } = self;
        let asked = Arc::new(AtomicBool::new(false));
        let has_asked = Arc::clone(&asked);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            asked.store(true, Ordering::Relaxed);
            let answer = router.clone().call(request.map(Body::new));
            let draining = draining.clone();
            async move {
                let mut response = answer.await?;
                if *draining.borrow() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let in_time = tokio::time::timeout(FIRST_REQUEST_TIMEOUT, &mut connection).await;
        let ended = match in_time {
            Ok(ended) => ended,
            Err(_) if has_asked.load(Ordering::Relaxed) => connection.await,
            Err(_) => return tracing::debug!("no request came"),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }
}
