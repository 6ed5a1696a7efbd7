//! While podgate is heard, a floor judges no creation, and of updates only what a removal of fields can cause. What it
//! denies, podgate denies too: it never stands in the way of a write that podgate admits.

use std::collections::BTreeSet;

use podgate::policy::registry::RULES;
use podgate::policy::vap::form::Form;
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::super::door::{Answers, NOW, Tally, set, shows, update};
use super::super::generate::{self, Generator, Random, own, user};
use super::super::random::{SEED, write};
use super::{heard, stamped, stamps};
use crate::cel::judge::{Change, Judge};
use crate::support::manifests::held_by;
use crate::support::suite::{Alone, trials};

pub const TRIALS: Alone<Result<(), String>> = trials![
    a_sleeping_floor_denies_only_what_podgate_denies,
    what_a_removal_causes_is_denied_whatever_stamps_are_sent
];
/// The trials that take long.
pub const LONG: Alone<Result<(), String>> = trials![
    a_sleeping_floor_denies_only_what_podgate_denies_in_thousands_of_writes,
    what_thousands_of_removals_cause_is_denied_whatever_stamps_are_sent
];

fn a_sleeping_floor_denies_only_what_podgate_denies() -> Result<(), String> {
    sleeping(6, 60)
}

fn a_sleeping_floor_denies_only_what_podgate_denies_in_thousands_of_writes() -> Result<(), String> {
    sleeping(40, 150)
}

fn what_a_removal_causes_is_denied_whatever_stamps_are_sent() -> Result<(), String> {
    removals(4, 80)
}

fn what_thousands_of_removals_cause_is_denied_whatever_stamps_are_sent() -> Result<(), String> {
    removals(20, 200)
}

/// Random writes by random policies.
fn sleeping(policies: usize, count: usize) -> Result<(), String> {
    let generator = Generator::new();
    let mut random = Random::new(SEED);
    let mut judge = Judge::start();
    let (mut created, mut fresh, mut unsure) =
        (Tally::default(), Tally::default(), Tally::default());
    for _ in 0..policies {
        let specs = [policy(&mut random), policy(&mut random)];
        let named: Vec<(&str, &Value)> = ["a", "b"].into_iter().zip(&specs).collect();
        let mut door = heard(judge, set(&named));
        let what = json!(specs).to_string();
        let writes: Vec<_> = (0..count).map(|_| write(&generator, &mut random)).collect();
        let (creations, updates): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|it| it.old_object.is_null());
        created.add(Tally::by(&mut door, &creations, |it| !it.in_tree.denied), &what);
        let mutates = specs.iter().any(|it| it["mutate"] == true);
        let of_removals = |it: &Answers| it.are_of_podgate() && (mutates || are_of_removals(it));
        fresh.add(Tally::by(&mut door, &updates, of_removals), &what);
        // A removal has no stamp of its own. Neither has a write of an object whose managedFields somebody cleared.
        for managed in [stamps(&["2026-01-01T00:00:00Z"]), json!([{}]), Value::Null] {
            let writes: Vec<_> =
                updates.iter().map(|it| stamped(it.clone(), managed.clone())).collect();
            unsure.add(Tally::by(&mut door, &writes, Answers::are_of_podgate), &what);
        }
        judge = door.close();
    }
    assert_eq!(created.denied, 0);
    println!("creations: {} passed, {} differences", created.passed, created.differences.len());
    if !created.differences.is_empty() {
        return created.finish("creations", 0);
    }
    fresh.finish("updates with a new stamp", policies)?;
    unsure.finish("updates with an old stamp, or none", policies * count / 20)
}

/// Whether the compiled policies name all that a removal can cause of podgate's findings, and nothing else.
fn are_of_removals(answers: &Answers) -> bool {
    let [always, never] = removable();
    let Some((ours, theirs)) = answers.findings() else { return true };
    let id = |finding: &String| finding.split(' ').next().unwrap_or_default().to_owned();
    let is = |finding: &String| {
        let id = id(finding);
        always.contains(&id) || id.starts_with("validations/")
    };
    ours.iter().filter(|it| is(it)).all(|it| theirs.iter().any(|theirs| shows(theirs, it)))
        && theirs.iter().all(|it| !never.contains(&id(it)))
}

/// The rules and checks whose findings are always, and those whose findings are never caused by a removal.
fn removable() -> [BTreeSet<String>; 2] {
    let (mut always, mut never) = (BTreeSet::new(), BTreeSet::new());
    for level in ["baseline", "restricted"] {
        let spec = json!({
            "podSecurity": level, "forbidLatestTag": true, "requireImageDigest": true, "allowedRegistries": ["x"],
            "requireLivenessProbe": true, "requireReadinessProbe": true, "requiredLabels": [{"key": "x"}],
            "requireResourceRequests": ["cpu"], "requireResourceLimits": ["cpu"],
        });
        let spec = serde_json::from_value(spec).unwrap();
        for rule in RULES {
            let Form::Cel(findings) = rule.vap else { continue };
            for it in findings(&spec) {
                let id =
                    it.check.map_or(rule.id.to_owned(), |check| format!("{}/{check}", rule.id));
                (if it.by_removal { &mut always } else { &mut never }).insert(id);
            }
        }
    }
    let both: BTreeSet<_> = always.intersection(&never).cloned().collect();
    [always, never].map(|it| it.difference(&both).cloned().collect())
}

/// A random policy, sometimes with validations, and sometimes one that completes pods.
fn policy(random: &mut Random) -> Value {
    let mut spec = generate::policy(random);
    if random.one_in(2) {
        spec["validations"] = json!([
            {"name": "limited", "expression": "object.spec.containers.all(c, has(c.resources) && has(c.resources.limits))",
             "message": "has no limits"},
            {"name": "few", "expression": "object.spec.?volumes.orValue([]).size() < 1", "message": "has volumes",
             "severity": "low"},
        ]);
    }
    if random.one_in(3) {
        spec["mutate"] = json!(true);
        spec["defaultResources"] = json!({"cpuRequest": "100m", "cpuLimit": "1", "memoryRequest": "64Mi", "memoryLimit": "64Mi"});
        spec["imageTags"] = json!([{"image": "nginx", "from": "latest", "to": "1.29"}]);
    }
    spec
}

/// Random removals from pods, with the stamps of the last beat. Of a pod's update, podgate denies only what is new: all of
/// it is caused by the removal. A template that changes is judged whole.
fn removals(policies: usize, count: usize) -> Result<(), String> {
    let generator = Generator::new();
    let mut random = Random::new(SEED + 1);
    let mut judge = Judge::start();
    let (mut pods, mut templates) = (Tally::default(), Tally::default());
    for _ in 0..policies {
        let mut specs = [policy(&mut random), policy(&mut random)];
        for field in ["exemptions", "graceUntil", "denySeverity"] {
            specs[0].as_object_mut().unwrap().remove(field);
        }
        specs[0]["podSecurity"] = json!("restricted");
        let named: Vec<(&str, &Value)> = ["a", "b"].into_iter().zip(&specs).collect();
        let mut door = heard(judge, set(&named));
        let what = json!(specs).to_string();
        let writes: Vec<_> = (0..count).map(|_| removal(&generator, &mut random)).collect();
        let (of_pods, of_templates): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|it| it.object["kind"] == "Pod");
        pods.add(Tally::of(&mut door, &of_pods), &what);
        templates.add(Tally::by(&mut door, &of_templates, Answers::are_of_podgate), &what);
        judge = door.close();
    }
    pods.finish("removals from pods", policies * count / 20)?;
    templates.finish("removals from templates", policies * count / 40)
}

/// An update that only removes fields, of a pod as often as of templates.
fn removal(generator: &Generator, random: &mut Random) -> Change {
    let mut pod = generator.pod(random);
    if random.one_in(2) {
        pod = complete(pod);
    }
    let kind = if random.one_in(2) { Kind::Pod } else { *random.of(&Kind::ALL) };
    let mut old = held_by(kind, &pod);
    own(&mut old, random);
    let mut new = old.clone();
    for _ in 0..=random.below(3) {
        let mut fields = Vec::new();
        optional(&new, "", &mut fields);
        if fields.is_empty() {
            break;
        }
        let at = random.of(&fields).clone();
        let (parent, field) = at.rsplit_once('/').unwrap();
        match new.pointer_mut(parent).unwrap() {
            Value::Object(fields) => drop(fields.remove(&field.replace("~1", "/"))),
            Value::Array(items) => drop(items.remove(field.parse().unwrap())),
            _ => unreachable!(),
        }
    }
    let written = stamped(update(&old, &new), stamps(&["2026-05-01T00:00:00Z", NOW]));
    Change { user: user(random), ..written }
}

/// The pod with all that a policy may require.
fn complete(mut pod: Value) -> Value {
    pod["metadata"]["labels"] = json!({"team": "cart", "name": "web"});
    pod["spec"]["securityContext"]["runAsNonRoot"] = json!(true);
    pod["spec"]["securityContext"]["seccompProfile"] = json!({"type": "RuntimeDefault"});
    let amounts = json!({"cpu": "1", "memory": "64Mi", "ephemeral-storage": "1Gi"});
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            container["livenessProbe"] = json!({"tcpSocket": {"port": 80}});
            container["readinessProbe"] = json!({"tcpSocket": {"port": 80}});
            container["resources"] = json!({"requests": amounts, "limits": amounts});
            container["securityContext"]["allowPrivilegeEscalation"] = json!(false);
            container["securityContext"]["capabilities"] = json!({"drop": ["ALL"]});
        }
    }
    pod
}

/// The pointers of what an update may remove.
fn optional(value: &Value, at: &str, found: &mut Vec<String>) {
    const NEEDED: [&str; 15] = [
        "reference",
        "type",
        "apiVersion",
        "kind",
        "name",
        "image",
        "metadata",
        "spec",
        "template",
        "jobTemplate",
        "containers",
        "generateName",
        "uid",
        "schedule",
        "operator",
    ];
    match value {
        Value::Object(fields) => {
            for (field, below) in fields {
                let at = format!("{at}/{}", field.replace('/', "~1"));
                if !NEEDED.contains(&field.as_str()) {
                    found.push(at.clone());
                }
                optional(below, &at, found);
            }
        }
        Value::Array(items) => {
            for (index, below) in items.iter().enumerate() {
                let at = format!("{at}/{index}");
                // The lists of a pod's containers are what they are: their places tell what was there before.
                if items.len() > 1 && !at.contains("ontainers/") {
                    found.push(at.clone());
                }
                optional(below, &at, found);
            }
        }
        _ => {}
    }
}
