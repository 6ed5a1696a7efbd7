//! Nodes are drained in the middle of rollouts, when controllers make pods of two templates.

use std::collections::{BTreeMap, BTreeSet};

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::checked::{drain_check, named_by, refused_controllers};
use super::node::{self, Running, evict};
use super::{ENDED, enforce, named};
use crate::support::cluster::{Cluster, Namespace};
use crate::support::manifests::pod;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> =
    trials![in_the_middle_of_rollouts_the_pods_that_are_named_are_refused_and_the_others_are_not];

const GOOD: &str = "nginx:1.29";
const BAD: &str = "nginx";

/// Creates a workload of two pods, and changes its image and more of its spec.
fn rolled_out(
    shop: &Namespace<'_>,
    kind: Kind,
    name: &str,
    [before, now]: [&str; 2],
    more: &Value,
    ready: impl Fn(&[Running]) -> bool,
) {
    let mut object = named(kind, name, pod(before));
    object["spec"]["replicas"] = json!(2);
    shop.create(&object).unwrap();
    let own = |pods: &[Running]| -> Vec<Running> {
        pods.iter().filter(|it| it.workload.ends_with(&format!("/{name}"))).cloned().collect()
    };
    node::until(shop, "the first pods", |pods| own(pods).len() == 2);
    let mut spec = json!({"template": {"spec": pod(now)}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    shop.patch(kind, name, &json!({"spec": spec})).unwrap();
    node::until(shop, "the rollout", |pods| ready(&own(pods)));
}

fn in_the_middle_of_rollouts_the_pods_that_are_named_are_refused_and_the_others_are_not(
    cluster: &Cluster,
) {
    let shop = cluster.namespace("rollouts");
    let paused = json!({"paused": true});
    rolled_out(&shop, Kind::Deployment, "web", [BAD, GOOD], &paused, |pods| pods.len() == 2);
    let partition = json!({"updateStrategy": {"rollingUpdate": {"partition": 1}}});
    for (name, images) in [("mended", [BAD, GOOD]), ("broken", [GOOD, BAD])] {
        rolled_out(&shop, Kind::StatefulSet, name, images, &partition, |pods| {
            pods.iter().map(|it| it.image.as_str()).collect::<BTreeSet<_>>() == images.into()
        });
    }
    enforce(&shop, &json!({}), ENDED);
    let check = drain_check(cluster, "--all").exits(1).json();
    let of = |counts: [usize; 3]| -> BTreeMap<_, _> {
        let names = ["Deployment/web", "StatefulSet/broken", "StatefulSet/mended"];
        names.map(str::to_owned).into_iter().zip(counts).collect()
    };
    assert_eq!(named_by(&check, &shop, "refused"), of([2, 1, 1]));
    assert_eq!(named_by(&check, &shop, "replicas"), of([2, 2, 2]));

    let before = node::running(&shop);
    let is_last = |it: &Running| it.name == "mended-0";
    // The controller makes no pod of a StatefulSet while one with a lower number is refused.
    let (last, first): (Vec<_>, Vec<_>) = before.iter().partition(|it| is_last(it));
    evict(&shop, &first);
    let back = |pods: &[Running], name: &str| {
        let old = |uid: &str| before.iter().any(|it| it.uid == uid);
        pods.iter().any(|it| it.name == name && it.image == GOOD && !old(&it.uid))
    };
    node::until(&shop, "the good pods to be back", |pods| {
        back(pods, "mended-1") && back(pods, "broken-0")
    });
    evict(&shop, &last);
    let bad = before.iter().filter(|it| it.image == BAD);
    let expected: BTreeSet<_> = bad.map(|it| it.controller.clone()).collect();
    assert_eq!(expected.len(), 3);
    node::until(&shop, "the refusal of the others, and of nothing else", |pods| {
        refused_controllers(&shop) == expected
            && pods.len() == 2
            && pods.iter().all(|it| it.image == GOOD)
    });
}
