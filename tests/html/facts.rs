//! What each page shows is what the command's JSON says, with and without scripts.

use std::collections::{BTreeMap, BTreeSet};

use podgate::policy::text::printable;
use serde_json::Value;

use super::browser::View;
use super::shown::Shown;
use super::world::World;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<World> = trials![
    an_analysis_shows_what_its_json_says,
    clusters_show_what_their_json_says,
    a_preview_shows_what_its_json_says,
    a_scan_shows_what_its_json_says,
    a_cluster_where_nothing_runs_has_no_score,
];

/// A page with scripts and without: the same is shown.
fn shown(world: &World, page: &str) -> (Shown, Value) {
    let page = world.page(page);
    let [with, without] = [true, false]
        .map(|scripts| Shown::by(&world.browser.open(&page.file, View { scripts, ..View::WIDE })));
    assert_eq!(format!("{with:?}"), format!("{without:?}"));
    (with, page.json.clone())
}

fn list(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

/// The text of a field as a page shows it; empty for null.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

fn texts(value: &Value, fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| text(&value[*field])).collect()
}

fn workload(value: &Value) -> String {
    format!("{}/{}", text(&value["kind"]), text(&value["name"]))
}

fn joined(value: &Value) -> String {
    list(value).map(text).collect::<Vec<_>>().join(", ")
}

/// `74 Stable`, or `no score`.
fn score(value: &Value) -> String {
    match &value["score"] {
        Value::Null => "no score".to_owned(),
        score => format!("{score} {}", text(&value["classification"])),
    }
}

fn sorted(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.sort();
    rows
}

fn by_severity<'a>(severities: impl Iterator<Item = &'a Value>) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<_, _> =
        ["critical", "high", "medium", "low"].map(|it| (it.to_owned(), 0)).into();
    for severity in severities {
        *counts.get_mut(severity.as_str().unwrap()).unwrap() += 1;
    }
    counts
}

fn an_analysis_shows_what_its_json_says(world: &World) {
    let (page, json) = shown(world, "analyze");
    assert_eq!(page.title, "Workloads of cluster production");
    let summary = &json["summary"];
    let expected = format!("{} of 100 {}", summary["score"], text(&summary["classification"]));
    assert_eq!(page.score.as_deref(), Some(expected.as_str()));
    assert_eq!(page.figures["Workloads"], summary["workloads"]);
    assert_eq!(page.figures["Namespaces"], list(&json["namespaces"]).count() as u64);
    assert_eq!(page.figures["Refused now"], list(&json["refused"]).count() as u64);

    let namespaces = list(&json["namespaces"]).map(|it| {
        let mut row = vec![text(&it["namespace"]), score(it)];
        row.extend(texts(it, &["workloads", "pods"]));
        row.push(joined(&it["policies"]));
        row
    });
    let columns = ["Namespace", "Score", "Workloads", "Pods", "Policies"];
    assert_eq!(page.table("namespaces").columns(&columns), sorted(namespaces.collect()));
    let points = summary["lostPoints"].as_object().unwrap().iter();
    let points = points.map(|(rule, points)| vec![rule.clone(), points.to_string()]);
    assert_eq!(page.table("points").columns(&["Rule", "Lost points"]), sorted(points.collect()));
    let refused = list(&json["refused"]).map(|it| {
        let pods = format!("{} of {}", it["running"], it["wanted"]);
        vec![
            workload(it),
            text(&it["namespace"]),
            pods,
            text(&it["message"]),
            joined(&it["policies"]),
        ]
    });
    let columns = ["Workload", "Namespace", "Pods", "Why", "Policy"];
    let refused = sorted(refused.collect());
    assert!(!refused.is_empty(), "{json}");
    assert_eq!(page.table("refused").columns(&columns), refused);

    // A violation that several policies find counts once.
    let distinct: BTreeMap<_, _> = list(&json["results"])
        .map(|it| {
            let fields = texts(it, &["rule", "namespace", "container", "message"]);
            ((workload(it), fields), &it["severity"])
        })
        .rev()
        .collect();
    let rows = distinct.iter().map(|((workload, fields), severity)| {
        [vec![text(severity), workload.clone()], fields.clone()].concat()
    });
    let columns =
        ["Severity", "Workload", "Rule", "Namespace", "Container", "What, and what would pass"];
    assert_eq!(page.table("violations").columns(&columns), sorted(rows.collect()));
    assert_eq!(page.figures["Violations"], distinct.len() as u64);
    assert_eq!(page.severities, by_severity(distinct.values().copied()));
    let broken: BTreeSet<_> =
        distinct.keys().map(|(workload, fields)| (workload, &fields[1])).collect();
    assert_eq!(page.table("workloads").rows.len(), broken.len());
    // The CronJobs could not be read, which is told first.
    assert!(page.texts["faults"][0].starts_with("This report is incomplete"));
    assert!(page.table("faults").rows[0][1].contains("cronjobs is refused"), "{page:?}");
}

fn clusters_show_what_their_json_says(world: &World) {
    let (page, json) = shown(world, "clusters");
    assert_eq!(page.title, "3 clusters");
    assert_eq!(page.score, None, "several clusters have no score together");
    let rows = list(&json["clusters"]).map(|it| {
        let mut row = texts(it, &["context", "state"]);
        if it.get("violations").is_some() {
            row.push(score(it));
            row.extend(texts(it, &["workloads", "refused", "violations"]));
            row.extend(texts(&it["severities"], &["critical", "high", "medium", "low"]));
        } else {
            row.push("not analyzed".to_owned());
            row.extend(vec!["–".to_owned(); 7]);
        }
        row.extend(texts(it, &["version", "server"]));
        row
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(page.table("clusters").rows, rows);
    assert_eq!(rows[2][1], "Unreachable");
    let told = list(&json["clusters"]).filter(|it| !it["message"].is_null());
    let told: Vec<_> = told.map(|it| texts(it, &["context", "state", "message"])).collect();
    assert_eq!(page.table("faults").rows, told);
    assert!(page.texts["faults"][0].starts_with("This report is incomplete"));
    let analyzed: Vec<_> =
        list(&json["clusters"]).filter(|it| it.get("violations").is_some()).collect();
    for it in analyzed {
        let context = text(&it["context"]);
        for rule in list(&it["rules"]) {
            let row = vec![text(&rule["rule"]), text(&rule["violations"])];
            assert!(page.table("rules").columns(&["Rule", &context]).contains(&row), "{row:?}");
        }
        for (rule, points) in it["lostPoints"].as_object().unwrap() {
            let row = vec![rule.clone(), points.to_string()];
            assert!(page.table("points").columns(&["Rule", &context]).contains(&row), "{row:?}");
        }
    }
    let drift = page.table("drift");
    for policy in list(&json["drift"]) {
        for copy in list(&policy["clusters"]) {
            let hash = copy["hash"].as_str().unwrap_or("-").to_owned();
            let row = vec![text(&policy["policy"]), hash];
            let column = text(&copy["context"]);
            assert!(drift.columns(&["Policy", &column]).contains(&row), "{row:?}: {drift:?}");
        }
    }
    assert_eq!(drift.rows.len(), list(&json["drift"]).count());
}

fn a_preview_shows_what_its_json_says(world: &World) {
    for (name, title) in [
        ("preview", "3 policies in cluster production"),
        ("bundle", "policy restricted in cluster production"),
    ] {
        let (page, json) = shown(world, name);
        assert_eq!(page.title, title);
        let summary = &json["summary"];
        let after = &summary["score"]["after"];
        let expected = format!("{} of 100 {}", after["score"], text(&after["classification"]));
        assert_eq!(page.score.as_deref(), Some(expected.as_str()));
        for (figure, field) in [
            ("Workloads", "workloads"),
            ("Would be denied", "denied"),
            ("Running pods", "pods"),
            ("Pods at risk", "refusedPods"),
            ("In grace", "gracedPods"),
        ] {
            assert_eq!(page.figures[figure], summary[field], "{figure}");
        }
        let policies = list(&json["policies"])
            .map(|it| texts(it, &["policy", "mode", "wouldDeny", "wouldRefusePods"]));
        let columns = ["Policy", "Mode", "Would deny", "Would refuse pods"];
        assert_eq!(page.table("policies").columns(&columns), sorted(policies.collect()));
        let names = list(&json["workloads"]).map(|it| vec![workload(it), text(&it["namespace"])]);
        let refused = page.table("refused");
        assert_eq!(refused.columns(&["Workload", "Namespace"]), sorted(names.collect()));
        for it in list(&json["workloads"]) {
            let row = refused.rows.iter().find(|row| row[0] == workload(it)).unwrap();
            assert!(row[2].starts_with(it["verdict"].as_str().unwrap()), "{row:?}");
            if let Some(pods) = it["pods"].as_object().filter(|pods| pods["refused"] != 0) {
                assert_eq!(
                    row[3],
                    format!("{} of {}", pods["refused"], pods["running"]),
                    "{row:?}"
                );
            }
        }
        let exempt = list(&json["exemptions"]).map(|it| {
            let name = format!("{}[{}]", text(&it["policy"]), it["index"]);
            [vec![name], texts(it, &["state", "owner", "reason"])].concat()
        });
        let exempt = sorted(exempt.collect());
        if name == "preview" {
            assert_eq!(exempt.len(), 2, "{json}");
            let columns = ["Exemption", "State", "Owner", "Reason"];
            assert_eq!(page.table("exemptions").columns(&columns), exempt);
        }
        // Those in force change nothing, so their scores are those of today.
        let namespaces = page.table("namespaces");
        let scores = |when: &str| {
            let row = |it: &Value| vec![text(&it["namespace"]), score(&it[when])];
            sorted(list(&json["namespaces"]).map(row).collect())
        };
        if name == "preview" {
            assert_eq!(namespaces.columns(&["Namespace", "Score"]), scores("after"));
        } else {
            assert_eq!(page.figures["New violations"], summary["newViolations"]);
            assert_eq!(namespaces.columns(&["Namespace", "Score today"]), scores("before"));
            assert_eq!(namespaces.columns(&["Namespace", "Score afterwards"]), scores("after"));
        }
        // Every violation of a workload itself is shown.
        let found = page.table("violations").columns(&[
            "Workload",
            "Severity",
            "Rule",
            "Container",
            "What, and what would pass",
        ]);
        for it in list(&json["workloads"]) {
            for violation in list(&it["violations"]) {
                let fields = texts(violation, &["severity", "rule", "container", "message"]);
                assert!(found.contains(&[vec![workload(it)], fields].concat()), "{violation}");
            }
        }
    }
}

fn a_scan_shows_what_its_json_says(world: &World) {
    let (page, json) = shown(world, "scan");
    assert!(
        page.title.starts_with("Manifests of /") && page.title.ends_with("/deploy"),
        "{}",
        page.title
    );
    let summary = &json["summary"];
    let score = format!("{} of 100 ", summary["score"]);
    assert!(page.score.as_ref().is_some_and(|it| it.starts_with(&score)), "{page:?}");
    assert_eq!(page.figures["Workloads"], summary["workloads"]);
    assert_eq!(page.figures["Violations"], summary["violations"]);
    let results: Vec<_> = list(&json["results"]).collect();
    for (figure, decision) in [
        ("Would be denied", "deny"),
        ("In grace", "grace"),
        ("Would warn", "warn"),
        ("Recorded only", "audit"),
    ] {
        let count = results.iter().filter(|it| it["decision"] == decision).count();
        assert_eq!(page.figures[figure], count as u64, "{figure}");
    }
    let rows = results.iter().map(|it| {
        let place = format!("{}:{}:{}", text(&it["file"]), it["line"], it["column"]);
        let fields =
            ["severity", "rule", "decision", "namespace", "container", "message", "policy"];
        [vec![place, workload(it)], texts(it, &fields)].concat()
    });
    let columns = [
        "Place",
        "Workload",
        "Severity",
        "Rule",
        "Decision",
        "Namespace",
        "Container",
        "What, and what would pass",
        "Policy",
    ];
    assert_eq!(page.table("violations").columns(&columns), sorted(rows.collect()));
    assert_eq!(page.severities, by_severity(results.iter().map(|it| &it["severity"])));
    let faults = list(&json["faults"]).map(|it| texts(it, &["place", "message"]));
    assert_eq!(page.table("faults").columns(&["Where", "Why"]), sorted(faults.collect()));
    let unjudged = page.texts["unjudged"].join("\n");
    assert!(
        unjudged.contains("1 Service") && unjudged.contains("1 file of other programs"),
        "{unjudged}"
    );
}

fn a_cluster_where_nothing_runs_has_no_score(world: &World) {
    let (page, json) = shown(world, "empty");
    assert_eq!(json["summary"]["score"], Value::Null);
    assert_eq!(page.score.as_deref(), Some("– no score"));
    assert_eq!(page.table("namespaces").rows[0][1], "no score");
    assert_eq!(page.title, "Workloads of namespace shop of cluster staging");
}
