//! Part of `make test`: `podgate clusters` on two real control planes at once, and every kind of context that a
//! kubeconfig may hold, good ones and broken ones side by side.

mod zoo;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary;
use crate::support::control_plane::ControlPlane;
use crate::support::eventually;
use crate::support::manifests::{pod, workload};
use crate::support::ran::Ran;
use crate::support::suite::{Suite, Trials, World, trials};
use zoo::Zoo;

/// The first trials need clusters without the objects of the later ones, and the last one leaves only one cluster; each
/// prepares what it needs.
pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Fleet::start), TRIALS)
}

const TRIALS: Trials<Fleet> = trials![
    both_are_listed,
    a_cluster_without_podgate_is_judged_by_the_default_checks,
    policies_are_compared_by_their_content,
    rules_and_scores_are_shown_side_by_side,
    all_clusters_can_be_judged_by_one_bundle,
    every_context_works_or_is_reported_and_hides_no_other,
    a_file_that_cannot_be_read_hides_no_other,
    a_cluster_that_freezes_is_given_up_after_the_timeout,
    a_cluster_that_is_killed_during_an_analysis_is_unreachable,
];

/// Two control planes, each with a kubeconfig whose context has the plane's name.
struct Fleet {
    east: ControlPlane,
    west: ControlPlane,
    dir: tempfile::TempDir,
}

impl Fleet {
    fn start() -> Self {
        let (east, west) = std::thread::scope(|scope| {
            let east = scope.spawn(ControlPlane::start);
            let west = scope.spawn(ControlPlane::start);
            (east.join().unwrap(), west.join().unwrap())
        });
        let dir = tempfile::tempdir().unwrap();
        let fleet = Self { east, west, dir };
        for (name, plane) in [("east", &fleet.east), ("west", &fleet.west)] {
            let admin = credentials(plane, "admin");
            let config = kubeconfig(
                &json!([cluster(name, plane)]),
                &json!([{"name": name, "user": admin}]),
                &json!([context(name, name, name)]),
            );
            fleet.write(name, &config.to_string());
            // Relative paths, as in a kubeconfig whose certificates are in the same folder.
            for file in ["ca.crt", "admin.crt", "admin.key"] {
                fleet.write(&format!("{name}-{file}"), &read(&plane.kubeconfig(file)));
            }
        }
        fleet
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn write(&self, file: &str, content: &str) -> PathBuf {
        fs::write(self.path(file), content).unwrap();
        self.path(file)
    }

    /// An executable script.
    fn script(&self, file: &str, script: &str) -> PathBuf {
        let path = self.write(file, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Starts podgate with these files in `KUBECONFIG`.
    fn spawn(&self, files: &[&str], args: &[&str]) -> Child {
        let files =
            files.iter().map(|file| if file.is_empty() { PathBuf::new() } else { self.path(file) });
        binary::command()
            .env("KUBECONFIG", std::env::join_paths(files).unwrap())
            .env("HOME", self.dir.path())
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn run(&self, files: &[&str], args: &[&str]) -> Ran {
        Ran::of(&self.spawn(files, args).wait_with_output().unwrap())
    }

    fn analyze(&self, files: &[&str], more: &[&str]) -> Ran {
        self.run(files, &[&["clusters", "analyze", "--timeout", "1m"], more].concat())
    }
}

impl Ran {
    /// The cells of the line whose first cell is this.
    fn row(&self, first: &str) -> Vec<&str> {
        let rows = self.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut rows = rows.filter(|row| row.first() == Some(&first));
        rows.next().unwrap_or_else(|| panic!("no row begins with {first}: {}", self.stdout))
    }

    /// The lines on stderr about a context.
    fn lines_about(&self, context: &str) -> String {
        let begin = format!("podgate: {context}: ");
        self.stderr.lines().filter(|line| line.starts_with(&begin)).collect()
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn url(plane: &ControlPlane) -> String {
    format!("https://{}", plane.address())
}

/// An entry of a kubeconfig for a cluster.
fn cluster(name: &str, plane: &ControlPlane) -> Value {
    let ca = plane.kubeconfig("ca.crt");
    json!({"name": name, "cluster": {"server": url(plane), "certificate-authority": ca}})
}

fn credentials(plane: &ControlPlane, user: &str) -> Value {
    json!({
        "client-certificate": plane.kubeconfig(&format!("{user}.crt")),
        "client-key": plane.kubeconfig(&format!("{user}.key")),
    })
}

fn context(name: &str, cluster: &str, user: &str) -> Value {
    json!({"name": name, "context": {"cluster": cluster, "user": user}})
}

fn kubeconfig(clusters: &Value, users: &Value, contexts: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": clusters, "users": users, "contexts": contexts,
        "current-context": contexts[0]["name"],
    })
}

/// The cluster of a context in an answer.
fn of<'a>(answer: &'a Value, context: &str) -> &'a Value {
    let clusters = answer["clusters"].as_array().unwrap();
    clusters
        .iter()
        .find(|it| it["context"] == context)
        .unwrap_or_else(|| panic!("{context}: {answer}"))
}

fn apply(plane: &ControlPlane, object: &Value) {
    eventually("the manifest to be applied", || {
        plane.kubectl(&["apply", "-f", "-"]).given(object).result()
    });
}

fn install(fleet: &Fleet, file: &str) {
    fleet.run(&[file], &["crd", "install"]).exits(0);
}

/// The policy baseline of the namespace default.
fn baseline(spec: &Value) -> Value {
    json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
        "metadata": {"name": "baseline", "namespace": "default"}, "spec": spec,
    })
}

const BOTH: [&str; 2] = ["east", "west"];

/// A Deployment with one pod in each; that of the east breaks a default check.
fn carts(fleet: &Fleet) {
    for (plane, image) in [(&fleet.east, "nginx"), (&fleet.west, "nginx:1.29")] {
        let mut cart = workload(Kind::Deployment, pod(image));
        cart["metadata"] = json!({"name": "cart", "namespace": "default"});
        apply(plane, &cart);
        eventually("the controllers to create the pod", || {
            let pods = plane.kubectl(&["get", "pods", "-n", "default", "-o", "name"]).result()?;
            if pods.contains("pod/cart") { Ok(()) } else { Err(pods) }
        });
    }
}

/// Applies the same policy to both.
fn policies(fleet: &Fleet) {
    for file in BOTH {
        install(fleet, file);
    }
    let spec = json!({"forbidLatestTag": true, "maxRestartCount": 3});
    for plane in [&fleet.east, &fleet.west] {
        apply(plane, &baseline(&spec));
    }
}

/// A hand edit, and a policy that only one has.
fn drift(fleet: &Fleet) {
    apply(&fleet.west, &baseline(&json!({"forbidLatestTag": true, "maxRestartCount": 4})));
    apply(
        &fleet.east,
        &json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "ClusterDevOpsPolicy",
            "metadata": {"name": "every"}, "spec": {"requireLivenessProbe": true},
        }),
    );
}

/// Both with their carts, and policies that have drifted.
fn in_use(fleet: &Fleet) {
    carts(fleet);
    policies(fleet);
    drift(fleet);
}

fn both_are_listed(fleet: &Fleet) {
    install(fleet, "east");
    let listed = fleet.run(&BOTH, &["clusters", "list"]).exits(0);
    println!("{}", listed.stdout);
    let [east, west] = [listed.row("*"), listed.row("west")];
    assert_eq!(east[1..4], ["east", &url(&fleet.east), "Reachable"]);
    assert_eq!(west[..3], ["west", &url(&fleet.west), "Reachable"]);
    assert!(east[4].starts_with("v1.") && west[3] == east[4], "{}", listed.stdout);
    assert!(listed.stdout.contains("v1, 0 policies"));
    assert_eq!(west[4], "-", "podgate is not installed in west yet");

    let json = fleet.run(&BOTH, &["clusters", "list", "-o", "json", "--context", "west"]).json();
    assert_eq!(json["apiVersion"], "podgate/v1");
    assert_eq!(json["clusters"].as_array().unwrap().len(), 1);
    assert_eq!(of(&json, "west")["podgate"], false);
    fleet
        .run(&BOTH, &["clusters", "list", "--context", "north"])
        .exits(2)
        .reports(&["there is no context \"north\" in the kubeconfig; there are: east, west"]);
}

fn a_cluster_without_podgate_is_judged_by_the_default_checks(fleet: &Fleet) {
    carts(fleet);
    let analyzed = fleet.analyze(&BOTH, &["-o", "json", "--fail-on", "never"]).exits(0);
    assert!(
        analyzed.lines_about("west").contains("podgate is not installed here"),
        "{}",
        analyzed.stderr
    );
    let json = analyzed.json();
    assert_eq!(of(&json, "west")["state"], "Reachable");
    assert_eq!(of(&json, "west")["workloads"], 1);
}

fn policies_are_compared_by_their_content(fleet: &Fleet) {
    policies(fleet);
    let same = fleet.analyze(&BOTH, &["--fail-on", "never"]).exits(0);
    assert!(
        same.stdout.contains("The one policy is the same in all 2 clusters."),
        "{}",
        same.stdout
    );

    drift(fleet);
    let drifted = fleet.analyze(&BOTH, &["--fail-on", "never"]).exits(0);
    println!("{}", drifted.stdout);
    let row = drifted.row("ClusterDevOpsPolicy");
    assert_eq!((row[1], row[2].len(), row[3]), ("every", 12, "-"), "{}", drifted.stdout);
    let row = drifted.row("DevOpsPolicy");
    assert!(row[1] == "default/baseline" && row[2] != row[3], "{}", drifted.stdout);

    let drift = &fleet.analyze(&BOTH, &["-o", "json"]).json()["drift"];
    assert_eq!(drift[0]["policy"], "ClusterDevOpsPolicy every");
    assert_eq!(drift[0]["clusters"][1], json!({"context": "west", "hash": null}));
    assert_eq!(drift[1]["policy"], "DevOpsPolicy default/baseline");
}

fn rules_and_scores_are_shown_side_by_side(fleet: &Fleet) {
    in_use(fleet);
    let analyzed = fleet.analyze(&BOTH, &["-o", "wide"]).exits(1);
    // nginx without a tag breaks forbidLatestTag in the east, where a policy also requires a probe.
    let row = analyzed.row("high");
    assert_eq!(row, ["high", "forbidLatestTag", "1", "0"], "{}", analyzed.stdout);
    assert_eq!(analyzed.row("medium")[1..], ["requireLivenessProbe", "1", "0"]);
    let json = fleet.analyze(&BOTH, &["-o", "json"]).exits(1).json();
    let [east, west] = [of(&json, "east"), of(&json, "west")];
    assert_eq!(east["violations"], 2);
    assert_eq!(west["violations"], 0);
    assert_eq!((&west["score"], &west["classification"]), (&json!(100), &json!("Healthy")));
    let score = east["score"].as_u64().unwrap();
    assert!(score < 100);
    fleet
        .analyze(&BOTH, &["--fail-on", "never", "--min-score", "100"])
        .exits(4)
        .reports(&[&format!("the score is {score}, below the 100")]);
    fleet.analyze(&BOTH, &["--context", "west"]).exits(0);
    fleet.analyze(&BOTH, &["-n", "kube-system"]).exits(2).reports(&["protected namespace"]);
    let nowhere = fleet.analyze(&BOTH, &["-n", "nowhere"]).exits(3);
    assert!(nowhere.lines_about("west").contains("there is no namespace \"nowhere\""));
}

fn all_clusters_can_be_judged_by_one_bundle(fleet: &Fleet) {
    carts(fleet);
    let args = ["--bundle", "restricted", "-o", "json", "--fail-on", "never"];
    let json = fleet.analyze(&BOTH, &args).exits(0).json();
    for context in BOTH {
        assert!(of(&json, context)["violations"].as_u64().unwrap() > 5, "{json}");
        assert_eq!(of(&json, context)["policies"], Value::Null);
    }
    assert_eq!(json["drift"], Value::Null);
}

fn every_context_works_or_is_reported_and_hides_no_other(fleet: &Fleet) {
    in_use(fleet);
    let Zoo { clusters, users, contexts, expected } = Zoo::of(fleet);
    let config = kubeconfig(&json!(clusters), &json!(users), &json!(contexts));
    let file = fleet.write("zoo", &config.to_string());
    let args = ["clusters", "analyze", "--timeout", "30s", "-o", "json", "--fail-on", "never"];
    let analyzed = fleet.run(&["zoo"], &args).exits(3);
    let json = analyzed.json();
    println!("{}", analyzed.stderr);
    assert_eq!(json["clusters"].as_array().unwrap().len(), expected.len());
    for (context, state, message) in &expected {
        let found = of(&json, context);
        assert_eq!(found["state"], *state, "{found}");
        assert!(analyzed.lines_about(context).contains(message), "{context}: {}", analyzed.stderr);
        assert_eq!(found["violations"].is_number(), *state == "Reachable", "{found}");
    }
    assert_eq!(of(&json, "nobody-listens")["server"], "https://127.0.0.1:1");
    let both = format!("{}{}", analyzed.stdout, analyzed.stderr);
    assert!(!both.contains("s3cret"), "a secret is repeated: {both}");
    assert!(analyzed.stderr.lines().count() <= expected.len() + 1, "{}", analyzed.stderr);
    // The plugin that hung is gone.
    let pid = read(&fleet.path("hangs.pid"));
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "the plugin still runs");

    // A user without rights may still ask for the version.
    let some = ["clusters", "list", "--context", "no-rights", "--context", "wrong-token"];
    let listed = fleet.run(&["zoo"], &some).exits(3);
    println!("{}", listed.stdout);
    assert_eq!(listed.row("no-rights")[2], "Reachable");
    assert_eq!(listed.row("wrong-token")[2], "Unauthorized");

    for (context, state, message) in &expected {
        // On a single cluster, a plugin may use the terminal and has no timeout.
        if ["exec-hangs", "exec-asks"].contains(context) {
            continue;
        }
        let alone = [
            "analyze",
            "--kubeconfig",
            file.to_str().unwrap(),
            "--fail-on",
            "never",
            "--context",
            context,
        ];
        let alone = Ran::of(&binary::run(&alone));
        let code = if *state == "Reachable" { 0 } else { 3 };
        assert_eq!(alone.code, code, "{context}: {}", alone.stderr);
        // On a single cluster, a plugin writes to the terminal itself.
        let message =
            message.split(": log in").next().unwrap().trim_start_matches("/no/such/plugin ");
        assert!(alone.stderr.contains(message), "{context}: {}", alone.stderr);
        assert!(!alone.stderr.contains("s3cret"), "{context}: {}", alone.stderr);
    }
}

fn a_file_that_cannot_be_read_hides_no_other(fleet: &Fleet) {
    fleet.write("broken", "users: [{name: jane, user: {token: s3cret}\n");
    fleet.write("nothing", "");
    let files = ["east", "", "missing", "nothing", "broken", "west"];
    let listed = fleet.run(&files, &["clusters", "list", "-o", "json"]).exits(3);
    let listed = listed.reports(&["/broken: it is not YAML", "1 kubeconfig file cannot be read"]);
    assert!(!listed.stderr.contains("s3cret"), "{}", listed.stderr);
    let json = listed.json();
    for context in BOTH {
        assert_eq!(of(&json, context)["state"], "Reachable");
    }
    assert_eq!(json["unreadFiles"].as_array().unwrap().len(), 1);
    fleet.run(&files, &["clusters", "list", "--context", "west"]).exits(0);
    fleet
        .run(&["missing"], &["clusters", "list"])
        .exits(3)
        .reports(&["there is no context in", "set KUBECONFIG"]);
    fleet.run(&["broken"], &["clusters", "list"]).exits(3).reports(&["it is not YAML"]);

    // For commands on one cluster, contexts of files before the broken one are usable, and those after it are not.
    let namespaces = ["list", "pods"];
    fleet.run(&files, &namespaces).exits(0);
    fleet.run(&files, &[&namespaces[..], &["--context", "east"]].concat()).exits(0);
    fleet
        .run(&files, &[&namespaces[..], &["--context", "west"]].concat())
        .exits(3)
        .reports(&["/broken: it is not YAML"]);
    fleet.run(&["broken", "east"], &namespaces).exits(3).reports(&["/broken: it is not YAML"]);
    fleet.run(&["missing", "east"], &namespaces).exits(0);
}

fn a_cluster_that_freezes_is_given_up_after_the_timeout(fleet: &Fleet) {
    in_use(fleet);
    fleet.west.freeze_api_server();
    let args = ["clusters", "analyze", "--timeout", "5s", "-o", "json", "--fail-on", "never"];
    let analyzed = fleet.run(&BOTH, &args);
    fleet.west.thaw_api_server();
    let analyzed = analyzed.exits(3);
    let json = analyzed.json();
    assert_eq!(of(&json, "east")["violations"], 2, "{json}");
    assert_eq!(of(&json, "west")["state"], "Unreachable");
    assert!(
        analyzed.lines_about("west").contains("did not answer everything within 5s"),
        "{}",
        analyzed.stderr
    );
}

fn a_cluster_that_is_killed_during_an_analysis_is_unreachable(fleet: &Fleet) {
    fleet.run(&BOTH, &["clusters", "list"]).exits(0);
    fleet.west.freeze_api_server();
    // Far longer than the test waits: only the kill can end it.
    let args = ["clusters", "analyze", "--timeout", "1h", "--fail-on", "never"];
    let mut podgate = fleet.spawn(&BOTH, &args);
    eventually("podgate to connect to west", || {
        if connected(podgate.id(), fleet.west.address().port()) {
            Ok(())
        } else {
            Err("there is no connection".to_owned())
        }
    });
    fleet.west.kill_api_server();
    eventually("podgate to end", || {
        podgate.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned())
    });
    let analyzed = Ran::of(&podgate.wait_with_output().unwrap()).exits(3);
    println!("{}{}", analyzed.stdout, analyzed.stderr);
    assert_eq!(analyzed.row("west")[1..4], ["Unreachable", "-", "-"]);
    assert_eq!(analyzed.row("east")[1], "Reachable");
    assert!(analyzed.stderr.contains("1 of 2 clusters was not fully read"), "{}", analyzed.stderr);
}

/// Whether a process has an open connection to a port.
fn connected(process: u32, port: u16) -> bool {
    let ours: Vec<_> = fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .map(|it| it.display().to_string())
        .collect();
    // The fields of a line: number, local and remote address, state (01 is established); the tenth is the inode.
    read(&PathBuf::from(format!("/proc/{process}/net/tcp"))).lines().any(|line| {
        let cells: Vec<_> = line.split_whitespace().collect();
        cells.get(9).is_some_and(|inode| {
            cells[2].ends_with(&format!(":{port:04X}"))
                && cells[3] == "01"
                && ours.contains(&format!("socket:[{inode}]"))
        })
    })
}
