//! A server process that is driven over TLS, and what that costs it; and the null webhook, which is one.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type Stream = StreamOwned<ClientConnection, TcpStream>;

const CONNECTIONS: usize = 4;
pub const REVIEWS_PER_ROUND: usize = 2_000;

/// What a round came to, in microseconds.
#[derive(Clone, Copy)]
pub struct Figure {
    pub cpu: f64,
    pub p50: f64,
    pub p99: f64,
}

/// What a server is asked, and what its answer must contain.
pub struct Ask {
    pub path: &'static str,
    pub review: String,
    pub expected: &'static str,
}

/// A server on the first core; the client has the others. In production they are
/// on two machines, and neither empties the other's caches.
pub fn pinned(program: impl AsRef<OsStr>) -> Command {
    static PIN_CLIENT: Once = Once::new();
    let own = std::process::id().to_string();
    let others = format!("1-{}", std::thread::available_parallelism().unwrap().get().max(2) - 1);
    PIN_CLIENT.call_once(|| {
        let done = Command::new("taskset").args(["-a", "-p", "-c", &others, &own]).output();
        assert!(
            done.is_ok_and(|it| it.status.success()),
            "taskset (util-linux) pins the processes to cores"
        );
    });
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

/// A server process; it ends with this value.
pub struct Server {
    child: Child,
    address: String,
    tls: Arc<ClientConfig>,
}

impl Server {
    /// Starts a command that logs, as podgate does, where it listens.
    pub fn start(command: &mut Command, certs: &Path) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
        // What is logged afterwards is read, or a full pipe would stop the server.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let line: serde_json::Value = serde_json::from_str(&line).expect(&line);
        let address = line["listen"].as_str().expect("a listen address").to_owned();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certs.join("ca.crt")).unwrap()).unwrap();
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self { child, address, tls: Arc::new(tls) }
    }

    pub fn drive(&self, clients: usize, Ask { path, review, expected }: &Ask) -> Figure {
        let request = format!(
            "POST {path}?timeout=3s HTTP/1.1\r\nhost: podgate\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{review}",
            review.len()
        );
        let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| self.connect()).collect();
        // Handshakes are not what is measured.
        for connection in &mut connections {
            exchange(connection, &request);
        }
        let before = self.cpu();
        let each = CONNECTIONS / clients;
        let mut times: Vec<_> = std::thread::scope(|scope| {
            let client = |own: &mut [Stream]| {
                let turns = (0..REVIEWS_PER_ROUND / clients).map(|number| {
                    let started = Instant::now();
                    let answer = exchange(&mut own[number % each], &request);
                    assert!(answer.contains(*expected), "{answer}");
                    started.elapsed().as_secs_f64() * 1e6
                });
                turns.collect::<Vec<_>>()
            };
            let threads: Vec<_> =
                connections.chunks_mut(each).map(|own| scope.spawn(move || client(own))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let cpu = (self.cpu() - before) / times.len() as f64;
        times.sort_by(f64::total_cmp);
        Figure { cpu, p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    }

    fn connect(&self) -> Stream {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let socket = TcpStream::connect(&self.address).unwrap();
        socket.set_nodelay(true).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::clone(&self.tls), name).unwrap(), socket)
    }

    /// CPU time of all threads so far, in microseconds (`/proc/PID/task/TID/schedstat`).
    fn cpu(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanos = |path: std::path::PathBuf| -> u64 {
            let text = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0)
        };
        tasks.map(|task| nanos(task.unwrap().path()) as f64 / 1e3).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exchange(connection: &mut Stream, request: &str) -> String {
    connection.write_all(request.as_bytes()).unwrap();
    connection.flush().unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = connection.read(&mut buffer).unwrap();
        assert!(read > 0, "the server hung up");
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.expect("a content-length") {
            return body.to_owned();
        }
    }
}

/// Reads a body and says yes, on podgate's own server.
pub fn null_server(certs: &Path) {
    use axum::body::Bytes;
    use axum::routing::post;
    use podgate::admission::server;

    const ANSWER: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"5342a894-53d2-429d-947f-4082af9a99c8","allowed":true}}"#;
    let now = std::time::SystemTime::now().into();
    let identity = podgate::certs::store::load_or_create(certs, &[], now).unwrap();
    let router = axum::Router::new().route(
        "/validate",
        post(|_: Bytes| async { ([("content-type", "application/json")], ANSWER) }),
    );
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap().to_string();
        eprintln!("{}", serde_json::json!({ "listen": listen }));
        let (_never, draining) = tokio::sync::watch::channel(false);
        let tls = identity.server_config().unwrap();
        server::serve(listener, Some(tls), router, draining, Duration::ZERO).await;
    });
}
