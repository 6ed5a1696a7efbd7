//! `docs/metrics.md`: names, types, labels and help from `/metrics` after every counted event has happened.

mod series;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The page's sections: heading, introduction, and the prefixes of their metrics.
const PARTS: [(&str, &str, &[&str]); 8] = [
    (
        "Admission",
        "Of every replica. `webhook` is `validate`, `mutate` or `alive`; `operation` is `CREATE`, `UPDATE` or `other`; `kind` is a judged \
         kind or `other`; `decision` is `allow`, `warn`, `grace`, `deny`, `mutate`, `error` (an HTTP status instead of a verdict) or `shed` (too \
         many at once; the API server asks again). `reason` of a refusal is a name that the log has too (`Overloaded`, `TooSlow`, `Malformed`, …), and that of \
         a connection one of `crowded` (another one needed its place), `handshake`, `handshake_timeout`, `no_request`, `idle`. `severity` is one of `critical`, `high`, `medium`, `low`, `mode` one of `audit`, `warn`, `enforce`. `rule` is a \
         rule's id, in `podgate_admission_violations_total` with its check: `podSecurity/CHECK`, `validations/NAME`. Names of validations are \
         those of the policies in force, 500 at most; further ones count as `validations`. The `namespace` of a policy is empty for a cluster policy; its series begin at 0 when it comes into \
         force, and end with it. A refused pod is created again by its controller, at first many times a minute: each replica counts a pod template as one denial \
         a minute, and further tries in `podgate_admission_repeated_denials_total` alone. `podgate_admission_reviews_total` counts every review.",
        &[
            "podgate_admission_",
            "podgate_connections_",
            "devopspolicy_denied_",
            "devopspolicy_would_deny_",
        ],
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
        "The floor",
        "Of every replica with `--floor`; `podgate_floor_policies` of the one that leads. Each replica knows the beats that it sees: take `max by` of the \
         time, and `min by` of `podgate_floor_awake`. Where no podgate runs there are no series, and the floor judges.",
        &["podgate_floor_"],
    ),
    (
        "Leader and audit",
        "`podgate_leader` is of every replica. The rest is of the one that leads: what carries a score, a namespace or a policy has series \
         there only, and they go when it leads no more, or when the namespace or policy is gone; the counters without labels stay and stand \
         still. So take `max by` of gauges and `sum by` of increases: a change of leader then doubles nothing. `namespace` of a \
         `devopspolicy_` metric is the policy's own, and empty for a cluster policy; that of a `podgate_` metric is the workloads'.",
        &[
            "podgate_leader",
            "podgate_pods_at_risk",
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

fn families() -> Vec<Family> {
    let text = series::exposition(&series::driven(1, 1));
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
         object's name, a user or an image, and all values come from closed sets but namespaces, policies and the names of their validations.\n\n\
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
    text += &series::section();
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
