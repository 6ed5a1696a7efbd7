//! The probes of a container, run as by a kubelet: liveness and readiness begin when startup has succeeded, and a
//! result changes after the threshold of equal answers.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, Probe as ProbeObject};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use ureq::tls::TlsConfig;

/// The current results of the probes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProbeResults {
    pub started: bool,
    pub ready: bool,
    pub alive: bool,
}

/// The probes of a running container; they end when this value is dropped.
pub struct Probes {
    found: Arc<Mutex<ProbeResults>>,
    ended: Arc<AtomicBool>,
}

impl Probes {
    pub fn start(container: &Container, address: Ipv4Addr) -> Self {
        let probe = |object: &Option<ProbeObject>| {
            object.as_ref().map(|it| Probe::new(it, container, address))
        };
        let mut startup = probe(&container.startup_probe);
        let mut readiness = probe(&container.readiness_probe);
        let mut liveness = probe(&container.liveness_probe);
        let first = ProbeResults {
            started: startup.is_none(),
            ready: startup.is_none() && readiness.is_none(),
            alive: true,
        };
        let found = Arc::new(Mutex::new(first));
        let ended = Arc::new(AtomicBool::new(false));
        let (results, stop) = (Arc::clone(&found), Arc::clone(&ended));
        std::thread::spawn(move || {
            let mut now = first;
            while now.alive && !stop.load(Ordering::SeqCst) {
                if now.started {
                    if let Some(ready) = readiness.as_mut().and_then(Probe::result) {
                        now.ready = ready;
                    }
                    if liveness.as_mut().and_then(Probe::result) == Some(false) {
                        now.alive = false;
                    }
                } else {
                    match startup.as_mut().and_then(Probe::result) {
                        Some(true) => (now.started, now.ready) = (true, readiness.is_none()),
                        Some(false) => now.alive = false,
                        None => {}
                    }
                }
                *results.lock().unwrap() = now;
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { found, ended }
    }

    pub fn found(&self) -> ProbeResults {
        *self.found.lock().unwrap()
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

struct Probe {
    ask: Box<dyn Fn() -> bool + Send>,
    next: Instant,
    period: Duration,
    /// The success and failure thresholds.
    thresholds: (i32, i32),
    last: bool,
    alike: i32,
}

impl Probe {
    fn new(probe: &ProbeObject, container: &Container, address: Ipv4Addr) -> Self {
        let seconds = |value: Option<i32>, default: i32| {
            Duration::from_secs(value.unwrap_or(default).try_into().unwrap())
        };
        Self {
            ask: ask(probe, container, address, seconds(probe.timeout_seconds, 1)),
            next: Instant::now() + seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            thresholds: (
                probe.success_threshold.unwrap_or(1),
                probe.failure_threshold.unwrap_or(3),
            ),
            last: false,
            alike: 0,
        }
    }

    /// Probes if the period has passed; returns the result if it reached its threshold.
    fn result(&mut self) -> Option<bool> {
        if Instant::now() < self.next {
            return None;
        }
        self.next = Instant::now() + self.period;
        let answer = (self.ask)();
        self.alike = if answer == self.last { self.alike + 1 } else { 1 };
        self.last = answer;
        let (success, failure) = self.thresholds;
        let enough = self.alike >= if answer { success } else { failure };
        enough.then_some(answer)
    }
}

fn ask(
    probe: &ProbeObject,
    container: &Container,
    address: Ipv4Addr,
    timeout: Duration,
) -> Box<dyn Fn() -> bool + Send> {
    if let Some(tcp) = &probe.tcp_socket {
        let address = (address, port(&tcp.port, container)).into();
        return Box::new(move || TcpStream::connect_timeout(&address, timeout).is_ok());
    }
    let get =
        probe.http_get.as_ref().expect("this kubelet supports only httpGet and tcpSocket probes");
    let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let path = get.path.as_deref().unwrap_or("/");
    let url = format!("{scheme}://{address}:{}{path}", port(&get.port, container));
    // As a kubelet: a new connection each time, and no verification of certificates.
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(timeout))
        .tls_config(TlsConfig::builder().disable_verification(true).build())
        .build()
        .new_agent();
    Box::new(move || agent.get(&url).call().is_ok_and(|answer| answer.status().as_u16() < 400))
}

fn port(port: &IntOrString, container: &Container) -> u16 {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            let named = ports.filter(|it| it.name.as_deref() == Some(name));
            named
                .map(|it| it.container_port)
                .next()
                .expect("a probe's port is one of the container's")
        }
    };
    number.try_into().unwrap()
}
