//! Part of `make test`: `podgate policy export|import|diff|apply` between files and two real control planes.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, text};
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::ran::Ran;
use crate::support::suite::{Suite, Trials, World, trials};

/// The first trials need a cluster without the objects of the later ones; each prepares what it needs.
pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Planes::start), TRIALS)
}

const TRIALS: Trials<Planes> = trials![
    missing_crds_are_reported,
    a_missing_namespace_is_reported_and_nothing_is_written,
    one_bad_policy_keeps_all_from_being_written,
    an_imported_policy_is_created_once,
    an_export_imported_elsewhere_differs_in_nothing,
    an_export_to_a_folder_writes_a_file_per_policy,
    reading_policies_is_enough_to_compare_them,
    a_hand_edit_shows_and_is_taken_over_only_by_force,
    other_managers_that_apply_the_same_make_no_difference,
    prune_deletes_the_policies_that_no_file_names,
    bundles_are_applied_and_podgate_makes_no_drift,
];

const POLICIES: &str = "apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata:
  name: baseline
  namespace: shop
  labels: {managed-by: git}
  annotations: {note: \"yes: # 1.0\\n\\n  two  \\n\"}
spec:
  bundle: baseline
  maxRestartCount: 3
  validations:
  - name: registry
    expression: |
      object.spec.containers.all(c,
        c.image.startsWith('registry.example/'))
    message: \"no\"
---
apiVersion: devops.stochastic.io/v1
kind: ClusterDevOpsPolicy
metadata: {name: everywhere, labels: {managed-by: git}}
spec: {forbidLatestTag: true, namespaceSelector: {}, excludeNamespaces: []}
---
apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata: {name: a, namespace: lab, labels: {managed-by: git}}
spec: {requiredLabels: [{key: team}], severityOverrides: {forbidLatestTag: low}}
";

/// The source cluster of policies, and a target cluster, which starts when it is first needed.
struct Planes {
    one: Plane,
    two: OnceLock<Plane>,
}

impl Planes {
    fn start() -> Self {
        Self { one: Plane(ControlPlane::start()), two: OnceLock::new() }
    }

    /// The first one with its CRDs, without the namespaces of the policies.
    fn with_crds(&self) -> &Plane {
        self.one.podgate("admin", &["crd", "install"], "").exits(0);
        &self.one
    }

    /// The same with the namespaces.
    fn ready(&self) -> &Plane {
        let one = self.with_crds();
        one.namespaces();
        one
    }

    /// The same with the policies.
    fn imported(&self) -> &Plane {
        let one = self.ready();
        one.policy(&["import", "-"], POLICIES).exits(0);
        one
    }

    /// The second one, with CRDs and namespaces.
    fn two(&self) -> &Plane {
        self.two.get_or_init(|| {
            let two = Plane(ControlPlane::start());
            two.podgate("admin", &["crd", "install"], "").exits(0);
            two.namespaces();
            two
        })
    }
}

struct Plane(ControlPlane);

impl Plane {
    /// Runs `podgate` as a user.
    fn podgate(&self, user: &str, args: &[&str], stdin: &str) -> Ran {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("stdin");
        fs::write(&input, stdin).unwrap();
        let output = binary::command()
            .args(args)
            .arg("--kubeconfig")
            .arg(self.0.kubeconfig(user))
            .stdin(Stdio::from(fs::File::open(&input).unwrap()))
            .output()
            .unwrap();
        Ran::of(&output)
    }

    /// Runs `podgate policy` as the admin.
    fn policy(&self, args: &[&str], stdin: &str) -> Ran {
        self.podgate("admin", &[&["policy"], args].concat(), stdin)
    }

    fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.0.kubectl(args)
    }

    fn namespaces(&self) {
        for name in ["shop", "lab"] {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            self.kubectl(&["apply", "-f", "-"]).given(&namespace).ok();
        }
    }

    fn patch(&self, policy: &str, manager: &str, patch: &Value) {
        let patch = patch.to_string();
        let manager = format!("--field-manager={manager}");
        let args =
            ["patch", "devopspolicy", policy, "-n", "shop", "--type=merge", &manager, "-p", &patch];
        self.kubectl(&args).ok();
    }
}

fn missing_crds_are_reported(planes: &Planes) {
    let plane = &planes.one;
    for args in [&["import", "-"][..], &["diff", "-"], &["export", "-A"], &["apply", "baseline"]] {
        plane.policy(args, POLICIES).exits(3).reports(&["does not serve", "podgate crd install"]);
    }
}

fn a_missing_namespace_is_reported_and_nothing_is_written(planes: &Planes) {
    let plane = planes.with_crds();
    plane.policy(&["import", "-"], POLICIES).exits(3).reports(&[
        "there is no namespace shop",
        "kubectl create namespace lab",
        "2 policies cannot be written",
    ]);
    assert!(plane.policy(&["export", "-A"], "").exits(0).stdout.is_empty());
    // All of it would be added.
    plane.policy(&["diff", "-"], POLICIES).exits(1).prints(&["+  name: baseline"]);
}

fn one_bad_policy_keeps_all_from_being_written(planes: &Planes) {
    let plane = planes.ready();
    let bad = "---\napiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {name: Bad_Name, namespace: shop}\nspec: {}\n";
    plane.policy(&["import", "-"], &format!("{POLICIES}{bad}")).exits(2).reports(&[
        "DevOpsPolicy shop/Bad_Name",
        "metadata.name: Invalid value",
        "nothing was written",
    ]);
    plane.policy(&["import", "-", "-n", "lab"], POLICIES).exits(2).reports(&["-n lab"]);
    plane.policy(&["import", "-"], "").exits(2).reports(&["there is no policy"]);
    assert!(plane.policy(&["export", "-A"], "").exits(0).stdout.is_empty());
}

fn an_imported_policy_is_created_once(planes: &Planes) {
    let plane = planes.ready();
    let tried = plane.policy(&["import", "-", "--dry-run", "server"], POLICIES).exits(0);
    tried.prints(&["created (server dry run)"]);
    assert!(plane.policy(&["export", "-A"], "").exits(0).stdout.is_empty());
    plane.policy(&["import", "-"], POLICIES).exits(0).prints(&[
        "devopspolicy.devops.stochastic.io/baseline -n shop created\n",
        "clusterdevopspolicy.devops.stochastic.io/everywhere created\n",
    ]);
    let again = plane.policy(&["import", "-"], POLICIES).exits(0);
    assert_eq!(again.stdout.matches(" unchanged\n").count(), 3, "{}", again.stdout);
    let less = POLICIES.replace("  maxRestartCount: 3\n", "");
    plane.policy(&["import", "-"], &less).exits(0).prints(&["baseline -n shop configured\n"]);
    plane.policy(&["diff", "-"], &less).exits(0);
    plane.policy(&["import", "-"], POLICIES).exits(0);
}

fn an_export_imported_elsewhere_differs_in_nothing(planes: &Planes) {
    let (one, two) = (planes.imported(), planes.two());
    let export = one.policy(&["export", "-A"], "").exits(0).stdout;
    assert_eq!(export, one.policy(&["export", "-A"], "").exits(0).stdout);
    assert_eq!(export.matches("---\n").count(), 2, "{export}");
    two.policy(&["diff", "-"], &export).exits(1).reports(&["3 policies differ"]);
    two.policy(&["import", "-"], &export).exits(0);
    let same = two.policy(&["diff", "-"], &export).exits(0);
    assert!(same.stdout.is_empty(), "{}", same.stdout);
    assert_eq!(export, two.policy(&["export", "-A"], "").exits(0).stdout);
    let cluster_wide = two.policy(&["export", "--kind", "ClusterDevOpsPolicy"], "").exits(0);
    cluster_wide.prints(&["name: everywhere"]);
    let lab = two.policy(&["export", "-n", "lab"], "").exits(0).prints(&["namespace: lab"]);
    assert!(!lab.stdout.contains("shop"), "{}", lab.stdout);
}

fn an_export_to_a_folder_writes_a_file_per_policy(planes: &Planes) {
    let plane = planes.imported();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("policies");
    let at = |path: &str| folder.join(path);
    let args = ["export", "-A", "--dir", folder.to_str().unwrap()];
    plane.policy(&args, "").exits(0).reports(&["everywhere.yaml: written"]);
    let files = ["everywhere.yaml", "lab/a.yaml", "shop/baseline.yaml"];
    let texts = || files.map(|file| fs::read_to_string(at(file)).unwrap()).join("---\n");
    assert_eq!(texts(), plane.policy(&["export", "-A"], "").exits(0).stdout);
    plane.policy(&["diff", folder.to_str().unwrap()], "").exits(0);
    fs::write(at("shop/gone.yaml"), "a: 1\n").unwrap();
    let again = plane
        .policy(&args, "")
        .exits(0)
        .reports(&["gone.yaml: not the file of an exported policy"]);
    assert!(!again.stderr.contains("written"), "{}", again.stderr);
    assert!(Path::new(&at("shop/gone.yaml")).exists());
}

fn reading_policies_is_enough_to_compare_them(planes: &Planes) {
    let plane = planes.imported();
    let verbs = "--verb=get";
    let resources =
        "--resource=devopspolicies.devops.stochastic.io,clusterdevopspolicies.devops.stochastic.io";
    plane.policy(&["diff", "-"], POLICIES).exits(0);
    let refused = plane.podgate("jane", &["policy", "diff", "-"], POLICIES).exits(3);
    refused.reports(&["User \"jane\" cannot get resource"]);
    plane.kubectl(&["create", "clusterrole", "read", verbs, resources]).ok();
    plane
        .kubectl(&["create", "clusterrolebinding", "read", "--clusterrole=read", "--user=jane"])
        .ok();
    plane.podgate("jane", &["policy", "diff", "-"], POLICIES).exits(0);
    let refused = plane.podgate("jane", &["policy", "import", "-"], POLICIES).exits(3);
    refused.reports(&["User \"jane\" cannot patch resource", "3 policies cannot be written"]);
}

fn a_hand_edit_shows_and_is_taken_over_only_by_force(planes: &Planes) {
    let plane = planes.imported();
    for (edit, shown, field) in [
        (json!({"spec": {"maxRestartCount": 9}}), "-  maxRestartCount: 9", ".spec.maxRestartCount"),
        (
            json!({"spec": {"forbidPendingDuration": 60}}),
            "-  forbidPendingDuration: 60",
            "spec.forbidPendingDuration",
        ),
        (
            json!({"metadata": {"labels": {"by/hand": "1"}}}),
            "-    by/hand:",
            "metadata.labels[by/hand]",
        ),
        (json!({"metadata": {"annotations": {"note": "other"}}}), "-    note: other", "note"),
    ] {
        plane.patch("baseline", "kubectl-edit", &edit);
        let shown_diff =
            plane.policy(&["diff", "-"], POLICIES).exits(1).reports(&["1 policy differs"]);
        shown_diff.prints(&[
            shown,
            "--- live/DevOpsPolicy shop/baseline\n+++ file/DevOpsPolicy shop/baseline\n",
        ]);
        let refused = plane.policy(&["import", "-"], POLICIES).exits(3);
        refused.reports(&[field, "kubectl-edit", "--force-conflicts", "nothing was written"]);
        plane
            .policy(&["import", "-", "--force-conflicts"], POLICIES)
            .exits(0)
            .prints(&["baseline -n shop configured\n"]);
        plane.policy(&["diff", "-"], POLICIES).exits(0);
        plane.policy(&["import", "-"], POLICIES).exits(0).prints(&["baseline -n shop unchanged\n"]);
    }
}

fn other_managers_that_apply_the_same_make_no_difference(planes: &Planes) {
    let plane = planes.imported();
    let before = plane.policy(&["export", "-A"], "").exits(0).stdout;
    for manager in ["argocd-controller", "kustomize-controller"] {
        let manager = format!("--field-manager={manager}");
        let args = ["apply", "--server-side", &manager, "-f", "-"];
        plane.kubectl(&args).given(&before).ok();
        let version = [
            "get",
            "devopspolicies,clusterdevopspolicies",
            "-A",
            "-o",
            "jsonpath={.items[*].metadata.resourceVersion}",
        ];
        let first = plane.kubectl(&version).ok();
        plane.kubectl(&args).given(&before).ok();
        assert_eq!(first, plane.kubectl(&version).ok(), "{manager} writes again and again");
    }
    assert_eq!(before, plane.policy(&["export", "-A"], "").exits(0).stdout);
    plane.policy(&["diff", "-"], POLICIES).exits(0);
    plane.policy(&["import", "-"], POLICIES).exits(0);
}

fn prune_deletes_the_policies_that_no_file_names(planes: &Planes) {
    let plane = planes.two();
    plane.policy(&["import", "-"], POLICIES).exits(0);
    let (only, _) = POLICIES.split_once("---\n").unwrap();
    plane.policy(&["import", "-", "--prune"], only).exits(2);
    plane.policy(&["import", "-", "--prune", "-l", ""], only).exits(2).reports(&["empty"]);
    plane
        .policy(&["import", "-", "--prune", "-l", "managed-by=me"], only)
        .exits(2)
        .reports(&["baseline", "managed-by=me"]);
    plane.kubectl(&["apply", "-f", "-"]).given(&"apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {name: mine, namespace: lab}\nspec: {}\n").ok();
    let before = plane.policy(&["export", "-A"], "").exits(0).stdout;
    let prune = ["import", "-", "--prune", "-l", "managed-by=git"];
    let tried = plane.policy(&[&prune[..], &["--dry-run", "server"]].concat(), only).exits(0);
    tried.prints(&["devopspolicy.devops.stochastic.io/a -n lab pruned (server dry run)\n"]);
    // In this namespace there is nothing to prune.
    let of_shop = plane.policy(&[&prune[..], &["-n", "shop"]].concat(), only).exits(0);
    assert!(!of_shop.stdout.contains("pruned"), "{}", of_shop.stdout);
    assert_eq!(before, plane.policy(&["export", "-A"], "").exits(0).stdout);
    plane.policy(&prune, only).exits(0).prints(&[
        "baseline -n shop unchanged\n",
        "a -n lab pruned\n",
        "clusterdevopspolicy.devops.stochastic.io/everywhere pruned\n",
    ]);
    let left =
        plane.policy(&["export", "-A"], "").exits(0).prints(&["name: baseline", "name: mine"]);
    assert_eq!(left.stdout.matches("---\n").count(), 1, "{}", left.stdout);
}

fn bundles_are_applied_and_podgate_makes_no_drift(planes: &Planes) {
    let plane = planes.two();
    for bundle in ["permissive", "baseline", "restricted"] {
        let args = ["apply", bundle, "-n", "lab"];
        plane.policy(&args, "").exits(0).prints(&[&format!("{bundle} -n lab created\n")]);
        plane.policy(&args, "").exits(0).prints(&[&format!("{bundle} -n lab unchanged\n")]);
    }
    let cluster =
        ["apply", "restricted", "--kind", "ClusterDevOpsPolicy", "--mode", "warn", "-o", "yaml"];
    plane
        .policy(&cluster, "")
        .exits(0)
        .prints(&["bundle: restricted\n", "enforcementMode: warn\n"]);
    plane
        .policy(&["apply", "restricted", "--kind", "ClusterDevOpsPolicy", "-n", "lab"], "")
        .exits(2);
    let offline =
        binary::run(&["policy", "apply", "baseline", "-n", "shop", "--dry-run", "client"]);
    assert!(text(&offline.stdout).contains("namespace: shop\n"), "{}", text(&offline.stderr));

    let export = plane.policy(&["export", "-A"], "").exits(0).stdout;
    let kubeconfig = plane.0.kubeconfig("admin");
    let kubeconfig = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let rest = ["--metrics-listen", "127.0.0.1:0", "--lease-namespace", "lab"];
    let _podgate = Podgate::start("reconcile", &[&kubeconfig[..], &rest].concat(), "serving");
    let path = "jsonpath={.status.bundle.name}/{.status.bundle.version}";
    eventually("the status to name the bundle", || {
        let bundle =
            plane.kubectl(&["get", "devopspolicy", "restricted", "-n", "lab", "-o", path]).ok();
        let expected = format!("restricted/{}", podgate::policy::bundles::VERSION);
        if bundle == expected { Ok(()) } else { Err(bundle) }
    });
    assert_eq!(export, plane.policy(&["export", "-A"], "").exits(0).stdout);
    plane.policy(&["diff", "-"], &export).exits(0);
    let again = plane.policy(&["import", "-"], &export).exits(0);
    assert!(!again.stdout.contains("configured"), "{}", again.stdout);
}
