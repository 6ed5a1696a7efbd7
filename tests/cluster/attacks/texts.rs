//! Policy texts that would garble a developer's terminal.

use podgate::policy::workload::Kind;
use serde_json::json;

use crate::support::binary::Standalone;
use crate::support::cluster::Cluster;
use crate::support::manifests::{pod, workload};
use crate::support::review;
use crate::support::suite::{Alone, Trials, trials};

pub const TRIALS: Trials<Cluster> = trials![
    kubectl_prints_a_warning_of_a_message_that_would_turn_the_line_around,
    a_message_with_a_control_character_is_refused_with_the_field,
];
pub const ALONE: Alone = trials![no_word_of_a_policy_reaches_a_terminal_as_a_control_character,];

/// Escape codes, a line break, a bell, and characters that reverse the text direction.
const GARBLED: &str = "ok\u{1b}[2J\nDeployment shop/web is fine\r\u{7}\u{202e}";

fn no_word_of_a_policy_reaches_a_terminal_as_a_control_character() {
    for mode in ["enforce", "warn"] {
        let policy = json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "ClusterDevOpsPolicy",
            "metadata": {"name": "p"},
            "spec": {
                "enforcementMode": mode, "contact": GARBLED,
                "validations": [{"name": "own", "expression": "false", "message": GARBLED}],
            },
        });
        let standalone = Standalone::with(&policy.to_string());
        let answer = standalone
            .podgate
            .review(&review::create("shop", &workload(Kind::Pod, pod("nginx:1.29"))));
        let mut lines = Vec::new();
        if mode == "enforce" {
            lines.extend(answer["status"]["message"].as_str().unwrap().lines());
            assert_eq!(lines.len(), 6, "{lines:?}");
        } else {
            lines.push(answer["warnings"][0].as_str().unwrap());
        }
        for line in &lines {
            let odd = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!line.contains(odd), "{line:?}");
        }
        assert!(lines.iter().any(|line| line.contains(r"ok\u{1b}[2J\nDeployment")), "{lines:?}");
    }
}

fn kubectl_prints_a_warning_of_a_message_that_would_turn_the_line_around(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let policy = json!({
        "enforcementMode": "warn", "forbidLatestTag": true,
        "validations": [{"name": "own", "expression": "false", "message": "not \u{202e}like this"}],
    });
    shop.policy("own", &policy);
    let (created, printed) = shop
        .kubectl(&["create", "-f", "-"])
        .given(&workload(Kind::Pod, pod("nginx:1.29")).to_string())
        .output();
    assert!(created, "{printed}");
    let expected = r"Warning: podgate: validations/own (medium): not \u{202e}like this";
    assert!(printed.contains(expected), "{printed}");
}

fn a_message_with_a_control_character_is_refused_with_the_field(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let policy = json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
        "metadata": {"name": "own"},
        "spec": {"validations": [{"name": "own", "expression": "true", "message": GARBLED}]},
    });
    let (applied, printed) = shop.kubectl(&["apply", "-f", "-"]).given(&policy).output();
    assert!(!applied, "{printed}");
    assert!(printed.contains("spec.validations[0].message"), "{printed}");
}
