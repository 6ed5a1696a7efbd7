//! Renders tables for a terminal: `table` lists each object's
//! violations below its name, `wide` has a line for each violation.

use std::collections::BTreeSet;
use std::fmt::Write;

use clap::builder::styling::Style;

use super::super::color::Coloring;
use super::super::columns::{self, TableCell};
use super::summary;
use super::violations::{
    ObjectIdentity, by_object, decision, have_decisions, object_name, place, without_path,
    worst_first,
};
use crate::findings::{Report, Violation};
use crate::policy::text::{printable, quote};

pub(super) fn table(report: &Report, coloring: Coloring) -> String {
    // A single policy is not named, since its name would be the same in every line.
    let policies: BTreeSet<_> = report.results.iter().map(|violation| &violation.policy).collect();
    let name_policies = policies.len() > 1;
    let violations = by_object(&report.results);
    let decisions = have_decisions(&report.results);
    let rows: Vec<_> = violations
        .iter()
        .map(|it| {
            let mut row = row(it, name_policies, coloring);
            if decisions {
                row.insert(2, TableCell::new(decision(it)));
            }
            row
        })
        .collect();
    let mut lines = columns::align(&rows).into_iter();
    let mut text = String::new();
    for violations in violations.chunk_by(|a, b| ObjectIdentity::of(a) == ObjectIdentity::of(b)) {
        text.extend(violations.first().map(|first| heading(first, coloring)));
        for line in lines.by_ref().take(violations.len()) {
            let _ = writeln!(text, "  {line}");
        }
        text.push('\n');
    }
    text + &ending(report)
}

fn heading(violation: &Violation, coloring: Coloring) -> String {
    let style = if coloring == Coloring::Colored { Style::new().bold() } else { Style::new() };
    let file = violation.file.as_ref().map(|file| format!("{file}  ")).unwrap_or_default();
    format!("{style}{}{style:#}\n", printable(&(file + &object_name(violation))))
}

fn row(violation: &Violation, name_policy: bool, coloring: Coloring) -> Vec<TableCell> {
    let place = [violation.line, violation.column].into_iter().flatten();
    let place: Vec<_> = place.map(|number| number.to_string()).collect();
    vec![
        TableCell::new(&place.join(":")),
        TableCell::severity(violation.severity, coloring),
        TableCell::new(&violation.rule),
        TableCell::new(violation.container.as_deref().unwrap_or_default()),
        TableCell::new(if name_policy { &violation.policy } else { "" }),
        TableCell::new(&violation.message),
    ]
}

pub(super) fn wide(report: &Report, coloring: Coloring) -> String {
    let headings = [
        "LOCATION",
        "OBJECT",
        "SEVERITY",
        "DECISION",
        "RULE",
        "CONTAINER",
        "POLICY",
        "PATH",
        "VALUE",
        "MESSAGE",
    ];
    let rows: Vec<_> =
        by_object(&report.results).into_iter().map(|it| wide_row(it, coloring)).collect();
    if rows.is_empty() {
        return ending(report);
    }
    columns::table(&headings, rows) + "\n" + &ending(report)
}

fn wide_row(violation: &Violation, coloring: Coloring) -> Vec<TableCell> {
    let found = violation.value.as_deref().map(quote).unwrap_or_default();
    vec![
        TableCell::or_none(&place(violation).unwrap_or_default()),
        TableCell::new(&object_name(violation)),
        TableCell::severity(violation.severity, coloring),
        TableCell::or_none(decision(violation)),
        TableCell::new(&violation.rule),
        TableCell::or_none(violation.container.as_deref().unwrap_or_default()),
        TableCell::new(&violation.policy),
        TableCell::or_none(&violation.path),
        TableCell::or_none(&found),
        TableCell::new(without_path(violation)),
    ]
}

/// The summary, and the next commands where there are violations.
fn ending(report: &Report) -> String {
    let mut summary = summary::line(report);
    for line in summary::unjudged(report) {
        summary = summary + "\n" + &printable(&line);
    }
    let Some(worst) = worst_first(&report.results).first().map(|worst| &worst.rule) else {
        return summary + "\n";
    };
    let mut next = format!("learn more: podgate explain {worst}");
    let fixable = report.results.iter().filter(|it| it.fix.is_some() && it.file.is_some()).count();
    if fixable > 0 {
        let _ = write!(next, " · mend {fixable} of them: podgate fix -f FILE");
    }
    format!("{summary}\n{}\n", printable(&next))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{clean, faulty, plain, violated, with};
    use super::*;
    use crate::api::Effect;

    #[test]
    fn the_table_shows_object_by_object_the_worst_first() {
        insta::assert_snapshot!(table(&violated(), Coloring::Plain), @r#"
        deploy/cart.yaml  Deployment shop/cart
          14:18   high       forbidLatestTag         web        shop/baseline   spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
          14:18   medium     forbidLatestTag         sidecar    shop/baseline   spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
          12:9    low        requireReadinessProbe   web        shop/baseline   spec.template.spec.containers[0].readinessProbe is missing; add one

        ./a,b/50% é:|<x>.yaml  Pod 日本`|<b>@admin\u{1b}[31m
                  low        validations/no-1.0                 all             100% "wrong" | `a` <b>&\n::error::gotcha\u{1b}[2J\t#1 @all

        StatefulSet shop/db
                  critical   maxRestartCount         postgres   shop/baseline   status.containerStatuses[0].restartCount is 12; at most 3 are allowed

        5 violations (1 critical, 1 high, 1 medium, 2 low) in 3 workloads (6 documents, 2 skipped); score 62
        learn more: podgate explain maxRestartCount · mend 1 of them: podgate fix -f FILE
        "#);
    }

    #[test]
    fn one_policy_is_not_named_in_every_line_and_a_cluster_has_no_lines() {
        let violation = Violation { file: None, line: None, column: None, ..plain() };
        let report = with(vec![violation]);
        insta::assert_snapshot!(table(&report, Coloring::Plain), @r#"
        Deployment shop/cart
          high   forbidLatestTag   web   spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION

        1 violation (1 high) in 2 workloads (3 documents); score 71
        learn more: podgate explain forbidLatestTag
        "#);
    }

    #[test]
    fn wide_shows_all_there_is_on_one_line() {
        insta::assert_snapshot!(wide(&violated(), Coloring::Plain), @r#"
        LOCATION                 OBJECT                          SEVERITY   DECISION   RULE                    CONTAINER   POLICY          PATH                                              VALUE     MESSAGE
        deploy/cart.yaml:14:18   Deployment shop/cart            high       <none>     forbidLatestTag         web         shop/baseline   spec.template.spec.containers[0].image            "nginx"   is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
        deploy/cart.yaml:14:18   Deployment shop/cart            medium     <none>     forbidLatestTag         sidecar     shop/baseline   spec.template.spec.containers[0].image            "nginx"   is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
        deploy/cart.yaml:12:9    Deployment shop/cart            low        <none>     requireReadinessProbe   web         shop/baseline   spec.template.spec.containers[0].readinessProbe   <none>    is missing; add one
        ./a,b/50% é:|<x>.yaml    Pod 日本`|<b>@admin\u{1b}[31m   low        <none>     validations/no-1.0      <none>      all             <none>                                            "no"      100% "wrong" | `a` <b>&\n::error::gotcha\u{1b}[2J\t#1 @all
        <none>                   StatefulSet shop/db             critical   <none>     maxRestartCount         postgres    shop/baseline   status.containerStatuses[0].restartCount          "12"      is 12; at most 3 are allowed

        5 violations (1 critical, 1 high, 1 medium, 2 low) in 3 workloads (6 documents, 2 skipped); score 62
        learn more: podgate explain maxRestartCount · mend 1 of them: podgate fix -f FILE
        "#);
    }

    #[test]
    fn without_violations_both_say_so_in_one_line() {
        for (report, line) in [
            (clean(), "all 5 workloads pass (12 documents, 2 skipped); score 100\n"),
            (
                faulty(),
                "nothing to judge: no workload found (1 document, 1 skipped); 1 input could not be judged\n",
            ),
        ] {
            assert_eq!(table(&report, Coloring::Colored), line);
            assert_eq!(wide(&report, Coloring::Colored), line);
        }
    }

    #[test]
    fn what_a_violation_does_is_a_column_unless_all_are_only_recorded() {
        let with_decisions = |decisions: [Effect; 2]| {
            let violation = |decision| Violation { decision: Some(decision), ..plain() };
            table(&with(decisions.map(violation).to_vec()), Coloring::Plain)
        };
        let text = with_decisions([Effect::Audit, Effect::Audit]);
        assert!(!text.contains("audit"), "{text}");
        let text = with_decisions([Effect::Audit, Effect::Deny]);
        assert!(text.contains("high   audit   forbidLatestTag"), "{text}");
        assert!(text.contains("high   deny    forbidLatestTag"), "{text}");
    }

    #[test]
    fn two_objects_of_one_name_in_two_files_are_two() {
        let other = Violation { file: Some("prod/cart.yaml".to_owned()), ..plain() };
        let text = table(&with(vec![plain(), other, plain()]), Coloring::Plain);
        assert_eq!(text.matches("Deployment shop/cart").count(), 2, "{text}");
    }

    #[test]
    fn colour_marks_the_severity_and_the_object_and_changes_nothing_else() {
        let report = with(vec![plain()]);
        let colored = table(&report, Coloring::Colored);
        assert!(colored.contains("\u{1b}[31mhigh\u{1b}[0m"), "{colored:?}");
        assert!(colored.starts_with("\u{1b}[1mdeploy/cart.yaml  Deployment shop/cart\u{1b}[0m\n"));
        let plain = ["\u{1b}[31m", "\u{1b}[1m", "\u{1b}[0m"]
            .iter()
            .fold(colored, |text, escape| text.replace(escape, ""));
        assert_eq!(plain, table(&report, Coloring::Plain));
    }
}
