//! The credentials of a test's control plane: a CA, the API server's certificate, users' certificates, kubeconfigs.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// The cluster's CA and what it signs, as files in a folder.
pub struct Credentials {
    dir: PathBuf,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Credentials {
    /// For an API server at this address.
    pub fn new(dir: &Path, address: Ipv4Addr) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "podgate test cluster");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.join("ca.crt"), ca.pem()).unwrap();
        let credentials = Self { dir: dir.to_owned(), ca };
        // Proxies are always on 127.0.0.1.
        let mut names =
            ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned).to_vec();
        names.extend((address != Ipv4Addr::LOCALHOST).then(|| address.to_string()));
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

    /// A client certificate for a user of these groups.
    pub fn user(&self, user: &str, groups: &[&str]) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(user, &params);
    }

    /// Writes a kubeconfig file of this name for a user of the API server at this address.
    pub fn kubeconfig(&self, file: &str, user: &str, url: &str) -> PathBuf {
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
        let path = self.dir.join(file);
        fs::write(&path, config.to_string()).unwrap();
        path
    }
}
