//! Policies' own expressions: those of CEL's corpus, on its pods, as creations and as updates from pod to pod.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::door::{Door, Open, Tally, compiles, creation, set, update};
use crate::cel::corpus;
use crate::cel::judge::{Change, Judge};
use crate::support::manifests::held_by;
use crate::support::suite::{Alone, trials};

pub const TRIALS: Alone<Result<(), String>> = trials![
    expressions_get_the_verdict_of_podgate_on_pods_templates_and_updates,
    variables_are_those_of_their_own_policy
];
/// The trials that take long.
pub const LONG: Alone<Result<(), String>> =
    trials![every_expression_of_the_corpus_gets_the_verdict_of_podgate];

/// The files of expressions that are about pods.
const ABOUT_PODS: &str = "pods.cel";

fn expressions_get_the_verdict_of_podgate_on_pods_templates_and_updates() -> Result<(), String> {
    judged(6, Door::open_quickly)
}

fn every_expression_of_the_corpus_gets_the_verdict_of_podgate() -> Result<(), String> {
    judged(1, Door::open_quickly)
}

/// Compares every `step`th of the expressions that podgate compiles, each as a policy of its own. Not of all files, unless
/// it is every one.
pub fn judged(step: usize, open: Open) -> Result<(), String> {
    let changes = changes(&corpus::pods());
    let mut judge = Judge::start();
    let mut whole = Tally::default();
    let wanted = |place: &str| step == 1 || place.starts_with(ABOUT_PODS);
    let expressions = corpus::expressions().into_iter().filter(|(place, _)| wanted(place));
    let mut lost = 0;
    for (place, expression) in expressions.step_by(step) {
        let spec = json!({
            "enforcementMode": "enforce",
            "validations": [{"name": "own", "expression": expression, "message": "it's not so"}],
        });
        if !compiles(&spec) {
            continue;
        }
        let mut door = open(judge, set(&[("p", &spec)]));
        if door.losses.is_empty() {
            whole.add(Tally::of(&mut door, &changes), &format!("{place}: {expression}"));
        } else {
            lost += 1;
        }
        judge = door.close();
    }
    println!("{lost} expressions are lost");
    whole.finish("expressions", 100)
}

/// Creations of pods and templates, and updates of each pod to the next.
fn changes(pods: &[Value]) -> Vec<Change> {
    let created: Vec<_> = pods
        .iter()
        .flat_map(|pod| {
            [Kind::Pod, Kind::CronJob].map(|kind| {
                let mut object = held_by(kind, pod);
                object["metadata"]["name"] = json!("web");
                creation(&object)
            })
        })
        .collect();
    let pods: Vec<_> = pods.iter().map(|pod| held_by(Kind::Pod, pod)).collect();
    let updated = pods.iter().zip(pods.iter().skip(1)).map(|(old, new)| update(old, new));
    // The same in what most expressions read.
    let touched = pods.iter().map(|pod| {
        let mut new = pod.clone();
        new["metadata"]["annotations"]["touched"] = json!("yes");
        update(pod, &new)
    });
    created.into_iter().chain(updated).chain(touched).collect()
}

fn variables_are_those_of_their_own_policy() -> Result<(), String> {
    let spec = |limit: &str, overridden: &str| {
        json!({
            "enforcementMode": "enforce",
            "variables": [
                {"name": "all", "expression": "object.spec.containers"},
                {"name": "images", "expression": format!("variables.all.map(object_, object_.image){limit}")},
            ],
            "validations": [
                {"name": "few", "expression": "variables.images.size() < 2", "message": "it has \"two\" or more", "severity": "low"},
                {"name": "known", "expression": "variables.?images.orValue([]).all(i, i.startsWith('ghcr.io/')) || 'variables.all' == ''", "message": "of: ghcr.io"},
                {"name": "here", "expression": "namespaceObject.metadata.name == object.metadata.namespace && object.kind == 'Pod'", "message": "never"},
            ],
            "severityOverrides": {"validations/few": overridden},
            "exemptions": [{"rules": ["validations/known"], "names": ["exempt"], "reason": "r", "owner": "o"}],
        })
    };
    let (one, other) = (spec("", "critical"), spec(" + ['x']", "high"));
    let mut door = Door::open(Judge::start(), set(&[("one", &one), ("other", &other)]));
    assert_eq!(door.losses, []);
    let mut changes = Vec::new();
    for name in ["web", "exempt"] {
        for images in [&["nginx"][..], &["ghcr.io/a"], &["ghcr.io/a", "nginx"]] {
            let containers: Vec<_> =
                images.iter().map(|it| json!({"name": "web", "image": it})).collect();
            let pod = json!({"metadata": {"name": name}, "spec": {"containers": containers}});
            for kind in Kind::ALL {
                let object = held_by(kind, &pod);
                changes.push(creation(&object));
                let mut labelled = object.clone();
                labelled["metadata"]["labels"]["team"] = json!("cart");
                changes.push(update(&object, &labelled));
            }
        }
    }
    Tally::of(&mut door, &changes).finish("variables", 20)
}
