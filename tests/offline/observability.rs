//! Alerts and dashboards use only existing metrics, and each alert has a runbook and tests in which it fires and does
//! not. `tests/chart` runs them on a real Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

const RUNBOOKS: &str = "https://github.com/stochastic-io/podgate/blob/main/docs/runbooks.md#";

fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn read(below: &str) -> String {
    fs::read_to_string(path(below)).unwrap()
}

/// The files of a folder with this extension, each parsed as one value.
fn values(folder: &str, ending: &str) -> Vec<(String, Value)> {
    let files = fs::read_dir(path(folder)).unwrap().map(|it| it.unwrap().path());
    let files = files.filter(|it| it.to_str().unwrap().ends_with(ending));
    let value = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        (file.display().to_string(), serde_saphyr::from_str(&text).unwrap())
    };
    files.map(value).collect()
}

fn items<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value[field].as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field}: {value}"))
}

fn rules() -> Vec<Value> {
    let files = values("charts/podgate/rules", ".yaml");
    let groups = files.iter().flat_map(|(_, file)| items(file, "groups"));
    groups.flat_map(|group| items(group, "rules")).cloned().collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

#[test]
fn every_alert_is_described_and_has_a_section_of_the_runbooks() {
    let runbooks = read("docs/runbooks.md");
    let sections: Vec<_> = runbooks.split("\n## ").skip(1).collect();
    for alert in alerts() {
        let name = text(&alert, "alert");
        assert!(
            ["critical", "warning", "info"].contains(&text(&alert["labels"], "severity")),
            "{name}"
        );
        let annotations = &alert["annotations"];
        assert!(
            !text(annotations, "summary").is_empty()
                && !text(annotations, "description").is_empty()
        );
        assert_eq!(text(annotations, "runbook_url"), format!("{RUNBOOKS}{}", name.to_lowercase()));
        let section = sections.iter().find(|it| it.lines().next() == Some(name));
        let section = section.unwrap_or_else(|| panic!("docs/runbooks.md has no section {name}"));
        for part in ["*Affected now.*", "*Look.*", "*Do.*"] {
            assert!(section.contains(part), "the runbook of {name} has no {part}");
        }
    }
    // The form of links between runbooks.
    let names: BTreeSet<_> =
        sections.iter().map(|it| it.lines().next().unwrap().to_lowercase()).collect();
    for link in Regex::new(r"\]\(#([a-z-]+)\)").unwrap().captures_iter(&runbooks) {
        assert!(names.contains(&link[1].replace('-', " ")), "{} leads nowhere", &link[0]);
    }
}

/// `promtool test rules` runs these scenarios; this test checks that there are enough.
#[test]
fn every_alert_has_tests_that_fire_and_tests_that_do_not() {
    let scenarios = values("tests/prometheus", ".test.yaml");
    let tests: Vec<_> = scenarios.iter().flat_map(|(_, file)| items(file, "tests")).collect();
    let fired: String = tests
        .iter()
        .flat_map(|test| items(test, "promql_expr_test"))
        .filter(|it| text(it, "expr").contains("ALERTS"))
        .flat_map(|it| items(it, "exp_samples"))
        .map(|sample| text(sample, "labels"))
        .collect();
    let quiet: BTreeSet<_> = tests
        .iter()
        .flat_map(|test| items(test, "alert_rule_test"))
        .filter(|it| items(it, "exp_alerts").next().is_none())
        .map(|it| text(it, "alertname"))
        .collect();
    for alert in alerts() {
        let name = text(&alert, "alert");
        assert!(fired.contains(&format!("alertname=\"{name}\"")), "no test has {name} fire");
        // It always fires where podgate is absent.
        assert!(quiet.contains(name), "no test has {name} not fire");
    }
}

/// The metrics that a query names, without the suffixes of histograms.
fn named(query: &str) -> BTreeSet<String> {
    let name = "(?:podgate|devopspolicy|cluster_health|namespace_health|pod_events|process|apiserver)_[a-z_]+";
    let word = Regex::new(&format!(r"(^|[^a-zA-Z_:]){name}")).unwrap();
    let found = word.find_iter(query).map(|it| it.as_str());
    let found = found.map(|it| it.trim_start_matches(|c: char| !c.is_ascii_lowercase()));
    found.map(|it| it.trim_end_matches("_bucket").to_owned()).collect()
}

fn assert_known(query: &str, from: &str) {
    let known = read("docs/metrics.md");
    for metric in named(query) {
        let base = metric.trim_end_matches("_count").trim_end_matches("_sum");
        let is_known =
            [metric.as_str(), base].iter().any(|it| known.contains(&format!("| `{it}`")));
        assert!(is_known, "{from}: docs/metrics.md does not know {metric}");
    }
}

#[test]
fn rules_and_dashboards_name_metrics_that_exist() {
    let recorded: BTreeSet<_> =
        rules().iter().filter_map(|it| Some(it["record"].as_str()?.to_owned())).collect();
    let record = Regex::new(r"[a-z_]+:[a-z_]+:[a-z0-9_]+").unwrap();
    let assert_exists = |query: &str, from: &str| {
        assert_known(query, from);
        for used in record.find_iter(query) {
            assert!(recorded.contains(used.as_str()), "{from}: no rule records {}", used.as_str());
        }
    };
    for rule in rules() {
        assert_exists(text(&rule, "expr"), "a rule");
    }
    for (file, dashboard) in values("dashboards", ".json") {
        for panel in items(&dashboard, "panels") {
            items(panel, "targets").for_each(|it| assert_exists(text(it, "expr"), &file));
        }
    }
}

/// A renamed reason would silently leave the service level.
#[test]
fn the_service_level_counts_reasons_that_refusals_have() {
    let refusals = read("src/admission/refusal.rs") + &read("src/admission/review.rs");
    let reasons =
        Regex::new(r#"podgate_admission_refusals_total\{[^}]*reason=~"([A-Za-z|]+)""#).unwrap();
    let operations = values("dashboards", "operations.json").remove(0).1.to_string();
    let mut counted = BTreeSet::new();
    for query in [read("charts/podgate/rules/podgate.rules.yaml"), operations.replace("\\\"", "\"")]
    {
        let found = reasons.captures(&query).expect("the service level counts refusals");
        counted.insert(found[1].to_owned());
    }
    assert_eq!(counted.len(), 1, "rules and dashboard count different reasons: {counted:?}");
    for reason in counted.iter().flat_map(|it| it.split('|')) {
        assert!(
            refusals.contains(&format!("=> \"{reason}\"")),
            "no refusal has the reason {reason}"
        );
    }
}

#[test]
fn dashboards_work_with_any_data_source_and_explain_each_panel() {
    let variable = Regex::new(r"\$([a-z]+)").unwrap();
    let dashboards = values("dashboards", ".json");
    assert_eq!(dashboards.len(), 3);
    let uids: BTreeSet<_> = dashboards.iter().map(|(_, it)| text(it, "uid")).collect();
    assert_eq!(uids.len(), 3);
    for (file, dashboard) in &dashboards {
        assert_eq!(dashboard["id"], Value::Null, "{file}: an id belongs to one Grafana");
        let variables: BTreeSet<_> =
            items(&dashboard["templating"], "list").map(|it| text(it, "name")).collect();
        assert!(variables.contains("datasource"), "{file}");
        let mut ids = BTreeSet::new();
        for panel in items(dashboard, "panels") {
            let title = text(panel, "title");
            assert!(ids.insert(panel["id"].as_u64()), "{file}: {title} has the id of another");
            if panel["type"] == "row" {
                continue;
            }
            assert!(!text(panel, "description").is_empty(), "{file}: {title}");
            for part in std::iter::once(panel).chain(items(panel, "targets")) {
                assert_eq!(part["datasource"]["uid"], "${datasource}", "{file}: {title}");
            }
            for target in items(panel, "targets") {
                for used in variable.captures_iter(text(target, "expr")) {
                    assert!(variables.contains(&used[1]), "{file}: {title} uses {}", &used[0]);
                }
            }
        }
    }
}

/// A panel's question, in backticks, is how a page names it.
#[test]
fn every_question_that_a_page_refers_to_is_the_title_of_a_panel() {
    let dashboards = values("dashboards", ".json");
    let panels = dashboards.iter().flat_map(|(_, dashboard)| items(dashboard, "panels"));
    let titles: BTreeSet<_> = panels.map(|panel| text(panel, "title")).collect();
    let question = Regex::new(r"`([A-Z][^`]+\?)`").unwrap();
    let mut found = 0;
    for page in ["docs/runbooks.md", "docs/guides/adopt.md", "docs/operations.md", "docs/audit.md"]
    {
        let page_text = read(page);
        for named in question.captures_iter(&page_text) {
            let named = named[1].split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(titles.contains(named.as_str()), "{page}: no panel asks {named:?}");
            found += 1;
        }
    }
    assert!(found > 10, "{found} questions were found");
}
