//! Renders the analysis of several clusters as tables.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::columns::{self, Detail, NOTHING, TableCell};
use crate::analysis::fleet::{ClusterFindings, Drift, Fleet, Member};

/// The rules that the brief table shows.
const SHOWN_RULES: usize = 10;

/// The clusters, then the violated rules, then the policies that differ.
pub(super) fn analysis(fleet: &Fleet, detail: Detail) -> String {
    let mut text = clusters(fleet, detail);
    let rules = rules(fleet, detail);
    if !rules.is_empty() {
        let _ = write!(text, "\n{rules}");
    }
    if let Some(drift) = &fleet.drift {
        let _ = write!(text, "\n{}", policies(fleet, drift));
    }
    text
}

fn clusters(fleet: &Fleet, detail: Detail) -> String {
    let mut headings =
        vec!["CONTEXT", "STATE", "SCORE", "CLASS", "WORKLOADS", "REFUSED", "VIOLATIONS"];
    headings.extend(["CRITICAL", "HIGH", "MEDIUM", "LOW"]);
    if detail == Detail::Full {
        headings.extend(["VERSION", "SERVER"]);
    }
    let row = |member: &Member| {
        let mut cells = vec![member.context.clone(), member.state.as_str().to_owned()];
        if let Some(found) = &member.found {
            cells.extend([columns::score(found.score), columns::class(found.classification)]);
            let counts = [found.workloads, found.refused, found.violations];
            cells.extend(counts.map(|count| count.to_string()));
            cells.extend(found.severities.each().map(|(_, count)| count.to_string()));
        } else {
            cells.extend([NOTHING; 9].map(str::to_owned));
        }
        if detail == Detail::Full {
            let facts = [&member.version, &member.server];
            cells.extend(facts.map(|it| it.clone().unwrap_or_else(|| NOTHING.to_owned())));
        }
        cells.iter().map(|cell| TableCell::new(cell)).collect()
    };
    columns::table(&headings, fleet.clusters.iter().map(row).collect())
}

fn rules(fleet: &Fleet, detail: Detail) -> String {
    let rules = fleet.rules();
    if rules.is_empty() {
        return String::new();
    }
    let by_rule = |found: &ClusterFindings| -> BTreeMap<String, u64> {
        found.rules.iter().map(|it| (it.rule.clone(), it.violations)).collect()
    };
    let counts: Vec<_> = fleet.found().map(|(_, found)| by_rule(found)).collect();
    let shown = if detail == Detail::Full { rules.len() } else { rules.len().min(SHOWN_RULES) };
    let rows = rules.iter().take(shown).map(|rule| {
        let mut cells = vec![TableCell::new(rule.severity.as_str()), TableCell::new(&rule.rule)];
        let count = |counts: &BTreeMap<String, u64>| counts.get(&rule.rule).copied().unwrap_or(0);
        cells.extend(counts.iter().map(|counts| TableCell::new(&count(counts).to_string())));
        cells
    });
    let mut headings = vec!["SEVERITY", "RULE"];
    headings.extend(fleet.found().map(|(member, _)| member.context.as_str()));
    let mut text = columns::table(&headings, rows.collect());
    if rules.len() > shown {
        let _ = writeln!(text, "and {} more: -o wide", rules.len() - shown);
    }
    text
}

fn policies(fleet: &Fleet, drift: &[Drift]) -> String {
    if drift.is_empty() {
        return same(fleet) + "\n";
    }
    let contexts: Vec<_> = fleet.compared().map(|it| it.context.as_str()).collect();
    let row = |drift: &Drift| {
        let mut cells = vec![TableCell::new(&drift.policy)];
        cells.extend(contexts.iter().map(|context| TableCell::new(hash(drift, context))));
        cells
    };
    let mut headings = vec!["POLICY THAT DIFFERS"];
    headings.extend(&contexts);
    columns::table(&headings, drift.iter().map(row).collect())
}

/// The sentence for policies of which none differs.
pub(super) fn same(fleet: &Fleet) -> String {
    let clusters = fleet.compared().count();
    match fleet.policies() {
        0 => format!("None of the {clusters} clusters has a policy."),
        1 => format!("The one policy is the same in all {clusters} clusters."),
        count => format!("The {count} policies are the same in all {clusters} clusters."),
    }
}

/// The hash of a policy in a cluster. A cluster whose policies were not read may have the policy.
pub(super) fn hash<'a>(drift: &'a Drift, context: &str) -> &'a str {
    let copy = drift.clusters.iter().find(|copy| copy.context == context);
    copy.map_or("?", |copy| copy.hash.as_deref().unwrap_or(NOTHING))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fleet::testing::{analysis as analyzed, member};
    use crate::cli::output::Versioned;
    use crate::clusters::ClusterError;

    fn fleet(policies: [&[(&str, &str)]; 2]) -> Fleet {
        use crate::api::Severity::{High, Low};
        let [a, b] = policies;
        let refused = ClusterError::Forbidden("no".to_owned());
        let lost =
            Member::new("lost".to_owned(), Some("https://c".to_owned()), None, Err(refused.into()));
        Fleet::new(vec![
            member("east", analyzed(&[("forbidLatestTag", High), ("requiredLabels", Low)], a)),
            lost,
            member("west", analyzed(&[("requiredLabels", Low)], b)),
        ])
    }

    #[test]
    fn clusters_rules_and_policies_that_differ_stand_side_by_side() {
        let fleet = fleet([&[("DevOpsPolicy shop/a", "111111111111")], &[]]);
        insta::assert_snapshot!(analysis(&fleet, Detail::Brief), @"
        CONTEXT   STATE       SCORE   CLASS     WORKLOADS   REFUSED   VIOLATIONS   CRITICAL   HIGH   MEDIUM   LOW
        east      Reachable   90      Healthy   0           0         2            0          1      0        1
        lost      Forbidden   -       -         -           -         -            -          -      -        -
        west      Reachable   90      Healthy   0           0         1            0          0      0        1

        SEVERITY   RULE              east   west
        high       forbidLatestTag   1      0
        low        requiredLabels    1      1

        POLICY THAT DIFFERS   east           west
        DevOpsPolicy shop/a   111111111111   -
        ");
    }

    #[test]
    fn policies_that_agree_take_a_sentence() {
        let same: &[(&str, &str)] = &[("a", "1"), ("b", "2")];
        let text = analysis(&fleet([same, same]), Detail::Full);
        assert!(text.ends_with("\nThe 2 policies are the same in all 2 clusters.\n"), "{text}");
        assert!(text.lines().next().unwrap().ends_with("VERSION   SERVER"));
        assert!(
            analysis(&fleet([&[], &[]]), Detail::Brief)
                .contains("None of the 2 clusters has a policy.")
        );
    }

    #[test]
    fn the_json_has_these_fields() {
        let mut fleet = fleet([&[("DevOpsPolicy shop/a", "111111111111")], &[]]);
        fleet.clusters.pop();
        let json = serde_json::to_string_pretty(&Versioned::of(&fleet)).unwrap();
        insta::assert_snapshot!(json, @r#"
        {
          "apiVersion": "podgate/v1",
          "clusters": [
            {
              "context": "east",
              "server": null,
              "state": "Reachable",
              "message": null,
              "version": null,
              "score": 90,
              "classification": "Healthy",
              "workloads": 0,
              "violations": 2,
              "refused": 0,
              "severities": {
                "critical": 0,
                "high": 1,
                "medium": 0,
                "low": 1
              },
              "lostPoints": {},
              "rules": [
                {
                  "rule": "forbidLatestTag",
                  "severity": "high",
                  "violations": 1
                },
                {
                  "rule": "requiredLabels",
                  "severity": "low",
                  "violations": 1
                }
              ],
              "policies": {
                "DevOpsPolicy shop/a": "111111111111"
              }
            },
            {
              "context": "lost",
              "server": "https://c",
              "state": "Forbidden",
              "message": "the API server refuses podgate: no; ask a cluster admin for that permission",
              "version": null
            }
          ],
          "drift": [
            {
              "policy": "DevOpsPolicy shop/a",
              "clusters": [
                {
                  "context": "east",
                  "hash": "111111111111"
                },
                {
                  "context": "west",
                  "hash": null
                }
              ]
            }
          ]
        }
        "#);
    }
}
