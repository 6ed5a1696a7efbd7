//! Part of `make test`: the commands that look at a live cluster (`list pods`, `analyze`, `check`), on a real
//! control plane of their own, with pods made by the real controllers.

use std::path::{Path, PathBuf};
use std::sync::Once;

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, text};
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::manifests::{pod, workload};
use crate::support::ran::Ran;
use crate::support::suite::{Suite, Trials, World, trials};

/// The first trials need a cluster without the objects of the later ones, and the last one leaves a broken install;
/// each prepares what it needs.
pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Plane::start), TRIALS)
}

const TRIALS: Trials<Plane> = trials![
    check_and_analyze_name_what_an_empty_cluster_lacks,
    an_analysis_needs_no_podgate,
    pods_are_listed_with_the_workloads_that_own_them,
    selectors_and_empty_namespaces_read_as_in_kubectl,
    scores_are_what_the_formula_gives_by_hand,
    the_findings_of_an_analysis_decide_its_exit_code,
    a_cluster_policy_is_in_force_where_its_selector_matches,
    a_user_of_one_namespace_gets_that_one_and_a_warning_about_the_others,
    a_healthy_cluster_passes_the_check,
    check_names_everyone_who_may_change_podgates_configuration,
    an_incomplete_install_is_reported_line_by_line,
];

struct Plane {
    plane: ControlPlane,
    applications: Once,
}

impl Plane {
    fn start() -> Self {
        Self { plane: ControlPlane::start(), applications: Once::new() }
    }

    /// The cluster with podgate's CRDs and the objects of `applications`.
    fn in_use(&self) -> &Self {
        self.applications.call_once(|| {
            self.kubectl(&["apply", "-f", "-"]).given(&namespaces()).ok();
            self.podgate("admin", &["crd", "install"]).exits(0);
            applications(self);
        });
        self
    }

    fn podgate(&self, user: &str, args: &[&str]) -> Ran {
        let kubeconfig = self.plane.kubeconfig(user);
        let mut all = args.to_vec();
        all.extend(["--kubeconfig", kubeconfig.to_str().unwrap()]);
        let output = binary::run(&all);
        Ran::of(&output)
    }

    fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.plane.kubectl(args)
    }

    /// Waits until a namespace has this number of pods; returns their names.
    fn pods(&self, namespace: &str, selector: &str, count: usize) -> Vec<String> {
        let args = ["get", "pods", "-n", namespace, "-l", selector, "-o", "name"];
        let listed = eventually("the controllers to create the pods", || {
            let names = self.kubectl(&args).result()?;
            let names: Vec<_> = names.lines().map(|it| it.replace("pod/", "")).collect();
            if names.len() == count { Ok(names) } else { Err(format!("{names:?}")) }
        });
        listed.0
    }

    /// Writes the pod's status as the kubelet would.
    fn set_status(&self, namespace: &str, pod: &str, status: &Value) {
        let patch = json!({"status": status}).to_string();
        let args = [
            "patch",
            "pod",
            pod,
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        self.kubectl(&args).ok();
    }
}

impl Ran {
    /// The one line that has all of these.
    fn line(&self, words: &[&str]) -> &str {
        let mut lines = self.stdout.lines().filter(|line| words.iter().all(|it| line.contains(it)));
        let line = lines.next().unwrap_or_else(|| panic!("no line has {words:?}: {}", self.stdout));
        assert_eq!(lines.next(), None, "another line has {words:?} too");
        line
    }
}

fn namespaces() -> String {
    let namespace =
        |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n---\n");
    ["batch", "empty", "lab", "shop"].map(namespace).concat()
}

fn check_and_analyze_name_what_an_empty_cluster_lacks(plane: &Plane) {
    let checked = plane.podgate("admin", &["check"]).exits(3).reports(&["2 checks are errors"]);
    assert!(checked.line(&["the API server answers; it is Kubernetes v1."]).starts_with("ok "));
    for crd in ["devopspolicies", "clusterdevopspolicies"] {
        let line = checked.line(&[&format!("CRD {crd}.devops.stochastic.io is not installed")]);
        assert!(line.starts_with("error ") && line.ends_with(" → podgate crd install"), "{line}");
    }
    assert!(checked.line(&["calls podgate, so nothing is refused"]).starts_with("warning "));
}

fn an_analysis_needs_no_podgate(plane: &Plane) {
    plane.kubectl(&["apply", "-f", "-"]).given(&namespaces()).ok();
    let analyzed = plane.podgate("admin", &["analyze", "-o", "json"]).exits(3).reports(&[
        "the cluster does not serve DevOpsPolicy; install it with: podgate crd install",
        "the cluster does not serve ClusterDevOpsPolicy; install it with: podgate crd install",
        "the analysis is incomplete because of 2 faults",
    ]);
    let analysis = analyzed.json();
    let names: Vec<_> =
        analysis["namespaces"].as_array().unwrap().iter().map(|it| &it["namespace"]).collect();
    assert_eq!(names, ["batch", "default", "empty", "lab", "shop"]);
    assert_eq!(analysis["namespaces"][0]["policies"], json!(["founding-checks"]));
}

/// shop: Deployment cart (two pods), Deployment api and a bare pod; lab: Deployment web; batch: CronJob report.
fn applications(plane: &Plane) {
    let named = |name: &str, replicas: u32, image: &str| {
        let mut deployment = workload(Kind::Deployment, pod(image));
        deployment["metadata"]["name"] = json!(name);
        deployment["spec"]["replicas"] = json!(replicas);
        deployment["spec"]["selector"]["matchLabels"]["app"] = json!(name);
        deployment["spec"]["template"]["metadata"]["labels"]["app"] = json!(name);
        deployment.to_string()
    };
    for (namespace, manifest) in [
        ("shop", named("cart", 2, "nginx")),
        ("shop", named("api", 1, "nginx:1.29")),
        ("shop", json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "done"}, "spec": pod("nginx"),
        }).to_string()),
        ("lab", named("web", 1, "nginx:1.29")),
    ] {
        // Pods are refused before their ServiceAccount exists.
        eventually("the manifest to be applied", || {
            plane.kubectl(&["apply", "-n", namespace, "-f", "-"]).given(&manifest).result()
        });
    }
    let carts = plane.pods("shop", "app=cart", 2);
    for (pod, restarts) in carts.iter().zip([7, 0]) {
        let container = json!({
            "name": "web", "restartCount": restarts, "ready": true, "image": "nginx", "imageID": "",
        });
        plane.set_status(
            "shop",
            pod,
            &json!({"phase": "Running", "containerStatuses": [container]}),
        );
    }
    plane.set_status("shop", "done", &json!({"phase": "Succeeded"}));
    plane.pods("shop", "app=api", 1);
    plane.pods("lab", "app=web", 1);
    run_cron_job(plane);
    let policy = json!({
        "apiVersion": "devops.stochastic.io/v1",
        "kind": "DevOpsPolicy",
        "metadata": {"name": "baseline", "namespace": "shop"},
        "spec": {"forbidLatestTag": true, "maxRestartCount": 3, "forbidPendingDuration": 0},
    });
    plane.kubectl(&["apply", "-f", "-"]).given(&policy).ok();
    // The api pod is Pending for more than 0 s as soon as it is a second old.
    eventually("the api pod to be older than a second", || {
        let analyzed = plane.podgate("admin", &["analyze", "-o", "json", "--fail-on", "never"]);
        if analyzed.json()["summary"]["violations"] == 5 { Ok(()) } else { Err(analyzed.stdout) }
    });
}

/// Makes the controller run a CronJob now: its last run is set far in the past, so that one run was missed.
fn run_cron_job(plane: &Plane) {
    let mut report = workload(Kind::CronJob, pod("nginx:1.29"));
    report["metadata"]["name"] = json!("report");
    report["spec"]["schedule"] = json!("* * * * *");
    report["spec"]["suspend"] = json!(true);
    report["spec"]["concurrencyPolicy"] = json!("Forbid");
    plane.kubectl(&["apply", "-n", "batch", "-f", "-"]).given(&report).ok();
    let missed = r#"{"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}"#;
    let cron_job = ["patch", "cronjob", "report", "-n", "batch", "--type=merge", "-p"];
    plane.kubectl(&[&cron_job[..], &[missed, "--subresource=status"]].concat()).ok();
    plane.kubectl(&[&cron_job[..], &[r#"{"spec": {"suspend": false}}"#]].concat()).ok();
    plane.pods("batch", "app=web", 1);
}

fn pods_are_listed_with_the_workloads_that_own_them(plane: &Plane) {
    let plane = plane.in_use();
    let listed = plane.podgate("admin", &["list", "pods", "-A"]).exits(0);
    let header: Vec<_> = listed.stdout.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAMESPACE", "NAME", "PHASE", "NODE", "OWNER"]);
    println!("{}", listed.stdout);
    let mut owners: Vec<_> = listed
        .stdout
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<_> = line.split_whitespace().collect();
            let [namespace, _, phase, node, owner] = cells[..] else { panic!("{line}") };
            assert_eq!(node, "<none>");
            format!("{namespace} {phase} {owner}")
        })
        .collect();
    // The Job is named after the scheduled minute.
    let job = owners.remove(0);
    let minute = job.strip_prefix("batch Pending Job/report-").unwrap_or_else(|| panic!("{job}"));
    assert!(minute.parse::<u64>().is_ok(), "{job}");
    owners.sort();
    assert_eq!(
        owners,
        [
            "lab Pending Deployment/web",
            "shop Pending Deployment/api",
            "shop Running Deployment/cart",
            "shop Running Deployment/cart",
            "shop Succeeded Pod/done",
        ]
    );
    let json = plane
        .podgate("admin", &["list", "pods", "-n", "shop", "-l", "app=cart", "-o", "json"])
        .json();
    let mut restarts: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| {
            assert_eq!(pod["owner"], "Deployment/cart");
            assert_eq!((&pod["namespace"], &pod["node"]), (&json!("shop"), &Value::Null));
            pod["restarts"].as_u64().unwrap()
        })
        .collect();
    restarts.sort_unstable();
    assert_eq!(restarts, [0, 7]);
}

fn selectors_and_empty_namespaces_read_as_in_kubectl(plane: &Plane) {
    let plane = plane.in_use();
    let list = |args: &[&str]| plane.podgate("admin", &[&["list", "pods"], args].concat());
    let api = list(&["-n", "shop", "-l", "app=api", "-o", "name"]).exits(0);
    assert!(
        api.stdout.starts_with("pod/api-") && api.stdout.lines().count() == 1,
        "{}",
        api.stdout
    );
    list(&["-n", "shop", "-l", "app in (api)", "-o", "wide"]).exits(0).prints(&["RESTARTS   AGE"]);
    // As in kubectl: -A overrides -n, the context's namespace is the default, and an empty list is no error.
    assert_eq!(list(&["-n", "lab", "-A"]).exits(0).stdout.lines().count(), 7);
    let none = list(&[]).exits(0).reports(&["No resources found in default namespace.\n"]);
    assert_eq!(none.stdout, "");
    list(&["-A", "-l", "app=none"]).exits(0).reports(&["No resources found\n"]);
    assert_eq!(list(&["-n", "empty", "-o", "json"]).exits(0).json(), json!([]));
    list(&["-l", "a b"]).exits(2).reports(&["unable to parse", "--selector"]);
    let refused = plane.podgate("jane", &["list", "pods"]).exits(3);
    refused.reports(&["User \"jane\" cannot list resource \"pods\"", "ask a cluster admin"]);
}

fn scores_are_what_the_formula_gives_by_hand(plane: &Plane) {
    let plane = plane.in_use();
    let analyzed = plane.podgate("admin", &["analyze", "-o", "json", "--fail-on", "never"]);
    let analysis = analyzed.exits(0).json();
    let namespace = |name: &str| {
        let all = analysis["namespaces"].as_array().unwrap();
        all.iter()
            .find(|it| it["namespace"] == name)
            .unwrap_or_else(|| panic!("{name}: {analysis}"))
    };
    // shop has N = 2 workloads (the bare pod has ended).
    //   latest:   v = 1 (both pods of cart),            30 · ln 2 / ln 3 = 18.928
    //   restarts: v = (ln 5 / ln 31) / 2 = 0.23434,     50 · ln 1.23434 / ln 3 = 9.582
    //   pending:  v = 1 (api),                          20 · ln 2 / ln 3 = 12.619
    // 41.128 is lost; of the 41 points 18 + 9 + 12 are whole, and the remainders of latest and pending are largest.
    let shop = namespace("shop");
    assert_eq!((&shop["score"], &shop["classification"]), (&json!(59), &json!("Degraded")));
    assert_eq!(
        shop["lostPoints"],
        json!({"forbidLatestTag": 19, "maxRestartCount": 9, "forbidPendingDuration": 13})
    );
    assert_eq!(
        (&shop["workloads"], &shop["pods"], &shop["violations"]),
        (&json!(2), &json!(3), &json!(3))
    );
    assert_eq!(shop["policies"], json!(["shop/baseline"]));
    // lab has no policy: of the default checks, liveness and readiness are broken.
    let lab = namespace("lab");
    assert_eq!((&lab["score"], &lab["policies"]), (&json!(70), &json!(["founding-checks"])));
    assert_eq!(lab["lostPoints"], json!({"requireLivenessProbe": 20, "requireReadinessProbe": 10}));
    // batch breaks none: a Job's pods need no probes. default and empty run nothing.
    for (name, workloads, score) in
        [("batch", 1, json!(100)), ("default", 0, Value::Null), ("empty", 0, Value::Null)]
    {
        let clean = namespace(name);
        assert_eq!((&clean["score"], &clean["workloads"]), (&score, &json!(workloads)), "{name}");
    }
    // The mean over the three that run something: (58.872 + 70 + 100) / 3 = 76.291.
    let summary = &analysis["summary"];
    assert_eq!((&summary["score"], &summary["classification"]), (&json!(76), &json!("Stable")));
    assert_eq!(
        summary["lostPoints"],
        json!({
            "forbidLatestTag": 6, "maxRestartCount": 3, "forbidPendingDuration": 4,
            "requireLivenessProbe": 7, "requireReadinessProbe": 4,
        })
    );
    let counts =
        ["documents", "workloads", "skipped", "violations"].map(|it| summary[it].as_u64().unwrap());
    assert_eq!(counts, [6, 4, 1, 5]);
    // The worst first, by its workload.
    let worst = &analysis["results"][0];
    assert_eq!(
        (&worst["kind"], &worst["name"], &worst["rule"]),
        (&json!("Deployment"), &json!("cart"), &json!("maxRestartCount"))
    );
    assert_eq!(
        (&worst["severity"], &worst["value"], &worst["file"]),
        (&json!("critical"), &json!("7"), &Value::Null)
    );
    assert!(worst["message"].as_str().unwrap().contains("(1 of 2 pods, such as cart-"), "{worst}");
}

fn the_findings_of_an_analysis_decide_its_exit_code(plane: &Plane) {
    let plane = plane.in_use();
    let analyze = |args: &[&str]| plane.podgate("admin", &[&["analyze"], args].concat());
    let table = analyze(&[]).exits(1).reports(&["violations of severity low or worse"]);
    println!("{}", table.stdout);
    let shop = table.line(&["shop ", "Degraded"]);
    assert!(
        shop.ends_with("forbidLatestTag 19, forbidPendingDuration 13, maxRestartCount 9"),
        "{shop}"
    );
    assert!(table.line(&["(cluster) ", "Stable"]).contains(" 76 "), "{}", table.stdout);
    analyze(&["-n", "lab", "--fail-on", "high"]).exits(0);
    analyze(&["-n", "lab", "--fail-on", "medium"]).exits(1);
    analyze(&["-n", "lab", "--fail-on", "high", "--min-score", "81"])
        .exits(4)
        .reports(&["score is 70"]);
    // A namespace without workloads has no score that could be too low.
    let empty = analyze(&["-n", "empty", "--min-score", "100"]).exits(0);
    assert!(empty.line(&["empty "]).contains(" -  "), "{}", empty.stdout);
    analyze(&["-n", "empty", "-o", "wide"]).exits(0).prints(&["founding-checks"]);
    analyze(&["-n", "batch", "-o", "yaml"])
        .exits(0)
        .prints(&["apiVersion: podgate/v1", "score: 100"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.yaml");
    let head = "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {name: digests}\nspec: ";
    let given = ["-n", "lab", "--policy", file.to_str().unwrap()];
    std::fs::write(&file, format!("{head}{{requireImageDigest: true}}")).unwrap();
    analyze(&given).exits(1).prints(&["requireImageDigest 100"]);
    std::fs::write(&file, format!("{head}{{requireImageDigests: true}}")).unwrap();
    analyze(&given).exits(2).reports(&["policy.yaml:4:", "requireImageDigests"]);
    analyze(&["-n", "shopp"]).exits(2).reports(&["there is no namespace \"shopp\""]);
    analyze(&["-n", "kube-system"]).exits(2).reports(&["kube-system is a protected namespace"]);
    let unreachable = tempfile::tempdir().unwrap();
    let kubeconfig = altered(&plane.plane.kubeconfig("admin"), unreachable.path(), |config| {
        config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    });
    let output = binary::run(&["analyze", "--kubeconfig", kubeconfig.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("does not answer"), "{}", text(&output.stderr));
}

fn a_cluster_policy_is_in_force_where_its_selector_matches(plane: &Plane) {
    let plane = plane.in_use();
    let policy = json!({
        "apiVersion": "devops.stochastic.io/v1",
        "kind": "ClusterDevOpsPolicy",
        "metadata": {"name": "team-a"},
        "spec": {"forbidLatestTag": true, "namespaceSelector": {"matchLabels": {"team": "a"}}},
    });
    plane.kubectl(&["apply", "-f", "-"]).given(&policy).ok();
    plane.kubectl(&["label", "namespace", "shop", "batch", "team=a"]).ok();
    let analysis = plane.podgate("admin", &["analyze", "-A", "-o", "json"]).exits(1).json();
    let in_force = |name: &str| {
        let all = analysis["namespaces"].as_array().unwrap();
        all.iter().find(|it| it["namespace"] == name).unwrap()["policies"].clone()
    };
    assert_eq!(in_force("shop"), json!(["shop/baseline", "team-a"]));
    assert_eq!(in_force("batch"), json!(["team-a"]));
    assert_eq!(in_force("lab"), json!(["founding-checks"]));
    let batch = plane.podgate("admin", &["analyze", "-n", "batch", "-o", "json"]).exits(0).json();
    assert_eq!(batch["namespaces"][0]["policies"], json!(["team-a"]));
    plane.kubectl(&["delete", "clusterdevopspolicy", "team-a"]).ok();
}

/// A copy of a kubeconfig, changed.
fn altered(kubeconfig: &Path, dir: &Path, change: impl Fn(&mut Value)) -> PathBuf {
    let mut config = serde_json::from_slice(&std::fs::read(kubeconfig).unwrap()).unwrap();
    change(&mut config);
    let copy = dir.join("altered");
    std::fs::write(&copy, config.to_string()).unwrap();
    copy
}

fn a_user_of_one_namespace_gets_that_one_and_a_warning_about_the_others(plane: &Plane) {
    let plane = plane.in_use();
    // Without any permission, the context's namespace is tried and refused.
    let refused = plane.podgate("jane", &["analyze"]).exits(3);
    refused.reports(&[
        "so only default is analyzed; choose another with -n",
        "cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
    ]);

    let grant = |args: &[&str]| plane.kubectl(&[&["create"], args].concat()).ok();
    grant(&[
        "role",
        "jane",
        "-n",
        "shop",
        "--verb=list",
        "--resource=pods,devopspolicies.devops.stochastic.io",
    ]);
    grant(&["rolebinding", "jane", "-n", "shop", "--role=jane", "--user=jane"]);
    let shop = plane.podgate("jane", &["analyze", "-n", "shop", "-o", "json"]).exits(3).reports(&[
        "the ClusterDevOpsPolicies: cannot be read, so everything is judged without them",
        "deployments, statefulsets, daemonsets, replicasets, replicationcontrollers, jobs, cronjobs: cannot be read in \
         shop, so those without a pod are not judged there: deployments.apps is forbidden",
        "the analysis is incomplete because of 2 faults",
    ]);
    assert_eq!(shop.json()["namespaces"][0]["score"], 59);

    // Without -n, the context's namespace is used, and stderr says so.
    let dir = tempfile::tempdir().unwrap();
    let in_shop = altered(&plane.plane.kubeconfig("jane"), dir.path(), |config| {
        config["contexts"][0]["context"]["namespace"] = json!("shop");
    });
    let output = binary::run(&["analyze", "--kubeconfig", in_shop.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    let expected = "so only shop is analyzed; choose another with -n";
    assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("shop        59      Degraded"),
        "{}",
        text(&output.stdout)
    );

    // A user who can list namespaces gets every namespace that is readable.
    grant(&[
        "clusterrole",
        "namespaces",
        "--verb=list",
        "--resource=namespaces,clusterdevopspolicies.devops.stochastic.io",
    ]);
    grant(&["clusterrolebinding", "jane", "--clusterrole=namespaces", "--user=jane"]);
    let some = plane.podgate("jane", &["analyze", "-o", "json"]).exits(3);
    for namespace in ["batch", "default", "empty", "lab"] {
        let expected = format!(
            "podgate: {namespace}: its pods cannot be read: pods is forbidden: User \"jane\""
        );
        assert!(some.stderr.contains(&expected), "{}", some.stderr);
    }
    assert!(!some.stderr.contains("podgate: shop"), "{}", some.stderr);
    let analysis = some.json();
    assert_eq!(analysis["namespaces"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&analysis["namespaces"][0]["score"], &analysis["summary"]["score"]),
        (&json!(59), &json!(59))
    );
    for (kind, name) in [
        ("clusterrolebinding", "jane"),
        ("clusterrole", "namespaces"),
        ("rolebinding", "jane"),
        ("role", "jane"),
    ] {
        plane.kubectl(&["delete", kind, name, "-n", "shop"]).ok();
    }
}

fn check_names_everyone_who_may_change_podgates_configuration(plane: &Plane) {
    let plane = plane.in_use();
    let line = |words: &[&str]| plane.podgate("admin", &["check"]).line(words).to_owned();
    let role = ["create", "role", "labels", "-n", "lab", "--verb=patch", "--resource=namespaces"];
    plane.kubectl(&role).ok();
    plane
        .kubectl(&["create", "rolebinding", "labels", "-n", "lab", "--role=labels", "--user=jane"])
        .ok();
    plane
        .kubectl(&[
            "create",
            "rolebinding",
            "edits",
            "-n",
            "default",
            "--clusterrole=edit",
            "--user=eve",
        ])
        .ok();
    assert!(
        line(&["Lease podgate-alive may be deleted", "ClusterRole edit in default (User eve)"])
            .starts_with("ok ")
    );
    assert!(line(&["labels of namespaces", "Role labels in lab (User jane)"]).starts_with("ok "));
    let policy = json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "ClusterDevOpsPolicy", "metadata": {"name": "selecting"},
        "spec": {"namespaceSelector": {"matchLabels": {"tier": "production"}}, "forbidLatestTag": true},
    });
    plane.kubectl(&["apply", "-f", "-"]).given(&policy).ok();
    let warned = line(&["the namespaceSelector of selecting", "Role labels in lab (User jane)"]);
    assert!(warned.starts_with("warning ") && warned.contains("excludeNamespaces"), "{warned}");
    for (kind, name, namespace) in [
        ("clusterdevopspolicy", "selecting", "default"),
        ("rolebinding", "labels", "lab"),
        ("role", "labels", "lab"),
        ("rolebinding", "edits", "default"),
    ] {
        plane.kubectl(&["delete", kind, name, "-n", namespace]).ok();
    }
}

fn a_healthy_cluster_passes_the_check(plane: &Plane) {
    let plane = plane.in_use();
    let certs = tempfile::tempdir().unwrap();
    let kubeconfig = plane.plane.kubeconfig("admin");
    let args = ["--register", "--kubeconfig", kubeconfig.to_str().unwrap()];
    let mut podgate = Podgate::serve(&args, certs.path());
    let called = "the API servers were seen to call podgate";
    crate::support::eventually("a beat", || {
        let printed = plane.podgate("admin", &["check"]).stdout;
        if printed.contains(called) { Ok(()) } else { Err(printed) }
    });
    let checked = plane.podgate("admin", &["check"]).exits(0);
    assert!(checked.line(&[called, "Lease default/podgate-alive"]).starts_with("ok "));
    println!("{}", checked.stdout);
    assert!(!checked.stdout.contains("error "), "{}", checked.stdout);
    for crd in ["devopspolicies", "clusterdevopspolicies"] {
        let line =
            checked.line(&[&format!("CRD {crd}.devops.stochastic.io is installed and up to date")]);
        assert!(line.starts_with("ok "), "{line}");
    }
    assert!(checked.line(&["may list, watch pods"]).starts_with("ok "));
    assert!(
        checked
            .line(&[
                "may get, create, update leases.coordination.k8s.io podgate in namespace default"
            ])
            .starts_with("ok ")
    );
    assert!(checked.line(&["1 policy compiles"]).starts_with("ok "));
    for webhook in [
        "ValidatingWebhookConfiguration podgate-validating, validate.",
        "ValidatingWebhookConfiguration podgate-validating, policies.",
        "MutatingWebhookConfiguration podgate-mutating, mutate.",
    ] {
        let registered = checked.line(&[webhook]);
        assert!(
            registered.starts_with("warning ") && registered.contains("failurePolicy Ignore"),
            "{registered}"
        );
    }

    let json =
        plane.podgate("admin", &["check", "-n", "podgate-system", "-o", "json"]).exits(0).json();
    assert_eq!(json["apiVersion"], "podgate/v1");
    let first = &json["checks"][0];
    assert_eq!(
        (&first["state"], &first["subject"], &first["todo"]),
        (&json!("ok"), &json!("api"), &Value::Null)
    );
    podgate.signal("TERM");
    podgate.ended();
    let release =
        |it: &&Value| it["what"].as_str().unwrap().ends_with("in namespace podgate-system");
    assert_eq!(json["checks"].as_array().unwrap().iter().filter(release).count(), 4);
}

fn an_incomplete_install_is_reported_line_by_line(plane: &Plane) {
    let plane = plane.in_use();
    // A policy that the schema admits, but that does not compile.
    let policy = json!({
        "apiVersion": "devops.stochastic.io/v1",
        "kind": "ClusterDevOpsPolicy",
        "metadata": {"name": "broken"},
        "spec": {"validations": [{"name": "a", "expression": "nope(object)", "message": "m"}]},
    });
    plane.kubectl(&["apply", "-f", "-"]).given(&policy).ok();
    // A policy that compiles but selects no namespace, probably by mistake.
    let odd = json!({
        "apiVersion": "devops.stochastic.io/v1",
        "kind": "ClusterDevOpsPolicy",
        "metadata": {"name": "odd"},
        "spec": {
            "namespaceSelector": {"matchLabels": {"of": "nobody"}},
            "validations": [{"name": "a", "expression": "!has(object.spec.hostnetwork)", "message": "m"}],
        },
    });
    plane.kubectl(&["apply", "-f", "-"]).given(&odd).ok();
    // Leftovers of an uninstall, or an install that never started.
    let leftover = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "prod-podgate-mutating"},
        "webhooks": [{
            "name": "mutate.podgate.devops.stochastic.io",
            "clientConfig": {"service": {"namespace": "gone", "name": "podgate"}},
            "rules": [{"apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nothings"]}],
            "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        }],
    });
    plane.kubectl(&["apply", "-f", "-"]).given(&leftover).ok();
    let mut agent = workload(Kind::DaemonSet, pod("agent:1"));
    agent["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    plane.kubectl(&["apply", "-n", "empty", "-f", "-"]).given(&agent).ok();
    // The CRD of an older version.
    let crd = "customresourcedefinition/devopspolicies.devops.stochastic.io";
    let remove = json!([{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/maxRestartCount"}]);
    plane.kubectl(&["patch", crd, "--type=json", "--patch", &remove.to_string()]).ok();

    let checked = plane.podgate("admin", &["check"]).exits(3);
    println!("{}", checked.stdout);
    for (words, state, todo) in [
        (
            &["ClusterDevOpsPolicy broken cannot be used: spec.validations[0]"][..],
            "error",
            "correct that field",
        ),
        (
            &[
                "policy odd: spec.validations[0].expression: 1:18: no Pod has object.spec.hostnetwork",
            ],
            "warning",
            "correct the expression",
        ),
        (
            &["policy odd covers nothing: no namespace has the labels of=nobody"],
            "warning",
            "create or label a namespace",
        ),
        (
            &["CRD devopspolicies.devops.stochastic.io is not the one of podgate"],
            "warning",
            "podgate crd install",
        ),
        (&["CRD clusterdevopspolicies.devops.stochastic.io is installed"], "ok", ""),
        (&["MutatingWebhookConfiguration prod-podgate-mutating", "failurePolicy Fail"], "ok", ""),
        (
            &["prod-podgate-mutating", "the API server does not ask about every change of pods"],
            "warning",
            "podgate webhook config",
        ),
        (&["prod-podgate-mutating", "caBundle is empty"], "error", "log of podgate"),
        (
            &["prod-podgate-mutating", "Service gone/podgate does not exist"],
            "error",
            "podgate webhook delete",
        ),
        (
            &["prod-podgate-mutating", "DaemonSet empty/web is part of the nodes"],
            "warning",
            "add empty to protectedNamespaces",
        ),
        (&["no ValidatingWebhookConfiguration calls podgate"], "warning", "install the chart"),
    ] {
        let line = checked.line(words);
        assert!(line.starts_with(&format!("{state} ")) && line.contains(todo), "{line}");
    }
    let analyzed = plane.podgate("admin", &["analyze"]).exits(3);
    analyzed.reports(&["ClusterDevOpsPolicy broken: cannot be used, so nothing is judged by it: spec.validations[0]"]);

    // Each missing permission is listed; those that not every podgate needs are no errors.
    let jane = plane.podgate("jane", &["check"]).exits(3);
    let pods = jane.line(&["may not list, watch pods"]);
    assert!(pods.starts_with("error ") && pods.contains("to audit what runs"), "{pods}");
    assert!(jane.line(&["may not list, watch namespaces"]).starts_with("error "));
    let secrets = jane.line(&["may not create, patch secrets podgate-tls in namespace default"]);
    assert!(secrets.starts_with("warning "), "{secrets}");
    assert!(jane.line(&["CRD devopspolicies", "cannot be seen"]).starts_with("warning "));
}
