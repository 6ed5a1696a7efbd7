//! The listener: TCP, TLS and HTTP/1.1, and how connections end (graceful shutdown).
//!
//! It serves HTTP/1.1 only, which the API server uses to call a `service:` webhook, so tests use the protocol of
//! production. [`super::connections`] decides which connections there is room for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, unconstrained, yield_now};
use tokio::time::sleep_until;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::callers::{Callers, ClientCertificate, PeerAddress};
use super::connections::{Capacity, Connections, Slot, Stage};
use super::log_limit::LogLimit;
use crate::metrics::{ConnectionMetrics, Ended};

/// The longest time for a TLS handshake, including the wait for other handshakes of the client.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a connection that are buffered before a request is read: those of a TLS record.
const MAX_BUFFER: usize = 16 * 1024;
/// The most connections that are accepted at a time.
const MAX_ACCEPTED: usize = 256;
/// The delay after a failed accept, which usually means that no file descriptor is free.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// How long a server serves on after a shutdown signal.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// The least time, even without connections: clients need time to learn that the endpoint is being removed.
    pub at_least: Duration,
    /// The most time, even with open connections.
    pub at_most: Duration,
}

impl Drain {
    /// Closes all connections at once.
    pub const NONE: Self = Self { at_least: Duration::ZERO, at_most: Duration::ZERO };
}

/// What a listener serves.
pub struct Server {
    /// `None` serves plain text.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether `tls` asks clients for a certificate. A client without one can connect too; see [`ClientCertificate`].
    pub asks_certificates: bool,
    pub router: Router,
    pub connections: Connections,
}

/// Serves a router with the default capacity and without metrics; see [`Server::serve`].
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    draining: watch::Receiver<bool>,
    drain: Drain,
) {
    let metrics = ConnectionMetrics::default();
    let connections = Connections::new(Capacity::default(), Callers::default(), metrics);
    let server = Server { tls, asks_certificates: false, router, connections };
    server.serve(listener, draining, drain).await;
}

impl Server {
    /// Serves until `draining` becomes true, and then drains: until the last connection has ended, within the drain's
    /// limits. While it drains, new connections are still served, and every response asks its client to close.
    pub async fn serve(self, listener: TcpListener, draining: watch::Receiver<bool>, drain: Drain) {
        let Self { tls, asks_certificates, router, connections } = self;
        let acceptor = tls.map(TlsAcceptor::from);
        let mut open = JoinSet::new();
        let after = |limit: Duration| {
            let mut draining = draining.clone();
            async move {
                // An error means that the sender was dropped, which begins the drain too.
                let _ = draining.wait_for(|it| *it).await;
                tokio::time::sleep(limit).await;
            }
        };
        let mut least = pin!(after(drain.at_least));
        let mut most = pin!(after(drain.at_most));
        let mut may_end = false;
        let log_limit = LogLimit::default();
        loop {
            tokio::select! {
                accepted = accept(&listener, &connections, &log_limit) => {
                    for (stream, peer) in accepted {
                        let Some(slot) = connections.admit(peer.ip(), Instant::now()) else {
                            connections.count_ended(Ended::Crowded);
                            continue;
                        };
                        let connection = Connection {
                            router: router.clone(),
                            draining: draining.clone(),
                            peer: PeerAddress(peer.ip().to_canonical()),
                            slot: Arc::new(slot),
                            connections: connections.clone(),
                        };
                        open.spawn(connection.run(stream, acceptor.clone(), asks_certificates));
                    }
                    // However many come, those that came have their turn.
                    yield_now().await;
                }
                _ = open.join_next(), if !open.is_empty() => {}
                () = &mut least, if !may_end => may_end = true,
                () = &mut most => break,
            }
            if may_end && open.is_empty() {
                break;
            }
        }
        open.shutdown().await;
    }
}

/// Accepts all waiting connections, up to a limit: a full backlog drops connections of every client.
async fn accept(
    listener: &TcpListener,
    connections: &Connections,
    log_limit: &LogLimit,
) -> Vec<(TcpStream, SocketAddr)> {
    let mut accepted = match listener.accept().await {
        Ok(first) => vec![first],
        Err(error) => {
            if let Some(left_out) = log_limit.next_line(Instant::now()) {
                tracing::warn!(%error, left_out, "could not accept a connection");
            }
            connections.evict_one(Instant::now());
            tokio::time::sleep(ACCEPT_BACKOFF).await;
            return Vec::new();
        }
    };
    while accepted.len() < MAX_ACCEPTED {
        match unconstrained(listener.accept()).now_or_never() {
            Some(Ok(next)) => accepted.push(next),
            _ => break,
        }
    }
    accepted
}

struct Connection {
    router: Router,
    draining: watch::Receiver<bool>,
    peer: PeerAddress,
    slot: Arc<Slot>,
    connections: Connections,
}

impl Connection {
    async fn run(self, stream: TcpStream, acceptor: Option<TlsAcceptor>, asks_certificates: bool) {
        // An answer is one small write, which Nagle's algorithm would only delay.
        let _ = stream.set_nodelay(true);
        let slot = Arc::clone(&self.slot);
        tokio::select! {
            () = self.serve(stream, acceptor, asks_certificates) => {}
            () = slot.evicted() => {}
        }
    }

    async fn serve(
        self,
        stream: TcpStream,
        acceptor: Option<TlsAcceptor>,
        asks_certificates: bool,
    ) {
        let Some(acceptor) = acceptor else {
            return self.serve_http(stream, ClientCertificate::NotAsked).await;
        };
        let handshake = self.slot.handshake(acceptor.accept(stream));
        let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                return self.connections.count_ended(Ended::Handshake);
            }
            Err(_) => return self.connections.count_ended(Ended::HandshakeTimeout),
        };
        let certificate = match stream.get_ref().1.peer_certificates() {
            _ if !asks_certificates => ClientCertificate::NotAsked,
            Some(_) => ClientCertificate::Verified,
            None => {
                self.slot.mark_anonymous();
                ClientCertificate::Missing
            }
        };
        self.serve_http(stream, certificate).await;
    }

    async fn serve_http(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        certificate: ClientCertificate,
    ) {
        let Self { router, draining, peer, slot, connections } = self;
        let own = Arc::clone(&slot);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let is_pipelined = own.set_stage(Stage::Busy, Instant::now());
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(certificate);
            let answer = router.clone().call(request.map(Body::new));
            let (draining, slot) = (draining.clone(), Arc::clone(&own));
            async move {
                if is_pipelined {
                    // Pipelined requests let those of other connections go first.
                    yield_now().await;
                }
                let mut response = answer.await?;
                slot.set_stage(Stage::Idle, Instant::now());
                if *draining.borrow() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        // No timeout of hyper for the request's head: `timed_out` covers it.
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
            }
            reason = timed_out(&slot) => connections.count_ended(reason),
        }
    }
}

/// Resolves when the connection's stage times out, with the reason.
async fn timed_out(slot: &Slot) -> Ended {
    loop {
        let (end, reason) = slot.timeout();
        let now = Instant::now();
        match reason {
            Some(reason) if end <= now => return reason,
            // A request is being answered: check again later.
            None if end <= now => sleep_until((now + HANDSHAKE_TIMEOUT).into()).await,
            _ => sleep_until(end.into()).await,
        }
    }
}
