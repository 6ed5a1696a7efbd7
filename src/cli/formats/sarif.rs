//! Renders SARIF 2.1.0, within the limits of GitHub's code scanning,
//! which refuses a whole log for one result without a file and a line.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::{Value, json};

use super::violations::{object_name, repository_path, worst_first};
use crate::api::Severity;
use crate::findings::{Fault, Report, Violation};
use crate::policy::registry;
use crate::policy::rule::Rule;
use crate::policy::text::{count, cut};

/// The most characters of a description that GitHub shows.
const MAX_DESCRIPTION: usize = 1024;

/// The most results of a run: code scanning refuses the whole log for one more, and shows the worst 5 000.
const MAX_RESULTS: usize = 25_000;

pub(super) fn log(report: &Report) -> Value {
    let mut kept: Vec<_> = report.results.iter().collect();
    let left_out = kept.len().saturating_sub(MAX_RESULTS);
    if left_out > 0 {
        kept = worst_first(&report.results);
        kept.truncate(MAX_RESULTS);
    }
    // Each rule with the worst severity of its violations, since policies may change a rule's severity.
    let mut rules = BTreeMap::<&str, Severity>::new();
    for violation in &kept {
        let worst = rules.entry(&violation.rule).or_insert(violation.severity);
        *worst = violation.severity.min(*worst);
    }
    let indices: HashMap<_, _> = rules.keys().enumerate().map(|(index, id)| (*id, index)).collect();
    let mut seen = HashMap::new();
    let results: Vec<_> = kept
        .into_iter()
        .map(|violation| result(violation, indices.get(violation.rule.as_str()), &mut seen))
        .collect();
    let mut notifications: Vec<_> = report.faults.iter().map(notification).collect();
    if left_out > 0 {
        let text = format!(
            "{} left out: a run has at most {MAX_RESULTS} results",
            count(left_out as u64, "violation")
        );
        notifications.push(json!({"level": "warning", "message": {"text": text}}));
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "podgate",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.iter().map(|(id, severity)| rule(id, *severity)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.faults.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    })
}

fn rule(id: &str, severity: Severity) -> Value {
    let (name, check) = id.split_once('/').unwrap_or((id, ""));
    let rule = registry::find(name);
    let (title, page) = rule.map_or((id.to_owned(), id.to_owned()), |it| (it.title(), it.page()));
    // GitHub uses it as the alert's title, so it names the check.
    let asked = rule.and_then(|rule| rule.check_title(check)).unwrap_or(title);
    let title = if check.is_empty() { asked } else { format!("{id}: {asked}") };
    let examples = rule.map(Rule::examples).map(|(fails, passes)| {
        format!("\n\nFails:\n\n```yaml\n{fails}```\n\nPasses:\n\n```yaml\n{passes}```\n")
    });
    let mut properties = json!({"tags": ["kubernetes"]});
    if name == "podSecurity" {
        properties =
            json!({"tags": ["kubernetes", "security"], "security-severity": score(severity)});
    }
    json!({
        "id": id,
        "shortDescription": {"text": cut(title, MAX_DESCRIPTION)},
        "fullDescription": {"text": cut(page.clone(), MAX_DESCRIPTION)},
        "help": {"text": page, "markdown": page.clone() + &examples.unwrap_or_default()},
        "defaultConfiguration": {"level": level(severity)},
        "properties": properties,
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

/// A CVSS-like score in GitHub's range for the severity.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}

fn result(
    violation: &Violation,
    rule_index: Option<&usize>,
    seen: &mut HashMap<u64, u32>,
) -> Value {
    let container = violation.container.as_ref().map(|it| format!(", container {it}"));
    // SARIF reads braces as placeholders only around a number, and viewers do not undouble doubled ones.
    let text = format!(
        "{}{}: {}",
        object_name(violation),
        container.unwrap_or_default(),
        violation.message
    );
    let fingerprint = fingerprint(violation);
    // Two policies may have the same violation of a field; the number distinguishes them.
    let number = seen.entry(fingerprint).and_modify(|number| *number += 1).or_insert(1);
    json!({
        "ruleId": violation.rule,
        "ruleIndex": rule_index,
        "level": level(violation.severity),
        "message": {"text": text},
        "locations": [location(violation)],
        "partialFingerprints": {"primaryLocationLineHash": format!("{fingerprint:016x}:{number}")},
        "properties": {
            "severity": violation.severity,
            "decision": violation.decision,
            "policy": violation.policy,
            "container": violation.container,
            "value": violation.value,
        },
    })
}

fn location(violation: &Violation) -> Value {
    let Violation { kind, namespace, name, path, .. } = violation;
    let mut region = json!({"startLine": violation.line.unwrap_or(1).max(1)});
    if let (Some(column), Value::Object(region)) = (violation.column, &mut region) {
        region.insert("startColumn".to_owned(), column.max(1).into());
    }
    let object: Vec<_> =
        [Some(kind), namespace.as_ref(), Some(name)].into_iter().flatten().collect();
    let object = object.into_iter().cloned().collect::<Vec<_>>().join("/");
    let field = if path.is_empty() { object.clone() } else { format!("{object}/{path}") };
    json!({
        "physicalLocation": {"artifactLocation": {"uri": uri(violation, &object)}, "region": region},
        "logicalLocations": [{"name": name, "fullyQualifiedName": field, "kind": "object"}],
    })
}

/// The file's path from podgate's working directory. An object without
/// a file gets a path of its own, since a result must have one.
fn uri(violation: &Violation, object: &str) -> String {
    let Some(path) = repository_path(violation) else {
        let source = if violation.file.is_some() { "stdin" } else { "cluster" };
        return format!("{source}/{}", encoded(object));
    };
    match (Path::new(&path).is_absolute(), path.starts_with('/')) {
        (false, _) => encoded(&path),
        (true, true) => format!("file://{}", encoded(&path)),
        (true, false) => format!("file:///{}", encoded(&path)),
    }
}

/// Percent-encodes a path, except slashes and RFC 3986's unreserved characters.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let encode =
        |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(encode).collect()
}

/// Identifies a violation although lines move and other violations come and go: FNV-1a over its stable parts.
fn fingerprint(violation: &Violation) -> u64 {
    let Violation { rule, kind, namespace, name, container, path, .. } = violation;
    let namespace = namespace.as_deref().unwrap_or_default();
    let container = container.as_deref().unwrap_or_default();
    let parts = [rule, kind, namespace, name, container, path];
    let bytes = parts.into_iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn notification(fault: &Fault) -> Value {
    json!({
        "level": "error",
        "message": {"text": format!("{}: {}", fault.place, fault.message)},
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{clean, faulty, plain, sarif_schema, violated, with};
    use super::*;

    fn run(report: &Report) -> Value {
        log(report)["runs"][0].take()
    }

    fn fingerprints(report: &Report) -> Vec<Value> {
        let run = run(report);
        run["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["partialFingerprints"].clone())
            .collect()
    }

    #[test]
    fn every_log_is_what_the_standards_schema_asks() {
        let validator =
            jsonschema::options().should_validate_formats(true).build(&sarif_schema()).unwrap();
        for report in [violated(), clean(), faulty()] {
            let log = log(&report);
            let errors: Vec<_> =
                validator.iter_errors(&log).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
        assert!(!validator.is_valid(&json!({"version": "2.1.0", "runs": [{}]})), "it finds faults");
    }

    #[test]
    fn a_result_names_the_rule_the_place_and_what_is_wrong() {
        let run = run(&with(vec![plain()]));
        insta::assert_snapshot!(serde_json::to_string_pretty(&run["results"][0]).unwrap(), @r#"
        {
          "level": "error",
          "locations": [
            {
              "logicalLocations": [
                {
                  "fullyQualifiedName": "Deployment/shop/cart/spec.template.spec.containers[0].image",
                  "kind": "object",
                  "name": "cart"
                }
              ],
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "deploy/cart.yaml"
                },
                "region": {
                  "startColumn": 18,
                  "startLine": 14
                }
              }
            }
          ],
          "message": {
            "text": "Deployment shop/cart, container web: spec.template.spec.containers[0].image is \"nginx\" (no tag means :latest); pin the version that should run: nginx:VERSION"
          },
          "partialFingerprints": {
            "primaryLocationLineHash": "a196498c6de7224c:1"
          },
          "properties": {
            "container": "web",
            "decision": null,
            "policy": "shop/baseline",
            "severity": "high",
            "value": "nginx"
          },
          "ruleId": "forbidLatestTag",
          "ruleIndex": 0
        }
        "#);
    }

    #[test]
    fn github_gets_a_file_and_a_line_for_each_result_and_a_rule_that_exists() {
        let run = run(&violated());
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let ids: Vec<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        assert_eq!(
            ids,
            ["forbidLatestTag", "maxRestartCount", "requireReadinessProbe", "validations/no-1.0"]
        );
        for rule in rules {
            for description in ["shortDescription", "fullDescription", "help"] {
                assert_ne!(rule[description]["text"], "", "{rule}");
            }
        }
        for result in run["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(result["ruleId"], ids[index]);
            let place = &result["locations"][0]["physicalLocation"];
            assert_ne!(place["artifactLocation"]["uri"].as_str().unwrap_or_default(), "");
            assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
        }
    }

    #[test]
    fn the_levels_are_those_of_the_severities() {
        let run = run(&violated());
        let results = run["results"].as_array().unwrap();
        let levels: Vec<_> = results.iter().map(|it| it["level"].as_str().unwrap()).collect();
        assert_eq!(levels, ["note", "note", "error", "error", "warning"]);
    }

    #[test]
    fn a_uri_is_encoded_and_an_object_without_a_file_has_one_of_its_own() {
        let of = |file: Option<&str>| {
            let violation = Violation { file: file.map(str::to_owned), ..plain() };
            location(&violation)["physicalLocation"]["artifactLocation"]["uri"].take()
        };
        assert_eq!(of(Some("./a b/é%:#?.yaml")), "a%20b/%C3%A9%25%3A%23%3F.yaml");
        assert_eq!(of(Some("../cart.yaml")), "../cart.yaml");
        assert_eq!(of(Some("-")), "stdin/Deployment/shop/cart");
        assert_eq!(of(None), "cluster/Deployment/shop/cart");
        #[cfg(unix)]
        assert_eq!(of(Some("/srv/cart.yaml")), "file:///srv/cart.yaml");
    }

    #[test]
    fn a_rule_is_as_severe_as_the_worst_that_the_policies_make_of_it() {
        let rated = |severities: &[Severity]| {
            let with_severity = |severity: &Severity| Violation { severity: *severity, ..plain() };
            let run = run(&with(severities.iter().map(with_severity).collect()));
            run["tool"]["driver"]["rules"][0]["defaultConfiguration"]["level"].clone()
        };
        assert_eq!(rated(&[Severity::Low, Severity::Medium]), "warning");
        assert_eq!(rated(&[Severity::Low]), "note");
        assert_eq!(rated(&[Severity::Medium, Severity::Critical]), "error");
    }

    #[test]
    fn a_fingerprint_stays_when_lines_values_and_neighbours_change() {
        let before = with(vec![plain()]);
        let moved = Violation {
            line: Some(99),
            column: None,
            file: Some("moved.yaml".to_owned()),
            value: Some("redis".to_owned()),
            message: "other words".to_owned(),
            severity: Severity::Low,
            ..plain()
        };
        let neighbour = Violation { container: Some("other".to_owned()), ..plain() };
        let after = with(vec![neighbour, moved]);
        assert_eq!(fingerprints(&before)[0], fingerprints(&after)[1]);
        assert_eq!(fingerprints(&before)[0]["primaryLocationLineHash"], "a196498c6de7224c:1");
    }

    #[test]
    fn no_two_results_share_a_fingerprint() {
        let same = Violation { policy: "other".to_owned(), ..plain() };
        let found = fingerprints(&with(vec![plain(), same]));
        assert_ne!(found[0], found[1]);
        // Where one name ends and the next begins is part of it.
        let joined =
            Violation { namespace: Some("shopc".to_owned()), name: "art".to_owned(), ..plain() };
        assert_ne!(fingerprint(&plain()), fingerprint(&joined));
    }

    #[test]
    fn what_could_not_be_judged_is_a_notification_and_no_success() {
        let invocation = &run(&faulty())["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        let text = invocation["toolExecutionNotifications"][0]["message"]["text"].as_str().unwrap();
        assert!(text.starts_with("deploy/<bad>.yaml:3:1: this is no YAML"), "{text}");
        assert_eq!(run(&clean())["invocations"][0]["executionSuccessful"], true);
    }

    #[test]
    fn the_worst_results_are_kept_where_code_scanning_would_refuse_the_log() {
        let low = Violation { severity: Severity::Low, ..plain() };
        let mut report = with(vec![low; MAX_RESULTS]);
        assert_eq!(run(&report)["invocations"][0]["toolExecutionNotifications"], json!([]));
        report.results.push(plain());
        let run = run(&report);
        assert_eq!(run["results"].as_array().unwrap().len(), MAX_RESULTS);
        assert_eq!(run["results"][0]["level"], "error");
        let text = &run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"];
        assert_eq!(*text, "1 violation left out: a run has at most 25000 results");
    }

    #[test]
    fn a_rules_help_is_its_page_and_its_examples() {
        let rule = rule("forbidLatestTag", Severity::High);
        assert_eq!(rule["shortDescription"]["text"], "Forbids images that float on `latest`.");
        let markdown = rule["help"]["markdown"].as_str().unwrap();
        assert!(markdown.starts_with(rule["help"]["text"].as_str().unwrap()), "{markdown}");
        assert!(markdown.contains("\n\nFails:\n\n```yaml\napiVersion: "), "{markdown}");
    }

    #[test]
    fn a_pod_security_check_is_a_security_rule() {
        let rule = rule("podSecurity/hostPathVolumes", Severity::High);
        let title = "podSecurity/hostPathVolumes: folders of the node.";
        assert_eq!(rule["shortDescription"]["text"], title);
        assert_eq!(rule["properties"]["tags"], json!(["kubernetes", "security"]));
        let score: f64 = rule["properties"]["security-severity"].as_str().unwrap().parse().unwrap();
        assert!(score > 0.0 && score <= 10.0);
    }
}
