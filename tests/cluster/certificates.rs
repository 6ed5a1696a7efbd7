//! Part of `make test`: the certificates that replicas share, on a real API server, with a user who has exactly the
//! rights of the chart's roles.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};

use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, seconds, text};
use crate::support::kubectl::Kubectl;
use crate::support::suite::{Alone, Suite, Trials, World, trials};
use crate::support::{PATIENCE, eventually, eventually_within, role};

pub fn suite() -> Suite {
    Suite::of(2).alone(ALONE).sharing(&World::by_turns(Shared::start), TRIALS)
}

/// The trials with a cluster of their own.
const ALONE: Alone = trials![
    an_api_server_trusts_every_replica_while_leaves_and_authorities_are_replaced,
    a_certificate_from_an_admin_is_served_and_trusted_and_a_better_one_is_taken_over,
];

const TRIALS: Trials<Shared> = trials![
    five_replicas_share_one_authority_and_one_leaf,
    a_ca_bundle_that_was_wiped_or_replaced_is_filled_in_again,
    a_configuration_that_was_deleted_stays_deleted_and_the_other_is_looked_after,
    a_secret_that_was_corrupted_or_deleted_is_restored_and_stays_helms,
];

const CONFIGURATIONS: [&str; 2] = [
    "validatingwebhookconfiguration/podgate-validating",
    "mutatingwebhookconfiguration/podgate-mutating",
];
/// Far above the time in which three CAs of half a minute each are replaced.
const REPLACED: Duration = Duration::from_mins(10);
/// Empties every caBundle.
const WIPE: &str = r#"[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]"#;

/// A control plane that knows podgate's policies and calls its Service.
struct Cluster(ControlPlane);

impl Cluster {
    fn start() -> Self {
        let cluster = Self(ControlPlane::start());
        let admin = cluster.0.kubeconfig("admin");
        let installed = binary::run(&["crd", "install", "--kubeconfig", admin.to_str().unwrap()]);
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        role::grant(&cluster.0, "jane");
        cluster.configure();
        cluster
    }

    /// Applies the configurations, without a `caBundle`, as the chart does.
    fn configure(&self) {
        let printed = binary::run(&["webhook", "config", "--service", "default/podgate"]);
        self.kubectl(&["apply", "--server-side", "-f", "-"]).given(&text(&printed.stdout)).ok();
    }

    fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.0.kubectl(args)
    }

    /// A podgate that leads or waits to lead.
    fn podgate(&self, mode: &str, flags: &[&str]) -> Podgate {
        let kubeconfig = self.0.kubeconfig("jane");
        let args = [
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--certificates",
            mode,
            "--lease-namespace",
            "default",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--shutdown-delay",
            "0",
            "--drain-timeout",
            "0",
        ];
        Podgate::start("serve", &[&args, flags].concat(), "serving")
    }

    /// The caBundles that the API server trusts, by webhook; an unset one is empty.
    fn bundles(&self, configuration: &str) -> Vec<Vec<u8>> {
        let object: Value =
            serde_json::from_str(&self.kubectl(&["get", "-o", "json", configuration]).ok())
                .unwrap();
        let bundle = |webhook: &Value| decoded(&webhook["clientConfig"]["caBundle"]);
        object["webhooks"].as_array().unwrap().iter().map(bundle).collect()
    }

    fn secret(&self, key: &str) -> Vec<u8> {
        let object = self.kubectl(&["get", "-o", "json", "secret", "podgate-tls"]).run();
        let object: Value = serde_json::from_str(&object.stdout).unwrap_or_default();
        decoded(&object["data"][key])
    }

    /// Waits until every webhook trusts the Secret's authorities; prints the reason and the duration.
    fn trusts(&self, what: &str, configurations: &[&str]) {
        let ((), after) = eventually(what, || {
            let ca = self.secret("ca.crt");
            let all = configurations.iter().flat_map(|it| self.bundles(it));
            let named = !ca.is_empty() && all.into_iter().all(|it| it == ca);
            named.then_some(()).ok_or_else(|| "not yet".to_owned())
        });
        println!("{what}: after {}", seconds(after));
    }
}

/// The bytes of a Secret's value, or of a `caBundle`.
fn decoded(value: &Value) -> Vec<u8> {
    serde_json::from_value::<k8s_openapi::ByteString>(value.clone()).unwrap_or_default().0
}

/// Connects as an API server that trusts this bundle; returns the leaf.
fn handshake(podgate: &Podgate, bundle: &[u8]) -> Result<Vec<u8>, String> {
    let mut roots = rustls::RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(bundle) {
        roots.add(ca.unwrap()).unwrap();
    }
    let config =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("podgate.default.svc").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(&podgate.listen).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut socket).map_err(|error| error.to_string())?;
    }
    Ok(client.peer_certificates().unwrap()[0].to_vec())
}

/// Replicas that share one CA. Helm created their Secret from the chart, without data.
struct Shared {
    replicas: Vec<Podgate>,
    cluster: Cluster,
    secret: Value,
}

impl Shared {
    fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = Cluster::start();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "podgate-tls",
            "labels": {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "podgate-0.1.0"},
            "annotations": {"meta.helm.sh/release-name": "podgate", "meta.helm.sh/release-namespace": "default"}}});
        cluster
            .kubectl(&["apply", "--server-side", "--field-manager=helm", "-f", "-"])
            .given(&secret)
            .ok();
        let replicas: Vec<_> = std::thread::scope(|scope| {
            let starting: Vec<_> =
                (0..5).map(|_| scope.spawn(|| cluster.podgate("self-signed", &[]))).collect();
            starting.into_iter().map(|it| it.join().unwrap()).collect()
        });
        cluster.trusts("five replicas have one authority", &CONFIGURATIONS);
        Self { replicas, cluster, secret }
    }
}

fn five_replicas_share_one_authority_and_one_leaf(Shared { replicas, cluster, .. }: &Shared) {
    let ca = cluster.secret("ca.crt");
    assert_eq!(CertificateDer::pem_slice_iter(&ca).count(), 1);
    let leaves = replicas.iter().map(|podgate| {
        eventually("a replica to be ready", || {
            let (status, why) = podgate.get("/readyz");
            if status == 200 { Ok(()) } else { Err(why) }
        });
        handshake(podgate, &ca).unwrap()
    });
    assert_eq!(leaves.collect::<BTreeSet<_>>().len(), 1, "all replicas serve one leaf");
}

fn a_ca_bundle_that_was_wiped_or_replaced_is_filled_in_again(Shared { cluster, .. }: &Shared) {
    for configuration in CONFIGURATIONS {
        cluster.kubectl(&["patch", configuration, "--type=json", "-p", WIPE]).ok();
        cluster.trusts(&format!("the caBundle of {configuration}, wiped"), &CONFIGURATIONS);
        cluster.kubectl(&["delete", configuration]).ok();
        cluster.configure();
        cluster.trusts(&format!("the caBundle of {configuration}, replaced"), &CONFIGURATIONS);
    }
}

fn a_configuration_that_was_deleted_stays_deleted_and_the_other_is_looked_after(
    Shared { replicas, cluster, .. }: &Shared,
) {
    cluster.kubectl(&["delete", CONFIGURATIONS[1]]).ok();
    let present = r#"podgate_webhook_configuration_present{configuration="mutating"}"#;
    for podgate in replicas {
        eventually("the missing configuration in the metric", || {
            let value = podgate.metric(present);
            if value == Some(0.0) { Ok(()) } else { Err(format!("{value:?}")) }
        });
    }
    cluster.kubectl(&["patch", CONFIGURATIONS[0], "--type=json", "-p", WIPE]).ok();
    cluster.trusts("the caBundle of the one that is left", &CONFIGURATIONS[..1]);
    // A configuration that was deleted stays deleted.
    cluster.kubectl(&["get", CONFIGURATIONS[1]]).fails();
    cluster.configure();
    cluster.trusts("the caBundle of the one that is back", &CONFIGURATIONS);
}

fn a_secret_that_was_corrupted_or_deleted_is_restored_and_stays_helms(
    Shared { replicas, cluster, secret }: &Shared,
) {
    let ca = cluster.secret("ca.crt");
    let patch = json!({"data": {"tls.crt": "aGVsbG8="}}).to_string();
    cluster.kubectl(&["patch", "secret", "podgate-tls", "-p", &patch]).ok();
    restored(cluster, "a Secret that was corrupted", &ca);
    cluster.kubectl(&["delete", "secret", "podgate-tls"]).ok();
    restored(cluster, "a Secret that was deleted", &ca);
    // The Secret must keep Helm's ownership metadata, so that Helm can change it and delete it with the release.
    let owner = r"jsonpath={.metadata.labels.app\.kubernetes\.io/managed-by} {.metadata.annotations.meta\.helm\.sh/release-name}";
    assert_eq!(
        cluster.kubectl(&["get", "secret", "podgate-tls", "-o", owner]).ok(),
        "Helm podgate"
    );
    let upgraded = secret.to_string().replace("podgate-0.1.0", "podgate-0.2.0");
    cluster
        .kubectl(&["apply", "--server-side", "--field-manager=helm", "-f", "-"])
        .given(&upgraded)
        .ok();
    for podgate in replicas {
        handshake(podgate, &ca).expect("the old certificate is served");
    }
}

/// Waits until a Secret is restored with the CA that the API server trusts.
fn restored(cluster: &Cluster, what: &str, ca: &[u8]) {
    let ((), after) = eventually(what, || {
        let leaf = cluster.secret("tls.crt");
        let good = cluster.secret("ca.crt") == ca && leaf.starts_with(b"-----BEGIN");
        good.then_some(()).ok_or_else(|| text(&leaf))
    });
    println!("{what}: restored after {}", seconds(after));
}

fn an_api_server_trusts_every_replica_while_leaves_and_authorities_are_replaced() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start();
    let short = ["--leaf-lifetime", "10s", "--ca-lifetime", "30s"];
    let replicas = [cluster.podgate("self-signed", &short), cluster.podgate("self-signed", &short)];
    cluster.trusts("there is a certificate", &CONFIGURATIONS);
    for podgate in &replicas {
        eventually("a replica to be ready", || {
            let (status, why) = podgate.get("/readyz");
            if status == 200 { Ok(()) } else { Err(why) }
        });
    }
    let (mut leaves, mut authorities, mut handshakes) = (BTreeSet::new(), BTreeSet::new(), 0);
    // The bundle that the API server trusts now.
    let trusted = || cluster.bundles(CONFIGURATIONS[0]).remove(0);
    let ((), after) = eventually_within(REPLACED, "leaves and authorities to be replaced", || {
        for podgate in &replicas {
            let (leaf, bundle) = trusting_handshake(podgate, trusted);
            leaves.insert(leaf);
            handshakes += 1;
            authorities
                .extend(CertificateDer::pem_slice_iter(&bundle).map(|it| it.unwrap().to_vec()));
        }
        if leaves.len() > 6 && authorities.len() > 3 {
            Ok(())
        } else {
            Err(format!("{} leaves of {} authorities", leaves.len(), authorities.len()))
        }
    });
    println!(
        "{handshakes} handshakes, none refused; {} leaves of {} authorities in {}",
        leaves.len(),
        authorities.len(),
        seconds(after)
    );
}

/// Connects with the bundle that is trusted now; returns the leaf and the bundle. A refusal counts only if the bundle
/// is still the same after it.
fn trusting_handshake(podgate: &Podgate, trusted: impl Fn() -> Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mut bundle = trusted();
    loop {
        match handshake(podgate, &bundle) {
            Ok(leaf) => return (leaf, bundle),
            Err(error) => {
                let now = trusted();
                assert!(now != bundle, "a replica is not trusted: {error}");
                bundle = now;
            }
        }
    }
}

fn a_certificate_from_an_admin_is_served_and_trusted_and_a_better_one_is_taken_over() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start();
    let podgate = cluster.podgate("provided", &[]);
    let (status, why) = podgate.get("/readyz");
    assert_eq!(status, 503, "there is no certificate yet: {why}");
    for round in ["the first", "another"] {
        let names = ["podgate.default.svc".to_owned()];
        let made = podgate::certs::authority::self_signed(&names, time::OffsetDateTime::now_utc());
        let made = made.unwrap();
        let ca = made.ca.unwrap();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "podgate-tls"},
            "stringData": {"tls.crt": made.certificate, "tls.key": made.key, "ca.crt": ca},
        });
        cluster.kubectl(&["apply", "-f", "-"]).given(&secret).ok();
        cluster.trusts(&format!("{round} certificate"), &CONFIGURATIONS);
        eventually("it to be served", || handshake(&podgate, ca.as_bytes()));
    }
    eventually("a replica to be ready", || {
        let (status, why) = podgate.get("/readyz");
        if status == 200 { Ok(()) } else { Err(why) }
    });
}
