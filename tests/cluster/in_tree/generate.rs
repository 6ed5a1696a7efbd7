//! Random pods, workloads, images and policies, from a seed.

use podgate::policy::workload::Kind;
use serde_json::{Map, Value, json};

use crate::pod_security::corpus::{self, CONTAINERS, Field, set};
use crate::support::manifests::held_by;

/// Random numbers (`SplitMix64`), so that a failure can be repeated.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap()
    }

    /// Whether one of this many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Some of these, in order.
    fn some<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        all.iter().filter(|_| self.one_in(3)).cloned().collect()
    }
}

/// The fields that pods differ in.
pub struct Generator {
    bases: Vec<Value>,
    containers: Vec<Field>,
    pods: Vec<Field>,
}

impl Generator {
    pub fn new() -> Self {
        let mut containers = corpus::container_fields();
        let probe = json!({"tcpSocket": {"port": 9080}});
        let quantities =
            || vec![json!("100m"), json!("0"), json!(null), json!("1.5"), json!("0.0")];
        containers.extend([
            ("/image", images().into_iter().map(Value::from).collect()),
            ("/livenessProbe", vec![json!(null), probe.clone()]),
            ("/readinessProbe", vec![json!(null), probe]),
            ("/resources/requests/cpu", quantities()),
            ("/resources/limits/cpu", quantities()),
            ("/resources/limits/memory", quantities()),
            ("/resources/requests/ephemeral-storage", quantities()),
            ("/restartPolicy", vec![json!("Always"), json!("Never"), json!("OnFailure"), json!(null)]),
            (
                "/restartPolicyRules",
                vec![
                    json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [0, 1]}}]),
                    json!([{"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [7]}}]),
                    json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]),
                ],
            ),
        ]);
        let mut pods = corpus::pod_fields();
        let debugger = |image: &str| json!([{"name": "debug", "image": image}]);
        pods.extend([
            (
                "/spec/ephemeralContainers",
                vec![debugger("busybox"), debugger("ghcr.io/team/tool:1"), json!(null)],
            ),
            ("/spec/restartPolicy", vec![json!("Always"), json!("Never"), json!("OnFailure")]),
            ("/spec/resources/limits/memory", vec![json!("1Gi"), json!("0"), json!(null)]),
            (
                "/spec/volumes/-",
                vec![
                    json!({"name": "model", "image": {"reference": "ghcr.io/team/model"}}),
                    json!({"name": "m2", "image": {"reference": "quay.io/x/y@sha256:0"}}),
                ],
            ),
            ("/metadata/labels/team", vec![json!("cart"), json!("Cart!"), json!(null), json!("")]),
            ("/metadata/labels/name", vec![json!("web"), json!(null)]),
        ]);
        Self { bases: corpus::bases().into_iter().map(|(_, pod)| pod).collect(), containers, pods }
    }

    pub fn pod(&self, random: &mut Random) -> Value {
        let mut pod = random.of(&self.bases).clone();
        let changes = random.below(8);
        for _ in 0..changes {
            self.change(&mut pod, random);
        }
        pod
    }

    /// Sets a field of the pod or of a container.
    pub fn change(&self, pod: &mut Value, random: &mut Random) {
        let (at, fields) = if random.one_in(3) {
            ("", &self.pods)
        } else {
            (*random.of(&CONTAINERS), &self.containers)
        };
        let (field, values) = random.of(fields);
        set(pod, &format!("{at}{field}"), random.of(values));
    }
}

/// An object of a random kind with a pod, as a controller or a person would write it.
pub fn holding(pod: &Value, random: &mut Random) -> Value {
    let mut object = held_by(*random.of(&Kind::ALL), pod);
    own(&mut object, random);
    object
}

/// Gives an object a name and, sometimes, an owner.
pub fn own(object: &mut Value, random: &mut Random) {
    let metadata = object["metadata"].as_object_mut().unwrap();
    if random.one_in(3) {
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), json!("web-5d4f8-"));
    } else {
        let names = ["web", "web-5d4f8", "web-5d4f8-abcde", "report-29012345", "cart"];
        metadata.insert("name".to_owned(), json!(random.of(&names)));
    }
    if random.one_in(2) {
        let owners = [
            ("apps/v1", "ReplicaSet", "web-5d4f8"),
            ("batch/v1", "Job", "report-29012345"),
            ("batch/v1", "CronJob", "report"),
            ("apps/v1", "Deployment", "web"),
            ("apps/v1", "StatefulSet", "db"),
            ("apps/v1", "DaemonSet", "agent"),
            ("v1", "Node", "n1"),
            ("argoproj.io/v1alpha1", "Rollout", "cart"),
        ];
        let (api_version, kind, name) = random.of(&owners);
        let controls = !random.one_in(5);
        metadata.insert("ownerReferences".to_owned(), json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": "u", "controller": controls}]));
        if random.one_in(2) {
            let labels = metadata.entry("labels").or_insert_with(|| json!({}));
            if !labels.is_object() {
                *labels = json!({});
            }
            labels["pod-template-hash"] = json!("5d4f8");
        }
    }
}

/// The users that write objects.
pub fn user(random: &mut Random) -> String {
    let account = |name: &str| format!("system:serviceaccount:kube-system:{name}");
    match random.below(8) {
        0 => account("replicaset-controller"),
        1 => account("deployment-controller"),
        2 => account("job-controller"),
        3 => "system:kube-controller-manager".to_owned(),
        4 => super::door::CONTROLLER.to_owned(),
        5 => "system:node:n1".to_owned(),
        _ => "jane".to_owned(),
    }
}

fn images() -> Vec<&'static str> {
    vec![
        "nginx",
        "nginx:1.29",
        "nginx:latest",
        "docker.io/library/nginx:1.29",
        "Index.Docker.IO/nginx:1.29",
        "ghcr.io/team/web",
        "ghcr.io/team/web:1",
        "ghcr.io/team-b/web:1",
        "GHCR.io/team/web:2",
        "registry:5000/team/web:1",
        "localhost/web:1",
        "team/web:1",
        "nginx:1.29@sha256:0123456789012345678901234567890123456789012345678901234567890123",
        "nginx@sha256:01",
        "",
        "Nginx",
        "nginx:",
        "a b",
    ]
}

/// A text that is an image, or nearly one.
pub fn image(random: &mut Random) -> String {
    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let hosts = [
        "",
        "",
        "",
        "ghcr.io/",
        "docker.io/",
        "Index.docker.io/",
        "localhost/",
        "r-1.x:5000/",
        "[::1]:80/",
        "-x.y/",
        "A/",
        "x:/",
    ];
    let paths = [
        "nginx",
        "library/nginx",
        "team/web",
        "a__b/c.d/e--f",
        "a_-b",
        "Team/web",
        "",
        "a//b",
        "web",
        "x.y/z",
    ];
    let tags = ["", "", ":latest", ":1.29", ":1-2_3.4", ":", ":-1", ":a/b", ":é"];
    let digests = [
        "",
        "",
        "",
        "@sha256:HEX",
        "@sha512:HEXHEX",
        "@sha256:HE",
        "@md5:HEX",
        "@",
        "@sha256:HEX@x",
    ];
    let parts = [random.of(&hosts), random.of(&paths), random.of(&tags), random.of(&digests)];
    let mut image = parts.map(|it| *it).concat().replace("HEX", HEX);
    if random.one_in(8) {
        let odd = [" ", "\t", "/", ":", "@", "_", "\"", "\\", "A"];
        let at = image.floor_char_boundary(random.below(4).min(image.len()));
        let chosen = random.of(&odd);
        image.insert_str(at, chosen);
    }
    if random.one_in(50) {
        image = format!("{}/{image}", "a".repeat(250 + random.below(900)));
    }
    image
}

/// A random policy that enforces.
pub fn policy(random: &mut Random) -> Value {
    let mut spec = Map::new();
    let mut put = |field: &str, value: Value| {
        spec.insert(field.to_owned(), value);
    };
    put("enforcementMode", json!("enforce"));
    for rule in
        ["forbidLatestTag", "requireLivenessProbe", "requireReadinessProbe", "requireImageDigest"]
    {
        put(rule, json!(random.one_in(3)));
    }
    if random.one_in(2) {
        put("podSecurity", json!(random.of(&["baseline", "restricted"])));
    }
    let registries = ["docker.io", "ghcr.io/team", "registry:5000", "GHCR.io/team-b/"];
    if random.one_in(3) {
        put("allowedRegistries", json!(random.some(&registries)));
    }
    for rule in ["requireResourceRequests", "requireResourceLimits"] {
        if random.one_in(3) {
            put(
                rule,
                json!(random.of(&[
                    vec!["cpu", "memory"],
                    vec!["memory"],
                    vec!["ephemeral-storage", "cpu"]
                ])),
            );
        }
    }
    if random.one_in(3) {
        put(
            "requiredLabels",
            json!([{"key": "team", "pattern": "[a-z]+|x'y\\\\"}, {"key": "name"}]),
        );
    }
    if random.one_in(2) {
        put("denySeverity", json!(random.of(&["critical", "high", "medium"])));
    }
    if random.one_in(2) {
        put(
            "severityOverrides",
            json!({"podSecurity": "low", "podSecurity/runAsNonRoot": "critical", "forbidLatestTag": "critical"}),
        );
    }
    if random.one_in(2) {
        let times = [
            "2026-05-31T23:59:59Z",
            super::door::NOW,
            "2026-06-01T00:00:01Z",
            "2027-01-01T00:00:00Z",
        ];
        put("graceUntil", json!(random.of(&times)));
    }
    if random.one_in(2) {
        put("contact", json!("#platform"));
    }
    let count = random.below(4);
    let exemptions: Vec<_> = (0..count).map(|_| exemption(random)).collect();
    put("exemptions", json!(exemptions));
    Value::Object(spec)
}

fn exemption(random: &mut Random) -> Value {
    let ids = [
        "forbidLatestTag",
        "requireLivenessProbe",
        "requireImageDigest",
        "allowedRegistries",
        "requiredLabels",
        "podSecurity",
        "podSecurity/appArmorProfile",
        "podSecurity/hostPorts",
        "podSecurity/runAsNonRoot",
        "requireResourceLimits",
    ];
    let mut rules = random.some(&ids);
    rules.push(*random.of(&ids));
    let mut exemption = json!({"rules": rules, "reason": "it's old", "owner": "team \"a\""});
    let lists: [(&str, &[&str]); 5] = [
        ("kinds", &["Pod", "Deployment", "CronJob", "ReplicaSet", "Job"]),
        ("names", &["web", "web*", "report", "*-5d4f8", "car?", "db"]),
        ("namespaces", &["shop", "s*", "lab"]),
        ("containers", &["web", "w*", "init", "*", "debug"]),
        (
            "images",
            &["nginx*", "*", "ghcr.io/team/*", "ghcr.io/*", "busybox", "registry:5000/team/web:?"],
        ),
    ];
    for (field, values) in lists {
        if random.one_in(4) {
            let mut some = random.some(values);
            some.push(*random.of(values));
            exemption[field] = json!(some);
        }
    }
    if random.one_in(3) {
        exemption["expiresAt"] = json!(random.of(&[
            "2026-05-01T00:00:00Z",
            "2026-06-01T00:00:00Z",
            "2026-07-01T00:00:00Z"
        ]));
    }
    exemption
}
