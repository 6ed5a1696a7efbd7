//! Random policies with `mutate`, and pods for them.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::in_tree::generate::{self as in_tree, Generator, Random};
use crate::pod_security::corpus::{self, CONTAINERS, set};
use crate::support::manifests::workload;

/// The images of the pods, of which `imageTags` name some.
const IMAGES: [&str; 12] = [
    "nginx",
    "nginx:latest",
    "nginx:1.28",
    "docker.io/library/nginx",
    "Index.Docker.IO/nginx:1.28",
    "ghcr.io/team/web",
    "GHCR.io/team/web:latest",
    "ghcr.io/team/web:1",
    "registry:5000/team/web:1",
    "nginx@sha256:0123456789012345678901234567890123456789012345678901234567890123",
    "Nginx",
    "[::1]:80/team/web:b",
];
const DIGEST: &str = "sha256:0123456789012345678901234567890123456789012345678901234567890123";

/// Random pods.
pub struct Pods {
    bases: Vec<(&'static str, Value)>,
    fields: Generator,
}

impl Pods {
    pub fn new() -> Self {
        Self { bases: corpus::bases(), fields: Generator::new() }
    }

    /// A pod, or a workload with it.
    pub fn object(&self, random: &mut Random) -> Value {
        let pod = self.pod(random);
        if !random.one_in(4) {
            return pod;
        }
        let kind = *random.of(&Kind::ALL);
        if kind == Kind::Pod { pod } else { workload(kind, pod["spec"].clone()) }
    }

    pub fn pod(&self, random: &mut Random) -> Value {
        let mut pod = random.of(&self.bases).1.clone();
        for _ in 0..random.below(3) {
            self.fields.change(&mut pod, random);
        }
        for container in CONTAINERS {
            let mut put = |field: &str, values: &[Value], times: usize| {
                if random.one_in(times) {
                    set(&mut pod, &format!("{container}{field}"), random.of(values));
                }
            };
            put("/image", &IMAGES.map(Value::from), 2);
            let port =
                |port: u16, protocol: &str| json!({"containerPort": port, "protocol": protocol});
            let ports = [
                json!([port(8080, "TCP")]),
                json!([{"containerPort": 8080}, port(53, "UDP")]),
                json!([port(8080, "TCP"), port(9090, "TCP")]),
                json!([]),
            ];
            put("/ports", &ports, 3);
            let amounts = ["10m", "3", "0.0", "1e-1"].map(Value::from);
            for side in ["requests", "limits"] {
                put(&format!("/resources/{side}/cpu"), &amounts, 6);
                put(
                    &format!("/resources/{side}/memory"),
                    &["64Mi", "1Gi", "1"].map(Value::from),
                    6,
                );
            }
        }
        let mut put = |pointer: &str, value: Value, times: usize| {
            if random.one_in(times) {
                set(&mut pod, pointer, &value);
            }
        };
        put("/spec/securityContext/runAsNonRoot", json!(true), 3);
        put("/spec/nodeSelector", json!({"kubernetes.io/os": "windows"}), 15);
        put("/spec/resources", json!({"limits": {"memory": "4Gi"}}), 10);
        let annotation = "container.seccomp.security.alpha.kubernetes.io/web";
        put("/metadata/annotations", json!({annotation: "runtime/default"}), 10);
        in_tree::own(&mut pod, random);
        pod
    }
}

/// A random policy that adds to pods.
pub fn policy(random: &mut Random, mode: &str) -> Value {
    let mut spec = in_tree::policy(random);
    // The audit knows of no grace here, and the webhook's clock is not the API server's.
    spec.as_object_mut().unwrap().remove("graceUntil");
    spec["enforcementMode"] = json!(mode);
    spec["mutate"] = json!(!random.one_in(8));
    let mut put = |field: &str, values: &[Value], times: usize| {
        if !random.one_in(times) {
            spec[field] = random.of(values).clone();
        }
    };
    let resources = [
        json!({"cpuRequest": "10m", "memoryRequest": "32Mi", "memoryLimit": "64Mi"}),
        json!({"memoryLimit": "128Mi", "cpuLimit": "2"}),
        json!({"memoryRequest": "16Mi", "cpuLimit": "0.5"}),
        json!({"cpuRequest": "1e-2"}),
    ];
    put("defaultResources", &resources, 4);
    let probes = [
        json!({}),
        json!({"periodSeconds": 7, "initialDelaySeconds": 3}),
        json!({"tcpPort": 8080}),
        json!({"httpGet": {"path": "/it's", "port": 9090}, "periodSeconds": 5}),
    ];
    put("defaultProbe", &probes, 4);
    let tag = |image: &str, from: &str, to: &str| json!({"image": image, "from": from, "to": to});
    let tags = [
        json!([tag("nginx", "latest", "1.28"), tag("docker.io/library/nginx", "1.28", "1.29")]),
        json!([tag("nginx", "latest", DIGEST), tag("ghcr.io/team/web", "latest", "1")]),
        json!([tag("nginx", "1.28", "1.29"), tag("index.docker.io/nginx", "1.29", "1.28")]),
        json!([
            tag("GHCR.io/team/web", "1", "2"),
            tag("ghcr.io/team/web", "1", "3"),
            tag("nginx", "1.29", DIGEST)
        ]),
        json!([tag("registry:5000/team/web", "1", "2"), tag("[::1]:80/team/web", "b", "c")]),
    ];
    put("imageTags", &tags, 3);
    put("podSecurity", &[json!("restricted")], 3);
    for rule in ["requireLivenessProbe", "requireReadinessProbe"] {
        put(rule, &[json!(true)], 2);
    }
    let rules = [
        "forbidLatestTag",
        "requireImageDigest",
        "requireResourceRequests",
        "requireResourceLimits",
        "requireLivenessProbe",
        "podSecurity",
        "podSecurity/allowPrivilegeEscalation",
        "podSecurity/seccompProfile_restricted",
    ];
    for exemption in spec["exemptions"].as_array_mut().unwrap() {
        let exemption = exemption.as_object_mut().unwrap();
        exemption["rules"].as_array_mut().unwrap().push(json!(random.of(&rules)));
        // A namespace's own policy has none.
        exemption.remove("namespaces");
        if exemption.contains_key("expiresAt") {
            let times = ["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"];
            exemption["expiresAt"] = json!(random.of(&times));
        }
    }
    spec
}
