//! Part of `make test`: who is refused can look. `podgate scan --live` decides as a dry run of kubectl does on the same
//! API server, and the commands that a denial names give its verdict to the user who was refused.

mod door;
mod unread;
mod verdicts;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::binary;
use crate::support::cluster::Cluster;
use crate::support::control_plane::Options;
use crate::support::ran::Ran;
use crate::support::suite::{Suite, World};

pub fn suite() -> Suite {
    let cluster =
        World::new(|| Cluster::start_with(Options::default(), &["--protected-namespace", GUARDED]));
    Suite::in_order()
        // Before everybody may read policies.
        .sharing(&cluster, unread::TRIALS)
        .sharing(&cluster, door::TRIALS)
        .sharing(&cluster, verdicts::TRIALS)
}

/// A namespace that this podgate never judges.
const GUARDED: &str = "guarded";

/// A user without any right, beside what everybody has, and a folder of theirs.
struct Developer<'c> {
    cluster: &'c Cluster,
    name: String,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

impl<'c> Developer<'c> {
    fn new(cluster: &'c Cluster, name: &str) -> Self {
        let kubeconfig = cluster.plane.kubeconfig_in(name, &[]);
        Self { cluster, name: name.to_owned(), kubeconfig, folder: tempfile::tempdir().unwrap() }
    }

    /// Lets them do this with a resource in a namespace.
    fn may(&self, verbs: &[&str], group: &str, resource: &str, namespace: &str) {
        let rbac = "rbac.authorization.k8s.io";
        let metadata = json!({"name": format!("{}-{resource}", self.name), "namespace": namespace});
        let rules = json!([{"apiGroups": [group], "resources": [resource], "verbs": verbs}]);
        let version = format!("{rbac}/v1");
        let role =
            json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules});
        let binding = json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": metadata["name"]},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": self.name}],
        });
        for object in [role, binding] {
            self.cluster.plane.kubectl(&["apply", "-f", "-"]).given(&object).ok();
        }
    }

    /// Writes a manifest, or a list of several.
    fn writes(&self, objects: &[Value]) -> PathBuf {
        let file = self.folder.path().join("file.json");
        let list = match objects {
            [one] => one.clone(),
            all => json!({"apiVersion": "v1", "kind": "List", "items": all}),
        };
        std::fs::write(&file, list.to_string()).unwrap();
        file
    }

    /// Runs a command line as a shell does, with this kubectl and this podgate on the PATH.
    fn runs(&self, line: &str) -> Ran {
        let binary = binary::path();
        let folders = [
            binary.parent().unwrap(),
            self.cluster.plane.assets(),
            Path::new("/usr/bin"),
            Path::new("/bin"),
        ];
        let output = std::process::Command::new("sh")
            .args(["-c", line])
            .env("PATH", std::env::join_paths(folders).unwrap())
            .env("KUBECONFIG", &self.kubeconfig)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        Ran::of(&output)
    }

    /// `podgate scan --live` of a file.
    fn scans(&self, file: &Path, more: &[&str]) -> Ran {
        let scan = [
            "scan",
            file.to_str().unwrap(),
            "--live",
            "--kubeconfig",
            self.kubeconfig.to_str().unwrap(),
        ];
        Ran::of(&binary::run(&[&scan[..], more].concat()))
    }
}

/// Grants what the chart grants to every authenticated user.
fn everybody_may_read_policies(cluster: &Cluster) {
    let install = include_str!("../../deploy/install.yaml");
    let granted = install.split("\n---\n").filter(|it| it.contains("\n  name: podgate-view\n"));
    let granted: Vec<_> = granted.collect();
    assert_eq!(granted.len(), 2, "a ClusterRole and its binding");
    cluster.plane.kubectl(&["apply", "-f", "-"]).given(&granted.join("\n---\n")).ok();
}

/// The decisions of a scan's findings, the worst first.
fn decisions(scanned: &Ran) -> Vec<String> {
    let report = scanned.json();
    let results = report["results"].as_array().unwrap().iter();
    let mut all: Vec<_> = results.map(|it| it["decision"].as_str().unwrap().to_owned()).collect();
    let rank =
        |it: &String| ["deny", "grace", "warn", "audit"].iter().position(|known| known == it);
    all.sort_by_key(rank);
    all
}
