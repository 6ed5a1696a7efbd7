//! Helm 3 and Helm 4, which install, upgrade and uninstall podgate's chart.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::world::{NAMESPACE, World};
use crate::support::control_plane::{seconds, text};

/// The name of the release and of all its objects.
pub const RELEASE: &str = "podgate";
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/podgate");
/// The values for a highly available install.
pub const HA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/podgate/values-ha.yaml");
/// The number of its replicas.
pub const HA_REPLICAS: usize = 3;
/// The timeout, enough for three draining replicas.
const TIMEOUT: &str = "--timeout=10m";
/// How often an upgrade is tried again because podgate renewed its Lease meanwhile.
const LEASE_RENEWED: usize = 5;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Helm {
    Three,
    Four,
}

impl Helm {
    /// Runs Helm in the release's namespace; returns its output, as an error if it fails.
    pub fn run(self, world: &World, args: &[&str]) -> Result<String, String> {
        let home = world.plane.kubeconfig("helm-home");
        let output = Command::new(self.binary())
            .args(args)
            .args(["--namespace", NAMESPACE])
            .env("KUBECONFIG", world.plane.kubeconfig("admin"))
            .env("HELM_CACHE_HOME", &home)
            .env("HELM_CONFIG_HOME", &home)
            .env("HELM_DATA_HOME", &home)
            .output()
            .unwrap();
        let printed = text(&output.stdout) + &text(&output.stderr);
        if output.status.success() { Ok(printed) } else { Err(printed) }
    }

    /// `helm install --wait` with these settings.
    pub fn install(self, world: &World, settings: &[&str]) -> String {
        let args = ["install", RELEASE, CHART, "--create-namespace", "--wait", TIMEOUT];
        self.succeeds(world, &[&args, settings].concat())
    }

    /// `helm upgrade --wait` with only these settings.
    pub fn upgrade(self, world: &World, settings: &[&str]) -> String {
        let args = ["upgrade", RELEASE, CHART, "--reset-values", "--wait", TIMEOUT];
        self.succeeds(world, &[&args, settings].concat())
    }

    /// `helm rollback --wait` to the previous revision.
    pub fn rollback(self, world: &World) -> String {
        self.succeeds(world, &["rollback", RELEASE, "--wait", TIMEOUT])
    }

    /// `helm uninstall`, after a check that no request of podgate was refused.
    pub fn uninstall(self, world: &World) -> String {
        world.nothing_was_forbidden();
        self.succeeds(world, &["uninstall", RELEASE, "--wait", TIMEOUT])
    }

    fn succeeds(self, world: &World, args: &[&str]) -> String {
        let started = Instant::now();
        let mut printed = self.run(world, args);
        // With --force, Helm replaces objects by the version that it has read, and podgate renews its Lease all the time.
        for _ in 0..LEASE_RENEWED {
            if !matches!(&printed, Err(error) if error.contains("the object has been modified")) {
                break;
            }
            printed = self.run(world, args);
        }
        let printed = printed.unwrap_or_else(|error| panic!("{self:?}: helm {args:?}: {error}"));
        println!("   helm {:?}: {} took {}", self, args[0], seconds(started.elapsed()));
        printed
    }

    fn binary(self) -> PathBuf {
        let name = match self {
            Self::Three => "helm3",
            Self::Four => "helm4",
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/tool.sh");
        let found = Command::new(script).arg(name).stderr(Stdio::inherit()).output().unwrap();
        assert!(found.status.success(), "{script} {name} failed");
        PathBuf::from(text(&found.stdout).trim())
    }
}
