//! Renders an analysis as tables.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::columns::{self, Detail, TableCell};
use super::super::formats::by_severity;
use crate::analysis::result::{Analysis, DistinctViolation, RefusedPods, RuleCount};
use crate::policy::text::clip;
use crate::policy::text::count;

/// The rows of each table that the brief form shows, and the rules in each namespace's row.
const SHOWN_ROWS: usize = 10;
const SHOWN_RULES: usize = 3;
/// The row of all namespaces together. No namespace can have this name.
const TOTAL: &str = "(cluster)";

type LostPoints = BTreeMap<&'static str, u8>;

/// A line of the counts, then the refused workloads, the namespaces, the rules and the violations: the worst of each,
/// or all with [`Detail::Full`].
pub(crate) fn table(analysis: &Analysis, detail: Detail) -> String {
    let violations = analysis.distinct();
    let mut text = format!("{}\n\n", summary(analysis, &violations));
    if !analysis.refused.is_empty() {
        let _ = writeln!(text, "Refused now:\n{}", refused(&analysis.refused, detail));
    }
    text.push_str(&scores(analysis, &violations, detail));
    if !violations.is_empty() {
        let _ = write!(text, "\n{}", rules(&violations, detail));
        let _ = write!(text, "\n{}", list(&violations, detail));
    }
    text
}

/// `2 workloads are refused; 5 violations (1 critical, 4 high) in 3 workloads`
pub(super) fn summary(analysis: &Analysis, violations: &[DistinctViolation<'_>]) -> String {
    let workloads = count(analysis.summary.counts.workloads, "workload");
    let found = match violations.len() as u64 {
        0 => format!("no violation in {workloads}"),
        all => {
            let by_severity = by_severity(violations.iter().map(|it| it.violation.severity));
            format!("{} ({by_severity}) in {workloads}", count(all, "violation"))
        }
    };
    match analysis.refused.len() as u64 {
        0 => found,
        1 => format!("1 workload is refused; {found}"),
        refused => format!("{refused} workloads are refused; {found}"),
    }
}

/// A table of the first rows, and a line that says how many more there are.
fn worst<T>(
    headings: &[&str],
    rows: &[T],
    detail: Detail,
    row: impl Fn(&T) -> Vec<TableCell>,
) -> String {
    let shown = if detail == Detail::Full { rows.len() } else { rows.len().min(SHOWN_ROWS) };
    let mut text = columns::table(headings, rows.iter().take(shown).map(row).collect());
    if rows.len() > shown {
        let _ = writeln!(text, "and {} more: -o wide", rows.len() - shown);
    }
    text
}

fn refused(refused: &[RefusedPods], detail: Detail) -> String {
    worst(&["NAMESPACE", "WORKLOAD", "PODS", "POLICY", "MESSAGE"], refused, detail, |it| {
        vec![
            TableCell::new(&it.namespace),
            TableCell::new(&clip(&format!("{}/{}", it.kind, it.name))),
            TableCell::new(&format!("{} of {}", it.running, count(it.wanted.into(), "pod"))),
            TableCell::new(&it.policies.join(", ")),
            TableCell::new(&it.message),
        ]
    })
}

fn rules(violations: &[DistinctViolation<'_>], detail: Detail) -> String {
    let rules = RuleCount::of(violations);
    worst(&["SEVERITY", "RULE", "VIOLATIONS"], &rules, detail, |it| {
        vec![
            TableCell::new(it.severity.as_str()),
            TableCell::new(&it.rule),
            TableCell::new(&it.violations.to_string()),
        ]
    })
}

fn scores(analysis: &Analysis, violations: &[DistinctViolation<'_>], detail: Detail) -> String {
    let mut by_namespace = BTreeMap::<_, u64>::new();
    for it in violations {
        *by_namespace.entry(it.violation.namespace.as_deref()).or_default() += 1;
    }
    let mut headings =
        vec!["NAMESPACE", "SCORE", "CLASS", "WORKLOADS", "VIOLATIONS", "LOST POINTS"];
    let row = |name: &str, score, class, counts: [u64; 2], lost: &LostPoints| {
        let [workloads, violations] = counts.map(|count| TableCell::new(&count.to_string()));
        vec![
            TableCell::new(name),
            TableCell::new(&columns::score(score)),
            TableCell::new(&columns::class(class)),
            workloads,
            violations,
            TableCell::or_none(&costs(lost, detail)),
        ]
    };
    let namespaces = analysis.namespaces.iter().map(|it| {
        let violations = by_namespace.get(&Some(it.namespace.as_str())).copied();
        let counts = [it.workloads, violations.unwrap_or_default()];
        row(&it.namespace, it.score, it.classification, counts, &it.lost_points)
    });
    let mut rows: Vec<_> = namespaces.collect();
    let all = &analysis.summary;
    let counts = [all.counts.workloads, violations.len() as u64];
    rows.push(row(TOTAL, all.counts.score, all.classification, counts, &all.lost_points));
    if detail == Detail::Full {
        headings.push("POLICIES");
        for (row, namespace) in rows.iter_mut().zip(&analysis.namespaces) {
            row.push(TableCell::new(&namespace.policies.join(", ")));
        }
    }
    columns::table(&headings, rows)
}

/// `RULE POINTS` for each rule, most points first.
pub(super) fn costs(lost: &LostPoints, detail: Detail) -> String {
    let mut costs: Vec<_> = lost.iter().collect();
    costs.sort_by_key(|(_, points)| Reverse(**points));
    let shown = if detail == Detail::Full { costs.len() } else { SHOWN_RULES };
    let costs = costs.into_iter().take(shown).map(|(rule, points)| format!("{rule} {points}"));
    costs.collect::<Vec<_>>().join(", ")
}

fn list(violations: &[DistinctViolation<'_>], detail: Detail) -> String {
    let headings = ["SEVERITY", "RULE", "POLICY", "NAMESPACE", "WORKLOAD", "CONTAINER", "MESSAGE"];
    worst(&headings, violations, detail, |DistinctViolation { violation: it, policies }| {
        vec![
            TableCell::new(it.severity.as_str()),
            TableCell::new(&it.rule),
            TableCell::new(&policies.join(", ")),
            TableCell::new(it.namespace.as_deref().unwrap_or_default()),
            TableCell::new(&clip(&format!("{}/{}", it.kind, it.name))),
            TableCell::or_none(it.container.as_deref().unwrap_or_default()),
            TableCell::new(&it.message),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::super::Versioned;
    use super::*;
    use crate::analysis::result::{ClusterScore, NamespaceScore, RuleScore};
    use crate::api::{Classification, Severity};
    use crate::findings::{Summary, Violation};

    fn violation(number: usize) -> Violation {
        Violation {
            file: None,
            line: None,
            column: None,
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: format!("cart-{number}"),
            policy: "shop/baseline".to_owned(),
            rule: "forbidLatestTag".to_owned(),
            severity: Severity::High,
            container: (number > 0).then(|| "web".to_owned()),
            path: "spec.containers[0].image".to_owned(),
            value: Some("nginx".to_owned()),
            message: "spec.containers[0].image is \"nginx\"".to_owned(),
            decision: None,
            fix: None,
        }
    }

    fn analysis(violations: usize) -> Analysis {
        let lost: LostPoints = [("a", 1), ("b", 2), ("c", 3), ("d", 4)].into();
        let namespace = |name: &str, score: Option<u8>, lost_points: LostPoints| NamespaceScore {
            namespace: name.to_owned(),
            score,
            classification: score.map(|_| Classification::Healthy),
            workloads: 2,
            pods: 4,
            violations: violations as u64,
            worst_rules: vec![RuleScore {
                rule: "forbidLatestTag",
                severity: Severity::High,
                violations: violations as u64,
                lost_points: 10,
            }],
            lost_points,
            policies: vec!["shop/baseline".to_owned(), "every".to_owned()],
        };
        let violations = (0..violations).map(violation).collect::<Vec<_>>();
        Analysis {
            namespaces: vec![
                namespace("lab", None, LostPoints::new()),
                namespace("shop", Some(90), lost.clone()),
            ],
            summary: ClusterScore {
                counts: Summary {
                    documents: 9,
                    workloads: 4,
                    skipped: 1,
                    violations: violations.len() as u64,
                    score: Some(95),
                },
                classification: Some(Classification::Healthy),
                lost_points: lost,
            },
            refused: Vec::new(),
            results: violations,
            faults: Vec::new(),
            notes: Vec::new(),
            own: None,
        }
    }

    fn refused(running: u32, wanted: u32) -> RefusedPods {
        RefusedPods {
            namespace: "shop".to_owned(),
            kind: "Deployment".to_owned(),
            name: format!("cart-{wanted}"),
            wanted,
            running,
            policies: vec!["shop/baseline".to_owned(), "every".to_owned()],
            message: "spec.containers[0].image is \"nginx\"".to_owned(),
        }
    }

    #[test]
    fn the_table_shows_scores_with_what_costs_most_and_the_worst_violations() {
        insta::assert_snapshot!(table(&analysis(1), Detail::Brief), @r#"
        1 violation (1 high) in 4 workloads

        NAMESPACE   SCORE   CLASS     WORKLOADS   VIOLATIONS   LOST POINTS
        lab         -       -         2           0            <none>
        shop        90      Healthy   2           1            d 4, c 3, b 2
        (cluster)   95      Healthy   4           1            d 4, c 3, b 2

        SEVERITY   RULE              VIOLATIONS
        high       forbidLatestTag   1

        SEVERITY   RULE              POLICY          NAMESPACE   WORKLOAD            CONTAINER   MESSAGE
        high       forbidLatestTag   shop/baseline   shop        Deployment/cart-0   <none>      spec.containers[0].image is "nginx"
        "#);
        let long = table(&analysis(12), Detail::Brief);
        assert!(long.starts_with("12 violations (12 high) in 4 workloads\n"), "{long}");
        assert!(long.ends_with("and 2 more: -o wide\n"), "{long}");
        let none = table(&analysis(0), Detail::Brief);
        assert!(none.starts_with("no violation in 4 workloads\n"), "{none}");
        assert!(!none.contains("SEVERITY"), "{none}");
    }

    #[test]
    fn the_refused_workloads_come_first() {
        let mut analysis = analysis(1);
        analysis.refused = vec![refused(0, 4), refused(0, 1)];
        let text = table(&analysis, Detail::Brief);
        let first: Vec<_> = text.lines().take(6).collect();
        insta::assert_snapshot!(first.join("\n") + "\n", @r#"
        2 workloads are refused; 1 violation (1 high) in 4 workloads

        Refused now:
        NAMESPACE   WORKLOAD            PODS          POLICY                 MESSAGE
        shop        Deployment/cart-4   0 of 4 pods   shop/baseline, every   spec.containers[0].image is "nginx"
        shop        Deployment/cart-1   0 of 1 pod    shop/baseline, every   spec.containers[0].image is "nginx"
        "#);
        analysis.refused.truncate(1);
        let one = table(&analysis, Detail::Full);
        assert!(one.starts_with("1 workload is refused; "), "{one}");
    }

    #[test]
    fn a_violation_that_two_policies_find_is_one_line_with_both_names() {
        let mut analysis = analysis(1);
        let mut second = violation(0);
        second.policy = "every".to_owned();
        second.severity = Severity::Low;
        let mut other = violation(0);
        other.policy = "every".to_owned();
        other.message = "another requirement".to_owned();
        analysis.results.extend([second, other]);
        let text = table(&analysis, Detail::Brief);
        let lines: Vec<_> = text.lines().skip(7).collect();
        insta::assert_snapshot!(lines.join("\n") + "\n", @r#"
        SEVERITY   RULE              VIOLATIONS
        high       forbidLatestTag   2

        SEVERITY   RULE              POLICY                 NAMESPACE   WORKLOAD            CONTAINER   MESSAGE
        high       forbidLatestTag   shop/baseline, every   shop        Deployment/cart-0   <none>      spec.containers[0].image is "nginx"
        high       forbidLatestTag   every                  shop        Deployment/cart-0   <none>      another requirement
        "#);
        assert!(text.starts_with("2 violations (2 high) in 4 workloads\n"), "{text}");
    }

    #[test]
    fn the_wide_table_shows_everything() {
        insta::assert_snapshot!(table(&analysis(1), Detail::Full), @r#"
        1 violation (1 high) in 4 workloads

        NAMESPACE   SCORE   CLASS     WORKLOADS   VIOLATIONS   LOST POINTS          POLICIES
        lab         -       -         2           0            <none>               shop/baseline, every
        shop        90      Healthy   2           1            d 4, c 3, b 2, a 1   shop/baseline, every
        (cluster)   95      Healthy   4           1            d 4, c 3, b 2, a 1

        SEVERITY   RULE              VIOLATIONS
        high       forbidLatestTag   1

        SEVERITY   RULE              POLICY          NAMESPACE   WORKLOAD            CONTAINER   MESSAGE
        high       forbidLatestTag   shop/baseline   shop        Deployment/cart-0   <none>      spec.containers[0].image is "nginx"
        "#);
        assert!(table(&analysis(12), Detail::Full).contains("cart-11"));
    }

    #[test]
    fn the_json_has_these_fields() {
        let mut analysis = analysis(1);
        analysis.namespaces.remove(0);
        analysis.refused = vec![refused(1, 4)];
        let json = serde_json::to_string_pretty(&Versioned::of(&analysis));
        insta::assert_snapshot!(json.unwrap(), @r#"
        {
          "apiVersion": "podgate/v1",
          "namespaces": [
            {
              "namespace": "shop",
              "score": 90,
              "classification": "Healthy",
              "workloads": 2,
              "pods": 4,
              "violations": 1,
              "worstRules": [
                {
                  "rule": "forbidLatestTag",
                  "severity": "high",
                  "violations": 1,
                  "lostPoints": 10
                }
              ],
              "lostPoints": {
                "a": 1,
                "b": 2,
                "c": 3,
                "d": 4
              },
              "policies": [
                "shop/baseline",
                "every"
              ]
            }
          ],
          "refused": [
            {
              "namespace": "shop",
              "kind": "Deployment",
              "name": "cart-4",
              "wanted": 4,
              "running": 1,
              "policies": [
                "shop/baseline",
                "every"
              ],
              "message": "spec.containers[0].image is \"nginx\""
            }
          ],
          "results": [
            {
              "file": null,
              "line": null,
              "column": null,
              "kind": "Deployment",
              "namespace": "shop",
              "name": "cart-0",
              "policy": "shop/baseline",
              "rule": "forbidLatestTag",
              "severity": "high",
              "decision": null,
              "container": null,
              "path": "spec.containers[0].image",
              "value": "nginx",
              "message": "spec.containers[0].image is \"nginx\"",
              "fix": null
            }
          ],
          "summary": {
            "documents": 9,
            "workloads": 4,
            "skipped": 1,
            "violations": 1,
            "score": 95,
            "classification": "Healthy",
            "lostPoints": {
              "a": 1,
              "b": 2,
              "c": 3,
              "d": 4
            }
          }
        }
        "#);
    }
}
