//! A real etcd, kube-apiserver, kube-controller-manager and, if asked for, kube-scheduler on free ports of 127.0.0.1 or
//! of an address of one's own, ended by process id when the value is dropped, also on a panic.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::audit;
use super::credentials::Credentials;
use super::etcd::Etcd;
use super::eventually;
use super::kubectl::Kubectl;
use super::ports::Reserved;
use super::proxy::Proxy;

/// The options of a control plane.
#[derive(Clone, Copy)]
pub struct Options {
    /// The API server's address. Webhooks with `service:` need one that is valid in `EndpointSlices`, so not in
    /// 127.0.0.0/8.
    pub address: Ipv4Addr,
    /// The audit policy, if there is to be an audit log.
    pub audit: Option<&'static str>,
    /// Whether pods are bound to nodes.
    pub scheduler: bool,
    /// For how long changes of endpoints are gathered before they are written.
    pub endpoint_lag: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let endpoint_lag = Duration::ZERO;
        Self { address: Ipv4Addr::LOCALHOST, audit: None, scheduler: false, endpoint_lag }
    }
}

/// A running control plane.
pub struct ControlPlane {
    /// In the order of shutdown: etcd last, or the others log errors for long.
    _scheduler: Option<Process>,
    /// `None` while they restart.
    controllers: Mutex<Option<Process>>,
    /// `None` while it is killed.
    api_server: Mutex<Option<Process>>,
    _etcd: Process,
    assets: PathBuf,
    credentials: Credentials,
    ports: Ports,
    options: Options,
    dir: TempDir,
}

struct Ports {
    etcd: u16,
    api_server: u16,
    /// Lives as long as the programs, also while one of them restarts.
    _reserved: [Reserved; 3],
}

impl ControlPlane {
    /// Starts one and waits until it is ready; the first call on a machine builds it.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// The same with an audit log of all writes; see [`Self::writes`].
    pub fn audited() -> Self {
        Self::start_with(Options { audit: Some(audit::POLICY), ..Options::default() })
    }

    /// The same with these options.
    pub fn start_with(options: Options) -> Self {
        let assets = assets();
        let dir = tempfile::Builder::new().prefix("podgate-control-plane-").tempdir().unwrap();
        let reserved = [(); 3].map(|()| Reserved::port(options.address));
        let [etcd_port, peer_port, api_port] = reserved.each_ref().map(|it| it.port);
        let ports = Ports { etcd: etcd_port, api_server: api_port, _reserved: reserved };
        let credentials = Credentials::new(dir.path(), options.address);
        let url = format!("https://{}:{api_port}", options.address);
        for (user, groups) in [
            ("admin", ["system:masters"].as_slice()),
            ("system:kube-controller-manager", &[]),
            ("system:kube-scheduler", &[]),
            ("jane", &[]),
        ] {
            credentials.user(user, groups);
            credentials.kubeconfig(user, user, &url);
        }
        if let Some(policy) = options.audit {
            fs::write(dir.path().join("audit-policy"), policy).unwrap();
        }
        let at = |name: &str| dir.path().join(name).display().to_string();

        let etcd_client = format!("http://127.0.0.1:{etcd_port}");
        // API servers in other networks reach it there.
        let etcd_clients = if options.address == Ipv4Addr::LOCALHOST {
            etcd_client.clone()
        } else {
            format!("{etcd_client},http://{}:{etcd_port}", options.address)
        };
        let etcd_peer = format!("http://127.0.0.1:{peer_port}");
        let etcd = Process::start(
            &assets.join("etcd"),
            dir.path(),
            &[
                &format!("--data-dir={}", at("etcd")),
                &format!("--listen-client-urls={etcd_clients}"),
                &format!("--advertise-client-urls={etcd_client}"),
                &format!("--listen-peer-urls={etcd_peer}"),
                &format!("--initial-advertise-peer-urls={etcd_peer}"),
                &format!("--initial-cluster=default={etcd_peer}"),
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        );
        let api_server = api_server(&assets, dir.path(), &ports, options);
        let controllers = controllers(&assets, dir.path(), options.endpoint_lag);
        let scheduler = options.scheduler.then(|| {
            let kubeconfig = format!("--kubeconfig={}", at("system:kube-scheduler"));
            let args = [&kubeconfig, "--leader-elect=false", "--secure-port=0"];
            Process::start(&assets.join("kube-scheduler"), dir.path(), &args)
        });
        Self {
            _scheduler: scheduler,
            controllers: Mutex::new(Some(controllers)),
            api_server: Mutex::new(Some(api_server)),
            _etcd: etcd,
            assets,
            credentials,
            ports,
            options,
            dir,
        }
    }

    /// Kills the API server at once (SIGKILL, by its id); everything else keeps running.
    pub fn kill_api_server(&self) {
        self.api_server.lock().unwrap().take();
    }

    /// Stops the API server's process (SIGSTOP, by its id): its port accepts connections, and nothing is answered. It
    /// can still be killed.
    pub fn freeze_api_server(&self) {
        self.signal_api_server("STOP");
    }

    /// Resumes a frozen API server.
    pub fn thaw_api_server(&self) {
        self.signal_api_server("CONT");
    }

    fn signal_api_server(&self, signal: &str) {
        let running = self.api_server.lock().unwrap();
        let pid = running.as_ref().unwrap().program().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// The process id of the running API server.
    pub fn api_server_id(&self) -> u32 {
        self.api_server.lock().unwrap().as_ref().unwrap().program()
    }

    /// Starts a killed API server again, on the same port and the same etcd, and waits until it is ready.
    pub fn restart_api_server(&self) {
        let mut running = self.api_server.lock().unwrap();
        assert!(running.is_none(), "kill it first");
        *running = Some(api_server(&self.assets, self.dir.path(), &self.ports, self.options));
    }

    /// Ends the controllers and starts them again with this lag of endpoints.
    pub fn restart_controllers(&self, endpoint_lag: Duration) {
        let mut running = self.controllers.lock().unwrap();
        running.take();
        *running = Some(controllers(&self.assets, self.dir.path(), endpoint_lag));
    }

    /// Starts another API server on the same etcd, at this address and the same port, in another network: by this
    /// command, such as `ip netns exec NAME`. Both announce themselves.
    pub fn start_sibling(&self, address: Ipv4Addr, by: &[&str]) -> Sibling {
        let mut args = arguments(self.dir.path(), &self.ports, self.options);
        // The last of several counts.
        args.push(format!("--etcd-servers=http://{}:{}", self.options.address, self.ports.etcd));
        args.push(format!("--bind-address={address}"));
        args.push(format!("--advertise-address={address}"));
        let program = self.assets.join("kube-apiserver").display().to_string();
        let args = args.iter().map(String::as_str);
        let args: Vec<_> = by.iter().skip(1).copied().chain([&*program]).chain(args).collect();
        let process = Process::start(Path::new(by[0]), self.dir.path(), &args);
        let url = format!("https://{}", SocketAddrV4::new(address, self.ports.api_server));
        let kubeconfig = fs::read_to_string(self.kubeconfig("admin")).unwrap();
        let mut kubeconfig: Value = serde_json::from_str(&kubeconfig).unwrap();
        let cluster = &mut kubeconfig["clusters"][0]["cluster"];
        cluster["server"] = Value::from(url);
        cluster["tls-server-name"] = Value::from("kubernetes.default.svc");
        let path = self.dir.path().join("admin-of-the-sibling");
        fs::write(&path, kubeconfig.to_string()).unwrap();
        let mut sibling = Sibling { process, kubeconfig: path };
        let asked = self.kubectl(&["get", "--raw", "/readyz"]).by(sibling.kubeconfig.clone());
        eventually("the other API server to be ready", || {
            sibling.process.check_alive();
            asked.result()
        });
        sibling
    }

    /// The address and port of the API server.
    pub fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.options.address, self.ports.api_server)
    }

    /// The API server's etcd.
    pub fn etcd(&self) -> Etcd {
        Etcd::at(self.ports.etcd)
    }

    /// A proxy to the API server that can be cut and paused.
    pub fn proxy(&self) -> Proxy {
        Proxy::to(self.ports.api_server)
    }

    /// The audit events of all writes so far, in the order they were logged: one when a request is received, one when
    /// it is answered.
    pub fn writes(&self) -> Vec<Value> {
        self.requests().into_iter().filter(audit::is_write).collect()
    }

    /// The same with all other logged requests, such as jane's reads.
    pub fn requests(&self) -> Vec<Value> {
        audit::events(&self.audit_log())
    }

    /// Those of [`Self::requests`] whose events have this text, such as a path.
    pub fn requests_about(&self, about: &str) -> Vec<Value> {
        audit::events_about(&self.audit_log(), about)
    }

    /// The requests that are logged from now on.
    pub fn further_requests(&self) -> audit::Added {
        audit::Added::to(&self.audit_log())
    }

    /// What the API server logged of calls of webhooks that failed.
    pub fn failed_calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.dir.path().join("kube-apiserver.log")).unwrap();
        log.lines().filter(|it| it.contains("ailed calling webhook")).map(str::to_owned).collect()
    }

    fn audit_log(&self) -> PathBuf {
        assert!(self.options.audit.is_some(), "start it by ControlPlane::audited");
        self.dir.path().join(audit::LOG)
    }

    /// A user's kubeconfig: `admin`, or `jane`, who has no permissions.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir.path().join(user)
    }

    /// The kubeconfig of another user with all permissions, with this name in the audit log.
    pub fn kubeconfig_for(&self, user: &str) -> PathBuf {
        self.credentials.user(user, &["system:masters"]);
        self.credentials.kubeconfig(user, user, &format!("https://{}", self.address()))
    }

    /// The kubeconfig of another user in these groups.
    pub fn kubeconfig_in(&self, user: &str, groups: &[&str]) -> PathBuf {
        self.credentials.user(user, groups);
        self.credentials.kubeconfig(user, user, &format!("https://{}", self.address()))
    }

    /// The kubeconfig of such a user, which connects through a proxy.
    pub fn kubeconfig_through(&self, proxy: &Proxy, user: &str) -> PathBuf {
        self.credentials.user(user, &["system:masters"]);
        let file = format!("{user}-through-{}", proxy.port());
        self.credentials.kubeconfig(&file, user, &format!("https://127.0.0.1:{}", proxy.port()))
    }

    /// kubectl, as the admin.
    pub fn kubectl(&self, args: &[&str]) -> Kubectl {
        Kubectl::of(&self.assets, self.kubeconfig("admin"), args)
    }

    /// The folder of the programs, for a user's own PATH.
    pub fn assets(&self) -> &Path {
        &self.assets
    }
}

/// Another API server of a control plane.
pub struct Sibling {
    process: Process,
    /// The admin's, for this API server.
    pub kubeconfig: PathBuf,
}

/// The arguments of an API server.
fn arguments(dir: &Path, ports: &Ports, options: Options) -> Vec<String> {
    let at = |name: &str| dir.join(name).display().to_string();
    let mut args = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        format!("--secure-port={}", ports.api_server),
        format!("--bind-address={}", options.address),
        format!("--tls-cert-file={}", at("apiserver.crt")),
        format!("--tls-private-key-file={}", at("apiserver.key")),
        format!("--client-ca-file={}", at("ca.crt")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", at("apiserver.crt")),
        format!("--service-account-signing-key-file={}", at("apiserver.key")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    if options.address != Ipv4Addr::LOCALHOST {
        // Webhooks with `service:` are called at an endpoint, because nothing routes a Service's address here.
        args.push("--enable-aggregator-routing=true".to_owned());
        args.push(format!("--advertise-address={}", options.address));
    }
    if options.audit.is_some() {
        args.push(format!("--audit-policy-file={}", at("audit-policy")));
        args.push(format!("--audit-log-path={}", at(audit::LOG)));
    }
    args
}

/// Starts an API server and waits until it is ready.
fn api_server(assets: &Path, dir: &Path, ports: &Ports, options: Options) -> Process {
    let args = arguments(dir, ports, options);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut api_server = Process::start(&assets.join("kube-apiserver"), dir, &args);
    let asked = Kubectl::of(assets, dir.join("admin"), &["get", "--raw", "/readyz"]);
    eventually("the API server to be ready", || {
        api_server.check_alive();
        asked.result()
    });
    api_server
}

/// Starts the controllers, all those of an ordinary cluster.
fn controllers(assets: &Path, dir: &Path, endpoint_lag: Duration) -> Process {
    let at = |name: &str| dir.join(name).display().to_string();
    Process::start(
        &assets.join("kube-controller-manager"),
        dir,
        &[
            &format!("--kubeconfig={}", at("system:kube-controller-manager")),
            &format!("--service-account-private-key-file={}", at("apiserver.key")),
            &format!("--root-ca-file={}", at("ca.crt")),
            &format!("--endpointslice-updates-batch-period={}s", endpoint_lag.as_secs()),
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            // Parallel tests share the rate limit.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            // Nodes of the suites have no kubelet that reports their health: they are never marked unhealthy.
            "--node-monitor-grace-period=24h",
            "--node-startup-grace-period=24h",
            "--secure-port=0",
        ],
    )
}

/// A text from a program's output.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The programs; `tests/controlplane/assets.sh` prints their folder, and builds them if needed.
pub fn assets() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/controlplane/assets.sh");
    let found = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(found.status.success(), "{script} failed");
    PathBuf::from(text(&found.stdout).trim())
}

/// Runs a program and ends it, by its id, when stdin ends: also where the
/// process that holds the other end was killed and could not.
const LIFELINE: &str =
    r#"exec 3<&0; "$@" 3<&- & child=$!; (cat <&3 >/dev/null; kill -9 $child) & wait $child"#;

/// A program that ends when this value is dropped; its output goes to a file.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(program: &Path, dir: &Path, args: &[&str]) -> Self {
        let name = program.file_name().unwrap().to_str().unwrap();
        let log = dir.join(format!("{name}.log"));
        // A restarted program appends to its log.
        let output = File::options().create(true).append(true).open(&log).unwrap();
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

    /// The id of the program itself, which is a child of the shell that ends it.
    fn program(&self) -> u32 {
        let shell = self.child.id();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let name = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        let own = self.log.file_stem().unwrap().to_str().unwrap();
        let pid = children.split_whitespace().find(|pid| name(pid).trim() == own);
        pid.expect("the program runs").parse().unwrap()
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
        // Its data is deleted, so no orderly shutdown is needed.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A duration as text for people.
pub fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
