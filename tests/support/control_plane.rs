//! A real etcd, kube-apiserver and kube-controller-manager on free ports of
//! 127.0.0.1, ended by process id when the value is dropped, also by a panic.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use super::eventually;

/// A running control plane.
pub struct ControlPlane {
    /// In the order they are ended: etcd last, or the others complain for long.
    _controllers: Process,
    _api_server: Process,
    _etcd: Process,
    assets: PathBuf,
    dir: TempDir,
}

impl ControlPlane {
    /// Starts one and waits until it is ready; the first call on a machine builds it.
    pub fn start() -> Self {
        let assets = assets();
        let dir = tempfile::Builder::new().prefix("podgate-control-plane-").tempdir().unwrap();
        let [client_port, peer_port, api_port] = free_ports();
        let credentials = Credentials::new(dir.path());
        let url = format!("https://127.0.0.1:{api_port}");
        for (user, groups) in [
            ("admin", ["system:masters"].as_slice()),
            ("system:kube-controller-manager", &[]),
            ("jane", &[]),
        ] {
            credentials.kubeconfig(user, groups, &url);
        }
        let at = |name: &str| dir.path().join(name).display().to_string();

        let etcd_client = format!("http://127.0.0.1:{client_port}");
        let etcd_peer = format!("http://127.0.0.1:{peer_port}");
        let etcd = Process::start(
            &assets.join("etcd"),
            dir.path(),
            &[
                &format!("--data-dir={}", at("etcd")),
                &format!("--listen-client-urls={etcd_client}"),
                &format!("--advertise-client-urls={etcd_client}"),
                &format!("--listen-peer-urls={etcd_peer}"),
                &format!("--initial-advertise-peer-urls={etcd_peer}"),
                &format!("--initial-cluster=default={etcd_peer}"),
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        );
        let mut api_server = Process::start(
            &assets.join("kube-apiserver"),
            dir.path(),
            &[
                &format!("--etcd-servers={etcd_client}"),
                &format!("--secure-port={api_port}"),
                "--bind-address=127.0.0.1",
                &format!("--tls-cert-file={}", at("apiserver.crt")),
                &format!("--tls-private-key-file={}", at("apiserver.key")),
                &format!("--client-ca-file={}", at("ca.crt")),
                "--service-account-issuer=https://kubernetes.default.svc",
                &format!("--service-account-key-file={}", at("apiserver.crt")),
                &format!("--service-account-signing-key-file={}", at("apiserver.key")),
                "--authorization-mode=Node,RBAC",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--allow-privileged=true",
            ],
        );
        let (kubectl, admin) = (assets.join("kubectl"), at("admin"));
        eventually("the API server to be ready", || {
            api_server.check_alive();
            let asked = Command::new(&kubectl)
                .args(["--kubeconfig", &admin, "get", "--raw", "/readyz"])
                .output()
                .unwrap();
            asked.status.success().then_some(()).ok_or_else(|| text(&asked.stderr))
        });
        let controllers = Process::start(
            &assets.join("kube-controller-manager"),
            dir.path(),
            &[
                &format!("--kubeconfig={}", at("system:kube-controller-manager")),
                &format!("--service-account-private-key-file={}", at("apiserver.key")),
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--secure-port=0",
            ],
        );
        Self { _controllers: controllers, _api_server: api_server, _etcd: etcd, assets, dir }
    }

    /// A user's kubeconfig: `admin`, or `jane`, who may do nothing.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir.path().join(user)
    }

    /// Runs kubectl as the admin.
    pub fn kubectl(&self, args: &[&str], stdin: &str) -> Output {
        let input = self.dir.path().join(format!("stdin-{:?}", std::thread::current().id()));
        fs::write(&input, stdin).unwrap();
        Command::new(self.assets.join("kubectl"))
            .env("KUBECONFIG", self.kubeconfig("admin"))
            .args(args)
            .stdin(File::open(&input).unwrap())
            .output()
            .unwrap()
    }

    /// The folder of the programs, for a user's own PATH.
    pub fn assets(&self) -> &Path {
        &self.assets
    }
}

/// A text from a program's output.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The programs; `tests/controlplane/assets.sh` knows where, and builds them if need be.
fn assets() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/controlplane/assets.sh");
    let found = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(found.status.success(), "{script} failed");
    PathBuf::from(text(&found.stdout).trim())
}

fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until all are chosen, so that none is chosen twice.
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// Runs a program and ends it, by its id, when stdin ends: also where the
/// process that holds the other end was killed and could not.
const LIFELINE: &str =
    r#"exec 3<&0; "$@" 3<&- & child=$!; (cat <&3 >/dev/null; kill -9 $child) & wait $child"#;

/// A program that ends with this value; its output goes to a file.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(program: &Path, dir: &Path, args: &[&str]) -> Self {
        let name = program.file_name().unwrap().to_str().unwrap();
        let log = dir.join(format!("{name}.log"));
        let output = File::create(&log).unwrap();
        let child = Command::new("sh")
            .args(["-c", LIFELINE, "sh"])
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            // A Ctrl-C at the terminal is for this process, which ends the others in order.
            .process_group(0)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    fn check_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let end: Vec<_> = log.lines().rev().take(20).collect();
            panic!(
                "{} ended with {status}; its last lines, newest first:\n{}",
                self.log.display(),
                end.join("\n")
            );
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing of it is kept, so there is nothing to end in order for.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The cluster's CA and what it signs, as files in a folder.
struct Credentials<'a> {
    dir: &'a Path,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl<'a> Credentials<'a> {
    fn new(dir: &'a Path) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "podgate test cluster");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.join("ca.crt"), ca.pem()).unwrap();
        let credentials = Self { dir, ca };
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let mut server = CertificateParams::new(names).unwrap();
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        credentials.sign("apiserver", &server);
        credentials
    }

    fn sign(&self, name: &str, params: &CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        fs::write(self.dir.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(self.dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn kubeconfig(&self, user: &str, groups: &[&str], url: &str) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(user, &params);
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {
                "server": url,
                "certificate-authority": self.dir.join("ca.crt"),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate": self.dir.join(format!("{user}.crt")),
                "client-key": self.dir.join(format!("{user}.key")),
            }}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        });
        fs::write(self.dir.join(user), config.to_string()).unwrap();
    }
}

/// A time to show to people, who want to know what was seen.
pub fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
