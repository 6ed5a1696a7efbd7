//! Repair records forged by a tenant: neither podgate nor an admin may act on them.

use jiff::{SignedDuration, Timestamp};
use podgate::policy::record::fingerprint;
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::remediation::arena::{Arena, USER};
use crate::remediation::kubelet::{NEVER, READY};
use crate::remediation::shop::{MARK, Shop, record, wants, workload};
use crate::support::binary::{Podgate, run};
use crate::support::control_plane::text;
use crate::support::suite::{Alone, trials};
use crate::support::{audit, eventually};

pub const ALONE: Alone = trials![
    records_that_a_tenant_forged_change_no_template_and_no_pod,
    under_enforce_only_podgate_writes_records_and_it_rolls_its_repairs_back,
];

/// Changes a record that podgate would otherwise trust.
type Forge = fn(&mut Value);

const LIMITS: &str = "/spec/template/spec/containers/0/resources/limits";
const ROOT: &str = "/spec/template/spec/containers/0";

/// Records that podgate does not trust, each for its own reason.
const FORGED: &[(&str, Forge)] = &[
    ("privileged", |it| {
        it["inverse"] = json!([{"op": "add", "path": format!("{ROOT}/securityContext"), "value": {"privileged": true}}]);
    }),
    ("registry", |it| {
        it["inverse"] = json!([{"op": "replace", "path": format!("{ROOT}/image"), "value": "evil.example/nginx:1.29"}]);
    }),
    ("account", |it| {
        it["inverse"] = json!([
            {"op": "remove", "path": LIMITS},
            {"op": "add", "path": "/spec/template/spec/serviceAccountName", "value": "admin"},
        ]);
    }),
    ("outside", |it| it["inverse"] = json!([{"op": "add", "path": "/spec/replicas", "value": 50}])),
    ("copies", |it| {
        let copy = json!({"op": "copy", "from": "/spec/template", "path": "/spec/template/metadata/labels/x"});
        it["inverse"] = json!(vec![copy; 100]);
    }),
    ("copied", |it| it["uid"] = json!("e6a8a1f2-0000-4000-8000-000000000000")),
    ("older", |it| drop(it.as_object_mut().unwrap().remove("uid"))),
    ("huge", |it| it["message"] = json!("m".repeat(200 * 1024))),
    ("for-ever", |it| it["deadline"] = json!("9999-12-30T22:00:00Z")),
    ("future", |it| {
        it["began"] = json!("9999-12-29T22:00:00Z");
        it["deadline"] = json!("9999-12-30T21:00:00Z");
    }),
    ("person", |it| it["by"] = json!("person")),
    ("nobody", |it| it["policies"] = json!([])),
    ("unreadable", |it| it["inverse"] = json!("all")),
];

/// A workload that breaks nothing and was never repaired, whose rollout hangs.
fn hanging(shop: &Shop<'_>) -> Value {
    let mut object = compliant(Kind::Deployment, "web");
    object["spec"]["replicas"] = json!(1);
    shop.runs(Kind::Deployment, &object);
    shop.arena.kubelet.hold(&shop.name);
    let two = json!({"spec": {"replicas": 2}});
    shop.arena.api.merge(&shop.path(Kind::Deployment, "web"), &two).unwrap()
}

fn compliant(kind: Kind, name: &str) -> Value {
    let mut object = workload(kind, name, READY, 1);
    let container = &mut object["spec"]["template"]["spec"]["containers"][0];
    container["resources"] = json!({"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}});
    container["readinessProbe"] = json!({"tcpSocket": {"port": 80}});
    object
}

/// A record as podgate writes it, of a repair that has timed out and is due for a rollback.
fn record_of(object: &Value, policy: &Value) -> Value {
    let ago = |hours: i64| Timestamp::now() - SignedDuration::from_hours(hours);
    let metadata = &policy["metadata"];
    let (namespace, name) = (metadata["namespace"].as_str(), metadata["name"].as_str());
    let asker = json!({
        "policy": format!("{}/{}", namespace.unwrap(), name.unwrap()),
        "uid": metadata["uid"], "generation": metadata["generation"],
    });
    json!({
        "state": "RollingOut", "uid": object["metadata"]["uid"], "policies": [asker],
        "rules": ["requireResourceLimits"], "began": ago(2), "deadline": ago(1), "attempts": 1,
        "before": "", "after": fingerprint(object), "available": 99,
        "inverse": [{"op": "remove", "path": LIMITS}],
    })
}

/// The patch that puts a record on a workload.
fn mark(record: &Value) -> Value {
    json!({"metadata": {"annotations": {MARK: record.to_string()}, "labels": {MARK: "in-flight"}}})
}

/// Forges a record; returns the workload.
fn forge(shop: &Shop<'_>, kind: Kind, object: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut forged = record_of(object, &shop.get_policy("own"));
    change(&mut forged);
    let path = shop.path(kind, object["metadata"]["name"].as_str().unwrap());
    shop.arena.api.merge(&path, &mark(&forged)).unwrap()
}

/// podgate's webhooks are not registered here, as during an outage, so anything can be written.
fn records_that_a_tenant_forged_change_no_template_and_no_pod() {
    let arena = Arena::start();
    let neighbour = arena.shop("neighbour");
    neighbour.policy("own", &wants(&json!({})));
    let mut left = Vec::new();
    for (name, change) in FORGED {
        let shop = arena.shop(name);
        shop.policy("own", &wants(&json!({})));
        let object = hanging(&shop);
        left.push((forge(&shop, Kind::Deployment, &object, *change), shop));
    }
    // One record names a policy that does not cover the workload, another names a policy that repairs nothing.
    let shop = arena.shop("other-policy");
    shop.policy("own", &wants(&json!({})));
    let object = hanging(&shop);
    let named = record_of(&object, &neighbour.get_policy("own"))["policies"].clone();
    left.push((forge(&shop, Kind::Deployment, &object, |it| it["policies"] = named), shop));
    let shop = arena.shop("only-plans");
    shop.policy("own", &wants(&json!({"mode": "plan"})));
    let object = hanging(&shop);
    left.push((forge(&shop, Kind::Deployment, &object, |_| {}), shop));

    let selected = selecting_others(&arena);
    let slow = arena.shop("not-kept-waiting");
    let broken = slow.ready_deployment("web");
    slow.policy("own", &wants(&json!({})));
    forge(&slow, Kind::Deployment, &broken, |it| it["deadline"] = json!("9999-12-30T22:00:00Z"));
    let believed = arena.shop("believed");
    believed.policy("own", &wants(&json!({})));
    let object = hanging(&believed);
    let template = forge(&believed, Kind::Deployment, &object, |_| {})["spec"]["template"].clone();

    let _podgate = arena.podgate("all-policies");
    // podgate has read all labelled workloads, and continues.
    slow.wait_for_state("own", "Deployment/web", "Repaired");
    // A perfect forgery removes at most the fields that podgate could have added.
    let after = believed.awaits(Kind::Deployment, "web", "to be taken back", |it| {
        record(it)["state"] == "RolledBack"
    });
    let mut expected = template;
    expected["spec"]["containers"][0]["resources"].as_object_mut().unwrap().remove("limits");
    assert_eq!(after["spec"]["template"], expected);
    no_pod_of_others_is_deleted(&selected);
    for (before, shop) in &left {
        let after = shop.get(Kind::Deployment, "web");
        let name = &shop.name;
        assert_eq!(after["spec"], before["spec"], "{name}");
        let patches = arena.template_patches(name);
        assert!(patches.is_empty(), "{name}: {patches:?}");
        // An admin's rollback command also refuses the record, as long as podgate does not trust it.
        let by_hand = rollback(&arena, name);
        let of_itself = ["person-", "nobody-", "other-policy-", "only-plans-"];
        if !of_itself.iter().any(|it| name.starts_with(it)) {
            assert!(by_hand.contains("its record is not believed"), "{name}: {by_hand}");
            assert_eq!(shop.get(Kind::Deployment, "web")["spec"], before["spec"], "{name}");
        }
    }
    let status = neighbour.get_policy("own")["status"].clone();
    assert_eq!(status["remediation"]["rolledBack"], 0, "{status}");
    let forbidden = arena.forbidden();
    assert!(forbidden.is_empty(), "{forbidden:?}");
}

fn rollback(arena: &Arena, namespace: &str) -> String {
    let admin = arena.plane.kubeconfig("admin");
    let args =
        ["remediate", "rollback", "deployment/web", "--yes", "-n", namespace, "--kubeconfig"];
    text(&run(&[&args[..], &[admin.to_str().unwrap()]].concat()).stderr)
}

/// A `StatefulSet` that selects another workload's pods, which never become ready, with the record of a repair that was
/// rolled back: podgate must delete its own stuck pods, and not those of the other workload.
fn selecting_others(arena: &Arena) -> Shop<'_> {
    let shop = arena.shop("selects");
    shop.policy("own", &wants(&json!({})));
    let mut others = compliant(Kind::Deployment, "others");
    others["spec"]["template"]["metadata"]["labels"][crate::remediation::kubelet::PLAY] =
        json!(NEVER);
    others["spec"]["template"]["metadata"]["labels"]["team"] = json!("a");
    shop.create(Kind::Deployment, &others);
    let mut object = compliant(Kind::StatefulSet, "web");
    object["spec"]["selector"] = json!({"matchLabels": {"team": "a"}});
    object["spec"]["template"]["metadata"]["labels"]["team"] = json!("a");
    let object = shop.runs(Kind::StatefulSet, &object);
    eventually("the other workload's pod", || match others_pods(&shop).len() {
        1 => Ok(()),
        count => Err(count.to_string()),
    });
    forge(&shop, Kind::StatefulSet, &object, |it| {
        it["state"] = json!("RolledBack");
        it["after"] = json!("");
        it["inverse"] = json!([]);
    });
    shop
}

fn others_pods(shop: &Shop<'_>) -> Vec<Value> {
    let pods = shop.arena.api.list(&shop.path(Kind::Pod, ""));
    pods.into_iter().filter(|it| it["metadata"]["labels"]["app"] == "others").collect()
}

fn no_pod_of_others_is_deleted(shop: &Shop<'_>) {
    shop.awaits(Kind::StatefulSet, "web", "to be over", |it| {
        it["metadata"]["labels"][MARK].is_null()
    });
    assert_eq!(others_pods(shop).len(), 1);
    let writes = shop.arena.plane.writes().into_iter();
    let deleted = writes.filter(|it| audit::user(it) == USER && it["verb"] == "delete");
    assert_eq!(deleted.count(), 0, "podgate has deleted a pod");
}

/// podgate's own webhook is registered, and enforces.
fn under_enforce_only_podgate_writes_records_and_it_rolls_its_repairs_back() {
    let arena = Arena::start();
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "registers"},
        "subjects": [{"kind": "User", "name": USER, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}});
    arena.api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding);
    let kubeconfig = arena.plane.kubeconfig(USER);
    let args = [
        "--register",
        "--lease-namespace",
        "default",
        "--remediation",
        "all-policies",
        "--kubeconfig",
    ];
    let certs = kubeconfig.with_file_name("podgate-certs");
    let podgate = Podgate::serve(&[&args[..], &[kubeconfig.to_str().unwrap()]].concat(), &certs);

    let shop = arena.shop("enforced");
    let mut object = workload(Kind::Deployment, "web", READY, 1);
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx");
    let before = shop.runs(Kind::Deployment, &object);
    let mut spec = wants(&json!({"rolloutTimeoutSeconds": 10}));
    // The repair does not fix this violation, so the new pods are refused and the repair is rolled back.
    spec["forbidLatestTag"] = json!(true);
    spec["enforcementMode"] = json!("enforce");
    shop.policy("own", &spec);
    let (after, _) = eventually("the repair to be rolled back", || {
        let object = shop.get(Kind::Deployment, "web");
        if record(&object)["state"] == "RolledBack" {
            return Ok(object);
        }
        let repair = shop.get_policy("own")["status"]["remediation"].clone();
        Err(format!("{repair} {}", podgate.whole_log()))
    });
    assert_eq!(after["spec"]["template"], before["spec"]["template"], "the template is restored");
    assert_eq!(arena.template_patches(&shop.name).len(), 2, "one repair and one rollback");

    // The admin is not podgate either: no record of theirs is one of podgate's.
    let path = shop.path(Kind::Deployment, "web");
    let mut under_way = record(&after);
    under_way["state"] = json!("RollingOut");
    let refused = arena.api.merge(&path, &mark(&under_way)).unwrap_err();
    assert!(refused.message.contains("podgate's own record of a repair under way"), "{refused:?}");
    under_way["uid"] = json!("another");
    arena.api.merge(&path, &mark(&under_way)).expect("a copied record is admitted");

    let hand = arena.shop("hand");
    let mut object = workload(Kind::Deployment, "web", READY, 1);
    object["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
    hand.runs(Kind::Deployment, &object);
    hand.policy("own", &wants(&json!({})));
    hand.wait_for_state("own", "Deployment/web", "Proposed");
    let admin = arena.plane.kubeconfig("admin");
    let args = ["remediate", "apply", "deployment/web", "--yes", "-n", &hand.name, "--kubeconfig"];
    let applied = run(&[&args[..], &[admin.to_str().unwrap()]].concat());
    assert!(applied.status.success(), "{}{}", text(&applied.stdout), text(&applied.stderr));
    let after = hand.get(Kind::Deployment, "web");
    assert_eq!(
        (&record(&after)["state"], &record(&after)["by"]),
        (&json!("Repaired"), &json!("person"))
    );
}
