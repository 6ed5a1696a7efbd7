//! A cluster's workloads, of every kind, good, bad and in between: the same at every run.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::manifests::workload;

/// The node that some pods are bound to.
pub const NODE: &str = "mixed";

/// This number of workloads that create no pods by themselves, each with its own labels.
pub fn objects(count: usize) -> Vec<(Kind, Value)> {
    let mut random = Random(42);
    let one = |number: usize| {
        let kind = Kind::ALL[number % Kind::ALL.len()];
        let mut object = workload(kind, spec(kind, &mut random));
        let name = format!("w-{number}");
        object["metadata"]["name"] = json!(name);
        let labels = json!({"app": name});
        match kind {
            Kind::Pod => object["metadata"]["labels"] = labels,
            Kind::PodTemplate => object["template"]["metadata"]["labels"] = labels,
            Kind::CronJob => {
                object["spec"]["suspend"] = json!(true);
                object["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"] = labels;
            }
            _ => {
                object["spec"]["template"]["metadata"]["labels"] = labels.clone();
                match kind {
                    Kind::Job => object["spec"]["suspend"] = json!(true),
                    Kind::ReplicationController => object["spec"]["selector"] = labels,
                    _ => object["spec"]["selector"]["matchLabels"] = labels,
                }
                if !matches!(kind, Kind::Job | Kind::DaemonSet) {
                    object["spec"]["replicas"] = json!(0);
                }
            }
        }
        (kind, object)
    };
    (0..count).map(one).collect()
}

/// A linear congruential generator, which is random enough for a mixture.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// A pod spec: half of them satisfy `restricted` in one of many ways, the others have one or two violations.
fn spec(kind: Kind, random: &mut Random) -> Value {
    let mut spec = good();
    HARMLESS[random.below(HARMLESS.len())](&mut spec);
    if random.below(2) == 0 {
        for _ in 0..=random.below(2) {
            WRONG[random.below(WRONG.len())](&mut spec);
        }
    }
    match kind {
        Kind::Pod if random.below(3) == 0 => spec["nodeName"] = json!(NODE),
        // A node that does not exist.
        Kind::DaemonSet => spec["nodeSelector"] = json!({"none": "none"}),
        // Pods that run to completion need no probes.
        Kind::Job | Kind::CronJob if random.below(2) == 0 => {
            let web = spec["containers"][0].as_object_mut().unwrap();
            web.remove("livenessProbe");
            web.remove("readinessProbe");
        }
        _ => {}
    }
    spec
}

fn good() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container("web", 80)],
    })
}

fn container(name: &str, port: u16) -> Value {
    let probe = json!({"tcpSocket": {"port": 80}});
    json!({
        "name": name, "image": "registry.example.com/app:1.2",
        "ports": [{"containerPort": port}],
        "livenessProbe": probe, "readinessProbe": probe,
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "2Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    })
}

fn init(name: &str) -> Value {
    let mut container = container(name, 80);
    container.as_object_mut().unwrap().remove("ports");
    container.as_object_mut().unwrap().remove("livenessProbe");
    container.as_object_mut().unwrap().remove("readinessProbe");
    container
}

type Change = fn(&mut Value);

fn push(spec: &mut Value, list: &str, item: Value) {
    if spec[list].is_null() {
        spec[list] = json!([]);
    }
    let items = spec[list].as_array_mut().unwrap();
    // A change that was applied twice finds its item.
    if items.iter().all(|it| it["name"] != item["name"]) {
        items.push(item);
    }
}

fn remove(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

/// None of them breaks `restricted` in every kind: the API server sets a pod's requests from its limits, but not a
/// template's.
const HARMLESS: [Change; 14] = [
    |_| {},
    |spec| push(spec, "initContainers", init("setup")),
    |spec| {
        let mut sidecar = container("proxy", 81);
        sidecar["restartPolicy"] = json!("Always");
        push(spec, "initContainers", sidecar);
    },
    |spec| {
        spec["containers"][0]["securityContext"]["capabilities"]["add"] =
            json!(["NET_BIND_SERVICE"]);
    },
    |spec| push(spec, "volumes", json!({"name": "tmp", "emptyDir": {}})),
    |spec| {
        push(
            spec,
            "volumes",
            json!({"name": "config", "configMap": {"name": "x", "optional": true}}),
        );
    },
    |spec| {
        spec["securityContext"] = json!({});
        let own = &mut spec["containers"][0]["securityContext"];
        own["runAsNonRoot"] = json!(true);
        own["seccompProfile"] = json!({"type": "RuntimeDefault"});
    },
    |spec| spec["containers"][0]["resources"] = json!({"limits": {"cpu": "1", "memory": "2Mi"}}),
    |spec| {
        let digest = "0123456789abcdef".repeat(4);
        spec["containers"][0]["image"] = json!(format!("registry.example.com/app@sha256:{digest}"));
    },
    |spec| spec["securityContext"]["runAsUser"] = json!(1000),
    |spec| push(spec, "containers", container("second", 82)),
    |spec| spec["terminationGracePeriodSeconds"] = json!(0),
    |spec| {
        spec["os"] = json!({"name": "windows"});
        remove(&mut spec["securityContext"], "seccompProfile");
        remove(&mut spec["containers"][0], "securityContext");
    },
    |spec| {
        spec["resources"] =
            json!({"requests": {"cpu": "10m", "memory": "10Mi"}, "limits": {"memory": "20Mi"}});
        remove(&mut spec["containers"][0], "resources");
    },
];

/// Linux's own fields, which Windows pods may not have.
fn on_linux(spec: &mut Value, change: impl FnOnce(&mut Value)) {
    if spec["os"]["name"] != "windows" {
        change(spec);
    }
}

const WRONG: [Change; 22] = [
    |spec| spec["containers"][0]["image"] = json!("registry.example.com/app:latest"),
    |spec| spec["containers"][0]["image"] = json!("nginx"),
    |spec| remove(&mut spec["containers"][0], "livenessProbe"),
    |spec| remove(&mut spec["containers"][0], "readinessProbe"),
    |spec| {
        spec["containers"][0]["livenessProbe"] =
            json!({"tcpSocket": {"port": 80, "host": "203.0.113.1"}});
    },
    |spec| remove(&mut spec["containers"][0], "resources"),
    |spec| spec["containers"][0]["resources"] = json!({"requests": {"cpu": "1m", "memory": "1Mi"}}),
    |spec| spec["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]),
    |spec| push(spec, "volumes", json!({"name": "host", "hostPath": {"path": "/"}})),
    |spec| {
        on_linux(spec, |spec| {
            let mut setup = init("late");
            setup["image"] = json!("busybox");
            push(spec, "initContainers", setup);
        });
    },
    |spec| {
        on_linux(spec, |spec| {
            let mut sidecar = init("bare-sidecar");
            sidecar["restartPolicy"] = json!("Always");
            push(spec, "initContainers", sidecar);
        });
    },
    |spec| remove(&mut spec["securityContext"], "runAsNonRoot"),
    |spec| on_linux(spec, |spec| spec["hostNetwork"] = json!(true)),
    |spec| on_linux(spec, |spec| spec["hostPID"] = json!(true)),
    |spec| {
        on_linux(spec, |spec| {
            spec["containers"][0]["securityContext"] = json!({"privileged": true});
        });
    },
    |spec| {
        on_linux(spec, |spec| {
            let own = json!({"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}});
            spec["containers"][0]["securityContext"] = own;
        });
    },
    |spec| on_linux(spec, |spec| remove(&mut spec["containers"][0], "securityContext")),
    |spec| on_linux(spec, |spec| remove(&mut spec["securityContext"], "seccompProfile")),
    |spec| {
        on_linux(spec, |spec| {
            spec["securityContext"]["seccompProfile"] = json!({"type": "Unconfined"});
        });
    },
    |spec| on_linux(spec, |spec| spec["securityContext"]["runAsUser"] = json!(0)),
    |spec| {
        on_linux(spec, |spec| {
            spec["securityContext"]["sysctls"] = json!([{"name": "kernel.msgmax", "value": "1"}]);
        });
    },
    |spec| {
        on_linux(spec, |spec| {
            spec["securityContext"]["appArmorProfile"] = json!({"type": "Unconfined"});
        });
    },
];
