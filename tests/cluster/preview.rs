//! Part of `make test`: `podgate policy preview` on a real control plane, beside the webhook whose verdicts it
//! predicts.

mod observed;

use std::collections::BTreeSet;
use std::time::Instant;

use futures::StreamExt;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary;
use crate::support::cluster::{Cluster, Namespace};
use crate::support::control_plane::seconds;
use crate::support::manifests::{pod, probed_pod, workload};
use crate::support::ran::Ran;
use crate::support::suite::{Suite, Trials, World, trials};
use crate::support::{eventually, mixed};

pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Cluster::start), TRIALS)
}

const TRIALS: Trials<Cluster> = trials![
    old_pods_and_their_template_are_distinguished,
    a_preview_is_compared_with_the_version_in_force,
    exemptions_are_used_unused_and_expired,
    unreadable_objects_are_reported_and_the_rest_is_previewed,
    bad_input_is_refused,
    observed::the_api_servers_reason_why_a_replica_was_not_seen_is_one_line,
    // Last, since its policy is in force everywhere.
    restricted_denies_what_the_preview_names,
];

/// The number of parallel requests.
const AT_A_TIME: usize = 24;

fn preview(cluster: &Cluster, user: &str, args: &[&str], stdin: &str) -> Ran {
    let kubeconfig = cluster.plane.kubeconfig(user);
    let input = kubeconfig.with_file_name("preview-stdin");
    std::fs::write(&input, stdin).unwrap();
    let output = binary::command()
        .args(["policy", "preview", "--kubeconfig", kubeconfig.to_str().unwrap()])
        .args(args)
        .stdin(std::fs::File::open(&input).unwrap())
        .output()
        .unwrap();
    Ran::of(&output)
}

/// A namespace's policy, as a file has it.
fn policy(name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
        "metadata": {"name": name}, "spec": spec,
    })
    .to_string()
}

/// A workload's entry in the preview.
fn workload_in<'a>(preview: &'a Value, kind: &str, name: &str) -> &'a Value {
    let all = preview["workloads"].as_array().unwrap();
    let found = all.iter().find(|it| it["kind"] == kind && it["name"] == name);
    found.unwrap_or_else(|| panic!("{kind} {name} is not in the preview: {preview}"))
}

/// A Deployment with a ReplicaSet and these pods, which may differ from the template: the Deployment is paused, so
/// nothing replaces them.
fn deployment(shop: &Namespace<'_>, name: &str, image: &str, pods: &[&str]) {
    let mut deployment = workload(Kind::Deployment, probed_pod(image));
    let labels = json!({"app": name});
    deployment["metadata"]["name"] = json!(name);
    deployment["spec"]["paused"] = json!(true);
    deployment["spec"]["replicas"] = json!(pods.len());
    deployment["spec"]["selector"]["matchLabels"] = labels.clone();
    deployment["spec"]["template"]["metadata"]["labels"] = labels;
    let uid = shop.create(&deployment).unwrap().metadata.uid;
    let labels = json!({"app": name, "pod-template-hash": "5d4"});
    // The pods exist first, so that the ReplicaSet adopts them and creates none.
    for (number, image) in pods.iter().enumerate() {
        let mut pod = workload(Kind::Pod, probed_pod(image));
        pod["metadata"] = json!({"name": format!("{name}-5d4-{number}"), "labels": labels});
        shop.create(&pod).unwrap();
    }
    let mut replica_set = workload(Kind::ReplicaSet, probed_pod(image));
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "controller": true, "uid": uid,
    });
    replica_set["metadata"] =
        json!({"name": format!("{name}-5d4"), "labels": labels, "ownerReferences": [owner]});
    replica_set["spec"]["replicas"] = json!(pods.len());
    replica_set["spec"]["selector"]["matchLabels"] = labels.clone();
    replica_set["spec"]["template"]["metadata"]["labels"] = labels;
    shop.create(&replica_set).unwrap();
    for number in 0..pods.len() {
        shop.awaits("the pod's owner", Kind::Pod, &format!("{name}-5d4-{number}"), |pod| {
            pod.metadata.owner_references.is_some()
        });
    }
}

fn old_pods_and_their_template_are_distinguished(cluster: &Cluster) {
    let shop = cluster.namespace("share");
    deployment(
        &shop,
        "rolling",
        "nginx:1.29",
        &["nginx", "nginx", "nginx:1.29", "nginx:1.29", "nginx:1.29"],
    );
    deployment(&shop, "worse", "nginx", &["nginx:1.29"]);
    deployment(&shop, "good", "nginx:1.29", &["nginx:1.29"]);
    let spec = json!({"forbidLatestTag": true, "enforcementMode": "audit"});
    let ran =
        preview(cluster, "admin", &["-", "-n", &shop.name, "-o", "json"], &policy("p", &spec));
    let found = ran.exits(1).reports(&["2 violations of severity low or worse"]).json();
    assert_eq!(found["apiVersion"], "podgate/v1");
    assert_eq!(
        found["policies"],
        json!([{
            "policy": format!("{}/p", shop.name), "replaces": false, "mode": "enforce", "graceUntil": null, "wouldDeny": 1, "wouldRefusePods": 2,
        }])
    );
    let rolling = workload_in(&found, "Deployment", "rolling");
    assert_eq!((&rolling["verdict"], &rolling["violations"]), (&json!("admitted"), &json!([])));
    let pods = &rolling["pods"];
    assert_eq!((&pods["refused"], &pods["running"]), (&json!(2), &json!(5)));
    assert_eq!(pods["violations"][0]["path"], "spec.containers[0].image");
    assert_eq!(pods["violations"][0]["pods"], 2);
    let worse = workload_in(&found, "Deployment", "worse");
    assert_eq!((&worse["verdict"], &worse["before"]), (&json!("denied"), &Value::Null));
    assert_eq!(worse["violations"][0]["path"], "spec.template.spec.containers[0].image");
    assert_eq!((&worse["pods"]["refused"], &worse["pods"]["running"]), (&json!(0), &json!(1)));
    assert_eq!(found["workloads"].as_array().unwrap().len(), 2, "{found}");
    let summary = &found["summary"];
    let counts = ["workloads", "denied", "pods", "refusedPods"].map(|it| &summary[it]);
    assert_eq!(counts, [&json!(3), &json!(1), &json!(7), &json!(2)]);
    let namespaces: Vec<_> = found["namespaces"].as_array().unwrap().iter().collect();
    assert_eq!(namespaces.len(), 1, "only the policy's namespace is read");
    assert_eq!(namespaces[0]["namespace"], json!(shop.name));

    let table = preview(
        cluster,
        "admin",
        &["-", "-n", &shop.name, "--fail-on", "never"],
        &policy("p", &spec),
    );
    let table = table.exits(0).stdout;
    println!("{table}");
    assert!(table.contains("2 of 5") && table.contains("Deployment/rolling"), "{table}");
    let gate = ["-", "-n", &shop.name, "--fail-on", "critical", "--min-score", "100"];
    preview(cluster, "admin", &gate, &policy("p", &spec)).exits(4).reports(&["below the 100"]);
    let page =
        preview(cluster, "admin", &["-", "-n", &shop.name, "-o", "markdown"], &policy("p", &spec));
    assert!(page.exits(1).stdout.starts_with("### podgate: policy share"));
}

fn a_preview_is_compared_with_the_version_in_force(cluster: &Cluster) {
    let shop = cluster.namespace("versions");
    let mut probeless = workload(Kind::Deployment, pod("nginx:1.29"));
    probeless["metadata"]["name"] = json!("probeless");
    probeless["spec"]["replicas"] = json!(0);
    let mut both = workload(Kind::StatefulSet, pod("nginx"));
    both["metadata"]["name"] = json!("both");
    both["spec"]["replicas"] = json!(0);
    shop.create(&probeless).unwrap();
    shop.create(&both).unwrap();
    shop.policy("p", &json!({"requireLivenessProbe": true, "enforcementMode": "enforce"}));
    let new = policy("p", &json!({"forbidLatestTag": true, "enforcementMode": "warn"}));
    let found =
        preview(cluster, "admin", &["-", "-n", &shop.name, "-o", "json"], &new).exits(1).json();
    let summary = &found["summary"];
    let counts = ["denied", "deniedBefore", "violations", "newViolations", "goneViolations"];
    assert_eq!(counts.map(|it| summary[it].as_u64().unwrap()), [1, 2, 1, 1, 2], "{summary}");
    let freed = workload_in(&found, "Deployment", "probeless");
    assert_eq!((&freed["verdict"], &freed["before"]), (&json!("admitted"), &json!("denied")));
    let both = workload_in(&found, "StatefulSet", "both");
    assert_eq!((&both["verdict"], &both["before"]), (&json!("denied"), &json!("denied")));
    assert_eq!(both["violations"][0]["new"], true);
    // The same policy again changes only the mode.
    let same = policy("p", &json!({"requireLivenessProbe": true}));
    let found =
        preview(cluster, "admin", &["-", "-n", &shop.name, "-o", "json"], &same).exits(1).json();
    let counts = counts.map(|it| found["summary"][it].as_u64().unwrap());
    assert_eq!(counts, [2, 2, 2, 0, 0], "{found}");
    let table = preview(cluster, "admin", &["-", "-n", &shop.name], &new).exits(1).stdout;
    assert!(table.contains("today 2 workloads would be denied"), "{table}");
    // Without a policy, the one in force is judged as it is.
    let found = preview(cluster, "admin", &["-n", &shop.name, "-o", "json"], "").exits(1).json();
    let entry = json!({
        "policy": format!("{}/p", shop.name), "replaces": false, "mode": "enforce", "graceUntil": null, "wouldDeny": 2, "wouldRefusePods": 0,
    });
    assert_eq!(found["policies"], json!([entry]));
    assert_eq!(
        (&found["summary"]["denied"], &found["summary"]["deniedBefore"]),
        (&json!(2), &Value::Null)
    );
}

fn exemptions_are_used_unused_and_expired(cluster: &Cluster) {
    let shop = cluster.namespace("exempt");
    deployment(&shop, "cart", "nginx", &["nginx"]);
    let exemption = |fields: Value| {
        let mut exemption = json!({"rules": ["forbidLatestTag"], "reason": "r", "owner": "o"});
        exemption.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        exemption
    };
    let spec = json!({"forbidLatestTag": true, "exemptions": [
        exemption(json!({"expiresAt": "2020-01-01T00:00:00Z"})),
        exemption(json!({"names": ["other"]})),
        exemption(json!({"names": ["cart"]})),
    ]});
    let found =
        preview(cluster, "admin", &["-", "-n", &shop.name, "-o", "json"], &policy("p", &spec));
    let found = found.exits(0).json();
    let states = found["exemptions"].as_array().unwrap().iter().map(|it| &it["state"]);
    assert_eq!(states.collect::<Vec<_>>(), ["expired", "unused", "used"]);
    assert_eq!(found["summary"]["denied"], 0);
}

fn unreadable_objects_are_reported_and_the_rest_is_previewed(cluster: &Cluster) {
    let shop = cluster.namespace("partly");
    deployment(&shop, "cart", "nginx", &[]);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "partly"},
        "rules": [
            {"apiGroups": ["apps", "batch"], "resources": ["*"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["pods", "replicationcontrollers"], "verbs": ["list"]},
            {"apiGroups": ["devops.stochastic.io"], "resources": ["*"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
        ],
    });
    let (applied, message) = shop.kubectl(&["apply", "-f", "-"]).given(&role).output();
    assert!(applied, "{message}");
    let bind = ["create", "clusterrolebinding", "partly", "--clusterrole=partly", "--user=jane"];
    assert!(shop.kubectl(&bind).output().0);
    let spec = json!({"forbidLatestTag": true});
    let args = ["-", "-n", &shop.name, "-o", "json"];
    let (ran, _) = eventually("the role to be known", || {
        let ran = preview(cluster, "jane", &args, &policy("p", &spec));
        if ran.stdout.is_empty() { Err(ran.stderr) } else { Ok(ran) }
    });
    let ran = ran.exits(3).reports(&[
        &format!("podtemplates: cannot be read in {}", shop.name),
        "the preview is incomplete because of a fault",
    ]);
    assert_eq!(workload_in(&ran.json(), "Deployment", "cart")["verdict"], "denied");
    let all = preview(cluster, "jane", &["--bundle", "baseline", "-o", "json"], "").exits(3);
    all.reports(&["the namespaces: namespaces cannot be listed"]);
}

fn bad_input_is_refused(cluster: &Cluster) {
    let broken = policy("p", &json!({"forbidLatestTags": true}));
    preview(cluster, "admin", &["-"], &broken)
        .exits(2)
        .reports(&["unknown field", "forbidLatestTags"]);
    preview(cluster, "admin", &["/does/not/exist"], "").exits(3);
    preview(cluster, "admin", &["-"], "apiVersion: v1\nkind: Namespace\n")
        .exits(2)
        .reports(&["there is no policy"]);
    preview(cluster, "admin", &["--bundle", "none"], "").exits(2);
    preview(cluster, "admin", &["--bundle", "baseline", "file.yaml"], "").exits(2);
    let mistyped = ["--bundle", "baseline", "-n", "nowhere"];
    preview(cluster, "admin", &mistyped, "")
        .exits(2)
        .reports(&["there is no namespace \"nowhere\""]);
    preview(cluster, "admin", &["--bundle", "baseline", "-n", "kube-system"], "")
        .exits(2)
        .reports(&["protected"]);
}

fn api(cluster: &Cluster, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
    let names = kind.names();
    let gvk = GroupVersionKind::gvk(names.group, names.version, names.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, names.resource);
    match namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        None => Api::all_with(cluster.client.clone(), &resource),
    }
}

/// All workloads of the API server, by kind.
fn workloads(cluster: &Cluster) -> Vec<(Kind, DynamicObject)> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let api = api(cluster, kind, None);
        let listed = cluster.wait(api.list(&kube::api::ListParams::default())).unwrap();
        let own = listed.items.into_iter().filter(|it| it.metadata.owner_references.is_none());
        all.extend(own.map(|it| (kind, it)));
    }
    all
}

/// The fields that the API server sets in a Job's template.
const OF_A_JOB: [&str; 4] = [
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];

/// The same object as a user would apply it: without the fields that the API server set, under another name.
fn applied_anew(kind: Kind, object: &DynamicObject) -> DynamicObject {
    let mut new = object.clone();
    let own = &object.metadata;
    new.metadata = kube::api::ObjectMeta {
        name: own.name.as_ref().map(|name| format!("{name}-again")),
        labels: own.labels.clone(),
        annotations: own.annotations.clone(),
        ..kube::api::ObjectMeta::default()
    };
    new.data.as_object_mut().unwrap().remove("status");
    if kind == Kind::Pod {
        let spec = new.data["spec"].as_object_mut().unwrap();
        spec.remove("nodeName");
        spec.remove("ephemeralContainers");
    }
    if kind == Kind::Job {
        new.data["spec"].as_object_mut().unwrap().remove("selector");
        let labels = new.data.pointer_mut("/spec/template/metadata/labels").unwrap();
        labels.as_object_mut().unwrap().retain(|key, _| !OF_A_JOB.contains(&key.as_str()));
    }
    new
}

fn versions(objects: &[(Kind, DynamicObject)]) -> BTreeSet<Option<String>> {
    objects.iter().map(|(_, it)| it.metadata.resource_version.clone()).collect()
}

#[allow(clippy::too_many_lines, reason = "one story, told once")]
fn restricted_denies_what_the_preview_names(cluster: &Cluster) {
    let namespaces = ["mixed-a", "mixed-b", "mixed-c"].map(|it| cluster.namespace(it));
    let objects = mixed::objects(1000);
    // A node without a kubelet, for the pods that are bound.
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": mixed::NODE},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}]},
    });
    assert!(namespaces[0].kubectl(&["apply", "-f", "-"]).given(&node).output().0);
    let started = Instant::now();
    cluster.wait(futures::stream::iter(objects.iter().enumerate()).for_each_concurrent(
        AT_A_TIME,
        |(number, (kind, object))| {
            let api = api(cluster, *kind, Some(&namespaces[number % 3].name));
            async move {
                let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
                if let Err(error) = api.create(&PostParams::default(), &object).await {
                    panic!("{object:?}: {error}");
                }
            }
        },
    ));
    println!("1000 workloads made in {}", seconds(started.elapsed()));
    // Controllers write the statuses of new objects.
    let mut last = versions(&workloads(cluster));
    eventually("the controllers to be done", || {
        let now = versions(&workloads(cluster));
        let same = now == last;
        last = now;
        if same { Ok(()) } else { Err("they write".to_owned()) }
    });

    // Mutation by one of the policies counts as it does at the webhooks.
    let completes = json!({
        "mutate": true, "requireLivenessProbe": true, "requireReadinessProbe": true,
        "podSecurity": "restricted", "enforcementMode": "audit",
        "defaultResources": {"cpuRequest": "1m", "memoryRequest": "1Mi", "memoryLimit": "2Mi"},
        "defaultProbe": {"periodSeconds": 7},
        "imageTags": [{"image": "nginx", "from": "latest", "to": "1.29"}],
    });
    namespaces[2].policy("completes", &completes);

    let started = Instant::now();
    let ran = preview(cluster, "admin", &["--bundle", "restricted", "-o", "json"], "").exits(1);
    println!("previewed in {}", seconds(started.elapsed()));
    let found = ran.json();
    let named: BTreeSet<String> = found["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["verdict"] == "denied")
        .map(|it| {
            let part = |field: &str| it[field].as_str().unwrap().to_owned();
            format!("{} {}/{}", part("kind"), part("namespace"), part("name"))
        })
        .collect();
    let everything = workloads(cluster);
    assert_eq!(versions(&everything), last, "the preview changed an object");
    assert_eq!(found["summary"]["denied"], json!(named.len()));

    cluster.cluster_policy(
        "restricted",
        &json!({"bundle": "restricted", "enforcementMode": "enforce"}),
    );
    for shop in &namespaces {
        eventually("restricted to be in force", || {
            let review =
                crate::support::review::create(&shop.name, &workload(Kind::Pod, pod("nginx")));
            let answer = cluster.podgate.review(&review);
            if answer["allowed"] == false { Ok(()) } else { Err(answer.to_string()) }
        });
    }
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let verdicts: Vec<Option<String>> = cluster.wait(
        futures::stream::iter(&everything)
            .map(|(kind, object)| {
                let namespace = object.metadata.namespace.clone().unwrap();
                let name = format!(
                    "{} {namespace}/{}",
                    kind.names().kind,
                    object.metadata.name.as_ref().unwrap()
                );
                let (api, dry) = (api(cluster, *kind, Some(&namespace)), &dry);
                async move {
                    match api.create(dry, &applied_anew(*kind, object)).await {
                        Ok(_) => None,
                        Err(kube::Error::Api(status)) => {
                            assert!(
                                status.message.contains("denied the request"),
                                "{name}: {}",
                                status.message
                            );
                            Some(name)
                        }
                        Err(error) => panic!("{name}: {error}"),
                    }
                }
            })
            .buffer_unordered(AT_A_TIME)
            .collect(),
    );
    let denied: BTreeSet<String> = verdicts.into_iter().flatten().collect();
    println!(
        "{} workloads; the preview names {}, the webhook denies {}",
        everything.len(),
        named.len(),
        denied.len()
    );
    assert_eq!(named, denied);
    assert!(
        denied.len() > 300 && denied.len() + 300 < everything.len(),
        "too few workloads of either verdict"
    );
}
