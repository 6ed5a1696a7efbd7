//! Part of `make test`: installing podgate and uninstalling it, on a real control plane of its own.

use std::fs;

use podgate::policy::workload::Kind;
use serde_json::json;

use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, text};
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Suite, Trials, World, trials};

/// The first trials need a cluster without podgate's CRDs, and the last one leaves it without an API server.
pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Cluster::start), TRIALS)
}

const TRIALS: Trials<Cluster> = trials![
    without_the_crd_serve_names_the_command_that_installs_it,
    an_install_without_permission_names_it,
    installing_is_idempotent_and_upgrades,
    the_schema_refuses_what_is_no_policy,
    without_permission_to_read_policies_serve_names_it,
    a_registration_lasts_as_long_as_podgate,
    anothers_configuration_is_left_alone,
    the_last_policies_outlive_the_api_server,
];

struct Cluster {
    plane: ControlPlane,
    admin: String,
    jane: String,
    certs: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Self {
        let plane = ControlPlane::start();
        let [admin, jane] =
            ["admin", "jane"].map(|it| plane.kubeconfig(it).to_str().unwrap().to_owned());
        Self { plane, admin, jane, certs: tempfile::tempdir().unwrap() }
    }

    /// A cluster with the CRDs installed.
    fn with_crds(&self) -> &Self {
        let (code, printed) = podgate(&["crd", "install", "--kubeconfig", &self.admin]);
        assert_eq!(code, 0, "{printed}");
        self
    }

    fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.plane.kubectl(args)
    }
}

/// A run of podgate that ends: its exit code and all it printed.
fn podgate(args: &[&str]) -> (i32, String) {
    let output = binary::run(args);
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

const CRD: &str = "customresourcedefinition/devopspolicies.devops.stochastic.io";
const CLUSTER_CRD: &str = "customresourcedefinition/clusterdevopspolicies.devops.stochastic.io";
const CONFIGURATION: [&str; 3] = ["get", "validatingwebhookconfiguration", "podgate-validating"];

fn without_the_crd_serve_names_the_command_that_installs_it(Cluster { admin, .. }: &Cluster) {
    let (code, printed) = podgate(&["serve", "--kubeconfig", admin, "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 3, "{printed}");
    assert!(printed.contains("podgate crd install"), "{printed}");
}

fn an_install_without_permission_names_it(Cluster { jane, .. }: &Cluster) {
    let (code, printed) = podgate(&["crd", "install", "--kubeconfig", jane]);
    assert_eq!(code, 3, "{printed}");
    for word in
        ["User \"jane\" cannot get resource \"customresourcedefinitions\"", "ask a cluster admin"]
    {
        assert!(printed.contains(word), "{printed}");
    }
}

fn installing_is_idempotent_and_upgrades(plane: &Cluster) {
    let install = || podgate(&["crd", "install", "--kubeconfig", &plane.admin]);
    let both = |own: &str, all: &str| (0, format!("{CRD} {own}\n{CLUSTER_CRD} {all}\n"));
    assert_eq!(install(), both("created", "created"));
    assert_eq!(install(), both("unchanged", "unchanged"));
    // The CRD of an older version.
    let remove = json!([{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/maxRestartCount"}]);
    let patch = ["patch", CRD, "--type=json", "--patch", &remove.to_string()];
    let (patched, printed) = plane.kubectl(&patch).output();
    assert!(patched, "{printed}");
    assert_eq!(install(), both("configured", "unchanged"));
    let (_, schema) = plane.kubectl(&["get", CRD, "-o", "yaml"]).output();
    assert!(schema.contains("maxRestartCount"), "{schema}");
    // The printed CRDs equal the installed ones.
    let (code, generated) = podgate(&["crd", "generate"]);
    assert_eq!(code, 0);
    let apply =
        ["apply", "--server-side", "--field-manager=podgate", "--dry-run=server", "-f", "-"];
    let (applied, printed) = plane.kubectl(&apply).given(&generated).output();
    assert!(applied, "{printed}");
    assert!(!printed.contains("Warning"), "{printed}");
}

fn the_schema_refuses_what_is_no_policy(plane: &Cluster) {
    let plane = plane.with_crds();
    let policy = |spec: &str| {
        format!(
            "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {{name: a}}\nspec: {{{spec}}}\n"
        )
    };
    for (spec, why) in [
        ("forbidLatestTags: true", "unknown field \"spec.forbidLatestTags\""),
        ("enforcementMode: strict", "supported values: \"audit\", \"warn\", \"enforce\""),
        ("maxRestartCount: -1", "should be greater than or equal to 0"),
        ("forbidPendingDuration: 3000000000", "spec.forbidPendingDuration"),
        ("podSecurity: privileged", "supported values: \"baseline\", \"restricted\""),
        ("requireResourceLimits: [gpu]", "supported values"),
        ("severityOverrides: {podSecurity: severe}", "supported values"),
        ("validations: [{name: a, expression: \"true\"}]", "spec.validations[0].message"),
        ("exemptions: [{rules: [podSecurity], reason: x}]", "spec.exemptions[0].owner"),
        ("exemptions: [{rules: [podSecurity], reason: x, owner: y, expiresAt: soon}]", "expiresAt"),
        ("defaultProbe: {tcpPort: 80, httpGet: {path: /, port: 80}}", "not both"),
        ("namespaceSelector: {}", "unknown field \"spec.namespaceSelector\""),
    ] {
        let (applied, printed) = plane.kubectl(&["apply", "-f", "-"]).given(&policy(spec)).output();
        assert!(!applied && printed.contains(why), "{spec}: {printed}");
    }
    let (applied, printed) =
        plane.kubectl(&["apply", "-f", "-"]).given(&policy("forbidLatestTag: true")).output();
    assert!(applied, "{printed}");
    let (_, printed) = plane.kubectl(&["get", "dop"]).output();
    let columns: Vec<_> = printed.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["NAME", "MODE", "SCORE", "VIOLATIONS", "READY", "AGE"]);
    let (_, printed) = plane.kubectl(&["explain", "devopspolicy.spec.forbidLatestTag"]).output();
    assert!(printed.contains("Forbids images whose tag is"), "{printed}");
}

fn without_permission_to_read_policies_serve_names_it(plane: &Cluster) {
    let jane = plane.with_crds().jane.as_str();
    let (code, printed) = podgate(&["serve", "--kubeconfig", jane, "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 3, "{printed}");
    assert!(printed.contains("cannot list resource \"devopspolicies\""), "{printed}");
}

fn a_registration_lasts_as_long_as_podgate(plane: &Cluster) {
    let Cluster { admin, certs, .. } = plane.with_crds();
    let certs = certs.path();
    let args = ["--register", "--kubeconfig", admin];
    for signal in ["TERM", "INT"] {
        let mut podgate = Podgate::serve(&args, certs);
        assert!(plane.kubectl(&CONFIGURATION).output().0);
        assert_eq!(podgate.get("/readyz").0, 200);
        podgate.signal(signal);
        let (status, after) = podgate.ended();
        assert!(status.success());
        println!("{signal}: unregistered and ended after {after:?}");
        assert!(!plane.kubectl(&CONFIGURATION).output().0, "the configuration still exists");
    }
    // A configuration that a killed podgate left behind is taken over.
    let mut killed = Podgate::serve(&args, certs);
    killed.signal("KILL");
    killed.ended();
    assert!(plane.kubectl(&CONFIGURATION).output().0);
    let mut podgate = Podgate::serve(&args, certs);
    podgate.signal("TERM");
    podgate.ended();
    assert!(!plane.kubectl(&CONFIGURATION).output().0);
}

fn anothers_configuration_is_left_alone(plane: &Cluster) {
    let Cluster { admin, certs, .. } = plane.with_crds();
    let installed = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: podgate-validating}\n";
    assert!(plane.kubectl(&["create", "-f", "-"]).given(&installed).output().0);
    let (code, printed) = podgate(&[
        "serve",
        "--register",
        "--kubeconfig",
        admin,
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
        "--cert-dir",
        certs.path().to_str().unwrap(),
    ]);
    assert_eq!(code, 3, "{printed}");
    assert!(printed.contains("a podgate is installed in this cluster"), "{printed}");
    assert!(plane.kubectl(&CONFIGURATION).output().0);
    assert!(plane.kubectl(&[&["delete"], &CONFIGURATION[1..]].concat()).output().0);
}

fn the_last_policies_outlive_the_api_server(plane: &Cluster) {
    let certs = plane.with_crds().certs.path();
    let enforce = "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {name: a}\nspec: {enforcementMode: enforce, forbidLatestTag: true}\n";
    assert!(plane.kubectl(&["apply", "-f", "-"]).given(&enforce).output().0);
    let copy = certs.join("kubeconfig");
    fs::copy(&plane.admin, &copy).unwrap();
    let podgate = Podgate::serve(&["--kubeconfig", copy.to_str().unwrap()], certs);
    let denied = || {
        let review = crate::support::review::create("default", &workload(Kind::Pod, pod("nginx")));
        podgate.review(&review)["allowed"] == false
    };
    assert!(denied());
    plane.plane.kill_api_server();
    podgate.logs("the watch of policies failed; it is tried again");
    eventually("the failures to be counted", || {
        let failures = podgate.metric("podgate_policy_watch_errors_total");
        if failures > Some(0.0) { Ok(()) } else { Err(format!("{failures:?}")) }
    });
    assert!(denied());
    assert_eq!(podgate.get("/readyz"), (200, "ok\n".to_owned()));
}
