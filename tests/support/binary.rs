//! The real binary, started and ended.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::eventually;

/// The binary of this build.
pub fn command() -> Command {
    Command::new(path())
}

/// The same with the chart's environment, where memory is returned right after a burst of reviews.
pub fn as_in_the_chart() -> Command {
    let mut podgate = command();
    podgate.env("MIMALLOC_PURGE_DELAY", "0");
    podgate
}

/// The binary's path: the parent folder of this executable's folder, for tests and examples.
pub fn path() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.ancestors().find(|dir| dir.join("podgate").is_file());
    profile.expect("build podgate first: cargo build").join("podgate")
}

/// Runs a command that ends by itself.
pub fn run(args: &[&str]) -> Output {
    command().args(args).output().unwrap()
}

/// A podgate without a cluster, with a folder for its policy file.
pub struct Standalone {
    pub podgate: Podgate,
    dir: tempfile::TempDir,
}

impl Standalone {
    pub fn with(policy: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.yaml");
        std::fs::write(&file, policy).unwrap();
        let args = ["--standalone", "--policy", file.to_str().unwrap()];
        Self {
            podgate: Podgate::serve_by(as_in_the_chart(), &args, &dir.path().join("certs")),
            dir,
        }
    }

    /// The folder of its certificates.
    pub fn certs(&self) -> PathBuf {
        self.dir.path().join("certs")
    }

    /// Rewrites the policy file.
    pub fn write(&self, policy: &str) {
        std::fs::write(self.dir.path().join("policy.yaml"), policy).unwrap();
    }

    /// A new TLS connection to it.
    pub fn connect(&self) -> rustls::StreamOwned<ClientConnection, TcpStream> {
        self.podgate.connect(&self.certs())
    }
}

/// A running podgate, such as a ready `podgate serve`; it ends when this value is dropped.
pub struct Podgate {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    /// `127.0.0.1:PORT` of the TLS side.
    pub listen: String,
    /// `127.0.0.1:PORT` of the plain side.
    pub metrics: String,
    agent: ureq::Agent,
}

impl Podgate {
    /// Starts `podgate serve` with these arguments on free ports, and waits until it serves.
    pub fn serve(args: &[&str], cert_dir: &Path) -> Self {
        Self::serve_by(command(), args, cert_dir)
    }

    /// The same with a given command, such as one with an environment.
    pub fn serve_by(mut podgate: Command, args: &[&str], cert_dir: &Path) -> Self {
        podgate
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--cert-dir"])
            .arg(cert_dir)
            .args(args);
        let mut served = Self::start_by(podgate, "serving");
        served.agent = agent(Some(&std::fs::read(cert_dir.join("ca.crt")).unwrap()));
        served
    }

    /// Starts another long-running command, such as `reconcile`, and waits for the log line that it is ready. Addresses
    /// that are not in that line are empty.
    pub fn start(subcommand: &str, args: &[&str], ready: &str) -> Self {
        let mut podgate = command();
        podgate.arg(subcommand).args(args);
        Self::start_by(podgate, ready)
    }

    /// The same with a given command.
    pub fn start_by(mut podgate: Command, ready: &str) -> Self {
        let mut child = podgate.stderr(Stdio::piped()).spawn().unwrap();
        let log = follow(&mut child);
        let (line, _) = eventually(&format!("podgate to log \"{ready}\""), || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("podgate ended with {status}: {:?}", log.lock().unwrap());
            }
            line(&log, ready).ok_or_else(|| format!("{:?}", log.lock().unwrap()))
        });
        let address = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let (listen, metrics) = (address("listen"), address("metrics"));
        Self { listen, metrics, child, log, agent: agent(None) }
    }

    /// Sends a body to `/validate`; returns status and body of the response.
    pub fn post(&self, content_type: &str, body: &[u8]) -> (u16, String) {
        self.post_to("/validate?timeout=10s", content_type, body)
    }

    pub fn post_to(&self, path: &str, content_type: &str, body: &[u8]) -> (u16, String) {
        self.try_post_to(path, content_type, body).unwrap()
    }

    /// The same where podgate may close the connection before it has the whole body.
    pub fn try_post_to(
        &self,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<(u16, String), ureq::Error> {
        let url = format!("https://{}{path}", self.listen);
        let mut response = self.agent.post(&url).header("content-type", content_type).send(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Sends an AdmissionReview to `/validate`; its `response`.
    pub fn review(&self, review: &Value) -> Value {
        self.answer("/validate?timeout=10s", review)
    }

    /// The same to `/mutate`.
    pub fn mutate(&self, review: &Value) -> Value {
        self.answer("/mutate?timeout=10s", review)
    }

    fn answer(&self, path: &str, review: &Value) -> Value {
        let (status, body) = self.post_to(path, "application/json", review.to_string().as_bytes());
        assert_eq!(status, 200, "{body}");
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], review["request"]["uid"], "the uid is echoed");
        answer["response"].take()
    }

    /// A raw TLS connection, for requests that no HTTP client would send.
    pub fn connect(&self, cert_dir: &Path) -> rustls::StreamOwned<ClientConnection, TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(cert_dir.join("ca.crt")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let client = ClientConnection::new(config.into(), name).unwrap();
        let socket = TcpStream::connect(&self.listen).unwrap();
        socket.set_read_timeout(Some(super::PATIENCE)).unwrap();
        rustls::StreamOwned::new(client, socket)
    }

    /// The most memory that the process has had, in KiB (`VmHWM`).
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    }

    /// GETs from the plain side.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut response = self.agent.get(format!("http://{}{path}", self.metrics)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// The value of a series, named as in the exposition.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").1;
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    /// The first log line with this message.
    pub fn logged(&self, message: &str) -> Option<Value> {
        line(&self.log, message)
    }

    /// The number of log lines with this message.
    pub fn count_logged(&self, message: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line["message"] == message).count()
    }

    /// Waits for a log line.
    pub fn logs(&self, message: &str) -> Value {
        eventually(message, || self.logged(message).ok_or_else(|| "not logged".to_owned())).0
    }

    /// All that was logged so far.
    pub fn whole_log(&self) -> String {
        format!("{:?}", self.log.lock().unwrap())
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by the process's id.
    pub fn signal(&self, name: &str) {
        let pid = self.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for SIGINT or SIGTERM, and then until podgate has ended.
    pub fn until_interrupted(&mut self) {
        use tokio::signal::unix::{SignalKind, signal};
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).unwrap();
            let mut terminate = signal(SignalKind::terminate()).unwrap();
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // A terminal's Ctrl-C reaches podgate too, and a second signal would end it before it has cleaned up: send one
        // only if it does not drain.
        let drains = (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            self.logged("draining").is_some()
        });
        if !drains {
            self.signal("TERM");
        }
        self.ended();
    }

    /// Waits for the end.
    pub fn ended(&mut self) -> (ExitStatus, Duration) {
        eventually("podgate to end", || {
            self.child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned())
        })
    }
}

impl Drop for Podgate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP client that trusts this CA, or for plain HTTP.
fn agent(ca: Option<&[u8]>) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(super::PATIENCE));
    let Some(ca) = ca else { return config.build().new_agent() };
    let roots = RootCerts::new_with_certs(&[Certificate::from_pem(ca).unwrap()]);
    config.tls_config(TlsConfig::builder().root_certs(roots).build()).build().new_agent()
}

/// Collects the JSON lines of a child's stderr.
fn follow(child: &mut Child) -> Arc<Mutex<Vec<Value>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (stderr, lines) = (child.stderr.take().unwrap(), Arc::clone(&log));
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            lines.lock().unwrap().push(value);
        }
    });
    log
}

fn line(log: &Mutex<Vec<Value>>, message: &str) -> Option<Value> {
    log.lock().unwrap().iter().find(|line| line["message"] == message).cloned()
}
