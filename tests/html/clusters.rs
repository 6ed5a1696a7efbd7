//! What podgate is asked about: the objects of clusters, and a repository of manifests.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::binary;
use crate::support::ran::Ran;
use crate::support::stub_api::{Answers, StubApi, named};

const HASH: &str = "5d4c8b";
/// A name that a browser would obey. No API server takes it, but a forged answer may hold it.
pub const FORGED: &str = "<img src=x onerror=alert(1)>\u{202e}&amp;]]>";

/// Three contexts: a cluster in use, one without podgate, and one that does not answer.
pub struct Clusters {
    apis: [StubApi; 2],
    folder: tempfile::TempDir,
}

/// A Deployment with its pods.
struct App {
    namespace: String,
    name: String,
    spec: Value,
    replicas: usize,
    running: usize,
}

fn container(image: &str) -> Value {
    json!({"name": "web", "image": image})
}

/// One that keeps the rules.
fn sound(version: &str) -> Value {
    let probe = json!({"tcpSocket": {"port": 80}});
    let mut web = container(&format!("registry.example.com/web:{version}"));
    web["livenessProbe"] = probe.clone();
    web["readinessProbe"] = probe;
    json!({"containers": [web]})
}

fn app(namespace: &str, name: &str, spec: Value, replicas: usize, running: usize) -> App {
    App { namespace: namespace.to_owned(), name: name.to_owned(), spec, replicas, running }
}

impl App {
    fn template(&self) -> Value {
        json!({"metadata": {"labels": {"app": self.name}}, "spec": self.spec})
    }

    fn deployment(&self) -> Value {
        let status = json!({"replicas": self.running, "updatedReplicas": self.running});
        let spec = json!({"replicas": self.replicas, "template": self.template()});
        named(Some(&self.namespace), &self.name, json!({"spec": spec, "status": status}))
    }

    fn pods(&self) -> impl Iterator<Item = Value> {
        (0..self.running).map(|number| {
            let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                "name": format!("{}-{HASH}", self.name), "uid": "1"});
            let labels = json!({"app": self.name, "pod-template-hash": HASH});
            let metadata = json!({"labels": labels, "ownerReferences": [owner]});
            let pod =
                json!({"metadata": metadata, "spec": self.spec, "status": {"phase": "Running"}});
            named(Some(&self.namespace), &format!("{}-{HASH}-{number}", self.name), pod)
        })
    }
}

/// The answers of an API server with these workloads and policies.
fn serving(
    namespaces: &[String],
    apps: &[App],
    policies: &[Value],
    everywhere: &[Value],
) -> Answers {
    let namespaces: Vec<_> = namespaces.iter().map(|it| named(None, it, json!({}))).collect();
    let deployments: Vec<_> = apps.iter().map(App::deployment).collect();
    let pods: Vec<_> = apps.iter().flat_map(App::pods).collect();
    let version = json!({"major": "1", "minor": "36", "gitVersion": "v1.36.1", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": ""});
    Answers::default()
        .text("/version", &version.to_string())
        .list("/api/v1/namespaces", &namespaces)
        .list("/apis/apps/v1/deployments", &deployments)
        .list("/api/v1/pods", &pods)
        .list("/apis/devops.stochastic.io/v1/devopspolicies", policies)
        .list("/apis/devops.stochastic.io/v1/clusterdevopspolicies", everywhere)
}

fn production() -> Answers {
    let namespaces = ["billing", "checkout", "lab", "search", "shop"].map(str::to_owned);
    let mut spec = sound("1.29");
    spec["hostNetwork"] = json!(true);
    let bare = |image: &str| json!({"containers": [container(image)]});
    let two =
        json!({"containers": [container("nginx"), {"name": "log", "image": "fluent-bit:latest"}]});
    let apps = [
        app("shop", "cart", bare("nginx"), 3, 3),
        app("shop", "catalogue", sound("2.4"), 2, 2),
        app("shop", "orders", two, 4, 1),
        app("checkout", "payments", sound("8.1"), 3, 3),
        app("checkout", "ledger", bare("registry.example.com/ledger:3"), 2, 0),
        app("search", "index", spec, 1, 1),
        app("search", "query", bare("registry.example.com/query:latest"), 2, 2),
        app("billing", "invoices", sound("5.0"), 2, 2),
        app("billing", FORGED, bare(FORGED), 1, 1),
    ];
    let enforced = |rules: Value| {
        let mut spec = json!({"enforcementMode": "enforce"});
        spec.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
        json!({"spec": spec})
    };
    let exemption = json!({"rules": ["forbidLatestTag"], "reason": "the vendor has no tags yet", "owner": "team search",
        "names": ["query"], "expiresAt": "2099-01-01T00:00:00Z"});
    let old = json!({"rules": ["forbidLatestTag"], "reason": "moved", "owner": "team search", "names": ["gone"]});
    let policies = [
        named(Some("shop"), "baseline", enforced(json!({"bundle": "baseline"}))),
        named(
            Some("search"),
            "tags",
            enforced(json!({"forbidLatestTag": true, "exemptions": [exemption, old]})),
        ),
    ];
    let probes = json!({"enforcementMode": "audit", "requireLivenessProbe": true, "requireReadinessProbe": true,
        "excludeNamespaces": ["lab"]});
    serving(&namespaces, &apps, &policies, &[named(None, "probes", json!({"spec": probes}))])
        .forbid("/apis/batch/v1/cronjobs")
        .forbid("/apis/batch/v1/namespaces/lab/cronjobs")
}

fn staging() -> Answers {
    let apps = [app("shop", "cart", sound("1.30-rc1"), 1, 1)];
    let policies = [named(Some("shop"), "baseline", json!({"spec": {"bundle": "restricted"}}))];
    // Read on its own, the namespace is empty.
    serving(&["shop".to_owned()], &apps, &policies, &[])
        .text("/api/v1/namespaces/shop", &named(None, "shop", json!({})).to_string())
}

impl Clusters {
    pub fn of_a_shop() -> Self {
        Self::of([production(), staging()])
    }

    /// A thousand workloads that break five rules each, in 200 namespaces.
    pub fn large() -> Self {
        let namespaces: Vec<_> = (0..200).map(|number| format!("team-{number:03}")).collect();
        let apps: Vec<_> = (0..1000)
            .map(|number| {
                let namespace = &namespaces[number % namespaces.len()];
                let spec = json!({"containers": [container("registry.example.com/service")]});
                app(namespace, &format!("service-{number:04}"), spec, 2, 2)
            })
            .collect();
        let rules = json!({"forbidLatestTag": true, "requireLivenessProbe": true, "requireReadinessProbe": true,
            "requireResourceLimits": ["memory"], "requiredLabels": [{"key": "team"}]});
        let policy = named(None, "baseline", json!({"spec": rules}));
        Self::of([serving(&namespaces, &apps, &[], &[policy]), Answers::default()])
    }

    fn of(answers: [Answers; 2]) -> Self {
        let apis = answers.map(Answers::serve);
        let folder = tempfile::tempdir().unwrap();
        let names = ["production", "staging", "recovery"];
        let servers = apis.iter().map(StubApi::url).chain(["http://127.0.0.1:1".to_owned()]);
        let clusters: Vec<_> = names
            .iter()
            .zip(servers)
            .map(|(name, server)| json!({"name": name, "cluster": {"server": server}}))
            .collect();
        let contexts =
            names.map(|name| json!({"name": name, "context": {"cluster": name, "user": "jane"}}));
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "production",
            "users": [{"name": "jane", "user": {}}], "clusters": clusters, "contexts": contexts});
        fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        Self { apis, folder }
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        let mut podgate = binary::command();
        podgate.args(args).arg("--kubeconfig").arg(self.folder.path().join("kubeconfig"));
        Ran::of(&podgate.output().unwrap())
    }

    /// That podgate has only read.
    pub fn only_read(&self) {
        let asked: Vec<_> = self.apis.iter().flat_map(StubApi::asked).collect();
        assert!(asked.iter().all(|it| it.starts_with("GET ")), "{asked:?}");
    }
}

/// A repository: the project's samples, a forged manifest, one that is broken, and files of other programs.
pub fn repository(folder: &Path) -> PathBuf {
    let root = folder.join("deploy");
    fs::create_dir(&root).unwrap();
    let mut text = String::new();
    for (name, image) in
        [("cart", "nginx"), ("catalogue", "nginx:1.29"), ("orders", "redis:latest")]
    {
        let _ = writeln!(
            text,
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
            selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
            spec:\n      containers:\n      - {{name: web, image: {image}}}"
        );
    }
    fs::write(root.join("shop.yaml"), text).unwrap();
    let forged = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": FORGED},
        "spec": {"containers": [{"name": "web", "image": FORGED}]}});
    fs::write(root.join("forged.json"), forged.to_string()).unwrap();
    fs::write(root.join("broken.yaml"), "apiVersion: v1\nkind: Pod\nspec: [\n").unwrap();
    fs::write(root.join("service.yaml"), "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\n")
        .unwrap();
    fs::write(root.join("values.yaml"), "replicas: 2\n").unwrap();
    root
}
