//! The listener: TCP, TLS, HTTP/1.1, and how connections end.
//!
//! HTTP/1.1 only, because that is what the API server speaks to a `service:`
//! webhook: what the tests drive is then what production does. Who may connect at all is decided in
//! [`super::connections`].

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
use tokio::task::{JoinSet, unconstrained};
use tokio::time::sleep_until;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::callers::{Callers, Certificate, PeerAddress};
use super::connections::{Capacity, Connections, Seat, Stage};
use super::seldom::Seldom;
use crate::metrics::{ConnectionMetrics, Ended};

/// How long a client may take for its TLS handshake, with the wait for those that its address has under way.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes that are read of a connection before somebody wants them: what a TLS record holds.
const MAX_BUFFER: usize = 16 * 1024;
/// How many connections are accepted at a time.
const MAX_ACCEPTED: usize = 256;
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

/// What is served, and to whom.
pub struct Server {
    /// Without it, plain text.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether `tls` asks clients for a certificate; those that have none are served too, see [`Certificate`].
    pub asks_certificates: bool,
    pub router: Router,
    pub connections: Connections,
}

/// Serves a router to whoever connects; see [`Server::serve`].
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
    /// Serves until `draining` turns true, then until the last connection is gone, as the drain's limits allow. While it
    /// drains, new connections are still served, and every response asks its client to close.
    pub async fn serve(self, listener: TcpListener, draining: watch::Receiver<bool>, drain: Drain) {
        let Self { tls, asks_certificates, router, connections } = self;
        let acceptor = tls.map(TlsAcceptor::from);
        let mut open = JoinSet::new();
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
        let faults = Seldom::default();
        loop {
            tokio::select! {
                accepted = accept(&listener, &connections, &faults) => {
                    for (stream, peer) in accepted {
                        let Some(seat) = connections.enter(peer.ip(), Instant::now()) else {
                            connections.ended(Ended::Crowded);
                            continue;
                        };
                        let connection = Connection {
                            router: router.clone(),
                            draining: draining.clone(),
                            peer: PeerAddress(peer.ip().to_canonical()),
                            seat: Arc::new(seat),
                            connections: connections.clone(),
                        };
                        open.spawn(connection.run(stream, acceptor.clone(), asks_certificates));
                    }
                }
                _ = open.join_next(), if !open.is_empty() => {}
                () = &mut heard, if !all_heard => all_heard = true,
                () = &mut drained => break,
            }
            if all_heard && open.is_empty() {
                break;
            }
        }
        open.shutdown().await;
    }
}

/// Accepts all that wait, within reason: a queue that is full drops connections, whosever they are.
async fn accept(
    listener: &TcpListener,
    connections: &Connections,
    faults: &Seldom,
) -> Vec<(TcpStream, SocketAddr)> {
    let mut accepted = match listener.accept().await {
        Ok(first) => vec![first],
        Err(error) => {
            if let Some(left_out) = faults.line(Instant::now()) {
                tracing::warn!(%error, left_out, "could not accept a connection");
            }
            connections.end_one(Instant::now());
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
    seat: Arc<Seat>,
    connections: Connections,
}

impl Connection {
    async fn run(self, stream: TcpStream, acceptor: Option<TlsAcceptor>, asks_certificates: bool) {
        // An AdmissionReview's answer is one small write: waiting to fill a
        // packet would only delay it.
        let _ = stream.set_nodelay(true);
        let seat = Arc::clone(&self.seat);
        tokio::select! {
            () = self.shake_hands(stream, acceptor, asks_certificates) => {}
            () = seat.is_needed() => {}
        }
    }

    async fn shake_hands(
        self,
        stream: TcpStream,
        acceptor: Option<TlsAcceptor>,
        asks_certificates: bool,
    ) {
        let Some(acceptor) = acceptor else {
            return self.answer(stream, Certificate::NotAsked).await;
        };
        let handshake = async {
            let _under_way = self.seat.handshake().await;
            acceptor.accept(stream).await
        };
        let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                return self.connections.ended(Ended::Handshake);
            }
            Err(_) => return self.connections.ended(Ended::HandshakeTimeout),
        };
        let certificate = match stream.get_ref().1.peer_certificates() {
            _ if !asks_certificates => Certificate::NotAsked,
            Some(_) => Certificate::Verified,
            None => {
                self.seat.is_anonymous();
                Certificate::Missing
            }
        };
        self.answer(stream, certificate).await;
    }

    async fn answer(self, stream: impl AsyncRead + AsyncWrite + Unpin, certificate: Certificate) {
        let Self { router, draining, peer, seat, connections } = self;
        let own = Arc::clone(&seat);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let hurries = own.is(Stage::Busy, Instant::now());
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(certificate);
            let answer = router.clone().call(request.map(Body::new));
            let (draining, seat) = (draining.clone(), Arc::clone(&own));
            async move {
                if hurries {
                    // Requests that were sent without waiting for answers let those of other connections go first.
                    tokio::task::yield_now().await;
                }
                let mut response = answer.await?;
                seat.is(Stage::Idle, Instant::now());
                if *draining.borrow() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        // How long a head may take is part of how long a connection may be idle: see `limit`.
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
            because = limit(&seat) => connections.ended(because),
        }
    }
}

/// Comes when the connection has waited for too long, with what for.
async fn limit(seat: &Seat) -> Ended {
    loop {
        let (end, because) = seat.limit();
        let now = Instant::now();
        match because {
            Some(because) if end <= now => return because,
            // What is being answered is looked at again later.
            None if end <= now => sleep_until((now + HANDSHAKE_TIMEOUT).into()).await,
            _ => sleep_until(end.into()).await,
        }
    }
}
