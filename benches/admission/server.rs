//! A server process that is driven over TLS, and its cost.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Once};
use std::time::Instant;

use crate::servers::Server;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type Stream = StreamOwned<ClientConnection, TcpStream>;

const CONNECTIONS: usize = 4;
pub const REVIEWS_PER_ROUND: usize = 2_000;

/// The results of a round, in microseconds.
#[derive(Clone, Copy)]
pub struct Figure {
    pub cpu: f64,
    pub p50: f64,
    pub p99: f64,
}

/// A request, and a text that its answer must contain.
pub struct Ask {
    pub path: &'static str,
    pub review: String,
    pub expected: &'static str,
}

/// A server on the first core; the client has the others. In production they run on two machines, and do not evict each
/// other's caches.
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

/// A server and the connections to it.
pub struct Target {
    server: Server,
    tls: Arc<ClientConfig>,
}

impl Target {
    pub fn start(command: &mut Command, certs: &Path) -> Self {
        let server = Server::start(command);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certs.join("ca.crt")).unwrap()).unwrap();
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self { server, tls: Arc::new(tls) }
    }

    pub fn drive(&self, clients: usize, Ask { path, review, expected }: &Ask) -> Figure {
        let request = format!(
            "POST {path}?timeout=3s HTTP/1.1\r\nhost: podgate\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{review}",
            review.len()
        );
        let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| self.connect()).collect();
        // Handshakes before the measurement.
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
        let socket = TcpStream::connect(&self.server.listen).unwrap();
        socket.set_nodelay(true).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::clone(&self.tls), name).unwrap(), socket)
    }

    /// CPU time of all threads so far, in microseconds (`/proc/PID/task/TID/schedstat`).
    fn cpu(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.server.child.id())).unwrap();
        let nanos = |path: std::path::PathBuf| -> u64 {
            let text = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0)
        };
        tasks.map(|task| nanos(task.unwrap().path()) as f64 / 1e3).sum()
    }
}

fn exchange(connection: &mut Stream, request: &str) -> String {
    connection.write_all(request.as_bytes()).unwrap();
    connection.flush().unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = connection.read(&mut buffer).unwrap();
        assert!(read > 0, "the server closed the connection");
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
