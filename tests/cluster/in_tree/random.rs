//! Random writes of random objects, judged by random policies.

use serde_json::{Value, json};

use super::door::{Door, Open, Tally, creation, set, update};
use super::generate::{Generator, Random, holding, image, own, policy, user};
use crate::cel::judge::{Change, Judge};
use crate::support::manifests::held_by;
use crate::support::suite::{Alone, trials};
use podgate::policy::workload::Kind;

pub const TRIALS: Alone<Result<(), String>> = trials![
    random_pods_get_the_verdict_of_podgate_at_both_levels_of_pod_security,
    random_image_references_get_the_verdict_of_podgate,
    random_writes_get_the_verdict_of_podgate_by_random_policies
];
/// The trials that take long.
pub const LONG: Alone<Result<(), String>> = trials![
    thousands_of_random_pods_get_the_verdict_of_podgate,
    thousands_of_random_image_references_get_the_verdict_of_podgate,
    thousands_of_random_writes_get_the_verdict_of_podgate
];

/// The number of random policies whose objects are type checked.
const CHECKED: usize = 2;
/// The seed of the random numbers.
pub const SEED: u64 = 20;

fn random_pods_get_the_verdict_of_podgate_at_both_levels_of_pod_security() -> Result<(), String> {
    pods(200, Door::open)
}

fn thousands_of_random_pods_get_the_verdict_of_podgate() -> Result<(), String> {
    pods(5_000, Door::open)
}

fn random_image_references_get_the_verdict_of_podgate() -> Result<(), String> {
    references(500, Door::open)
}

fn thousands_of_random_image_references_get_the_verdict_of_podgate() -> Result<(), String> {
    references(6_000, Door::open)
}

fn random_writes_get_the_verdict_of_podgate_by_random_policies() -> Result<(), String> {
    writes(6, 80, [Door::open, Door::open_quickly])
}

fn thousands_of_random_writes_get_the_verdict_of_podgate() -> Result<(), String> {
    writes(60, 150, [Door::open, Door::open_quickly])
}

/// Random pods in random objects, at both levels.
pub fn pods(count: usize, open: Open) -> Result<(), String> {
    let generator = Generator::new();
    let mut judge = Judge::start();
    for level in ["baseline", "restricted"] {
        let mut random = Random::new(SEED);
        let spec = json!({"enforcementMode": "enforce", "podSecurity": level});
        let mut door = open(judge, set(&[("p", &spec)]));
        let writes: Vec<_> = (0..count)
            .map(|_| {
                let pod = generator.pod(&mut random);
                creation(&holding(&pod, &mut random))
            })
            .collect();
        let tally = Tally::of(&mut door, &writes);
        tally.finish(level, count / 10)?;
        judge = door.close();
    }
    Ok(())
}

/// Random image references.
pub fn references(count: usize, open: Open) -> Result<(), String> {
    let mut random = Random::new(SEED);
    let spec = json!({
        "enforcementMode": "enforce", "forbidLatestTag": true, "requireImageDigest": true,
        "allowedRegistries": ["docker.io/library", "ghcr.io", "localhost"],
        "exemptions": [{"rules": ["requireImageDigest"], "images": ["nginx*", "*web"], "reason": "r", "owner": "o"}],
    });
    let mut door = open(Judge::start(), set(&[("p", &spec)]));
    let writes: Vec<_> = (0..count)
        .map(|_| {
            let container = json!({"name": "web", "image": image(&mut random)});
            creation(&held_by(
                Kind::Pod,
                &json!({"metadata": {"name": "web"}, "spec": {"containers": [container]}}),
            ))
        })
        .collect();
    let tally = Tally::of(&mut door, &writes);
    tally.finish("images", count / 50)
}

/// Random writes by random policies. The second way opens all but the first policies, without type checks.
pub fn writes(policies: usize, count: usize, open: [Open; 2]) -> Result<(), String> {
    let generator = Generator::new();
    let mut random = Random::new(SEED);
    let mut judge = Judge::start();
    let mut whole = Tally::default();
    for number in 0..policies {
        let specs = [policy(&mut random), policy(&mut random)];
        let named: Vec<(&str, &Value)> = ["a", "b"].into_iter().zip(&specs).collect();
        let open = open[usize::from(number >= CHECKED)];
        let mut door = open(judge, set(&named));
        let writes: Vec<_> = (0..count).map(|_| write(&generator, &mut random)).collect();
        let tally = Tally::of(&mut door, &writes);
        whole.add(tally, &json!(specs).to_string());
        judge = door.close();
    }
    whole.finish("random policies", policies * count / 20)
}

/// A creation, or an update that changes a few fields.
pub fn write(generator: &Generator, random: &mut Random) -> Change {
    let old = generator.pod(random);
    let user = user(random);
    if random.one_in(2) {
        return Change { user, ..creation(&holding(&old, random)) };
    }
    let mut new = old.clone();
    for _ in 0..random.below(4) {
        generator.change(&mut new, random);
    }
    let kind = if random.one_in(2) { Kind::Pod } else { *random.of(&Kind::ALL) };
    let [mut old, mut new] = [old, new].map(|pod| held_by(kind, &pod));
    own(&mut new, random);
    old["metadata"] = new["metadata"].clone();
    Change { user, ..update(&old, &new) }
}
