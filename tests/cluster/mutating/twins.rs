//! Namespaces in pairs: in one podgate is called, in the other the API server judges and adds by itself.

use futures::{StreamExt, stream};
use kube::Client;
use kube::api::{PostParams, Request};
use podgate::policy::workload::Kind;
use regex::Regex;
use serde_json::{Value, json};

use super::generate::policy;
use crate::in_tree::generate::Random;
use crate::support::binary;
use crate::support::cluster::{Cluster, Namespace};
use crate::support::control_plane::{Options, text};
use crate::support::eventually;
use crate::support::foreign;
use crate::support::manifests::{pod, workload};
use crate::support::review;

/// A pair with a complete policy of its own, and a cluster's policy that selects it by a label.
pub const SHOP: &str = "shop";
/// Where podgate is called, and where it is not. Both names are equally long, because an annotation names them.
const SIDES: [&str; 2] = ["in-hook", "in-tree"];
/// The requests at a time.
const PARALLEL: usize = 4;

pub struct Twins {
    pub cluster: Cluster,
    /// The pairs, of which all but [`SHOP`] have random policies.
    pub pairs: Vec<String>,
    policies: Value,
}

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The pod, without what every request has of its own.
    Admitted(Value),
    /// By podgate or the compiled policies.
    Denied,
    /// By the API server's validation.
    Refused(String),
}

impl Outcome {
    pub fn admitted(self) -> Option<Value> {
        match self {
            Self::Admitted(pod) => Some(pod),
            Self::Denied | Self::Refused(_) => None,
        }
    }
}

/// A policy that adds all that there is.
fn completing() -> Value {
    json!({
        "podSecurity": "restricted",
        "enforcementMode": "enforce",
        "mutate": true,
        "exemptions": [{
            "rules": ["requireLivenessProbe", "requireReadinessProbe"], "containers": [foreign::CONTAINER],
            "reason": "it has no port", "owner": "mesh",
        }],
        "requireLivenessProbe": true,
        "requireReadinessProbe": true,
        "defaultResources": {"cpuRequest": "10m", "memoryRequest": "32Mi", "memoryLimit": "64Mi"},
        "defaultProbe": {"periodSeconds": 7},
        "imageTags": [
            {"image": "nginx", "from": "latest", "to": "1.29"},
            {"image": "ghcr.io/example/shipper", "from": "latest", "to": "2.0"},
        ],
    })
}

impl Twins {
    pub fn start() -> Self {
        Self::start_with(1)
    }

    /// With more policies, which the API server takes minutes to compile and check.
    pub fn start_long() -> Self {
        Self::start_with(6)
    }

    fn start_with(sets: usize) -> Self {
        let pairs: Vec<_> = (0..sets).map(|set| set.to_string()).chain([SHOP.to_owned()]).collect();
        let protected: Vec<_> =
            pairs.iter().map(|pair| format!("--protected-namespace=in-tree-{pair}")).collect();
        let protected: Vec<_> = protected.iter().map(String::as_str).collect();
        let cluster = Cluster::start_with(Options::default(), &protected);
        let (mut namespaces, mut policies, mut random) = (Vec::new(), Vec::new(), Random::new(7));
        for pair in &pairs {
            for side in SIDES {
                namespaces.push(json!({
                    "apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": format!("{side}-{pair}"), "labels": {"pair": pair}},
                }));
            }
        }
        for (number, pair) in pairs.iter().enumerate() {
            let special = pair == SHOP;
            let mode = if number % 2 == 0 && !special { "audit" } else { "enforce" };
            let own = if special { completing() } else { policy(&mut random, mode) };
            for side in SIDES {
                // Some pairs have no policy of their own, so that they share an object.
                if number % 4 != 3 || special {
                    policies.push(document(
                        "DevOpsPolicy",
                        "defaults",
                        Some(&format!("{side}-{pair}")),
                        &own,
                    ));
                }
            }
            let mut chosen = match pair.as_str() {
                SHOP => {
                    json!({"mutate": true, "defaultResources": {"memoryLimit": "128Mi", "cpuLimit": "2"}})
                }
                _ => policy(&mut random, mode),
            };
            chosen["namespaceSelector"] = if number % 2 == 0 {
                json!({"matchLabels": {"pair": pair}})
            } else {
                let others: Vec<_> = pairs.iter().filter(|it| *it != pair).collect();
                json!({"matchExpressions": [
                    {"key": "pair", "operator": "Exists"}, {"key": "pair", "operator": "NotIn", "values": others},
                ]})
            };
            let name = if pair == SHOP { "team".to_owned() } else { format!("set{pair}") };
            policies.push(document("ClusterDevOpsPolicy", &name, None, &chosen));
        }
        let twins = Self { cluster, pairs, policies: json!(policies) };
        twins.put(&[namespaces, policies].concat());
        twins.compile();
        twins.await_podgate();
        twins
    }

    /// Writes the objects that podgate compiles of the cluster's policies, and waits until the API server has them.
    fn compile(&self) {
        let admin = self.cluster.plane.kubeconfig("admin");
        let protected: Vec<_> =
            self.pairs.iter().map(|pair| format!("--protected-namespace=in-hook-{pair}")).collect();
        let output = binary::command()
            .env("KUBECONFIG", admin)
            .args(["policy", "to-vap", "--mutate"])
            .args(protected)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let told = text(&output.stderr);
        assert!(!told.contains("nothing is added to a pod"), "{told}");
        let objects = text(&output.stdout);
        println!("{} bytes of objects", objects.len());
        self.cluster.plane.kubectl(&["create", "-f", "-"]).given(&objects).ok();
        // The API server takes policies in the order in which they were written.
        let last = json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["in-tree-shop"]},
        ]});
        let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]);
        let object = |kind: &str, spec: Value| {
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": {"name": "zz-last"}, "spec": spec,
            })
        };
        let constraints = json!({"namespaceSelector": last, "resourceRules": rules});
        let denying = json!({
            "matchConstraints": constraints,
            "validations": [{"expression": "'last' in object.?data.orValue({})", "message": "the last policy is in force"}],
        });
        let adding = json!({
            "matchConstraints": constraints, "reinvocationPolicy": "Never", "failurePolicy": "Fail",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {
                "expression": "[JSONPatch{op: 'add', path: '/data', value: {'seen': 'yes'}}]",
            }}],
        });
        self.put(&[
            object("ValidatingAdmissionPolicy", denying),
            object(
                "ValidatingAdmissionPolicyBinding",
                json!({"policyName": "zz-last", "validationActions": ["Deny"]}),
            ),
            object("MutatingAdmissionPolicy", adding),
            object("MutatingAdmissionPolicyBinding", json!({"policyName": "zz-last"})),
        ]);
        let create = |name: &str, data: &Value| {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
            let create = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
            self.cluster.plane.kubectl(&create).within("in-tree-shop").given(&map).output()
        };
        eventually("the last policies to be in force", || match create("a", &json!({})) {
            (false, told) if told.contains("the last policy is in force") => Ok(()),
            (_, other) => Err(other),
        });
    }

    /// Waits until podgate has all policies: those that were written last.
    fn await_podgate(&self) {
        let cluster = &self.cluster;
        cluster.cluster_policy("zz-last", &json!({
            "enforcementMode": "enforce", "forbidLatestTag": true, "namespaceSelector": {"matchLabels": {"last": "yes"}},
        }));
        let last = cluster.labelled_namespace("last", &json!({"last": "yes"}));
        last.policy("zz-last", &json!({"enforcementMode": "enforce", "forbidLatestTag": true}));
        let canary = review::create(&last.name, &workload(Kind::Pod, pod("canary")));
        eventually("podgate to have the cluster's policies", || {
            let annotations = &cluster.podgate.review(&canary)["auditAnnotations"];
            let named = annotations["policy"].as_str().unwrap_or_default();
            if named.split(',').any(|it| it == "zz-last") {
                Ok(())
            } else {
                Err(annotations.to_string())
            }
        });
    }

    fn put(&self, objects: &[Value]) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        eventually("the objects to be taken", || {
            self.cluster.plane.kubectl(&["apply", "--server-side", "-f", "-"]).given(&list).result()
        });
    }

    /// Both namespaces of a pair.
    pub fn namespaces(&self, pair: &str) -> [Namespace<'_>; 2] {
        SIDES.map(|side| Namespace { cluster: &self.cluster, name: format!("{side}-{pair}") })
    }

    /// The policies, for people.
    pub fn policies(&self) -> String {
        self.policies.to_string()
    }

    /// What the type checker says of the compiled policies that judge; an error if it has not seen all.
    pub fn type_checks(&self) -> Result<Vec<String>, String> {
        let list = self
            .cluster
            .plane
            .kubectl(&["get", "validatingadmissionpolicies", "-o", "json"])
            .result()?;
        let list: Value = serde_json::from_str(&list).unwrap();
        let mut warnings = Vec::new();
        for policy in list["items"].as_array().unwrap() {
            let checking = policy["status"].get("typeChecking").ok_or("not checked yet")?;
            warnings.extend(
                checking
                    .get("expressionWarnings")
                    .map(|it| format!("{}: {it}", policy["metadata"]["name"])),
            );
        }
        Ok(warnings)
    }

    /// What becomes of pods in both namespaces of a pair.
    pub fn both(&self, pair: &str, pods: &[Value]) -> [Vec<Outcome>; 2] {
        self.namespaces(pair).map(|it| {
            let each = stream::iter(pods).map(|pod| outcome(&self.cluster.client, &it.name, pod));
            let all = each.buffered(PARALLEL);
            self.cluster.wait(all.collect())
        })
    }
}

/// What becomes of a pod as it is written, also with nulls.
async fn outcome(client: &Client, namespace: &str, pod: &Value) -> Outcome {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let names = review::kind_of(pod).names();
    let group = if names.group.is_empty() { "api" } else { "apis" };
    let url = format!("/{group}/{}/namespaces/{namespace}/{}", names.api_version(), names.resource);
    let request = Request::new(url).create(&params, pod.to_string().into_bytes()).unwrap();
    // A Job's labels have its uid.
    let uid = Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
    let same =
        |text: &str| uid.replace_all(&text.replace("in-tree-", "in-hook-"), "uid").into_owned();
    match client.request_text(request).await {
        Ok(created) => {
            let mut created: Value = serde_json::from_str(&same(&created)).unwrap();
            let metadata = created["metadata"].as_object_mut().unwrap();
            for own in ["uid", "creationTimestamp", "managedFields", "resourceVersion", "namespace"]
            {
                metadata.remove(own);
            }
            if metadata.contains_key("generateName") {
                metadata.remove("name");
            }
            created.as_object_mut().unwrap().remove("status");
            Outcome::Admitted(created)
        }
        Err(kube::Error::Api(status)) if status.message.contains(" denied ") => Outcome::Denied,
        Err(kube::Error::Api(status)) => {
            let message = same(&status.message);
            // It may name the pod, whose generated name is random.
            Outcome::Refused(
                message
                    .split_once(" is invalid: ")
                    .map_or(message.clone(), |(_, it)| it.to_owned()),
            )
        }
        Err(other) => panic!("no answer from the API server: {other}"),
    }
}

/// The annotation that lists what was added.
pub fn mark(pod: &Value) -> Option<String> {
    let mark = pod.pointer("/metadata/annotations")?.get("devops.stochastic.io/mutated-by")?;
    mark.as_str().map(str::to_owned)
}

fn document(kind: &str, name: &str, namespace: Option<&str>, spec: &Value) -> Value {
    json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}
