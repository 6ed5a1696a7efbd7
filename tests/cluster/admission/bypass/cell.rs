//! One cell of the matrix: a violation at a place, written in a form, and its clean twin.

use podgate::policy::workload::Kind;
use serde_json::Value;

use super::discovery::Resource;
use super::table::{Place, Step, Verdict};
use crate::support::cluster::Namespace;
use crate::support::manifests::in_pod;
use crate::support::wire::{Reply, Run, Write, unversioned};

/// The object `web`, on which the cells of a resource are tried, and its namespace with the policy.
pub struct Target<'a> {
    pub shop: &'a Namespace<'a>,
    pub resource: &'a Resource,
    pub kind: Kind,
    /// The manifest of `web`.
    pub manifest: &'a Value,
}

impl Target<'_> {
    /// Tries a violation and its clean twin; returns the difference from the table.
    pub fn check(&self, place: Place, step: Step, verdict: Verdict) -> Result<(), String> {
        let violation = in_pod(self.kind, place.change(false));
        let twin = in_pod(self.kind, place.change(true));
        let (denied, clean) = (self.write(step, &violation), self.write(step, &twin));
        // Whether the write changed the pod, which is possible for an admitted write too.
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
        let describe = |reply: &Reply| format!("{} {}", reply.code, clip(reply.message()));
        if right {
            Ok(())
        } else {
            Err(format!("not {verdict:?}: {}; its twin: {}", describe(&denied), describe(&clean)))
        }
    }

    /// The text that a denial must contain.
    fn words(&self, place: Place, step: Step) -> [String; 3] {
        let names = self.kind.names();
        let name = if matches!(step, Step::Create(_)) { "new" } else { "web" };
        let pod = names.spec_path.strip_suffix("spec").unwrap();
        [
            "admission webhook \"validate.podgate.devops.stochastic.io\" denied the request"
                .to_owned(),
            format!("{} {}/{name} breaks 1 rule", names.kind, self.shop.name),
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

/// An object after a change. List items are matched by name, as in a strategic merge.
pub fn amended(object: &Value, change: &Value) -> Value {
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

/// A change as a JSON merge patch, which replaces lists.
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
