//! What a floor costs the API server, in its own units.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::super::door::{creation, set, update};
use super::{AWAY, HEARD, lease, open};
use crate::cel::judge::Judge;
use crate::support::manifests::held_by;
use crate::support::suite::{Alone, trials};

pub const TRIALS: Alone = trials![a_sleeping_floor_costs_a_creation_one_comparison];

/// How often each write is judged.
const RUNS: u32 = 20;

/// A pod that complies with the restricted bundle.
fn restricted(containers: usize) -> Value {
    let probe = json!({"tcpSocket": {"port": 80}});
    let container = |index: usize| {
        json!({
            "name": format!("c{index}"), "image": "ghcr.io/team/web:1.29",
            "livenessProbe": probe, "readinessProbe": probe,
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        })
    };
    json!({
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": (0..containers).map(container).collect::<Vec<_>>(),
        },
    })
}

fn a_sleeping_floor_costs_a_creation_one_comparison() {
    let spec = json!({"enforcementMode": "enforce", "bundle": "restricted"});
    let mut door = open(Judge::start(), set(&[("p", &spec)]), &[], false);
    println!("units of CEL (conditions, validations) and microseconds of the plugin:");
    for containers in [1, 3] {
        let object = held_by(Kind::Deployment, &restricted(containers));
        let mut newer = object.clone();
        for container in newer["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap() {
            container["image"] = json!("ghcr.io/team/web:1.30");
        }
        let mut scaled = object.clone();
        scaled["spec"]["replicas"] = json!(3);
        let writes = [
            ("creation", creation(&object)),
            ("update", update(&object, &newer)),
            ("scaling", update(&object, &scaled)),
        ];
        for (state, time) in [("asleep", HEARD), ("awake", AWAY)] {
            door.set_params(&[lease(&json!({"renewTime": time}))]);
            for (what, write) in &writes {
                let cost = door.costs(std::slice::from_ref(write), RUNS)[0];
                println!(
                    "  {containers:>3} containers, {state:<6} {what:<8}: {:>4} {:>7} {:>8.0} us",
                    cost.conditions, cost.validations, cost.microseconds
                );
                let judges = *what != "scaling" && (state == "awake" || *what == "update");
                assert_eq!(cost.validations > 0, judges, "{state} {what}");
                assert!(cost.conditions < 200, "{cost:?}");
            }
        }
    }
}
