//! Part of `make test`: pods and workloads that are read as protobuf (`client::compact`) say the same to every rule as
//! those that are read as JSON. The API server encodes random objects in both ways.

use std::collections::BTreeMap;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, WatchEvent, WatchParams,
};
use kube::core::{ApiResource, Request};
use podgate::client::compact::compact;
use podgate::policy::made_pod::{MAKERS, made_pod};
use podgate::policy::object::Object;
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::in_tree::generate::{Generator, Random};
use crate::support::cluster::{Cluster, Namespace};
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Suite, Trials, World, trials};

pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Cluster::start), TRIALS)
}

const TRIALS: Trials<Cluster> = trials![
    a_list_says_the_same_to_every_rule_in_both_encodings,
    a_watch_says_the_same_to_every_rule_in_both_encodings,
    pages_and_refusals_are_the_same_in_both_encodings,
];

/// The number of random objects of each kind that are tried; the API server refuses some.
const TRIED: usize = 150;
/// The least number of each kind that both lists have in the same version.
const COMPARED: usize = 60;
const SEED: u64 = 22;

/// Creates random objects of a kind, with what controllers and people write into their metadata.
fn create(shop: &Namespace<'_>, kind: Kind, random: &mut Random) {
    let generator = Generator::new();
    let api = shop.api(kind);
    for number in 0..TRIED {
        let pod = generator.pod(random);
        let mut object = workload(kind, pod["spec"].clone());
        if let (Kind::Pod, Some(labels)) = (kind, pod["metadata"]["labels"].as_object()) {
            let mut labels = labels.clone();
            labels.retain(|_, value| value.is_string());
            object["metadata"]["labels"] = labels.into();
        }
        object["metadata"]["name"] = json!(format!("web-{number}"));
        let of = |values: [Value; 4], random: &mut Random| random.of(&values).clone();
        object["metadata"]["annotations"] = of(
            [
                json!(null),
                json!({"kubernetes.io/config.mirror": "x"}),
                json!({"container.apparmor.security.beta.kubernetes.io/web": "unconfined", "a": "é\"\n"}),
                json!({"seccomp.security.alpha.kubernetes.io/pod": "runtime/default"}),
            ],
            random,
        );
        let owner = json!({"apiVersion": "example.com/v1", "kind": "Widget", "name": "web-5d4f8", "uid": "u"});
        let mut controller = owner.clone();
        controller["controller"] = json!(true);
        let mut other = owner.clone();
        other["controller"] = json!(false);
        let owners = [json!(null), json!([owner]), json!([owner, controller]), json!([other])];
        if kind == Kind::Pod {
            object["metadata"]["ownerReferences"] = of(owners, random);
        }
        let replicas = of([json!(0), json!(1), json!(3), json!(null)], random);
        match kind {
            Kind::Job => {
                object["spec"]["suspend"] =
                    of([json!(true), json!(false), json!(null), json!(true)], random);
                object["spec"]["parallelism"] = replicas;
            }
            Kind::CronJob => object["spec"]["suspend"] = json!(random.one_in(2)),
            Kind::Pod | Kind::DaemonSet => {}
            _ => object["spec"]["replicas"] = replicas,
        }
        if kind == Kind::Deployment && random.one_in(3) {
            object["spec"]["paused"] = json!(true);
        }
        let Ok(created) = shop.create(&object) else { continue };
        if kind == Kind::Pod && random.one_in(2) {
            let containers = ["web", "init"].map(|name| {
                json!({"name": name, "restartCount": random.below(3), "ready": false, "image": "", "imageID": ""})
            });
            let status = json!({"status": {
                "phase": random.of(&["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
                "containerStatuses": [containers[0]], "initContainerStatuses": [containers[1]],
            }});
            let name = created.metadata.name.unwrap();
            let (params, patch) = (PatchParams::default(), Patch::Merge(&status));
            shop.cluster.wait(api.patch_status(&name, &params, &patch)).unwrap();
        }
    }
}

/// What rules read of an object, and what the audit reads of a workload, by the object's version.
fn read(kind: Kind, object: &Value) -> (String, String) {
    let json = object.to_string();
    let said = if kind == Kind::Pod {
        let pod: Object<'_> = serde_json::from_str(&json).unwrap();
        format!("{:?} {:?} {}", pod.metadata, pod.spec, status(object))
    } else {
        match made_pod(kind, &json).unwrap() {
            Some(made) => {
                let pod: Object<'_> = serde_json::from_str(&made.json).unwrap();
                let counts = (made.wanted, made.running, made.created);
                format!("{:?} {:?} {counts:?}", pod.metadata, pod.spec)
            }
            None => "it makes no pod".to_owned(),
        }
    };
    let metadata = &object["metadata"];
    (format!("{} {}", metadata["name"], metadata["resourceVersion"]), said)
}

/// What rules read of a pod's status.
fn status(pod: &Value) -> Value {
    let restarts = |list: &str| {
        let of = pod["status"][list].as_array().cloned().unwrap_or_default();
        of.iter().map(|it| json!([it["name"], it["restartCount"]])).collect::<Vec<_>>()
    };
    json!([
        pod["status"]["phase"],
        restarts("containerStatuses"),
        restarts("initContainerStatuses"),
        pod["metadata"]["creationTimestamp"],
    ])
}

async fn list(client: &Client, path: &str, params: &ListParams) -> Result<Value, kube::Error> {
    client.request(Request::new(path).list(params).unwrap()).await
}

/// Asserts that what both have in the same version says the same.
fn compare(kind: Kind, plain: &BTreeMap<String, String>, compact: &BTreeMap<String, String>) {
    let both: Vec<_> =
        plain.iter().filter_map(|(key, it)| Some((key, it, compact.get(key)?))).collect();
    for (key, plain, compact) in &both {
        assert_eq!(plain, compact, "{kind:?} {key}");
    }
    assert!(both.len() >= COMPARED, "only {} of {kind:?} were compared", both.len());
}

fn a_list_says_the_same_to_every_rule_in_both_encodings(cluster: &Cluster) {
    let shop = cluster.namespace("lists");
    let mut random = Random::new(SEED);
    for kind in MAKERS.into_iter().chain([Kind::Pod]) {
        create(&shop, kind, &mut random);
        let path = shop.api(kind).resource_url().to_owned();
        let read_by = |client: &Client, whole: bool| {
            let listed = cluster.wait(list(client, &path, &ListParams::default())).unwrap();
            assert!(listed["metadata"]["resourceVersion"].is_string(), "{listed}");
            let items = listed["items"].as_array().unwrap();
            // No rule reads it, so only JSON has it.
            assert!(items.iter().all(|it| it["metadata"]["uid"].is_string() == whole), "{listed}");
            items.iter().map(|it| read(kind, it)).collect()
        };
        let compact = cluster.wait(async { compact(&cluster.client) });
        let forced = std::env::var_os("PODGATE_ENCODING").is_some();
        compare(kind, &read_by(&cluster.client, true), &read_by(&compact, forced));
    }
}

fn a_watch_says_the_same_to_every_rule_in_both_encodings(cluster: &Cluster) {
    let shop = cluster.namespace("watches");
    let mut random = Random::new(SEED);
    let path = shop.api(Kind::Pod).resource_url().to_owned();
    let begin = cluster.wait(list(&cluster.client, &path, &ListParams::default())).unwrap();
    let begin = begin["metadata"]["resourceVersion"].as_str().unwrap();
    create(&shop, Kind::Pod, &mut random);
    let pods = shop.api(Kind::Pod);
    let gone = cluster.wait(pods.list(&ListParams::default().limit(20))).unwrap();
    for pod in gone {
        cluster.wait(pods.delete(&pod.metadata.name.unwrap(), &DeleteParams::default())).unwrap();
    }
    // The watch has said everything when it says this.
    let mut last = workload(Kind::Pod, pod("nginx"));
    last["metadata"]["name"] = json!("last");
    shop.create(&last).unwrap();
    let watched_by = |client: &Client| {
        cluster.wait(async {
            let resource = ApiResource::erase::<Pod>(&());
            let pods: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), &shop.name, &resource);
            let events = pods.watch(&WatchParams::default(), begin).await.unwrap();
            let mut events = std::pin::pin!(events);
            let mut said = BTreeMap::new();
            loop {
                let (what, object) = match events.next().await.unwrap().unwrap() {
                    WatchEvent::Added(object) => ("added", object),
                    WatchEvent::Modified(object) => ("modified", object),
                    WatchEvent::Deleted(object) => ("deleted", object),
                    WatchEvent::Bookmark(_) => continue,
                    WatchEvent::Error(error) => panic!("{error:?}"),
                };
                let object = serde_json::to_value(object).unwrap();
                if object["metadata"]["name"] == "last" {
                    return said;
                }
                let (key, it) = read(Kind::Pod, &object);
                said.insert(format!("{what} {key}"), it);
            }
        })
    };
    let plain = watched_by(&cluster.client);
    let compact = watched_by(&cluster.wait(async { compact(&cluster.client) }));
    assert_eq!(plain.keys().collect::<Vec<_>>(), compact.keys().collect::<Vec<_>>());
    assert!(plain.keys().any(|it| it.starts_with("deleted")), "no pod was deleted");
    compare(Kind::Pod, &plain, &compact);
}

fn pages_and_refusals_are_the_same_in_both_encodings(cluster: &Cluster) {
    let shop = cluster.namespace("pages");
    for number in 0..5 {
        let mut object = workload(Kind::Pod, pod("nginx"));
        object["metadata"]["name"] = json!(format!("web-{number}"));
        shop.create(&object).unwrap();
    }
    let path = shop.api(Kind::Pod).resource_url().to_owned();
    let compact = cluster.wait(async { compact(&cluster.client) });
    let pages = |client: &Client| {
        let mut params = ListParams::default().limit(2);
        let mut pages = Vec::new();
        loop {
            let page = cluster.wait(list(client, &path, &params)).unwrap();
            let names =
                page["items"].as_array().unwrap().iter().map(|it| it["metadata"]["name"].clone());
            pages.push(names.collect::<Vec<_>>());
            match page["metadata"]["continue"].as_str() {
                Some(token) => params.continue_token = Some(token.to_owned()),
                None => return pages,
            }
        }
    };
    assert_eq!(pages(&cluster.client), pages(&compact));
    assert_eq!(pages(&compact).len(), 3);
    for wrong in [
        format!("{path}?limit=1&continue=x"),
        format!("{path}/absent"),
        format!("{path}?fieldSelector=x"),
        format!("{path}?watch=true&resourceVersion=x"),
        "/api/v1/namespaces/x/absent".to_owned(),
    ] {
        let refusal = |client: &Client| {
            let request = axum::http::Request::get(&wrong).body(Vec::new()).unwrap();
            match cluster.wait(client.request_text(request)) {
                Err(kube::Error::Api(status)) => {
                    (status.code, status.reason.clone(), status.message.clone())
                }
                other => panic!("{wrong}: {other:?}"),
            }
        };
        assert_eq!(refusal(&cluster.client), refusal(&compact), "{wrong}");
    }
}
