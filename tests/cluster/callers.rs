//! Part of `make test`: which callers get reviews answered, and `podgate webhook serve`, which answers reviews and does
//! nothing else.

use std::path::Path;

use podgate::policy::workload::Kind;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use serde_json::json;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::support::audit;
use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, text};
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Alone, Suite, trials};
use crate::support::{eventually, review};

pub fn suite() -> Suite {
    Suite::of(2).alone(TRIALS)
}

const TRIALS: Alone = trials![
    with_a_client_ca_only_callers_with_its_certificate_get_verdicts_and_probes_need_none,
    webhook_serve_decides_reviews_takes_no_lease_and_writes_nothing
];

/// A client's certificate with its key and the authority that signed it, as PEM.
struct Client {
    authority: String,
    certificate: String,
    key: String,
}

impl Client {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap().pem();
        Self { authority: authority.pem(), certificate, key: key.serialize_pem() }
    }

    /// An HTTP client with this certificate, for a server whose CA is in this folder.
    fn agent(&self, server: &Path) -> ureq::Agent {
        let ca = std::fs::read(server.join("ca.crt")).unwrap();
        let roots = RootCerts::new_with_certs(&[Certificate::from_pem(&ca).unwrap()]);
        let certificate = Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        let key = PrivateKey::from_pem(self.key.as_bytes()).unwrap();
        let own = ClientCert::new_with_certs(&[certificate], key);
        let tls = TlsConfig::builder().root_certs(roots).client_cert(Some(own)).build();
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        config.timeout_global(Some(crate::support::PATIENCE)).tls_config(tls).build().new_agent()
    }
}

fn with_a_client_ca_only_callers_with_its_certificate_get_verdicts_and_probes_need_none() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (api_server, stranger) = (Client::new(), Client::new());
    std::fs::write(at("callers.crt"), &api_server.authority).unwrap();
    let policy = "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {name: p}\nspec: {forbidLatestTag: true, enforcementMode: enforce}\n";
    std::fs::write(at("policy.yaml"), policy).unwrap();
    let (policy, authorities) = (at("policy.yaml"), at("callers.crt"));
    let args = [
        "--standalone",
        "--policy",
        policy.to_str().unwrap(),
        "--client-ca",
        authorities.to_str().unwrap(),
    ];
    let podgate = Podgate::serve(&args, &at("certs"));
    let body = review::create("shop", &workload(Kind::Pod, pod("nginx"))).to_string();
    let url = |path: &str| format!("https://{}{path}", podgate.listen);

    for path in ["/validate", "/mutate"] {
        let (status, answer) = podgate.post_to(path, "application/json", body.as_bytes());
        assert_eq!(status, 401, "{answer}");
        assert!(answer.contains("--client-ca") && answer.contains("AdmissionConfiguration"));
    }
    let health = crate::support::raw::get(&mut podgate.connect(&at("certs")), "/healthz");
    assert!(health.starts_with("HTTP/1.1 200"), "a kubelet has no certificate: {health}");

    let with = |client: &Client| {
        let agent = client.agent(&at("certs"));
        let request = agent.post(url("/validate")).header("content-type", "application/json");
        request.send(body.as_bytes()).map(|mut answer| {
            (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
        })
    };
    let (status, answer) = with(&api_server).unwrap();
    assert!(status == 200 && answer.contains("\"allowed\":false"), "{status} {answer}");
    assert!(with(&stranger).is_err(), "a certificate of another authority ends the handshake");

    // The file is read again: callers of the new CA are trusted, and others are not.
    std::fs::write(at("callers.crt"), &stranger.authority).unwrap();
    eventually("the other CA to be trusted", || match with(&stranger) {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(with(&api_server).is_err());
}

fn webhook_serve_decides_reviews_takes_no_lease_and_writes_nothing() {
    let plane = ControlPlane::audited();
    let admin = plane.kubeconfig("admin");
    let admin = admin.to_str().unwrap();
    let installed = binary::run(&["crd", "install", "--kubeconfig", admin]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    let policy = json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
        "metadata": {"name": "baseline", "namespace": "default"},
        "spec": {"forbidLatestTag": true, "enforcementMode": "enforce"},
    });
    plane.kubectl(&["apply", "-f", "-"]).given(&policy).ok();

    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = plane.kubeconfig_for("decides");
    let mut command = binary::command();
    command.args([
        "webhook",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
    ]);
    command.arg("--cert-dir").arg(dir.path()).arg("--kubeconfig").arg(&kubeconfig);
    let webhook = Podgate::start_by(command, "serving");
    let body = review::create("default", &workload(Kind::Pod, pod("nginx"))).to_string();
    let mut connection = webhook.connect(dir.path());
    let answer = crate::support::raw::post(&mut connection, "/validate", &body);
    assert!(answer.contains("\"allowed\":false"), "{answer}");

    // A replica that starts later leads at once and writes; the first would have written by then, too.
    let kubeconfig = plane.kubeconfig_for("leads");
    let kubeconfig = kubeconfig.to_str().unwrap();
    let args = ["--kubeconfig", kubeconfig, "--metrics-listen", "127.0.0.1:0"];
    let args = [args.as_slice(), &["--lease-namespace", "default"]].concat();
    let replica = Podgate::start("reconcile", &args, "serving");
    eventually("the replica to write a status", || {
        let wrote = |event: &serde_json::Value| {
            audit::user(event) == "leads" && audit::resource(event) == "devopspolicies"
        };
        if plane.writes().iter().any(wrote) { Ok(()) } else { Err("none yet".to_owned()) }
    });
    assert_eq!(replica.metric("podgate_leader"), Some(1.0));
    assert_eq!(webhook.metric("podgate_leader"), Some(0.0));
    let wrote: Vec<_> =
        plane.writes().into_iter().filter(|it| audit::user(it) == "decides").collect();
    assert!(wrote.is_empty(), "{wrote:#?}");
    let refused = binary::run(&["webhook", "serve", "--register", "--kubeconfig", admin]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
}
