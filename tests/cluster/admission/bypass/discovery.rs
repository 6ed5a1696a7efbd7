//! The resources that the live API server serves, from its discovery documents, and their fields, from its schemas.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::cluster::Cluster;
use crate::support::eventually;

const POD_SPEC: &str = "io.k8s.api.core.v1.PodSpec";
const REFERENCE: &str = "#/components/schemas/";

/// A resource that can be written, or a subresource (`pods/resize`).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub name: String,
}

impl Resource {
    /// The resource that an operation's path writes; `None` for a watch or a path without a resource.
    fn at(path: &str) -> Option<Self> {
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let (group, version, below) = match parts.as_slice() {
            ["api", version, below @ ..] => ("", version, below),
            ["apis", group, version, below @ ..] => (*group, version, below),
            _ => return None,
        };
        let below = below.strip_prefix(&["namespaces", "{namespace}"]).unwrap_or(below);
        let name = match below {
            ["watch", ..] | [] => return None,
            [resource, "{name}", subresource, ..] => format!("{resource}/{subresource}"),
            [resource, ..] => (*resource).to_owned(),
        };
        Some(Self { group: group.to_owned(), version: (*version).to_owned(), name })
    }

    /// `apps/v1`, as in a manifest.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// The writable resources, and those whose body contains a pod spec.
#[derive(Default)]
pub struct Served {
    pub writable: BTreeSet<Resource>,
    pub pod_bearing: BTreeSet<Resource>,
}

impl Served {
    /// Reads the schema documents until they cover all resources of discovery: those of a new CRD come later, and are
    /// empty at first.
    pub fn by(cluster: &Cluster) -> Self {
        let covering = eventually("the OpenAPI documents to cover the served resources", || {
            let mut served = Self::default();
            for document in cluster.get("/openapi/v3")["paths"].as_object().unwrap().values() {
                let url = document["serverRelativeURL"].as_str().unwrap();
                served.read(&cluster.try_get(url)?);
            }
            let listed = listed(cluster);
            let unseen: Vec<_> = listed.difference(&served.writable).collect();
            if unseen.is_empty() { Ok(served) } else { Err(format!("{unseen:?} have none")) }
        });
        covering.0
    }

    fn read(&mut self, document: &Value) {
        let schemas = &document["components"]["schemas"];
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            let Some(resource) = Resource::at(path) else { continue };
            // The request body of a patch does not name the patched kind, but its response does.
            let bodies = [("post", "requestBody"), ("put", "requestBody"), ("patch", "responses")];
            for (method, body) in bodies {
                let operation = &operations[method];
                if operation.is_null() {
                    continue;
                }
                self.writable.insert(resource.clone());
                if bears_pod(schemas, &operation[body], &mut BTreeSet::new()) {
                    self.pod_bearing.insert(resource.clone());
                }
            }
        }
    }
}

/// Whether a schema contains a pod spec, at any depth.
fn bears_pod<'a>(schemas: &'a Value, schema: &'a Value, visited: &mut BTreeSet<&'a str>) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            let name = value.as_str().and_then(|it| it.strip_prefix(REFERENCE));
            match name.filter(|_| key == "$ref") {
                Some(POD_SPEC) => true,
                Some(name) => visited.insert(name) && bears_pod(schemas, &schemas[name], visited),
                None => bears_pod(schemas, value, visited),
            }
        }),
        Value::Array(items) => items.iter().any(|item| bears_pod(schemas, item, visited)),
        _ => false,
    }
}

/// The resources that discovery lists as writable.
fn listed(cluster: &Cluster) -> BTreeSet<Resource> {
    let mut versions = vec![("/api/v1".to_owned(), String::new(), "v1".to_owned())];
    for group in cluster.get("/apis")["groups"].as_array().unwrap() {
        let name = group["name"].as_str().unwrap();
        for version in group["versions"].as_array().unwrap() {
            let version = version["version"].as_str().unwrap();
            versions.push((format!("/apis/{name}/{version}"), name.to_owned(), version.to_owned()));
        }
    }
    let mut listed = BTreeSet::new();
    for (path, group, version) in versions {
        for resource in cluster.get(&path)["resources"].as_array().unwrap() {
            let verbs = resource["verbs"].as_array().unwrap();
            if verbs.iter().any(|verb| ["create", "update", "patch"].iter().any(|it| verb == it)) {
                let name = resource["name"].as_str().unwrap().to_owned();
                listed.insert(Resource { group: group.clone(), version: version.clone(), name });
            }
        }
    }
    listed
}
