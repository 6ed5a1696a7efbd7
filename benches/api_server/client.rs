//! A client with little overhead: blocking, one keep-alive connection, no decoding.

use std::path::Path;

use podgate::policy::workload::Kind;
use serde_json::Value;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::support::PATIENCE;

/// The path of Leases, before the namespace.
pub const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces";

pub struct Client {
    agent: ureq::Agent,
    server: String,
}

impl Client {
    /// Connects as the user of a kubeconfig of the test control plane.
    pub fn new(kubeconfig: &Path) -> Self {
        let config: Value = serde_json::from_slice(&std::fs::read(kubeconfig).unwrap()).unwrap();
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let pem = |path: &Value| std::fs::read(path.as_str().unwrap()).unwrap();
        let certificate = |path: &Value| [Certificate::from_pem(&pem(path)).unwrap()];
        let key = PrivateKey::from_pem(&pem(&user["client-key"])).unwrap();
        let own = ClientCert::new_with_certs(&certificate(&user["client-certificate"]), key);
        let roots = RootCerts::new_with_certs(&certificate(&cluster["certificate-authority"]));
        let tls = TlsConfig::builder().client_cert(Some(own)).root_certs(roots).build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Self { agent, server: cluster["server"].as_str().unwrap().to_owned() }
    }

    /// Creates an object; returns the status and body of the response.
    pub fn create(&self, path: &str, object: &str) -> (u16, String) {
        let request = self.agent.post(format!("{}{path}", self.server));
        let sent = request.header("content-type", "application/json").send(object);
        let mut response = sent.unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// Replaces an object; returns the status and body of the response.
    pub fn put(&self, path: &str, object: &str) -> (u16, String) {
        let request = self.agent.put(format!("{}{path}", self.server));
        let sent = request.header("content-type", "application/json").send(object);
        let mut response = sent.unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// Patches an object, if there is an API server.
    pub fn try_patch(&self, path: &str, change: &str) -> Result<(), ureq::Error> {
        let request = self.agent.patch(format!("{}{path}", self.server));
        let sent = request.header("content-type", "application/merge-patch+json").send(change)?;
        assert!(sent.status().is_success(), "{path}: {}", sent.status());
        Ok(())
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let mut response = self.agent.get(format!("{}{path}", self.server)).call().unwrap();
        let body = response.body_mut().with_config().limit(u64::MAX).read_to_string().unwrap();
        (response.status().as_u16(), body)
    }

    /// A metric of the API server without labels.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap().parse().unwrap()
    }

    /// The calls of a webhook so far, from the API server's metrics.
    pub fn calls(&self, webhook: &str) -> Calls {
        const METRIC: &str = "apiserver_admission_webhook_admission_duration_seconds";
        let (_, text) = self.get("/metrics");
        let label = format!("name=\"{webhook}\"");
        let total = |suffix: &str| -> f64 {
            let series = format!("{METRIC}_{suffix}{{");
            let own = text.lines().filter(|it| it.starts_with(&series) && it.contains(&label));
            own.map(|it| it.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
        };
        Calls { count: total("count"), seconds: total("sum") }
    }
}

/// The number of calls of a webhook, and their total duration.
#[derive(Clone, Copy)]
pub struct Calls {
    pub count: f64,
    pub seconds: f64,
}

/// The path that creates objects of a kind by dry run.
pub fn path(kind: Kind, namespace: &str) -> String {
    let names = kind.names();
    let root = if names.group.is_empty() { "/api" } else { "/apis/" };
    let (group, version, resource) = (names.group, names.version, names.resource);
    format!("{root}{group}/{version}/namespaces/{namespace}/{resource}?dryRun=All")
}
