//! Renders an analysis as tables.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::columns::{self, Detail, TableCell};
use crate::analysis::result::Analysis;
use crate::findings::Violation;
use crate::policy::text::clip;

/// The violations that the brief table shows, and the rules of each namespace.
const SHOWN_VIOLATIONS: usize = 10;
const SHOWN_RULES: usize = 3;
/// The row of all namespaces together. No namespace can have this name.
const TOTAL: &str = "(cluster)";

type LostPoints = BTreeMap<&'static str, u8>;

/// The namespaces, then the violations: the worst of them, or all with [`Detail::Full`].
pub(crate) fn table(analysis: &Analysis, detail: Detail) -> String {
    let mut text = scores(analysis, detail);
    let results = &analysis.results;
    let shown =
        if detail == Detail::Full { results.len() } else { results.len().min(SHOWN_VIOLATIONS) };
    if shown > 0 {
        text.push('\n');
        text.push_str(&violations(results.iter().take(shown), detail));
    }
    if results.len() > shown {
        let _ = writeln!(text, "and {} more: -o wide", results.len() - shown);
    }
    text
}

fn scores(analysis: &Analysis, detail: Detail) -> String {
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
        let counts = [it.workloads, it.violations];
        row(&it.namespace, it.score, it.classification, counts, &it.lost_points)
    });
    let mut rows: Vec<_> = namespaces.collect();
    let all = &analysis.summary;
    let counts = [all.counts.workloads, all.counts.violations];
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
fn costs(lost: &LostPoints, detail: Detail) -> String {
    let mut costs: Vec<_> = lost.iter().collect();
    costs.sort_by_key(|(_, points)| Reverse(**points));
    let shown = if detail == Detail::Full { costs.len() } else { SHOWN_RULES };
    let costs = costs.into_iter().take(shown).map(|(rule, points)| format!("{rule} {points}"));
    costs.collect::<Vec<_>>().join(", ")
}

fn violations<'a>(results: impl Iterator<Item = &'a Violation>, detail: Detail) -> String {
    let mut headings = vec!["SEVERITY", "RULE", "NAMESPACE", "WORKLOAD", "CONTAINER", "MESSAGE"];
    if detail == Detail::Full {
        headings.insert(2, "POLICY");
    }
    let row = |it: &Violation| {
        let mut cells = vec![
            TableCell::new(it.severity.as_str()),
            TableCell::new(&it.rule),
            TableCell::new(it.namespace.as_deref().unwrap_or_default()),
            TableCell::new(&clip(&format!("{}/{}", it.kind, it.name))),
            TableCell::or_none(it.container.as_deref().unwrap_or_default()),
            TableCell::new(&it.message),
        ];
        if detail == Detail::Full {
            cells.insert(2, TableCell::new(&it.policy));
        }
        cells
    };
    columns::table(&headings, results.map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::super::Versioned;
    use super::*;
    use crate::analysis::result::{ClusterScore, NamespaceScore, RuleScore};
    use crate::api::{Classification, Severity};
    use crate::findings::Summary;

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
            results: violations,
            faults: Vec::new(),
            notes: Vec::new(),
            own: None,
        }
    }

    #[test]
    fn the_table_shows_scores_with_what_costs_most_and_the_worst_violations() {
        insta::assert_snapshot!(table(&analysis(1), Detail::Brief), @r#"
        NAMESPACE   SCORE   CLASS     WORKLOADS   VIOLATIONS   LOST POINTS
        lab         -       -         2           1            <none>
        shop        90      Healthy   2           1            d 4, c 3, b 2
        (cluster)   95      Healthy   4           1            d 4, c 3, b 2

        SEVERITY   RULE              NAMESPACE   WORKLOAD            CONTAINER   MESSAGE
        high       forbidLatestTag   shop        Deployment/cart-0   <none>      spec.containers[0].image is "nginx"
        "#);
        let long = table(&analysis(12), Detail::Brief);
        assert!(long.ends_with("and 2 more: -o wide\n"), "{long}");
        assert!(!table(&analysis(0), Detail::Brief).contains("SEVERITY"));
    }

    #[test]
    fn the_wide_table_shows_everything() {
        insta::assert_snapshot!(table(&analysis(1), Detail::Full), @r#"
        NAMESPACE   SCORE   CLASS     WORKLOADS   VIOLATIONS   LOST POINTS          POLICIES
        lab         -       -         2           1            <none>               shop/baseline, every
        shop        90      Healthy   2           1            d 4, c 3, b 2, a 1   shop/baseline, every
        (cluster)   95      Healthy   4           1            d 4, c 3, b 2, a 1

        SEVERITY   RULE              POLICY          NAMESPACE   WORKLOAD            CONTAINER   MESSAGE
        high       forbidLatestTag   shop/baseline   shop        Deployment/cart-0   <none>      spec.containers[0].image is "nginx"
        "#);
        assert!(table(&analysis(12), Detail::Full).contains("cart-11"));
    }

    #[test]
    fn the_json_has_these_fields() {
        let mut analysis = analysis(1);
        analysis.namespaces.remove(0);
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
