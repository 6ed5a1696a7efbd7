//! Floods of a podgate: many clients at a loopback address of their own, which take as many resources as they can. Each
//! flood is limited in clients and in time, and ends when its value is dropped.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use podgate::policy::workload::Kind;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::manifests::{probed_pod, workload};
use super::review;

/// The longest time of a flood.
const LONGEST: Duration = Duration::from_mins(3);
/// How long a client waits after podgate closed its connection at once.
const PAUSE: Duration = Duration::from_millis(5);
/// The largest accepted body.
const MAX_BODY: usize = 20 * 1024 * 1024;
const HEAD: &str = "host: podgate\r\ncontent-type: application/json\r\n";

/// The behavior of the clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attack {
    /// Connect, and send nothing.
    Connects,
    /// Begin a TLS handshake, and stop.
    HalfOpen,
    /// Finish a TLS handshake, and send no request.
    Handshakes,
    /// Send half of the request headers.
    HalfHeads,
    /// Request `/healthz` once, and keep the connection.
    IdleAfterHealth,
    /// Announce 8 MiB, and send none of it.
    HeadersOnly,
    /// Announce a mebibyte, and send a byte each half second.
    SlowBodies,
    /// Announce the largest body, and send all but its end.
    LargeBodiesWithoutEnd,
    /// Send the largest reviews, one after another.
    LargeBodies,
    /// Send valid reviews as fast as possible, without waiting for the answers.
    Reviews,
    /// The same with `/healthz`.
    Health,
    /// Send bodies that are no review, as fast as possible.
    Rubbish,
}

impl Attack {
    pub const ALL: [Self; 12] = [
        Self::Connects,
        Self::HalfOpen,
        Self::Handshakes,
        Self::HalfHeads,
        Self::IdleAfterHealth,
        Self::HeadersOnly,
        Self::SlowBodies,
        Self::LargeBodiesWithoutEnd,
        Self::LargeBodies,
        Self::Reviews,
        Self::Health,
        Self::Rubbish,
    ];

    /// The number of clients: more than podgate's connections, or enough to keep a core busy.
    pub const fn clients(self) -> usize {
        match self {
            Self::LargeBodiesWithoutEnd | Self::LargeBodies => 40,
            Self::Reviews | Self::Health | Self::Rubbish => 200,
            _ => 1200,
        }
    }
}

/// A flood that goes on until it is dropped.
pub struct Flood {
    connected: Arc<AtomicUsize>,
    /// Dropped in the background, without waiting for the clients.
    runtime: Option<Runtime>,
}

impl Flood {
    /// Starts a flood, from these addresses in turn, against `127.0.0.1:PORT`, whose CA is in this folder.
    pub fn begin(attack: Attack, from: &[Ipv4Addr], listen: &str, cert_dir: &Path) -> Self {
        allow_many_files();
        // One thread: a flood uses one core, and leaves the others to podgate.
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let connected = Arc::<AtomicUsize>::default();
        let to: SocketAddr = listen.parse().unwrap();
        for number in 0..attack.clients() {
            let from = from[number % from.len()];
            let (ca, connected) = (cert_dir.join("ca.crt"), Arc::clone(&connected));
            let tls = OnceLock::new();
            let client = Client { attack, from: from.into(), to, ca, tls, connected };
            runtime.spawn(async move { tokio::time::timeout(LONGEST, client.run()).await });
        }
        Self { connected, runtime: Some(runtime) }
    }

    /// How often its clients have connected so far.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

struct Client {
    attack: Attack,
    from: IpAddr,
    to: SocketAddr,
    ca: PathBuf,
    /// Made once the authority is there.
    tls: OnceLock<TlsConnector>,
    connected: Arc<AtomicUsize>,
}

impl Client {
    async fn run(self) {
        loop {
            // podgate is expected to close the connection.
            let _ = self.attack().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        let stream = socket.connect(self.to).await?;
        self.connected.fetch_add(1, Ordering::Relaxed);
        Ok(stream)
    }

    async fn shake_hands(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = self.connect().await?;
        let tls = if let Some(tls) = self.tls.get() {
            tls
        } else {
            let tls = self.connector()?;
            self.tls.get_or_init(|| tls)
        };
        tls.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
    }

    fn connector(&self) -> std::io::Result<TlsConnector> {
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(&self.ca).map_err(std::io::Error::other)?;
        roots.add(ca).map_err(std::io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn attack(&self) -> std::io::Result<()> {
        match self.attack {
            Attack::Connects => return keep_open(self.connect().await?).await,
            Attack::HalfOpen => {
                let mut stream = self.connect().await?;
                // The header of a TLS record for a ClientHello, which does not follow.
                write(&mut stream, &[0x16, 3, 1, 2, 0]).await?;
                return keep_open(stream).await;
            }
            _ => {}
        }
        let mut stream = self.shake_hands().await?;
        let post = |length: usize| {
            format!("POST /validate?timeout=30s HTTP/1.1\r\n{HEAD}content-length: {length}\r\n\r\n")
        };
        match self.attack {
            Attack::Connects | Attack::HalfOpen | Attack::Handshakes => keep_open(stream).await,
            Attack::HalfHeads => send_once(stream, "POST /validate HTTP/1.1\r\nhost: pod").await,
            Attack::IdleAfterHealth => send_once(stream, &health()).await,
            Attack::HeadersOnly => send_once(stream, &post(8 * 1024 * 1024)).await,
            Attack::SlowBodies => {
                write(&mut stream, post(1024 * 1024).as_bytes()).await?;
                loop {
                    write(&mut stream, b" ").await?;
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
            Attack::LargeBodiesWithoutEnd => {
                write(&mut stream, post(MAX_BODY).as_bytes()).await?;
                spaces(&mut stream, MAX_BODY - 1).await?;
                keep_open(stream).await
            }
            Attack::LargeBodies => loop {
                let review = good_review();
                write(&mut stream, post(MAX_BODY).as_bytes()).await?;
                spaces(&mut stream, MAX_BODY - review.len()).await?;
                write(&mut stream, review.as_bytes()).await?;
                if read(&mut stream).await? == 0 {
                    return Ok(());
                }
            },
            Attack::Reviews => {
                let review = good_review();
                pipelines(stream, &(post(review.len()) + &review)).await
            }
            Attack::Health => pipelines(stream, &health()).await,
            Attack::Rubbish => pipelines(stream, &(post(5) + "hello")).await,
        }
    }
}

fn health() -> String {
    format!("GET /healthz HTTP/1.1\r\n{HEAD}\r\n")
}

/// A review that podgate admits.
fn good_review() -> String {
    review::create("shop", &workload(Kind::Pod, probed_pod("nginx:1.29"))).to_string()
}

async fn spaces(stream: &mut TlsStream<TcpStream>, mut count: usize) -> std::io::Result<()> {
    static PIECE: [u8; 16 * 1024] = [b' '; 16 * 1024];
    while count > 0 {
        let now = count.min(PIECE.len());
        write(stream, &PIECE[..now]).await?;
        count -= now;
    }
    Ok(())
}

async fn send_once(mut stream: TlsStream<TcpStream>, text: &str) -> std::io::Result<()> {
    write(&mut stream, text.as_bytes()).await?;
    keep_open(stream).await
}

/// Keeps a connection until the other side ends it.
async fn keep_open(mut stream: impl AsyncRead + Unpin) -> std::io::Result<()> {
    while read(&mut stream).await? > 0 {}
    Ok(())
}

/// Sends the same bytes again and again, and ignores the answers.
async fn pipelines(mut stream: TlsStream<TcpStream>, text: &str) -> std::io::Result<()> {
    let mut sent = 0;
    poll_fn(|context| {
        // Yields, so that other clients run too.
        for _ in 0..16 {
            match poll_read(&mut stream, context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                _ => {}
            }
            match Pin::new(&mut stream).poll_write(context, &text.as_bytes()[sent..]) {
                Poll::Ready(Ok(count)) => sent = (sent + count) % text.len(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, bytes)).await?;
        bytes = &bytes[count..];
    }
    poll_fn(|context| Pin::new(&mut *stream).poll_flush(context)).await
}

/// Reads a little, and returns the number of bytes.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<usize> {
    poll_fn(|context| poll_read(stream, context)).await
}

fn poll_read(
    stream: &mut (impl AsyncRead + Unpin),
    context: &mut Context<'_>,
) -> Poll<std::io::Result<usize>> {
    let mut piece = [0; 4096];
    let mut buffer = ReadBuf::new(&mut piece);
    let polled = Pin::new(stream).poll_read(context, &mut buffer);
    polled.map_ok(|()| buffer.filled().len())
}

/// A flood needs more open files than a shell's default limit.
#[cfg(not(target_os = "linux"))]
fn allow_many_files() {}

/// A flood needs more open files than a shell's default limit.
#[cfg(target_os = "linux")]
fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = 8192.min(limit.maximum.unwrap_or(u64::MAX));
    if limit.current.is_some_and(|it| it < wanted) {
        limit.current = Some(wanted);
        setrlimit(Resource::Nofile, limit).unwrap();
    }
}
