//! What of a pod a verdict was made from, so that two versions of the pod can be told to be the same in its eyes.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The fields of a pod that something reads, each with all that is below it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reads {
    /// From the pod's root: `["spec", "containers"]`. The empty path is the whole pod.
    paths: BTreeSet<Vec<String>>,
}

/// What the API server writes into the metadata of any object by itself: who reads all of it did not mean that.
const OF_THE_SERVER: [&str; 3] = ["generation", "managedFields", "resourceVersion"];

impl Reads {
    pub fn add(&mut self, path: Vec<String>) {
        self.paths.insert(path);
    }

    pub fn add_all(&mut self, other: &Self) {
        self.paths.extend(other.paths.iter().cloned());
    }

    /// Whether two versions of a pod are the same in all of it.
    pub fn same(&self, old: &Value, new: &Value) -> bool {
        self.paths.iter().all(|path| {
            let (old, new) = (at(old, path), at(new, path));
            match path.as_slice() {
                [] => same_pod(old, new),
                [metadata] if metadata == "metadata" => {
                    without(old, &OF_THE_SERVER) == without(new, &OF_THE_SERVER)
                }
                _ => old == new,
            }
        })
    }
}

/// A null is a field that is not there.
fn at<'v>(pod: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(pod, |value, field| value.get(field)).filter(|value| !value.is_null())
}

/// Compares whole pods, but for what the API server and the kubelet write.
fn same_pod(old: Option<&Value>, new: Option<&Value>) -> bool {
    let metadata =
        |pod: Option<&Value>| without(pod.and_then(|pod| pod.get("metadata")), &OF_THE_SERVER);
    let rest = ["metadata", "status"];
    metadata(old) == metadata(new) && without(old, &rest) == without(new, &rest)
}

fn without(value: Option<&Value>, fields: &[&str]) -> Map<String, Value> {
    let all = value.and_then(Value::as_object).into_iter().flatten();
    let kept = all.filter(|(field, _)| !fields.contains(&field.as_str()));
    kept.map(|(field, value)| (field.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reads(paths: &[&str]) -> Reads {
        let mut reads = Reads::default();
        for path in paths {
            reads.add(path.split('.').filter(|it| !it.is_empty()).map(str::to_owned).collect());
        }
        reads
    }

    #[test]
    fn a_pod_is_the_same_where_nothing_differs_that_is_read() {
        let old = json!({
            "metadata": {"name": "web", "labels": {"app": "web"}, "ownerReferences": [{"name": "r"}],
                "resourceVersion": "1", "generation": 1, "managedFields": [1]},
            "spec": {"containers": [{"image": "nginx"}], "hostname": null},
            "status": {"phase": "Running"},
        });
        let mut orphaned = old.clone();
        orphaned["metadata"] = json!({"name": "web", "labels": {"app": "web"}, "resourceVersion": "2", "generation": 2});
        orphaned["status"] = json!({"phase": "Failed"});
        let mut swapped = old.clone();
        swapped["spec"]["containers"][0]["image"] = json!("evil");
        for (paths, new, expected) in [
            (vec!["spec.containers"], &orphaned, true),
            (vec!["spec", "metadata.labels.app"], &orphaned, true),
            (vec!["spec.hostname", "spec.hostPID"], &orphaned, true),
            (vec!["metadata.ownerReferences"], &orphaned, false),
            (vec!["metadata"], &orphaned, false),
            (vec![""], &orphaned, false),
            (vec!["status.phase"], &orphaned, false),
            (vec!["metadata.resourceVersion"], &orphaned, false),
            (vec!["spec.containers"], &swapped, false),
            (vec!["metadata", "spec.hostname"], &swapped, true),
            (vec!["metadata", ""], &swapped, false),
            (vec![], &swapped, true),
        ] {
            assert_eq!(reads(&paths).same(&old, new), expected, "{paths:?}");
        }
        let mut written = old.clone();
        written["metadata"]["managedFields"] = json!([2]);
        written["status"] = json!(null);
        assert!(reads(&["", "metadata"]).same(&old, &written));
    }
}
