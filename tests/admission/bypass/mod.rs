//! The bypass matrix: every resource that the live API server serves and that bears a pod, with a
//! violation at every place in that pod, by every way to write it. What the matrix does not know
//! fails it.

mod corners;
mod discovery;
mod table;

use std::collections::BTreeMap;
use std::thread;

use discovery::{Resource, Served};
use podgate::policy::workload::Kind;
use serde_json::Value;
use table::{Place, Route, Step, Verdict, clean_pod, policy, verdict};

use crate::support::cluster::{Cluster, Namespace};
use crate::support::manifests::{in_pod, workload};
use crate::support::wire::{Reply, Run, Write, unversioned};
use crate::{Test, enforce};

pub const TESTS: &[Test] = &[
    ("no_way_to_write_a_pod_that_the_api_server_serves_leads_past_podgate", matrix),
    ("a_suspended_job_is_judged_by_what_its_template_becomes", corners::suspended_job),
    ("a_resize_of_the_whole_pod_is_judged_in_its_containers", corners::resize_of_the_whole_pod),
    (
        "an_old_violation_is_no_pass_for_the_same_value_in_another_field",
        corners::another_field_of_an_old_violation,
    ),
];

fn matrix(cluster: &Cluster) {
    let served = Served::by(cluster);
    let mut routes: BTreeMap<&str, Vec<(&Resource, Route)>> = BTreeMap::new();
    for resource in &served.pod_bearing {
        let route = Route::of(resource).unwrap_or_else(|| {
            panic!(
                "{} {} takes a body with a pod's spec in it, and the bypass matrix does not know it: have \
                 podgate judge it (src/policy/workload.rs, src/admission/registration.rs), or say in \
                 tests/admission/bypass/table.rs why that is not needed",
                resource.api_version(),
                resource.name
            )
        });
        routes.entry(route.kind().names().kind).or_default().push((resource, route));
    }
    for kind in Kind::ALL {
        assert!(routes.contains_key(kind.names().kind), "{kind:?} was not discovered");
    }
    let previews: Vec<_> =
        served.writable.iter().filter(|it| it.version.contains(['a', 'b'])).collect();
    println!(
        "the API server serves {} writable resources, {} of which bear a pod; alpha and beta: {previews:?}",
        served.writable.len(),
        served.pod_bearing.len(),
    );

    let tried: Vec<Cell> = thread::scope(|scope| {
        let kinds = routes.values().map(|routes| scope.spawn(|| try_all(cluster, routes)));
        let kinds: Vec<_> = kinds.collect();
        kinds.into_iter().flat_map(|kind| kind.join().unwrap()).collect()
    });
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for cell in &tried {
        *counts.entry(format!("{:?}", cell.verdict)).or_default() += 1;
    }
    println!(
        "the bypass matrix tried {} cells, each with its clean twin: {counts:#?}",
        tried.len()
    );
    let failures: Vec<_> = tried.iter().filter_map(|cell| cell.failure.as_deref()).collect();
    assert!(failures.is_empty(), "{} cells failed:\n{}", failures.len(), failures.join("\n"));
}

/// A cell of the matrix, tried.
struct Cell {
    verdict: Verdict,
    failure: Option<String>,
}

/// All cells of a kind and its subresources, in a namespace of their own.
fn try_all(cluster: &Cluster, routes: &[(&Resource, Route)]) -> Vec<Cell> {
    let shop = cluster.namespace("shop");
    shop.policy("matrix", &enforce(&policy()));
    let kind = routes[0].1.kind();
    let labels = in_pod(kind, serde_json::json!({"metadata": {"labels": {"team": "cart"}}}));
    let manifest = amended(&workload(kind, clean_pod()), &labels);
    shop.write(Run::Real, Write::Apply, kind, "web", &manifest).object();
    let mut cells = Vec::new();
    for &(resource, route) in routes {
        for place in Place::ALL {
            for step in route.steps() {
                let verdict = verdict(route, place, step);
                let target = Target { shop: &shop, resource, kind, manifest: &manifest };
                let failure = target
                    .check(place, step, verdict)
                    .err()
                    .map(|why| format!("{} {place:?} {step:?}: {why}", resource.name));
                cells.push(Cell { verdict, failure });
            }
        }
    }
    cells
}

/// Where a kind's cells are tried.
struct Target<'a> {
    shop: &'a Namespace<'a>,
    resource: &'a Resource,
    kind: Kind,
    manifest: &'a Value,
}

impl Target<'_> {
    fn check(&self, place: Place, step: Step, verdict: Verdict) -> Result<(), String> {
        let violation = in_pod(self.kind, place.change(false));
        let twin = in_pod(self.kind, place.change(true));
        let (denied, clean) = (self.write(step, &violation), self.write(step, &twin));
        // Whether the pod came out changed: also of a write that was admitted.
        let changed = |reply: &Reply, change: &Value| {
            reply.admitted() && amended(&reply.body, change) == reply.body
        };
        let kept = |reply: &Reply, change: &Value| reply.admitted() && !changed(reply, change);
        let right = match verdict {
            Verdict::Denied => {
                denied.code == 403
                    && self.words(place, step).iter().all(|it| denied.message().contains(it))
                    && changed(&clean, &twin)
            }
            Verdict::Refused(words) => [&denied, &clean].iter().all(|reply| {
                let message = reply.message();
                reply.code == 422 && message.contains(words) && !message.contains("webhook")
            }),
            Verdict::Kept(_) => kept(&denied, &violation) && kept(&clean, &twin),
            Verdict::NotAsked(_) => changed(&denied, &violation) && changed(&clean, &twin),
        };
        let tell = |reply: &Reply| format!("{} {}", reply.code, clip(reply.message()));
        if right {
            Ok(())
        } else {
            Err(format!("not {verdict:?}: {}; its twin: {}", tell(&denied), tell(&clean)))
        }
    }

    /// What a denial must say.
    fn words(&self, place: Place, step: Step) -> [String; 3] {
        let names = self.kind.names();
        let name = if matches!(step, Step::Create(_)) { "new" } else { "web" };
        let pod = names.spec_path.strip_suffix("spec").unwrap();
        [
            "admission webhook \"validate.podgate.devops.stochastic.io\" denied the request"
                .to_owned(),
            format!("{} {}/{name} breaks 1 rule\n", names.kind, self.shop.name),
            format!("\n    {pod}{} is ", place.path()),
        ]
    }

    /// Writes a change in a form, by a dry run.
    fn write(&self, step: Step, change: &Value) -> Reply {
        let Resource { name: resource, .. } = self.resource;
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let root = if self.resource.group.is_empty() { "/api" } else { "/apis" };
        let collection = format!(
            "{root}/{}/namespaces/{}/{resource}",
            self.resource.api_version(),
            self.shop.name
        );
        let object = |name: &str| {
            format!("{collection}/{name}/{subresource}").trim_end_matches('/').to_owned()
        };
        let mut manifest = amended(self.manifest, change);
        manifest["apiVersion"] = self.resource.api_version().into();
        let dry = |write: Write, path: &str, body: &Value| {
            self.shop.cluster.write(Run::Dry, write, path, body)
        };
        match step {
            Step::Create(write) => {
                manifest["metadata"]["name"] = "new".into();
                let path = if write == Write::Post { collection } else { object("new") };
                dry(write, &path, &manifest)
            }
            Step::Update(Write::Apply) => dry(Write::Apply, &object("web"), &manifest),
            Step::Update(write) => {
                let before = self.shop.cluster.get(&object("web"));
                let after = amended(&before, change);
                let body = match write {
                    Write::JsonPatch => {
                        serde_json::to_value(json_patch::diff(&before, &after)).unwrap()
                    }
                    Write::MergePatch => with_whole_lists(change, &after),
                    Write::StrategicPatch => change.clone(),
                    _ => unversioned(after),
                };
                dry(write, &object("web"), &body)
            }
        }
    }
}

/// An object after a change: items of a list are found by their name, as in a strategic merge.
fn amended(object: &Value, change: &Value) -> Value {
    match (object, change) {
        (Value::Object(fields), Value::Object(changes)) => {
            let mut fields = fields.clone();
            for (key, change) in changes {
                let before = fields.get(key).unwrap_or(&Value::Null);
                let after = amended(before, change);
                fields.insert(key.clone(), after);
            }
            Value::Object(fields)
        }
        (Value::Array(items), Value::Array(changes)) => {
            let mut items = items.clone();
            for change in changes {
                match items.iter_mut().find(|item| item["name"] == change["name"]) {
                    Some(item) => *item = amended(item, change),
                    None => items.push(change.clone()),
                }
            }
            Value::Array(items)
        }
        _ => change.clone(),
    }
}

/// A change as a JSON merge patch says it, which replaces lists.
fn with_whole_lists(change: &Value, after: &Value) -> Value {
    match change {
        Value::Object(changes) => changes
            .iter()
            .map(|(key, change)| (key.clone(), with_whole_lists(change, &after[key])))
            .collect(),
        _ => after.clone(),
    }
}

fn clip(message: &str) -> String {
    message.chars().take(300).collect()
}
