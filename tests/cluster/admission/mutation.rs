//! Mutation of pods through the real API server, with its defaults and validation, and beside other webhooks.

use std::fs;
use std::path::Path;

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, Namespace};
use crate::support::eventually;
use crate::support::foreign::{self, Injector};
use crate::support::manifests::workload;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> = trials![
    a_minimal_pod_is_completed_and_passes_restricted,
    a_template_is_judged_as_its_pods_and_stays_as_it_was_written,
    containers_that_another_webhook_adds_before_are_completed_too,
    containers_that_another_webhook_adds_afterwards_are_completed_too,
    the_first_policy_wins_as_documented,
    an_exempt_pod_is_not_changed,
    the_api_server_takes_every_manifest_as_it_would_without_podgate,
];

fn containers_that_another_webhook_adds_before_are_completed_too(cluster: &Cluster) {
    beside(cluster, "aaa");
}

fn containers_that_another_webhook_adds_afterwards_are_completed_too(cluster: &Cluster) {
    beside(cluster, "zzz");
}

/// A policy with all mutations.
fn completing(mode: &str) -> Value {
    json!({
        "bundle": "restricted",
        "enforcementMode": mode,
        "forbidLatestTag": true,
        "mutate": true,
        "defaultResources": {"cpuRequest": "10m", "memoryRequest": "32Mi", "memoryLimit": "64Mi"},
        "defaultProbe": {"periodSeconds": 7},
        "imageTags": [
            {"image": "nginx", "from": "latest", "to": "1.29"},
            {"image": "ghcr.io/example/shipper", "from": "latest", "to": "2.0"},
        ],
    })
}

/// The pod with only the fields that podgate cannot add.
fn terse() -> Value {
    json!({
        // Its volume has a random name.
        "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true},
        "containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 8080}]}],
    })
}

/// The pod that the API server would create for an object, or its refusal.
fn admitted(shop: &Namespace<'_>, object: &Value) -> Result<Value, String> {
    let create = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    let (created, printed) = shop.kubectl(&create).given(&object).output();
    let json = printed.find("\n{").map_or(printed.as_str(), |start| &printed[start..]);
    if created { Ok(serde_json::from_str(json).unwrap()) } else { Err(printed) }
}

fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let containers = pod["spec"]["containers"].as_array().unwrap();
    containers.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name} in {pod}"))
}

fn is_complete(container: &Value) {
    let context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(container["securityContext"], context);
    let resources = json!({
        "requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"},
    });
    assert_eq!(container["resources"], resources);
}

fn a_minimal_pod_is_completed_and_passes_restricted(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy("defaults", &completing("enforce"));
    let object = workload(Kind::Pod, terse());
    let dry = admitted(&shop, &object).unwrap();
    let real = shop.create(&object).unwrap();
    assert_eq!(
        dry["spec"]["containers"], real.data["spec"]["containers"],
        "the dry run shows the same warning"
    );
    let web = container(&dry, "web");
    is_complete(web);
    assert_eq!(web["image"], "nginx:1.29");
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(web[probe]["tcpSocket"]["port"], 8080);
        assert_eq!(web[probe]["periodSeconds"], 7);
    }
    // A pod that lacks a field without a default is refused.
    let mut root = terse();
    root["securityContext"].take();
    shop.rejects(&workload(Kind::Pod, root)).because(&["breaks 2 rules", "runAsNonRoot"]);
}

fn a_template_is_judged_as_its_pods_and_stays_as_it_was_written(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy("defaults", &completing("enforce"));
    let deployment = workload(Kind::Deployment, terse());
    let created = shop.create(&deployment).unwrap();
    let template = &created.data["spec"]["template"]["spec"];
    assert_eq!(template["containers"][0]["image"], "nginx", "the stored template is unchanged");
    assert_eq!(template["containers"][0].get("livenessProbe"), None);
    shop.awaits("its pod", Kind::Deployment, "web", |it| it.data["status"]["replicas"] == 1);
    let (pods, _) = eventually("the pod", || {
        let (_, printed) = shop.kubectl(&["get", "pods", "-o", "json"]).output();
        let pods: Value = serde_json::from_str(&printed).map_err(|error| error.to_string())?;
        if pods["items"].as_array().unwrap().len() == 1 { Ok(pods) } else { Err(printed) }
    });
    is_complete(container(&pods["items"][0], "web"));
    // A template is refused at its workload, where the developer sees it, if mutation would not fix its pods.
    let mut root = terse();
    root["securityContext"].take();
    shop.rejects(&workload(Kind::StatefulSet, root)).because(&["StatefulSet", "runAsNonRoot"]);
}

fn beside(cluster: &Cluster, prefix: &str) {
    let shop = cluster.namespace("shop");
    shop.policy("defaults", &completing("enforce"));
    let _injector = Injector::register(cluster, &shop, prefix);
    let object = workload(Kind::Pod, terse());
    // The API server needs a moment to see a configuration.
    let (pod, _) = eventually("the other webhook to be called", || {
        let pod = admitted(&shop, &object).map_err(|refused| {
            // The added container has no port, so podgate cannot add a probe. Only that is refused.
            assert!(refused.contains("container \"shipper\""), "{refused}");
            assert!(refused.contains("breaks 2 rules"), "{refused}");
            refused
        });
        match pod {
            Ok(pod) => Err(format!("admitted without the other webhook: {pod}")),
            Err(refused) => Ok(refused),
        }
    });
    assert!(pod.contains("livenessProbe is missing"), "{pod}");
    let mut without_probes = completing("enforce");
    without_probes["requireLivenessProbe"] = json!(false);
    without_probes["requireReadinessProbe"] = json!(false);
    shop.policy("defaults", &without_probes);
    let (pod, _) =
        eventually("the policy without probes to be in force", || admitted(&shop, &object));
    is_complete(container(&pod, "web"));
    let added = container(&pod, foreign::CONTAINER);
    is_complete(added);
    assert_eq!(added["image"], "ghcr.io/example/shipper:2.0");
}

fn the_first_policy_wins_as_documented(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let limit = |memory: &str| {
        json!({
            "mutate": true, "forbidLatestTag": true, "enforcementMode": "audit",
            "defaultResources": {"memoryLimit": memory, "cpuLimit": "1"},
        })
    };
    let mut first = limit("1Gi");
    first["defaultResources"].as_object_mut().unwrap().remove("cpuLimit");
    shop.policy("a", &first);
    shop.policy("b", &limit("2Gi"));
    let (pod, _) = eventually("both policies", || {
        let pod = admitted(&shop, &workload(Kind::Pod, terse())).unwrap();
        let limits = pod["spec"]["containers"][0]["resources"]["limits"].clone();
        if limits.get("cpu").is_some() { Ok(limits) } else { Err(limits.to_string()) }
    });
    assert_eq!(pod, json!({"memory": "1Gi", "cpu": "1"}));
}

fn an_exempt_pod_is_not_changed(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let mut spec = completing("enforce");
    spec["exemptions"] = json!([{
        "rules": ["podSecurity", "requireResourceLimits"], "names": ["web"],
        "reason": "it loads a driver", "owner": "team web",
    }]);
    shop.policy("defaults", &spec);
    let pod = admitted(&shop, &workload(Kind::Pod, terse())).unwrap();
    let web = container(&pod, "web");
    assert_eq!(web.get("securityContext"), None);
    assert_eq!(web["resources"], json!({"requests": {"cpu": "10m", "memory": "32Mi"}}));
    assert_eq!(web["image"], "nginx:1.29");
}

/// Every object of the samples and of the rules' fixtures, once without podgate and once completed by it: the API
/// server must refuse the same ones.
fn the_api_server_takes_every_manifest_as_it_would_without_podgate(cluster: &Cluster) {
    let plain = cluster.namespace("plain");
    let completed = cluster.namespace("completed");
    completed.policy("defaults", &completing("audit"));
    let (mut taken, mut changed) = (0, 0);
    for object in manifests() {
        let before = admitted(&plain, &object);
        let after = admitted(&completed, &object);
        match (before, after) {
            (Ok(before), Ok(after)) => {
                taken += 1;
                changed += usize::from(before["spec"] != after["spec"]);
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(why)) => panic!("{object} is refused once podgate has completed it: {why}"),
            // podgate could fix an object that the API server refuses, but there is none here.
            (Err(why), Ok(_)) => panic!("{object} is taken, although without podgate: {why}"),
        }
    }
    println!("{taken} manifests are taken as before, {changed} of them completed");
    assert!(taken > 60 && changed > 30, "{taken} taken, {changed} changed");
}

fn manifests() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![
        root.join("tests/rules"),
        root.join("deploy/samples/workloads"),
        root.join("tests/manifests"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("policy.yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let found: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        objects.extend(found.into_iter().filter(|it| it["kind"] != "Service"));
    }
    for object in &mut objects {
        // Every object is created in the namespace of the test.
        object["metadata"].as_object_mut().unwrap().remove("namespace");
    }
    objects
}
