//! The installation decides which policies may write to workloads.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::arena::{Arena, USER};
use super::kubelet::READY;
use super::shop::{Shop, wants, workload_status};
use crate::support::suite::{Alone, trials};
use crate::support::{audit, eventually};

pub const ALONE: Alone = trials![only_policies_that_may_write_do];

const POLICIES: &str = "/apis/devops.stochastic.io/v1/clusterdevopspolicies";

fn cluster_policy(arena: &Arena, name: &str, shops: &[&Shop<'_>]) {
    let mut spec = wants(&json!({"maxConcurrent": 5}));
    let names: Vec<_> = shops.iter().map(|it| &it.name).collect();
    spec["namespaceSelector"] =
        json!({"matchExpressions": [{"key": "shop", "operator": "In", "values": names}]});
    let object = json!({"apiVersion": "devops.stochastic.io/v1", "kind": "ClusterDevOpsPolicy",
        "metadata": {"name": name}, "spec": spec});
    arena.api.post(POLICIES, &object);
}

fn wait_for_cluster_state(arena: &Arena, policy: &str, shop: &Shop<'_>, state: &str) -> Value {
    let workload = format!("Deployment/{}/web", shop.name);
    let what = format!("{policy}: {workload} {state}");
    eventually(&what, || {
        let status = arena.api.get(&format!("{POLICIES}/{policy}"))["status"].clone();
        let repair = workload_status(&status, &workload);
        if repair["state"] == state { Ok(repair) } else { Err(status.to_string()) }
    })
    .0
}

/// Namespaced policies propose where only cluster policies may write; where none may, nothing is written, and a policy
/// with podgate's finalizer can be deleted.
fn only_policies_that_may_write_do() {
    let arena = Arena::start();
    let podgate = arena.podgate("cluster-policies");
    let (mine, theirs) = (arena.shop("mine"), arena.shop("theirs"));
    for shop in [&mine, &theirs] {
        shop.deployment(READY);
    }
    mine.policy("own", &wants(&json!({})));
    cluster_policy(&arena, "first", &[&theirs]);
    let repair = mine.wait_for_state("own", "Deployment/web", "Proposed");
    assert!(repair["message"].as_str().unwrap().contains("lets no such policy write"), "{repair}");
    wait_for_cluster_state(&arena, "first", &theirs, "Repaired");
    assert!(arena.repairs(&mine.name).is_empty());
    assert!(mine.get_policy("own")["metadata"]["finalizers"].is_null(), "there is no finalizer");
    let first = format!("{POLICIES}/first");
    assert!(arena.api.get(&first)["metadata"]["finalizers"].is_array(), "there is a finalizer");
    drop(podgate);

    let _podgate = arena.podgate("none");
    let late = arena.shop("late");
    let before = late.deployment(READY);
    cluster_policy(&arena, "second", &[&late]);
    wait_for_cluster_state(&arena, "second", &late, "Proposed");
    arena.api.delete(&first);
    eventually("the policy with a finalizer to be gone", || match arena.api.try_get(&first) {
        Ok(policy) => Err(policy["metadata"].to_string()),
        Err(refused) => {
            if refused.code == 404 {
                Ok(())
            } else {
                Err(refused.message)
            }
        }
    });
    assert!(arena.repairs(&late.name).is_empty());
    assert_eq!(late.get(Kind::Deployment, "web")["spec"], before["spec"]);
    let writes = arena.plane.writes().into_iter();
    let of_second = writes.filter(|it| {
        audit::user(it) == USER
            && it["objectRef"]["name"] == "second"
            && it["objectRef"]["subresource"] != "status"
    });
    assert_eq!(of_second.count(), 0, "only the status of the policy is written");
    assert_eq!(arena.forbidden().len(), 0, "{:?}", arena.forbidden());
}
