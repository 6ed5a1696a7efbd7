//! Part of `make test`: the loop of a developer whose Deployment is refused. They have a clone of an application's
//! repository and what the denial says; podgate's commands, the API server and the pipeline of `docs/guides/ci.md` must
//! agree in every step.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::support::action::{Ended, Job};
use crate::support::cluster::{Cluster, Namespace, Rejection};
use crate::support::pipeline::{Releases, action_inputs, commit, run_in, snippet};
use crate::support::ran::Ran;
use crate::support::suite::{Suite, Trials, World, trials};

pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Cluster::start), TRIALS)
}

const TRIALS: Trials<Cluster> = trials![a_refused_deployment_is_mended_until_its_pipeline_passes];

const CART: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart
spec:
  selector:
    matchLabels: {app: cart}
  template:
    metadata:
      labels: {app: cart}
    spec:
      containers:
        # The shop's front.
        - name: web
          image: nginx
          ports:
            - containerPort: 80
";

const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: cart}
spec:
  selector: {app: cart}
  ports: [{port: 80}]
";

/// A clone of an application's repository, with the files of other programs that such a one has.
struct Checkout {
    _upstream: TempDir,
    _folder: TempDir,
    path: PathBuf,
}

impl Checkout {
    fn of_an_application(policies: &str) -> Self {
        let upstream = tempfile::tempdir().unwrap();
        let workflow = snippet("GitHub Actions", "yaml");
        for (name, text) in [
            ("skaffold.yaml", "apiVersion: skaffold/v3\nkind: Config\nbuild: {}\n"),
            ("src/web/package.json", "{\"name\": \"web\"}\n"),
            ("deploy/cart.yaml", CART),
            ("deploy/service.yaml", SERVICE),
            ("policies/cluster.yaml", policies),
            (".github/workflows/podgate.yml", &workflow),
        ] {
            let file = upstream.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        commit(upstream.path(), "the shop");
        let folder = tempfile::tempdir().unwrap();
        let from = upstream.path().to_str().unwrap();
        run_in(folder.path(), "git", &["clone", "-q", from, "shop"]).exits(0);
        let path = folder.path().join("shop");
        Self { _upstream: upstream, _folder: folder, path }
    }

    fn podgate(&self, args: &[&str]) -> Ran {
        run_in(&self.path, "podgate", args)
    }

    fn scan(&self) -> Ran {
        self.podgate(&["scan", "deploy/", "--policy", "policies/", "-o", "wide"])
    }

    /// The guide's pipeline, which installs a release.
    fn pipeline(&self, releases: &Releases) -> Ended {
        let inputs = action_inputs();
        let inputs: Vec<_> = inputs.iter().map(|(name, it)| (name.as_str(), it.as_str())).collect();
        Job::with(&self.path, &inputs).variable("PODGATE_DOWNLOAD_URL", &releases.address).run()
    }
}

fn a_refused_deployment_is_mended_until_its_pipeline_passes(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy(
        "baseline",
        &json!({
            "enforcementMode": "enforce",
            "forbidLatestTag": true,
            "requireLivenessProbe": true,
            "requireReadinessProbe": true,
            "defaultProbe": {"periodSeconds": 10},
        }),
    );
    let kubeconfig = cluster.plane.kubeconfig("admin");
    let export =
        ["policy", "export", "-n", &shop.name, "--kubeconfig", kubeconfig.to_str().unwrap()];
    let policies = run_in(Path::new("."), "podgate", &export).exits(0).stdout;
    let clone = Checkout::of_an_application(&policies);
    let deploy = clone.path.join("deploy");

    let denial = refused(&shop, &deploy);
    every_rule_that_it_names_is_explained(&clone, &denial);
    mended_by_what_it_says(&clone, &denial);
    let applied = shop.kubectl(&["apply", "-f", deploy.to_str().unwrap()]).ok();
    assert!(applied.contains("deployment.apps/cart created"), "{applied}");

    commit(&clone.path, "the shop passes its policies");
    let releases = Releases::of_this_build();
    let ended = clone.pipeline(&releases);
    assert!(!ended.failed, "{}", ended.log);
    assert_eq!(ended.outputs["score"], "100");
    assert!(ended.summary.contains("the only workload passes"), "{}", ended.summary);

    the_pipeline_refuses_what_the_cluster_refused(&clone, &releases);
}

/// What `kubectl apply` prints.
fn refused(shop: &Namespace<'_>, deploy: &Path) -> String {
    let denial = shop.kubectl(&["apply", "-f", deploy.to_str().unwrap()]).fails();
    Rejection::new(denial).because(&["Deployment", "cart breaks 3 rules"]).message
}

/// The lines of a denial that name a rule begin with it and its severity: `forbidLatestTag (high)`.
fn every_rule_that_it_names_is_explained(clone: &Checkout, denial: &str) {
    let rules = denial.lines().filter(|line| line.contains(") · policy "));
    let rules: Vec<_> = rules.map(|line| line.trim().split(' ').next().unwrap()).collect();
    assert_eq!(
        rules,
        ["forbidLatestTag", "requireLivenessProbe", "requireReadinessProbe"],
        "{denial}"
    );
    for rule in rules {
        clone.podgate(&["explain", rule]).exits(0).prints(&[rule, "Passes"]);
    }
}

/// `podgate fix` sets the probes; the version of the image is the developer's to choose.
fn mended_by_what_it_says(clone: &Checkout, denial: &str) {
    clone.scan().exits(1).prints(&[
        "deploy/cart.yaml:15:11",
        "forbidLatestTag",
        "requireLivenessProbe",
    ]);
    clone
        .podgate(&["fix", "deploy/", "--policy", "policies/", "--in-place"])
        .exits(0)
        .reports(&["deploy/cart.yaml: fixed", "1 of 3 violations has no safe fix"]);
    let scanned = clone.scan().exits(1);
    assert!(!scanned.stdout.contains("Probe"), "{}", scanned.stdout);

    let remedy = denial.lines().find(|line| line.contains("image is \"nginx\"")).unwrap();
    assert!(remedy.contains("nginx:VERSION"), "{remedy}");
    let file = clone.path.join("deploy/cart.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("# The shop's front."), "comments stay: {text}");
    fs::write(&file, text.replace("image: nginx\n", "image: nginx:1.29\n")).unwrap();
    clone.scan().exits(0).prints(&["score 100"]);
}

fn the_pipeline_refuses_what_the_cluster_refused(clone: &Checkout, releases: &Releases) {
    run_in(&clone.path, "git", &["checkout", "-q", "HEAD~1", "--", "deploy"]).exits(0);
    let ended = clone.pipeline(releases);
    assert!(ended.failed, "{}", ended.log);
    let error = ended.commands().into_iter().find(|it| it.starts_with("::error "));
    let error = error.unwrap_or_else(|| panic!("{}", ended.log));
    assert!(error.contains("file=deploy/cart.yaml,line=15,"), "{error}");
    assert!(error.contains("nginx:VERSION") && error.contains("deny, policy "), "{error}");
    assert!(ended.summary.contains("3 violations (1 high, 1 medium, 1 low)"), "{}", ended.summary);
    assert_eq!(ended.outputs["violations"], "3");
    assert_eq!(ended.sarif()["runs"][0]["results"].as_array().map(Vec::len), Some(3));
}
