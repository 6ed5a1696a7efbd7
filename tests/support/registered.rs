//! A podgate that serves, leads, and registers its webhooks itself, as a user of its own, on a control plane of its own.

use std::path::Path;

use super::binary::{self, Podgate};
use super::control_plane::{ControlPlane, text};

/// podgate's own namespace.
pub const NAMESPACE: &str = "podgate-system";

pub struct Registered {
    pub podgate: Podgate,
    pub plane: ControlPlane,
    pub certs: tempfile::TempDir,
    /// The kubeconfig of podgate's user.
    pub user: String,
}

impl Registered {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further flags.
    pub fn start_with(flags: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plane = ControlPlane::start();
        let admin = plane.kubeconfig("admin");
        let installed = binary::run(&["crd", "install", "--kubeconfig", admin.to_str().unwrap()]);
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        plane.kubectl(&["create", "namespace", NAMESPACE]).ok();
        let certs = tempfile::tempdir().unwrap();
        let user = plane.kubeconfig_for("podgate").to_str().unwrap().to_owned();
        let podgate = serve(&user, certs.path(), flags);
        Self { podgate, plane, certs, user }
    }
}

/// Starts such a podgate on a control plane whose podgate has ended.
pub fn serve(user: &str, certs: &Path, flags: &[&str]) -> Podgate {
    let args = ["--register", "--kubeconfig", user, "--lease-namespace", NAMESPACE];
    Podgate::serve(&[&args, flags].concat(), certs)
}
