//! Objects that the API server stores and that are odd: huge, deep, empty.

use podgate::admission::registration::{MUTATE_WEBHOOK, MUTATING, VALIDATE_WEBHOOK, VALIDATING};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, Namespace};
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Trials, trials};
use crate::support::wire::{Reply, Run, Write};

pub const TRIALS: Trials<Cluster> = trials![
    a_privileged_pod_hides_behind_no_number_of_dropped_capabilities,
    a_violation_hides_behind_no_text_that_json_makes_six_times_as_long,
    an_image_of_more_than_a_megabyte_is_a_violation_and_no_fault,
    a_violation_hides_behind_no_list_of_any_length,
    objects_that_the_api_server_refuses_get_its_own_message,
];

/// A policy that denies what breaks these rules, and floating images.
pub fn enforce(rules: &Value) -> Value {
    let mut spec = json!({"enforcementMode": "enforce", "forbidLatestTag": true});
    spec.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    spec
}

/// A pod whose spec, and whose container, have more fields.
fn pod_with(spec: &Value, container: &Value) -> Value {
    let mut object = workload(Kind::Pod, pod("nginx:1.29"));
    json_patch::merge(&mut object["spec"]["containers"][0], container);
    json_patch::merge(&mut object["spec"], spec);
    object
}

fn post(shop: &Namespace<'_>, run: Run, object: &Value) -> Reply {
    shop.write(run, Write::Post, Kind::Pod, "", object)
}

/// Gives a loaded machine time for large objects: a webhook timeout is no verdict.
fn patiently(cluster: &Cluster) {
    for (kind, name, webhook) in [
        ("validatingwebhookconfiguration", VALIDATING, VALIDATE_WEBHOOK),
        ("mutatingwebhookconfiguration", MUTATING, MUTATE_WEBHOOK),
    ] {
        let patch = json!({"webhooks": [{"name": webhook, "timeoutSeconds": 30}]}).to_string();
        cluster.plane.kubectl(&["patch", kind, name, "--patch", &patch]).ok();
    }
}

fn a_privileged_pod_hides_behind_no_number_of_dropped_capabilities(cluster: &Cluster) {
    patiently(cluster);
    let many = vec!["X"; 200_001];
    let context = json!({"privileged": true, "capabilities": {"drop": many}});
    let hiding = pod_with(&json!({}), &json!({"securityContext": context}));
    let free = cluster.namespace("free");
    post(&free, Run::Real, &hiding).object();

    let baseline = cluster.namespace("shop");
    baseline.policy("baseline", &enforce(&json!({"podSecurity": "baseline"})));
    post(&baseline, Run::Real, &hiding)
        .rejection()
        .because(&["breaks 1 rule", "podSecurity/privileged (high)"]);
    let restricted = cluster.namespace("shop");
    restricted.policy("restricted", &enforce(&json!({"podSecurity": "restricted"})));
    post(&restricted, Run::Real, &hiding).rejection().because(&[
        "podSecurity/privileged (high)",
        "capabilities.drop could not be judged: it has more than 10000 entries",
    ]);
    let unprivileged =
        pod_with(&json!({}), &json!({"securityContext": {"capabilities": {"drop": many}}}));
    post(&baseline, Run::Real, &unprivileged).object();
}

fn a_violation_hides_behind_no_text_that_json_makes_six_times_as_long(cluster: &Cluster) {
    patiently(cluster);
    let shop = cluster.namespace("shop");
    shop.policy("baseline", &enforce(&json!({"podSecurity": "baseline"})));
    // The API server writes each of them as \u003c: one object makes a review of 8.7 MB, and an update one of 17.
    let text = "<".repeat(1_450_000);
    let env = json!({"env": [{"name": "A", "value": text}]});
    let mut violating = pod_with(&json!({"hostPID": true}), &env);
    post(&shop, Run::Real, &violating).rejection().because(&["spec.hostPID is true"]);
    violating["spec"]["hostPID"] = json!(false);
    post(&shop, Run::Real, &violating).object();
    let merge =
        |patch: &Value| shop.write(Run::Real, Write::StrategicPatch, Kind::Pod, "web", patch);
    merge(&json!({"spec": pod("nginx")})).rejection().because(&["is \"nginx\""]);
    merge(&json!({"metadata": {"labels": {"team": "cart"}}})).object();
    merge(&json!({"spec": pod("nginx:1.30")})).object();
}

fn an_image_of_more_than_a_megabyte_is_a_violation_and_no_fault(cluster: &Cluster) {
    patiently(cluster);
    let shop = cluster.namespace("shop");
    shop.policy("baseline", &enforce(&json!({})));
    let of = |image: String| workload(Kind::Pod, pod(&image));
    for image in ["a".repeat(1_400_000), "<".repeat(1_400_000), "a/".repeat(700_000)] {
        let free = cluster.namespace("free");
        post(&free, Run::Real, &of(image.clone())).object();
        post(&shop, Run::Real, &of(image))
            .rejection()
            .because(&["which is no image reference", "breaks 1 rule"]);
    }
}

/// A list of this number of items, each with its index.
fn many(count: usize, item: impl Fn(usize) -> Value) -> Value {
    (0..count).map(item).collect()
}

/// A map with this number of entries.
fn map(count: usize, key: impl Fn(usize) -> String, value: &str) -> Value {
    (0..count).map(|number| (key(number), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

/// Pods that are odd in one way each, and have no other violation.
fn odd_pods() -> Vec<(&'static str, Value)> {
    let in_spec = |field: &str, value: Value| pod_with(&json!({ field: value }), &json!({}));
    let in_container = |field: &str, value: Value| pod_with(&json!({}), &json!({ field: value }));
    let in_metadata = |field: &str, value: Value| {
        let mut object = workload(Kind::Pod, pod("nginx:1.29"));
        object["metadata"][field] = value;
        object
    };
    let container = |number| json!({"name": format!("c{number}"), "image": "nginx:1.29"});
    let owner = |number| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": format!("o{number}"), "uid": format!("u{number}")});
    let drop = json!({"capabilities": {"drop": vec!["X"; 9_000]}});
    let heavy = |number| json!({"name": format!("c{number}"), "image": "nginx:1.29", "securityContext": drop});
    vec![
        ("2 000 containers", in_spec("containers", many(2_000, container))),
        ("1 001 init containers", in_spec("initContainers", many(1_001, container))),
        ("15 containers of 9 000 capabilities", in_spec("containers", many(15, heavy))),
        (
            "1 001 volumes",
            in_spec("volumes", many(1_001, |it| json!({"name": format!("v{it}"), "emptyDir": {}}))),
        ),
        (
            "10 001 ports",
            in_container("ports", many(10_001, |it| json!({"containerPort": 1 + it}))),
        ),
        (
            "10 001 environment variables",
            in_container("env", many(10_001, |it| json!({"name": format!("A{it}")}))),
        ),
        (
            "10 001 added capabilities",
            in_container(
                "securityContext",
                json!({"capabilities": {"add": vec!["CHOWN"; 10_001]}}),
            ),
        ),
        (
            "10 001 sysctls",
            in_spec(
                "securityContext",
                json!({"sysctls": many(10_001, |it| json!({"name": format!("net.ipv4.x{it}"), "value": "1"}))}),
            ),
        ),
        ("10 001 labels", in_metadata("labels", map(10_001, |it| format!("k{it}"), "v"))),
        ("10 001 annotations", in_metadata("annotations", map(10_001, |it| format!("k{it}"), "v"))),
        ("1 000 owners", in_metadata("ownerReferences", many(1_000, owner))),
        (
            "1 000 finalizers",
            in_metadata("finalizers", many(1_000, |it| json!(format!("example.com/f{it}")))),
        ),
        (
            "10 001 tolerations",
            in_spec(
                "tolerations",
                many(10_001, |it| json!({"key": format!("k{it}"), "operator": "Exists"})),
            ),
        ),
        ("10 001 node labels", in_spec("nodeSelector", map(10_001, |it| format!("k{it}"), "v"))),
        (
            "10 001 pull secrets",
            in_spec("imagePullSecrets", many(10_001, |it| json!({"name": format!("s{it}")}))),
        ),
        (
            "10 001 host aliases",
            in_spec(
                "hostAliases",
                many(10_001, |it| json!({"ip": "10.0.0.1", "hostnames": [format!("h{it}")]})),
            ),
        ),
    ]
}

fn a_violation_hides_behind_no_list_of_any_length(cluster: &Cluster) {
    patiently(cluster);
    let shop = cluster.namespace("shop");
    let rules =
        json!({"podSecurity": "restricted", "requiredLabels": [{"key": "app"}], "mutate": true});
    shop.policy("baseline", &enforce(&rules));
    for (what, mut object) in odd_pods() {
        object["metadata"]["labels"]["app"] = json!("web");
        object["spec"]["securityContext"]["runAsNonRoot"] = json!(true);
        // This must come from podgate: the API server's message for a failed webhook differs.
        let _ = post(&shop, Run::Dry, &object).verdict();
        object["spec"]["hostPID"] = json!(true);
        let refusal = post(&shop, Run::Dry, &object).rejection();
        let is_named = refusal.message.contains("spec.hostPID is true")
            || refusal.message.contains("podSecurity (high) · policy ");
        assert!(is_named, "{what}: {}", refusal.message);
    }
}

fn objects_that_the_api_server_refuses_get_its_own_message(cluster: &Cluster) {
    let free = cluster.namespace("free");
    let shop = cluster.namespace("shop");
    let rules = json!({
        "podSecurity": "restricted", "requiredLabels": [{"key": "team"}],
        "requireLivenessProbe": true, "mutate": true, "defaultResources": {"memoryLimit": "64Mi"},
    });
    shop.policy("baseline", &enforce(&rules));
    for kind in Kind::ALL {
        for spec in [
            json!({"containers": []}),
            json!({"containers": null}),
            json!({"hostPID": true}),
            json!({"containers": [], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
            json!({"containers": [{}]}),
            json!({"containers": [{"name": "", "image": ""}]}),
            json!({"containers": [null]}),
            json!({"initContainers": [{"name": "web", "image": "nginx"}]}),
        ] {
            let object = workload(kind, spec);
            gets_the_same_refusal(&free, &shop, kind, &object);
        }
        let names = kind.names();
        let empty = json!({"apiVersion": names.api_version(), "kind": names.kind, "metadata": {"name": "web"}});
        gets_the_same_refusal(&free, &shop, kind, &empty);
        let mut without = workload(kind, pod("nginx"));
        without["spec"] = json!(null);
        without["template"] = json!(null);
        gets_the_same_refusal(&free, &shop, kind, &without);
    }
}

/// The API server's own refusal of an object does not depend on podgate.
fn gets_the_same_refusal(free: &Namespace<'_>, shop: &Namespace<'_>, kind: Kind, object: &Value) {
    let refusal_in = |namespace: &Namespace<'_>| {
        let reply = namespace.write(Run::Dry, Write::Post, kind, "", object);
        assert!(!reply.admitted(), "{object}");
        (reply.code, reply.message().replace(&namespace.name, "NAMESPACE"))
    };
    let (own, with_podgate) = (refusal_in(free), refusal_in(shop));
    assert_eq!(own, with_podgate, "{object}");
    assert_eq!(own.0, 422, "{own:?}");
}
