//! The number of series of a large cluster: every family is driven through the real registry, with every value that its
//! labels can have.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hash::RandomState;
use std::sync::Arc;

use jiff::Timestamp;
use podgate::admission::validate::Reviewer;
use podgate::api::Severity;
use podgate::metrics::{Decided, Ended, Metrics, ReviewSummary};
use podgate::policy::compile::Policy;
use podgate::policy::grace::ControllerUsers;
use podgate::policy::policy_set::PolicySet;
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::review;

const NAMESPACES: usize = 1_000;
const POLICIES: usize = 200;
/// How many rules are broken in each namespace: every check of the restricted Pod Security Standard, and some more.
const BROKEN: usize = 20;
/// How many exemptions that expire each policy has.
const EXEMPTIONS: usize = 5;
/// The most series of a replica, two thirds of them open violations. A family that needs more is worth a thought.
const MOST: usize = 35_000;
/// The page names the families with more series than this.
const MANY: usize = 100;

/// Metrics in which everything has happened in so many namespaces, and by so many policies. A new family is one line.
pub fn driven(namespaces: usize, policies: usize) -> Metrics {
    let metrics = Metrics::new().unwrap();
    reviews(&metrics, policies);
    for reason in ["Overloaded", "TooSlow", "Malformed", "NotReady", "TooLate", "Unfinished"] {
        metrics.admission.refused("validate", "error", reason);
    }
    for ended in
        [Ended::Crowded, Ended::Handshake, Ended::HandshakeTimeout, Ended::NoRequest, Ended::Idle]
    {
        metrics.connections.ended(ended);
    }
    metrics.audit.cluster(Some(100));
    metrics.audit.pods(1);
    let open = (0..BROKEN).map(|it| ((format!("rule{it}"), Severity::High), 1)).collect();
    for namespace in (0..namespaces).map(|it| format!("n{it}")) {
        metrics.audit.namespace(&namespace, Some(100));
        metrics.audit.refusals(&namespace, Some((0, 0)));
        metrics.audit.open_violations(&namespace, &open);
    }
    for policy in (0..policies).map(|it| format!("p{it}")) {
        metrics.audit.policy("", &policy, Some(100), [0; 4], 0);
        metrics.audit.policy_info("", &policy, "enforce", "baseline");
        metrics.audit.enforced.set("", &policy, [0, 0], Some(0));
        metrics.audit.exemptions.set("", &policy, (0..EXEMPTIONS).map(|it| (it, 0)));
    }
    metrics.certificates.serves(0, 0);
    for step in ["begun", "repaired", "rolled_back", "undone", "conflict"] {
        metrics.remediation.step(step);
    }
    metrics.beat.called(std::time::Instant::now());
    metrics.beat.known_callers(1);
    metrics.floor.policies(1);
    metrics.floor.renewed(1.0, std::time::Instant::now());
    for configuration in ["validating", "mutating"] {
        metrics.certificates.configuration_trusts(configuration);
        metrics.beat.configuration_intact(configuration);
    }
    metrics
}

/// Reviews of every kind, operation and decision, and a pod that breaks every rule of every policy in every mode.
fn reviews(metrics: &Metrics, policies: usize) {
    for modes in
        [["audit", "warn", "enforce"], ["warn", "enforce", "audit"], ["enforce", "audit", "warn"]]
    {
        let all = (0..policies).map(|it| policy(it, modes[it % 3]));
        let set = PolicySet::new(all, Arc::default());
        metrics.policies.loaded(&set, 0);
        judged(metrics, "validate", "CREATE", "Pod", "deny", &violations(&set));
    }
    let none = Decided::default();
    for operation in ["CREATE", "UPDATE", "other"] {
        for kind in
            Kind::ALL.iter().map(|it| it.names().kind).chain(["ControllerRevision", "other"])
        {
            for decision in ["allow", "warn", "grace", "deny"] {
                judged(metrics, "validate", operation, kind, decision, &none);
            }
        }
    }
    for decision in ["allow", "mutate"] {
        judged(metrics, "mutate", "CREATE", "Pod", decision, &none);
    }
    for decision in ["allow", "warn"] {
        judged(metrics, "alive", "UPDATE", "other", decision, &none);
    }
}

fn judged(
    metrics: &Metrics,
    webhook: &'static str,
    operation: &'static str,
    kind: &'static str,
    decision: &'static str,
    decided: &Decided,
) {
    let (retry, patch_operations) = (false, 0);
    let review =
        ReviewSummary { webhook, operation, kind, decision, decided, retry, patch_operations };
    metrics.admission.judged(&review);
}

/// What these policies decide on a bad pod.
fn violations(policies: &PolicySet) -> Decided {
    let reviewer = Reviewer {
        policies,
        docs_url: None,
        own_user: None,
        controllers: &ControllerUsers::default(),
        cost: u64::MAX,
        now: Timestamp::UNIX_EPOCH,
        seed: &RandomState::new(),
        observer: None,
    };
    let review = review::create("n0", &bad_pod()).to_string();
    reviewer.validate(review.as_bytes()).unwrap().decided
}

/// A policy with every rule, and three validations of its own.
fn policy(index: usize, mode: &str) -> Arc<Policy> {
    let validations = (0..3)
        .map(|it| json!({"name": format!("v{index}-{it}"), "expression": "false", "message": "m"}));
    let spec = json!({
        "enforcementMode": mode, "forbidLatestTag": true, "requireLivenessProbe": true, "requireReadinessProbe": true,
        "requireImageDigest": true, "allowedRegistries": ["example.com"], "requireResourceRequests": ["cpu"],
        "requireResourceLimits": ["memory"], "requiredLabels": [{"key": "team"}],
        "podSecurity": if index.is_multiple_of(2) { "restricted" } else { "baseline" },
        "validations": validations.collect::<Vec<_>>(),
    });
    let spec = serde_json::from_value(spec).unwrap();
    Arc::new(
        Policy::compile(Scope::Cluster(Selection::default()), format!("p{index}"), &spec).unwrap(),
    )
}

/// A pod that breaks every check of every rule.
fn bad_pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "annotations": {"container.apparmor.security.beta.kubernetes.io/web": "unconfined"}},
        "spec": {
            "hostPID": true, "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
            "securityContext": {
                "sysctls": [{"name": "x", "value": "y"}], "seLinuxOptions": {"type": "x"},
                "seccompProfile": {"type": "Unconfined"}, "windowsOptions": {"hostProcess": true},
            },
            "containers": [{
                "name": "web", "image": "nginx", "ports": [{"containerPort": 1, "hostPort": 1}],
                "lifecycle": {"preStop": {"httpGet": {"host": "x", "port": 1}}},
                "securityContext": {
                    "privileged": true, "procMount": "Unmasked", "runAsUser": 0, "runAsNonRoot": false,
                    "allowPrivilegeEscalation": true, "capabilities": {"add": ["SYS_ADMIN"]},
                },
            }],
        },
    })
}

/// The text of `/metrics`.
pub fn exposition(metrics: &Metrics) -> String {
    String::from_utf8(metrics.expose().unwrap()).unwrap()
}

/// The number of series of each family.
fn count(metrics: &Metrics) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    let mut family = String::new();
    for line in exposition(metrics).lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            help.split(' ').next().unwrap().clone_into(&mut family);
        } else if !line.starts_with('#') {
            *count.entry(family.clone()).or_default() += 1;
        }
    }
    count
}

/// The section of the page.
pub fn section() -> String {
    let metrics = driven(NAMESPACES, POLICIES);
    let leader = count(&metrics);
    metrics.audit.stopped();
    let [leads, other] = [&leader, &count(&metrics)].map(|it| it.values().sum::<usize>());
    let mut text = format!(
        "\n## Number of series\n\nOf a cluster with {NAMESPACES} namespaces and {POLICIES} policies, where reviews of every kind, in every mode, have broken every rule, \
         every check of `podSecurity` and 600 validations: {leads} series on the leader, {other} on any other replica. \
         A test counts them. The families with more than {MANY}:\n\n| name | series |\n|---|---|\n"
    );
    for (name, series) in leader.iter().filter(|(_, series)| **series > MANY) {
        let _ = writeln!(text, "| `{name}` | {series} |");
    }
    text
}

#[test]
fn a_large_cluster_has_a_bounded_number_of_series() {
    let large = count(&driven(NAMESPACES, POLICIES));
    let all: usize = large.values().sum();
    assert!(all <= MOST, "{all} series: {large:#?}");
    // Every check of every rule is among them, so the number is not small for want of violations.
    let checks = large["podgate_admission_violations_total"];
    assert!(checks >= 3 * (500 + 9 + 19), "{checks} series of violations");

    let metrics = driven(NAMESPACES, POLICIES);
    metrics.policies.loaded(&PolicySet::default(), 0);
    (0..POLICIES).for_each(|it| metrics.audit.policy_gone("", &format!("p{it}")));
    for namespace in (0..NAMESPACES).map(|it| format!("n{it}")) {
        metrics.audit.namespace(&namespace, None);
        metrics.audit.refusals(&namespace, None);
        metrics.audit.open_violations(&namespace, &BTreeMap::new());
    }
    for (name, series) in count(&metrics) {
        assert!(
            series <= 150,
            "{name} has {series} series of namespaces and policies that are gone"
        );
    }
}
