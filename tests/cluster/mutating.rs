//! Part of `make test`: `podgate policy to-vap --mutate` against podgate's own mutating webhook, on a real API server.
//! The same objects are created, by dry run, in namespaces where podgate is called (`in-hook-…`), and in namespaces with the
//! same policies where only the API server's own objects are (`in-tree-…`, which are protected from podgate).

mod generate;
mod twins;

use serde_json::{Value, json};

use crate::in_tree::generate::Random;
use crate::support::eventually;
use crate::support::foreign::{self, Injector};
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Suite, Trials, World, trials};
use generate::Pods;
use podgate::policy::workload::Kind;
use twins::{Outcome, SHOP, Twins};

pub fn suite() -> Suite {
    let (twins, more) = (World::new(Twins::start), World::new(Twins::start_long));
    Suite::of(1).sharing(&twins, TRIALS).long(|it| it.sharing(&more, LONG))
}

const TRIALS: Trials<Twins> = trials![
    random_pods_get_what_podgates_webhook_adds,
    a_template_passes_where_its_pods_will_and_stays_as_it_was_written,
    a_pod_that_is_complete_stays_as_it_is,
    the_first_policy_wins_also_where_one_selects_by_labels,
    the_annotation_keeps_what_it_can_read_and_stays_short,
    // The last, because the API server calls the webhook for a moment longer than it is there.
    containers_that_a_webhook_adds_afterwards_are_completed_too
];
/// The trials that take long.
const LONG: Trials<Twins> = trials![
    the_type_checker_finds_nothing,
    thousands_of_random_pods_get_what_podgates_webhook_adds
];

/// The seed of the random numbers.
const SEED: u64 = 36;

fn random_pods_get_what_podgates_webhook_adds(twins: &Twins) {
    random_pods(twins, SEED, 100);
}

fn thousands_of_random_pods_get_what_podgates_webhook_adds(twins: &Twins) {
    random_pods(twins, SEED + 1, 600);
}

fn random_pods(twins: &Twins, seed: u64, count: usize) {
    let (pods, mut random) = (Pods::new(), Random::new(seed));
    let (mut changed, mut denied, mut refused, mut differences) = (0, 0, 0, Vec::new());
    for pair in &twins.pairs {
        let wanted: Vec<_> = (0..count).map(|_| pods.object(&mut random)).collect();
        let [by_hook, by_tree] = twins.both(pair, &wanted);
        for ((pod, hook), tree) in wanted.iter().zip(by_hook).zip(by_tree) {
            if hook != tree {
                differences
                    .push(format!("pair {pair}\npod {pod}\nwebhook {hook:#?}\nin-tree {tree:#?}"));
            }
            match hook {
                Outcome::Denied => denied += 1,
                Outcome::Refused(_) => refused += 1,
                Outcome::Admitted(pod) => changed += usize::from(twins::mark(&pod).is_some()),
            }
        }
    }
    let all = count * twins.pairs.len();
    println!(
        "{all} pods: {changed} changed and admitted, {denied} denied, {refused} refused by the API server itself, \
         {} differences",
        differences.len()
    );
    let policies = twins.policies();
    assert!(
        differences.is_empty(),
        "{}\n{policies}",
        differences[..differences.len().min(3)].join("\n\n")
    );
    assert!(changed > all / 5 && denied > all / 50, "{changed} changed, {denied} denied");
}

/// The pod with only the fields that podgate cannot add.
fn terse() -> Value {
    workload(
        Kind::Pod,
        json!({
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true},
            "containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 8080}]}],
        }),
    )
}

/// A template is judged as its pods, with what they get.
fn a_template_passes_where_its_pods_will_and_stays_as_it_was_written(twins: &Twins) {
    let templates: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Pod)
        .map(|kind| workload(kind, terse()["spec"].clone()))
        .collect();
    let [hook, tree] = twins.both(SHOP, &templates);
    for ((template, hook), tree) in templates.iter().zip(hook).zip(tree) {
        assert_eq!(hook, tree, "{template}");
        let taken = hook.admitted().unwrap_or_else(|| panic!("refused: {template}"));
        assert!(!taken.to_string().contains("livenessProbe"), "{taken}");
    }
    let mut root = templates;
    for template in &mut root {
        let text = template.to_string().replace("\"runAsNonRoot\":true", "\"runAsNonRoot\":false");
        *template = serde_json::from_str(&text).unwrap();
    }
    let denied = vec![Outcome::Denied; root.len()];
    assert_eq!(twins.both(SHOP, &root), [denied.clone(), denied]);
}

fn the_type_checker_finds_nothing(twins: &Twins) {
    let (warnings, _) = eventually("the type checks", || twins.type_checks());
    assert!(warnings.is_empty(), "{}", warnings.join("\n"));
}

fn a_pod_that_is_complete_stays_as_it_is(twins: &Twins) {
    let (pods, mut random) = (Pods::new(), Random::new(SEED));
    let mut wanted: Vec<_> = (0..20).map(|_| pods.pod(&mut random)).collect();
    wanted.push(terse());
    let [_, completed] = twins.both(SHOP, &wanted);
    let completed: Vec<_> = completed.into_iter().filter_map(Outcome::admitted).collect();
    assert!(completed.iter().any(|it| twins::mark(it).is_some()), "{completed:?}");
    let [hook, tree] = twins.both(SHOP, &completed);
    for ((before, hook), tree) in completed.iter().zip(hook).zip(tree) {
        assert_eq!(hook, Outcome::Admitted(before.clone()));
        assert_eq!(tree, Outcome::Admitted(before.clone()));
    }
}

fn containers_that_a_webhook_adds_afterwards_are_completed_too(twins: &Twins) {
    let _injectors =
        twins.namespaces(SHOP).map(|it| Injector::register(&twins.cluster, &it, "zzz"));
    let (pod, _) = eventually("the other webhook to be called", || {
        let [hook, tree] = twins.both(SHOP, &[terse()]).map(|mut all| all.remove(0));
        let added = |it: &Outcome| format!("{it:?}").contains(foreign::CONTAINER);
        if !added(&hook) || !added(&tree) {
            return Err(format!("{hook:?}\n{tree:?}"));
        }
        assert_eq!(hook, tree);
        Ok(tree.admitted().unwrap())
    });
    let containers = pod["spec"]["containers"].as_array().unwrap();
    let added = containers.iter().find(|it| it["name"] == foreign::CONTAINER).unwrap();
    assert_eq!(added["image"], "ghcr.io/example/shipper:2.0");
    assert_eq!(added["resources"]["limits"]["memory"], "64Mi");
    assert_eq!(added["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
}

fn the_first_policy_wins_also_where_one_selects_by_labels(twins: &Twins) {
    let [hook, tree] = twins.both(SHOP, &[terse()]).map(|mut all| all.remove(0));
    assert_eq!(hook, tree);
    let pod = tree.admitted().unwrap();
    let web = &pod["spec"]["containers"][0];
    // Its own policy has no cpu limit, and the cluster's policy another amount of memory.
    assert_eq!(web["resources"]["limits"], json!({"cpu": "2", "memory": "64Mi"}));
    let mark = twins::mark(&pod).unwrap();
    assert!(
        mark.starts_with(r#"{"in-hook-shop/defaults":["#) && mark.contains(r#""team":["#),
        "{mark}"
    );
}

fn the_annotation_keeps_what_it_can_read_and_stays_short(twins: &Twins) {
    let with = |mark: &str| {
        let mut pod = terse();
        pod["metadata"]["annotations"] = json!({"devops.stochastic.io/mutated-by": mark});
        pod
    };
    let long = format!(r#"{{"p":["{}"]}}"#, "x".repeat(4000));
    let longer = format!(r#"{{"p":["{}"]}}"#, "x".repeat(5000));
    let many: Vec<_> = (0..200).map(|it| format!(r#""{it}{}":["a"]"#, "p".repeat(8))).collect();
    let many = format!("{{{}}}", many.join(","));
    let marks = [
        r#"{"a":["spec.x[0]","spec.y"],"team":["z"],"z":["b"]}"#,
        "nobody",
        "{}",
        "",
        r#"["a"]"#,
        r#"{"a":1}"#,
        &long,
        &longer,
        &many,
    ];
    let mut wanted: Vec<_> = marks.iter().map(|it| with(it)).collect();
    let mut crowd = workload(Kind::Pod, pod("nginx"));
    let container = |number| json!({"name": format!("c{number}"), "image": "nginx", "ports": [{"containerPort": 8000 + number}]});
    crowd["spec"]["securityContext"] = json!({"runAsNonRoot": true});
    crowd["spec"]["automountServiceAccountToken"] = json!(false);
    crowd["spec"]["containers"] = (0..60).map(container).collect();
    wanted.push(crowd);
    let [hook, tree] = twins.both(SHOP, &wanted);
    assert_eq!(hook, tree);
    let text = |at: usize| twins::mark(&tree[at].clone().admitted().unwrap()).unwrap();
    assert!(text(0).starts_with(r#"{"a":["spec.x[0]","spec.y"],"in-hook-shop"#), "{}", text(0));
    assert!(text(6).contains(r#""p":["1 fields"]"#), "{}", text(6));
    assert!(!text(7).contains(r#""p""#), "{}", text(7));
    assert!(text(8).contains("policies"), "{}", text(8));
}
