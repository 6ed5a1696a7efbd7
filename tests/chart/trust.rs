//! Checks from outside that the API server trusts each replica's certificate: the Secret, the configurations, and a TLS
//! handshake with each pod.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};

use super::helm::RELEASE;
use super::world::{NAMESPACE, ROLLOUT, World};
use crate::support::{PATIENCE, eventually_within};

const SECRET: &str = "podgate-tls";
const PORT: u16 = 8443;

/// The Secret's data, if it exists.
pub fn secret(world: &World) -> Option<BTreeMap<String, Vec<u8>>> {
    let api: Api<Secret> = Api::namespaced(world.client.clone(), NAMESPACE);
    let data = world.wait(api.get_opt(SECRET)).unwrap()?.data.unwrap_or_default();
    Some(data.into_iter().map(|(key, ByteString(bytes))| (key, bytes)).collect())
}

/// Whether the leaf is a valid certificate that has not expired.
pub fn leaf_ends_after_now(data: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let pem = data.get("tls.crt").ok_or("no tls.crt")?;
    let der = CertificateDer::from_pem_slice(pem).map_err(|error| format!("tls.crt: {error}"))?;
    let (_, leaf) = x509_parser::parse_x509_certificate(&der).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let end = leaf.validity().not_after.timestamp();
    if data.contains_key("tls.key") && end > now.try_into().unwrap() {
        Ok(())
    } else {
        Err(format!("it expired at {end}"))
    }
}

/// The data of a Secret whose CA and leaf are valid, but expired a day ago.
pub fn expired() -> Value {
    let day = Duration::from_hours(24);
    let ended = |params: &mut CertificateParams| {
        params.not_before = (SystemTime::now() - 2 * day).into();
        params.not_after = (SystemTime::now() - day).into();
    };
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ended(&mut ca);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let mut leaf = CertificateParams::new([host()]).unwrap();
    ended(&mut leaf);
    let key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, &ca).unwrap();
    let value = |text: String| json!(ByteString(text.into_bytes()));
    json!({
        "ca.crt": value(ca.pem()),
        "ca.key": value(ca.key().serialize_pem()),
        "tls.crt": value(leaf.pem()),
        "tls.key": value(key.serialize_pem()),
    })
}

/// The name by which the API server calls podgate.
fn host() -> String {
    format!("{RELEASE}.{NAMESPACE}.svc")
}

impl World {
    /// The distinct caBundles of podgate's webhooks; an unset one is empty.
    pub fn bundles(&self) -> BTreeSet<String> {
        let configurations = self.configurations();
        let webhooks = configurations.iter().flat_map(|it| it["webhooks"].as_array().unwrap());
        let bundle = |webhook: &Value| {
            let bundle: ByteString =
                serde_json::from_value(webhook["clientConfig"]["caBundle"].clone()).ok()?;
            String::from_utf8(bundle.0).ok()
        };
        webhooks.map(|it| bundle(it).unwrap_or_default()).collect()
    }

    /// Waits until this number of replicas is ready and every webhook trusts each ready one; returns the duration.
    pub fn all_trusted(&self, replicas: usize) -> Duration {
        let ((), after) =
            eventually_within(ROLLOUT, "every webhook to trust every replica", || {
                let bundles = self.bundles();
                if bundles.is_empty() {
                    return Err("there is no webhook".to_owned());
                }
                let pods = self.kubelet.pods();
                let ready: Vec<_> = pods.iter().filter(|it| it.is_ready()).collect();
                if ready.len() < replicas {
                    return Err(format!("{} of {replicas} replicas are ready", ready.len()));
                }
                for pod in ready {
                    for bundle in &bundles {
                        handshake(&pod.address().unwrap(), bundle)
                            .map_err(|error| format!("{}: {error}", pod.name))?;
                    }
                }
                Ok(())
            });
        after
    }
}

/// A TLS handshake as the API server does it.
fn handshake(address: &str, bundle: &str) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    let authorities = CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten();
    roots.add_parsable_certificates(authorities);
    if roots.is_empty() {
        return Err("caBundle is empty".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host()).unwrap();
    let mut client = ClientConnection::new(config.into(), name).unwrap();
    let mut socket = TcpStream::connect((address, PORT)).map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut socket).map_err(|error| error.to_string())?;
    }
    Ok(())
}
