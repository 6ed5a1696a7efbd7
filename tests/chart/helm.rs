//! Helm, of both versions that people have: podgate's chart comes, changes and goes by it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::world::{NAMESPACE, World};
use crate::support::control_plane::{seconds, text};

/// The name of the release, and with it of everything in it.
pub const RELEASE: &str = "podgate";
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/podgate");
/// The values for many replicas that a cluster does not do without.
pub const HA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/podgate/values-ha.yaml");
/// How many replicas these are.
pub const HA_REPLICAS: usize = 3;
/// For three replicas that drain.
const TIMEOUT: &str = "--timeout=10m";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Helm {
    Three,
    Four,
}

impl Helm {
    /// Runs Helm in the release's namespace: what it prints, if it succeeds.
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

    /// `helm upgrade --wait` to these settings, which are all that there are.
    pub fn upgrade(self, world: &World, settings: &[&str]) -> String {
        let args = ["upgrade", RELEASE, CHART, "--reset-values", "--wait", TIMEOUT];
        self.succeeds(world, &[&args, settings].concat())
    }

    /// `helm rollback --wait` to the revision before.
    pub fn rollback(self, world: &World) -> String {
        self.succeeds(world, &["rollback", RELEASE, "--wait", TIMEOUT])
    }

    /// `helm uninstall`, before which nothing may have been refused to podgate.
    pub fn uninstall(self, world: &World) -> String {
        world.nothing_was_forbidden();
        self.succeeds(world, &["uninstall", RELEASE, "--wait", TIMEOUT])
    }

    fn succeeds(self, world: &World, args: &[&str]) -> String {
        let started = Instant::now();
        let printed = self.run(world, args);
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
