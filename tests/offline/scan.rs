//! Part of `make test`: `podgate scan` as the real binary, on files that the tests write.

mod baseline;
mod exclude;
mod folders;
mod kinds;
mod render;
mod repositories;
mod stubs;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::binary;

/// A folder of files to scan.
struct Folder(TempDir);

/// The output of a scan.
struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
    report: Value,
}

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text.as_bytes());
        }
        folder
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, args: &[&str], stdin: &str) -> Output {
        let mut child = binary::command()
            .arg("scan")
            .args(args)
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A scan that does not read stdin may have ended by now.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn scan(&self, args: &[&str]) -> Answer {
        self.scan_stdin(args, "")
    }

    fn scan_stdin(&self, args: &[&str], stdin: &str) -> Answer {
        let args: Vec<_> = ["-o", "json"].iter().chain(args).copied().collect();
        let output = self.run(&args, stdin);
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        let report = serde_json::from_str(&stdout);
        Answer {
            code: output.status.code().unwrap(),
            report: report.unwrap_or_else(|error| panic!("{args:?}: {error}\n{stderr}")),
            stdout,
            stderr,
        }
    }
}

impl Answer {
    /// `FILE:LINE:COLUMN KIND NAMESPACE/NAME POLICY RULE CONTAINER` of every result.
    fn lines(&self) -> Vec<String> {
        let results = self.report["results"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let lines = results.iter().map(|it| {
            let place = format!("{}:{}:{}", text(&it["file"]), it["line"], it["column"]);
            let object =
                format!("{} {}/{}", text(&it["kind"]), text(&it["namespace"]), text(&it["name"]));
            format!(
                "{place} {object} {} {} {}",
                text(&it["policy"]),
                text(&it["rule"]),
                text(&it["container"])
            )
        });
        lines.collect()
    }

    fn files(&self) -> Vec<&str> {
        let results = self.report["results"].as_array().unwrap();
        results.iter().map(|it| it["file"].as_str().unwrap()).collect()
    }

    fn count(&self, what: &str) -> u64 {
        self.report["summary"][what].as_u64().unwrap()
    }

    /// The policies that each object violates.
    fn objections(&self) -> Vec<String> {
        let results = self.report["results"].as_array().unwrap();
        let mut objections: Vec<_> = results
            .iter()
            .map(|it| {
                format!("{} {}", it["name"].as_str().unwrap(), it["policy"].as_str().unwrap())
            })
            .collect();
        objections.dedup();
        objections
    }
}

/// A Deployment that breaks one rule of [`policy`].
fn deployment(name: &str, namespace: &str) -> String {
    let namespace =
        if namespace.is_empty() { String::new() } else { format!("\n  namespace: {namespace}") };
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}{namespace}\nspec:\n  template:\n    spec:\n      containers:\n        - name: web\n          image: nginx\n"
    )
}

fn policy(name: &str, metadata: &str, kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: devops.stochastic.io/v1\nkind: {kind}\nmetadata: {{name: {name}{metadata}}}\nspec: {{forbidLatestTag: true{spec}}}\n"
    )
}

const EVERYWHERE: &str = "apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: all}\nspec: {forbidLatestTag: true}\n";

#[test]
fn a_finding_names_its_place_its_rule_and_its_policy() {
    let folder =
        Folder::with(&[("app.yaml", &deployment("cart", "shop")), ("policy.yaml", EVERYWHERE)]);
    let answer = folder.scan(&["-f", "app.yaml", "--policy", "policy.yaml"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    insta::assert_snapshot!(answer.stdout, @r#"
    {
      "apiVersion": "podgate/v1",
      "results": [
        {
          "file": "app.yaml",
          "line": 11,
          "column": 11,
          "kind": "Deployment",
          "namespace": "shop",
          "name": "cart",
          "policy": "all",
          "rule": "forbidLatestTag",
          "severity": "high",
          "decision": "audit",
          "container": "web",
          "path": "spec.template.spec.containers[0].image",
          "value": "nginx",
          "message": "spec.template.spec.containers[0].image is \"nginx\" (no tag means :latest); pin the version that should run: nginx:VERSION",
          "fix": null
        }
      ],
      "summary": {
        "documents": 1,
        "workloads": 1,
        "skipped": 0,
        "violations": 1,
        "score": 70
      },
      "known": null,
      "unjudged": {
        "kinds": {},
        "protected": {},
        "uncovered": 0,
        "passedOver": {},
        "unrenderedCharts": 0,
        "unrenderedKustomizations": 0
      },
      "unread": [],
      "faults": []
    }
    "#);
}

#[test]
fn what_an_exemption_no_longer_covers_says_since_when_and_whose_it_was() {
    let exemption = "{rules: [forbidLatestTag], owner: team-a, reason: a migration, expiresAt: '2020-02-29T12:00:00Z'}";
    let policy = policy("baseline", "", "DevOpsPolicy", &format!(", exemptions: [{exemption}]"));
    let folder =
        Folder::with(&[("app.yaml", &deployment("cart", "shop")), ("policy.yaml", &policy)]);
    let answer = folder.scan(&["-f", "app.yaml", "--policy", "policy.yaml"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    let end = "nginx:VERSION; exempt until 2020-02-29 (team-a, a migration)\"";
    assert!(answer.stdout.contains(end), "{}", answer.stdout);
}

#[test]
fn output_of_helm_and_kustomize_and_kubectl_is_read() {
    let helm = format!(
        "---\n# Source: shop/templates/empty.yaml\n---\n# Source: shop/templates/service.yaml\napiVersion: v1\nkind: Service\nmetadata: {{name: cart}}\n---\n# Source: shop/templates/deployment.yaml\n{}---\n\n---\n",
        deployment("cart", "shop")
    );
    let folder = Folder::with(&[("all.yaml", EVERYWHERE)]);
    let args = ["-f", "-", "--policy", "all.yaml"];
    let answer = folder.scan_stdin(&args, &helm);
    assert_eq!(answer.lines(), ["-:20:11 Deployment shop/cart all forbidLatestTag web"]);
    assert_eq!(["documents", "workloads", "skipped"].map(|it| answer.count(it)), [2, 1, 1]);

    let list = r#"{"apiVersion": "v1", "items": [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "c-"}, "spec": {"containers": [{"name": "web", "image": "nginx:latest"}]}}
    ], "kind": "List"}"#;
    let answer = folder.scan_stdin(&args, list);
    assert_eq!(
        answer.lines(),
        ["-:2:112 Pod -/a all forbidLatestTag web", "-:4:121 Pod -/c-* all forbidLatestTag web"]
    );
    assert_eq!(["documents", "workloads", "skipped"].map(|it| answer.count(it)), [3, 2, 1]);
}

#[test]
fn a_broken_document_is_reported_with_its_place_and_the_rest_is_judged() {
    let broken = format!(
        "{}---\napiVersion: v1\nkind: [Pod\n---\njust text\n---\nmetadata: {{name: x}}\n---\nkind: Pod\n---\napiVersion: batch/v1beta1\nkind: CronJob\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: 1}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: x}}\n---\n{}",
        deployment("first", "shop"),
        deployment("last", "shop")
    );
    let folder = Folder::with(&[
        ("all.yaml", EVERYWHERE),
        ("k8s/a.yaml", &broken),
        ("k8s/b.yaml", &deployment("other", "")),
    ]);
    folder.write("k8s/binary.yaml", b"kind: A\n\0\x01");
    folder.write("k8s/latin.yaml", b"kind: \xE9\n");
    let files = ["a", "b", "binary", "latin"].map(|name| format!("k8s/{name}.yaml"));
    let named: Vec<_> = files.iter().map(String::as_str).collect();
    let answer = folder.scan(&[&named[..], &["--policy", "all.yaml"]].concat());
    assert_eq!(answer.code, 2);
    insta::assert_snapshot!(answer.stderr, @r#"
    k8s/a.yaml:14:7: it is not YAML: unclosed bracket '['
    k8s/a.yaml:16:1: it is no Kubernetes object: an object is a map with apiVersion and kind
    k8s/a.yaml:18:1: it has no kind, so it is no Kubernetes object
    k8s/a.yaml:20:1: it has no apiVersion, so it is no Kubernetes object
    k8s/a.yaml:22:1: batch/v1beta1 CronJob is not a version podgate reads; it reads batch/v1
    k8s/a.yaml:27:18: metadata.name: invalid type: integer `1`, expected a string
    k8s/a.yaml:29:1: spec is missing
    k8s/binary.yaml:2:1: it is a binary file, not YAML or JSON
    k8s/latin.yaml:1:1: it is not UTF-8
    podgate: the input has 9 faults; everything else was read
    "#);
    let objections = ["first all", "last all", "other all"];
    assert_eq!(answer.objections(), objections);
}

#[test]
fn an_alias_bomb_is_refused_and_aliases_are_judged_where_they_are_written() {
    let mut bomb = "apiVersion: v1\nkind: Pod\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for i in 1..40 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(",");
        let _ = writeln!(bomb, "a{i}: &a{i} [{aliases}]");
    }
    let aliased = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nx-web: &web\n  name: web\n  image: nginx\nspec:\n  containers:\n    - *web\n    - <<: *web\n      name: second\n";
    let folder =
        Folder::with(&[("all.yaml", EVERYWHERE), ("bomb.yaml", &bomb), ("aliased.yaml", aliased)]);
    let answer = folder.scan(&["-f", "bomb.yaml", "-f", "aliased.yaml", "--policy", "all.yaml"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("bomb.yaml:7:34: "), "{}", answer.stderr);
    assert!(answer.stderr.contains("repeat more than 100000 values"), "{}", answer.stderr);
    assert_eq!(
        answer.lines(),
        [
            "aliased.yaml:6:3 Pod -/a all forbidLatestTag web",
            "aliased.yaml:6:3 Pod -/a all forbidLatestTag second"
        ]
    );
}

#[test]
fn an_object_without_a_namespace_takes_the_one_given_and_else_every_policy_judges_it() {
    let text = format!("{}---\n{}", deployment("nowhere", ""), deployment("somewhere", "lab"));
    let shop = policy("shop", ", namespace: shop", "DevOpsPolicy", "");
    let lab = policy("lab", ", namespace: lab", "DevOpsPolicy", "");
    let folder = Folder::with(&[
        ("app.yaml", &text),
        ("p/shop.yaml", &shop),
        ("p/lab.yaml", &lab),
        ("p/all.yaml", EVERYWHERE),
    ]);
    let args = ["-f", "app.yaml", "--policy", "p"];
    assert_eq!(
        folder.scan(&args).objections(),
        [
            "nowhere lab/lab",
            "nowhere shop/shop",
            "nowhere all",
            "somewhere lab/lab",
            "somewhere all"
        ]
    );
    let with = |namespace| [&args[..], &["-n", namespace]].concat();
    assert_eq!(
        folder.scan(&with("shop")).objections(),
        ["nowhere shop/shop", "nowhere all", "somewhere lab/lab", "somewhere all"]
    );
    let protected = folder.scan(&with("kube-system"));
    assert_eq!(protected.objections(), ["somewhere lab/lab", "somewhere all"]);
    assert_eq!(protected.count("workloads"), 1);
    assert_eq!(protected.report["unjudged"]["protected"], json!({"kube-system": 1}));
}

#[test]
fn a_namespace_selector_is_decided_by_the_namespaces_of_the_input_and_else_taken_to_match() {
    let selector = "apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: prod}\nspec:\n  forbidLatestTag: true\n  namespaceSelector: {matchLabels: {env: prod}}\n  excludeNamespaces: [legacy]\n";
    let by_name = "apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: named}\nspec:\n  forbidLatestTag: true\n  namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [lab]}]}\n";
    let namespaces = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {env: prod}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: lab}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: legacy, labels: {env: prod}}\n";
    let folder = Folder::with(&[
        ("p/a.yaml", selector),
        ("p/b.yaml", by_name),
        ("z-namespaces.yaml", namespaces),
    ]);
    for namespace in ["shop", "lab", "legacy", "unknown"] {
        folder.write(&format!("app/{namespace}.yaml"), deployment(namespace, namespace).as_bytes());
    }
    // The Namespaces come last, and still apply.
    let answer = folder.scan(&["-f", "app", "-f", "z-namespaces.yaml", "--policy", "p"]);
    assert_eq!(answer.objections(), ["lab named", "shop prod", "unknown named", "unknown prod"]);
    let messages: Vec<_> = answer.report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["message"].as_str().unwrap())
        .collect();
    let assumed = "assuming that the policy's namespaceSelector matches";
    let assumptions: Vec<_> = messages.iter().map(|message| message.contains(assumed)).collect();
    assert_eq!(assumptions, [false, false, true, true], "{messages:?}");
}

#[test]
fn validations_see_the_pod_and_the_namespace_of_the_input() {
    let policy = "apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: cel}\nspec:\n  validations:\n    - name: team\n      message: the pod and its namespace are of one team\n      expression: object.metadata.namespace == 'shop' && namespaceObject.metadata.labels['team'] == object.spec.containers[0].name\n";
    let namespace =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: TEAM}}\n---\n";
    let folder = Folder::with(&[("p.yaml", policy)]);
    for (team, code) in [("web", 0), ("db", 1)] {
        let text = namespace.replace("TEAM", team) + &deployment("cart", "");
        let answer = folder.scan_stdin(&["-f", "-", "--policy", "p.yaml", "-n", "shop"], &text);
        assert_eq!(answer.code, code, "{} {}", answer.report, answer.stderr);
    }
}

#[test]
fn policies_in_the_input_are_not_applied_and_without_policies_the_default_checks_apply() {
    let folder = Folder::with(&[("a.yaml", &deployment("cart", "")), ("p.yaml", EVERYWHERE)]);
    let answer = folder.scan(&["-f", "."]);
    assert_eq!(answer.objections(), ["cart founding-checks"]);
    let rules: Vec<_> = answer.report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["forbidLatestTag", "requireLivenessProbe", "requireReadinessProbe"]);
    assert_eq!(answer.count("skipped"), 1);

    let answer = folder.scan(&["-f", "a.yaml", "--bundle", "baseline"]);
    assert_eq!(answer.objections(), ["cart baseline"]);
    let answer = folder.scan(&["-f", "a.yaml", "--bundle", "baseline", "--policy", "p.yaml"]);
    let policies: Vec<_> =
        answer.lines().iter().filter(|it| it.contains("forbidLatestTag")).cloned().collect();
    assert_eq!(policies.len(), 2, "{policies:?}");
}

#[test]
fn the_exit_code_is_the_first_that_applies() {
    let bad = "kind: [\n";
    let good = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: web, image: 'nginx:1.29'}]}\n";
    let folder = Folder::with(&[
        ("all.yaml", EVERYWHERE),
        ("bad.yaml", bad),
        ("good.yaml", good),
        ("latest.yaml", &deployment("a", "")),
        ("service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"),
        ("empty/x.txt", ""),
        ("enforced/p.yaml", &policy("strict", "", "DevOpsPolicy", ", enforcementMode: enforce")),
    ]);
    for (args, code) in [
        ("-f good.yaml", 0),
        ("-f good.yaml --min-score 100", 0),
        ("-f latest.yaml", 1),
        ("-f latest.yaml --fail-on high", 1),
        ("-f latest.yaml --fail-on critical", 0),
        ("-f latest.yaml --fail-on never", 0),
        ("-f latest.yaml --fail-on never --min-score 71", 4),
        ("-f latest.yaml --fail-on never --min-score 70", 0),
        ("-f service.yaml --min-score 100", 0),
        ("-f latest.yaml --min-score 71", 1),
        ("-f latest.yaml -f missing.yaml", 3),
        ("-f latest.yaml -f missing.yaml -f bad.yaml", 2),
        ("-f latest.yaml -f bad.yaml --fail-on never", 0),
        ("-f latest.yaml -f bad.yaml --fail-on denied", 2),
        ("-f bad.yaml --fail-on never", 2),
        ("-f missing.yaml --fail-on never", 3),
        ("-f latest.yaml -f bad.yaml --fail-on never --min-score 71", 4),
        ("-f latest.yaml --fail-on denied", 0),
        ("-f latest.yaml --fail-on denied --policy enforced", 1),
        ("-f latest.yaml -f empty", 2),
        ("-f good.yaml --output-file absent/report.json", 3),
    ] {
        let args = format!("{args} --policy all.yaml");
        let args: Vec<_> = args.split(' ').collect();
        let output = folder.run(&args, "");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    }
    for args in
        [&["-f", "good.yaml", "--policy", "bad.yaml"][..], &["-f", "good.yaml", "--bundle", "x"]]
    {
        let output = folder.run(args, "");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn the_report_goes_to_the_given_file_and_is_the_same_every_time() {
    let folder = Folder::with(&[]);
    for number in 0..40 {
        let folder_name = ["b", "a", "c/d"][number % 3];
        let text = format!("{}---\n{}", deployment("one", ""), deployment("two", ""));
        folder.write(&format!("k8s/{folder_name}/{number}.yaml"), text.as_bytes());
    }
    let first = folder.scan(&["-f", "k8s"]);
    let mut sorted = first.files();
    sorted.sort_unstable();
    assert_eq!(first.files(), sorted);
    for _ in 0..3 {
        assert_eq!(folder.scan(&["-f", "k8s"]).report, first.report);
    }

    let output = folder.run(&["-f", "k8s", "-o", "json", "--output-file", "report.json"], "");
    assert!(output.stdout.is_empty());
    let written: Value =
        serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(written, first.report);
}

#[test]
fn the_score_counts_workloads_that_a_policy_covers() {
    let good = deployment("good", "shop").replace("image: nginx", "image: nginx:1.29");
    let pod = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: shop\n  labels: {{pod-template-hash: h}}\n  ownerReferences: [{{kind: ReplicaSet, name: bad-h, controller: true}}]\nspec:\n  containers: [{{name: web, image: nginx}}]\n"
        )
    };
    let folder = Folder::with(&[("p.yaml", &policy("p", ", namespace: shop", "DevOpsPolicy", ""))]);
    let score = |documents: &[&str]| {
        let answer =
            folder.scan_stdin(&["-f", "-", "--policy", "p.yaml"], &documents.join("---\n"));
        answer.report["summary"]["score"].as_u64()
    };
    let bad = deployment("bad", "shop");
    let two = score(&[&good, &bad]);
    assert_eq!(two, Some(81), "30 · ln 2 / ln 3 is lost");
    assert_eq!(
        score(&[&good, &bad, &pod("bad-h-1"), &pod("bad-h-2")]),
        two,
        "its pods are the Deployment's"
    );
    assert_eq!(score(&[&good, &bad, &deployment("elsewhere", "lab")]), two, "no policy covers it");
    assert_eq!(score(&[&good]), Some(100));
    assert_eq!(score(&[&deployment("elsewhere", "lab")]), None);
    assert_eq!(score(&[]), None);
}

#[cfg(unix)]
#[test]
fn a_shell_pipe_is_read_once_even_where_namespaces_are_read_first() {
    let selector = "apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: prod}\nspec: {forbidLatestTag: true, namespaceSelector: {matchLabels: {env: prod}}}\n";
    let folder = Folder::with(&[("p.yaml", selector), ("app.yaml", &deployment("cart", "shop"))]);
    let command = format!(
        "'{}' scan --policy p.yaml -o json -f <(cat app.yaml)",
        binary::command().get_program().display()
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &command])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_file_of_many_megabytes_is_scanned() {
    let mut text = String::new();
    for number in 0.. {
        if text.len() > 4_000_000 {
            break;
        }
        let _ = write!(text, "---\n{}", deployment(&format!("d{number}"), "shop"));
    }
    let folder = Folder::with(&[("all.yaml", EVERYWHERE), ("big.yaml", &text)]);
    let args = ["-f", "big.yaml", "--policy", "all.yaml", "-o", "json", "--output-file", "r.json"];
    let output = folder.run(&args, "");
    assert_eq!(output.status.code(), Some(1));
    let report: Value =
        serde_json::from_slice(&fs::read(folder.path().join("r.json")).unwrap()).unwrap();
    let documents = text.matches("kind: Deployment").count();
    assert_eq!(report["summary"]["documents"], documents);
    assert_eq!(report["results"].as_array().unwrap().len(), documents);
}

#[test]
fn names_of_an_input_do_not_reach_the_terminal_raw() {
    let folder = Folder::with(&[("all.yaml", EVERYWHERE)]);
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {\"\\e[31m\": 1}}\nspec: {containers: [{name: web}]}\n";
    let answer = folder.scan_stdin(&["-f", "-", "--policy", "all.yaml"], text);
    assert_eq!(answer.code, 2);
    assert!(!answer.stderr.contains('\u{1b}'), "{:?}", answer.stderr);
}

/// What the webhook decides, for the same object and creator, is in `tests/offline/grace.rs`.
#[test]
fn a_finding_says_what_it_does_and_under_grace_it_matters_who_creates_the_object() {
    let pod = |name: &str, owner: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  ownerReferences: [{owner}]\nspec:\n  containers: [{{name: web, image: nginx}}]\n"
        )
    };
    let controller = |api_version: &str| {
        format!("{{apiVersion: {api_version}, kind: ReplicaSet, name: r, controller: true}}")
    };
    let pods = [
        pod("bare", ""),
        pod("own", &controller("apps/v1")),
        pod("foreign", &controller("example.com/v1")),
        deployment("cart", "shop").replace("apiVersion", "---\napiVersion"),
    ];
    let policy = |fields: &str| policy("p", "", "ClusterDevOpsPolicy", fields);
    let [future, past] = ["9999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"];
    let enforced = |end: &str| format!(", enforcementMode: enforce, graceUntil: '{end}'");
    for (fields, who, expected) in [
        ("", "user", ["audit"; 4]),
        (", enforcementMode: warn", "controller", ["warn"; 4]),
        (", enforcementMode: enforce", "controller", ["deny"; 4]),
        (", enforcementMode: enforce, denySeverity: critical", "user", ["warn"; 4]),
        (&enforced(future), "user", ["deny"; 4]),
        (&enforced(future), "controller", ["deny", "grace", "deny", "deny"]),
        (&enforced(past), "controller", ["deny"; 4]),
    ] {
        let folder =
            Folder::with(&[("app.yaml", &pods.concat()), ("policy.yaml", &policy(fields))]);
        let args = ["-f", "app.yaml", "--policy", "policy.yaml", "--as", who];
        let answer = folder.scan(&args);
        let results = answer.report["results"].as_array().unwrap();
        let decisions: Vec<_> = results.iter().map(|it| it["decision"].as_str().unwrap()).collect();
        assert_eq!(decisions, expected, "{fields} {who}");
    }
}
