//! The server processes that the benchmarks measure: podgate, and a null webhook as the reference.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use axum::body::Bytes;
use axum::routing::post;
use podgate::admission::server::{self, Drain};

/// The argument that makes a benchmark's own executable the null webhook; the certificates' folder follows it.
pub const NULL_SERVER: &str = "--null-server";

/// A server process, which ends when this value is dropped.
pub struct Server {
    pub child: Child,
    /// `127.0.0.1:PORT`
    pub listen: String,
}

impl Server {
    /// Starts a command that logs its address, as podgate does. It logs no reviews unless `PODGATE_LOG` is set.
    pub fn start(command: &mut Command) -> Self {
        let log = std::env::var("PODGATE_LOG").unwrap_or("podgate::runtime=info".into());
        let mut child = command.env("PODGATE_LOG", log).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
        // Reads the rest of the log too, because a full pipe would block the server.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let first: serde_json::Value = serde_json::from_str(&line).expect(&line);
        let listen = first["listen"].as_str().expect("a listen address").to_owned();
        Self { child, listen }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the null webhook if this process was started for it; then it does not return.
pub fn be_null_server_if_asked() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(NULL_SERVER) {
        null_server(Path::new(&arguments.next().expect("the folder of the certificates")));
        std::process::exit(0);
    }
}

/// Reads a body and admits it, on podgate's own server. It reads only the uid, which the API server requires in the
/// answer.
fn null_server(certs: &Path) {
    let now = std::time::SystemTime::now().into();
    let identity = podgate::certs::folder::load_or_create(certs, &[], now).unwrap();
    let door = || {
        post(|body: Bytes| async move {
            let answer = format!(
                r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{}","allowed":true}}}}"#,
                uid(&body)
            );
            ([("content-type", "application/json")], answer)
        })
    };
    let router = axum::Router::new().route("/validate", door()).route("/mutate", door());
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap().to_string();
        eprintln!("{}", serde_json::json!({ "listen": listen }));
        let (_never, draining) = tokio::sync::watch::channel(false);
        let tls = identity.server_config().unwrap();
        server::serve(listener, Some(tls), router, draining, Drain::NONE).await;
    });
}

/// The review's uid, which is the first uid in the body.
fn uid(body: &[u8]) -> &str {
    const KEY: &[u8] = br#""uid":""#;
    let start = body.windows(KEY.len()).position(|window| window == KEY).unwrap() + KEY.len();
    let length = body[start..].iter().position(|byte| *byte == b'"').unwrap();
    std::str::from_utf8(&body[start..start + length]).unwrap()
}
