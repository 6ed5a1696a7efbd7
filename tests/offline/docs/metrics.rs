//! `docs/metrics.md`: names, types, labels and help from `/metrics` after every counted event has happened.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use podgate::api::Severity;
use podgate::metrics::{Metrics, ReviewSummary};

/// The page's sections: heading, introduction, and the prefixes of their metrics.
const PARTS: [(&str, &str, &[&str]); 7] = [
    (
        "Admission",
        "Of every replica. `webhook` is `validate`, `mutate` or `alive`; `operation` is `CREATE`, `UPDATE` or `other`; `kind` is a judged \
         kind or `other`; `decision` is `allow`, `warn`, `deny`, `mutate`, `error` (an HTTP status instead of a verdict) or `shed` (too \
         many at once; the API server asks again). `reason` of a refusal is a name that the log has too (`Overloaded`, `TooSlow`, `Malformed`, …), and that of \
         a connection one of `crowded` (another one needed its place), `handshake`, `handshake_timeout`, `no_request`, `idle`. `rule` is a rule's id, `severity` one of `critical`, `high`, `medium`, `low`.",
        &["podgate_admission_", "podgate_connections_"],
    ),
    ("Policies", "Of every replica, by its own watch.", &["podgate_policies_", "podgate_policy_"]),
    (
        "Certificates and trust",
        "Of every replica in a cluster, by what it sees; the counters grow where the replica leads. `configuration` is `validating` or \
         `mutating`. `podgate_ca_bundle_trusted` has no series where there is no configuration.",
        &["podgate_certificate_", "podgate_ca_bundle_", "podgate_webhook_configuration_present"],
    ),
    (
        "The beat",
        "Of every replica in a cluster that calls it. Every ten seconds each sends a nonce through every API server, which must call podgate, and so \
         brings it to some replica. `podgate_called` is how long ago a beat of this replica last came back from all API servers that answer; \
         take `min by`: one that is heard speaks for all. `configuration` is `validating` or `mutating`; `podgate_webhook_configuration_intact` \
         has no series where there is no configuration.",
        &["podgate_called", "podgate_known_callers", "podgate_webhook_configuration_intact"],
    ),
    (
        "Leader and audit",
        "`podgate_leader` is of every replica. The rest is of the one that leads: what carries a score, a namespace or a policy has series \
         there only, and they go when it leads no more, or when the namespace or policy is gone; the counters without labels stay and stand \
         still. So take `max by` of gauges and `sum by` of increases: a change of leader then doubles nothing. `namespace` of a \
         `devopspolicy_` metric is the policy's own, and empty for a cluster policy; that of a `podgate_` metric is the workloads'.",
        &[
            "podgate_leader",
            "podgate_audit_",
            "podgate_pod_",
            "podgate_workload",
            "podgate_open_violations",
            "pod_events_",
            "cluster_health_",
            "namespace_health_",
            "devopspolicy_",
        ],
    ),
    (
        "Remediation",
        "Of the replica that leads. `step` is `begun`, `repaired`, `rolled_back`, `undone` (somebody else did) or `conflict` (three times).",
        &["podgate_remediation_"],
    ),
    (
        "Build and process",
        "Of every replica; `process_` on Linux.",
        &["podgate_build_", "process_"],
    ),
];

struct Family {
    name: String,
    kind: String,
    help: String,
    labels: String,
}

/// The text of `/metrics`. A family with labels appears when it has a series.
fn exposition() -> String {
    let metrics = Metrics::new().unwrap();
    metrics.admission.judged(&ReviewSummary {
        webhook: "validate",
        operation: "CREATE",
        kind: "Pod",
        decision: "deny",
        denials: &[("forbidLatestTag", "high")],
        patch_operations: 0,
    });
    metrics.admission.refused("validate", "shed", "Overloaded");
    metrics.audit.cluster(Some(100));
    metrics.audit.pods(1);
    metrics.audit.namespace("shop", Some(100));
    metrics.audit.policy("shop", "baseline", Some(100), [0; 4], 0);
    metrics.audit.workloads_refused("shop", Some(0));
    let open = [(("forbidLatestTag".to_owned(), Severity::High), 1)].into();
    metrics.audit.open_violations("shop", &open);
    metrics.certificates.serves(0, 0);
    metrics.remediation.step("begun");
    metrics.certificates.configuration_trusts("validating");
    metrics.beat.called(std::time::Instant::now());
    metrics.beat.known_callers(1);
    metrics.beat.configuration_intact("validating");
    String::from_utf8(metrics.expose().unwrap()).unwrap()
}

fn families() -> Vec<Family> {
    let text = exposition();
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            let (name, help) = (name.to_owned(), help.to_owned());
            families.push(Family { name, help, kind: String::new(), labels: String::new() });
            continue;
        }
        let family = families.last_mut().unwrap();
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            kind.split_once(' ').unwrap().1.clone_into(&mut family.kind);
        } else if let Some((labels, _)) = line.split_once('{').and_then(|it| it.1.split_once('}')) {
            let names = labels.split(',').map(|label| label.split_once('=').unwrap().0);
            let names: Vec<_> =
                names.filter(|it| *it != "le").map(|it| format!("`{it}`")).collect();
            family.labels = names.join(", ");
        }
    }
    families
}

#[test]
fn the_page_of_the_metrics_is_up_to_date() {
    let mut families = families();
    let mut text = format!(
        "{}# Metrics\n\nEvery replica serves them at `/metrics`, on the port of `--metrics-listen` (8080). podgate sets a label `namespace` itself, so \
         a scrape must keep it: `honorLabels: true` in a ServiceMonitor, as the chart's has, `honor_labels: true` in Prometheus. No label is an \
         object's name, a user or an image, and all values come from closed sets but namespaces and policies.\n\n\
         The chart brings alerts ([runbooks](runbooks.md)) and dashboards (`dashboards/`) made of these.\n",
        super::NOTE
    );
    for (heading, note, prefixes) in PARTS {
        let _ = write!(
            text,
            "\n## {heading}\n\n{note}\n\n| name | type | labels | |\n|---|---|---|---|\n"
        );
        let of_part = |it: &mut Family| prefixes.iter().any(|prefix| it.name.starts_with(prefix));
        for Family { name, kind, help, labels } in families.extract_if(.., of_part) {
            let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {help} |");
        }
    }
    let left: Vec<_> = families.iter().map(|it| &it.name).collect();
    assert!(left.is_empty(), "{left:?} belong to no part of the page; name it in {}", file!());
    text += API_SERVER;
    super::check("metrics.md", &text);
}

/// Metrics of other components about podgate, which the alerts and dashboards also read.
const API_SERVER: &str = "
## Of the API server

Its own, with `name` the webhook: `validate.podgate.devops.stochastic.io`, `mutate.…`, `policies.…`, `alive.…`. A series begins with its first event.

| name | type | labels | |
|---|---|---|---|
| `apiserver_admission_webhook_admission_duration_seconds` | histogram | `name`, `type`, `operation`, `rejected` | What a call took, as the writer felt it. |
| `apiserver_admission_webhook_request_total` | counter | `name`, `type`, `operation`, `code`, `rejected` | Calls by HTTP status: 200 admits, 403 and 422 refuse, anything else is a call that failed. |
| `apiserver_admission_webhook_rejection_count` | counter | `name`, `type`, `operation`, `error_type`, `rejection_code` | Writes refused: `no_error` is a denial, anything else a call that failed under `Fail`. |
| `apiserver_admission_webhook_fail_open_count` | counter | `name`, `type` | Calls that failed under `Ignore`: the object passed unjudged. |
";

/// Without this check, a family whose labels are not set above would be missing on the page.
#[test]
fn every_metric_of_the_source_is_shown() {
    let shown: BTreeSet<_> = families().into_iter().map(|it| it.name).collect();
    let name = regex::Regex::new(
        r#""((?:podgate|devopspolicy|pod_events|cluster_health|namespace_health)_[a-z_]+)""#,
    )
    .unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let parts = fs::read_dir(source.join("metrics")).unwrap().map(|it| it.unwrap().path());
    for file in parts.chain([source.join("metrics.rs")]) {
        for found in name.captures_iter(&fs::read_to_string(&file).unwrap()) {
            assert!(shown.contains(&found[1]), "{} of {} is not shown", &found[1], file.display());
        }
    }
}
