//! Renders workflow commands, which GitHub Actions shows as annotations at the files' lines.

use std::fmt::Write;

use super::summary;
use super::violations::{object_name, repository_path, worst_first};
use crate::api::Severity;
use crate::findings::{Fault, Report, Violation};
use crate::policy::text::printable;

/// The most annotations of a kind that GitHub shows of a step; it drops the others without a word.
const MAX_OF_A_KIND: usize = 10;

pub(super) fn commands(report: &Report) -> String {
    // Faults and the worst violations come first, and the summary before the other notices.
    let worst = worst_first(&report.results);
    let of = |kind: &'static str| worst.iter().filter(move |it| command(it.severity) == kind);
    let errors = report.faults.iter().map(fault).chain(of("error").map(|it| violation(it)));
    let mut shown = errors.take(MAX_OF_A_KIND).collect::<Vec<_>>();
    shown.extend(of("warning").take(MAX_OF_A_KIND).map(|it| violation(it)));
    let notices = of("notice").take(MAX_OF_A_KIND - 1).map(|it| violation(it)).collect::<Vec<_>>();
    let left_out = report.faults.len() + worst.len() - shown.len() - notices.len();
    let mut summary = summary::line(report);
    if left_out > 0 {
        let _ = write!(summary, "; {left_out} more than GitHub shows of a step are not annotated");
    }
    shown.concat() + &format!("::notice title=podgate::{}\n", data(&summary)) + &notices.concat()
}

/// The command of a severity, which names the kind of its annotations.
fn command(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "notice",
    }
}

fn violation(violation: &Violation) -> String {
    let command = command(violation.severity);
    let Violation { rule, severity, policy, message, .. } = violation;
    let mut properties = Vec::new();
    if let Some(path) = repository_path(violation) {
        let numbers = [("line", violation.line), ("col", violation.column)];
        let numbers = numbers.into_iter().filter_map(|(name, it)| Some(format!("{name}={}", it?)));
        properties.push(format!("file={}", property(&path)));
        properties.extend(numbers);
    }
    properties.push(format!("title={}", property(&format!("{rule} ({severity})"))));
    let container = violation.container.as_ref().map(|it| format!(", container {it}"));
    let decided = violation.decision.map(|decision| format!("{}, ", decision.as_str()));
    let text = format!(
        "{}{}: {message} ({}policy {policy})",
        object_name(violation),
        container.unwrap_or_default(),
        decided.unwrap_or_default(),
    );
    format!("::{command} {}::{}\n", properties.join(","), data(&text))
}

fn fault(fault: &Fault) -> String {
    let text = format!("{}: {}", fault.place, fault.message);
    format!("::error title=podgate could not judge this::{}\n", data(&text))
}

/// A message; line breaks stay, other control characters are shown as escapes.
pub(in crate::cli) fn data(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    escaped(&lines.join("\n"))
}

pub(in crate::cli) fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{clean, faulty, plain, violated, with};
    use super::*;

    #[test]
    fn each_violation_is_a_command_the_worst_first() {
        insta::assert_snapshot!(commands(&violated()), @r#"
        ::error title=maxRestartCount (critical)::StatefulSet shop/db, container postgres: status.containerStatuses[0].restartCount is 12; at most 3 are allowed (policy shop/baseline)
        ::error file=deploy/cart.yaml,line=14,col=18,title=forbidLatestTag (high)::Deployment shop/cart, container web: spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION (policy shop/baseline)
        ::warning file=deploy/cart.yaml,line=14,col=18,title=forbidLatestTag (medium)::Deployment shop/cart, container sidecar: spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION (policy shop/baseline)
        ::notice title=podgate::5 violations (1 critical, 1 high, 1 medium, 2 low) in 3 workloads (6 documents, 2 skipped); score 62
        ::notice file=deploy/cart.yaml,line=12,col=9,title=requireReadinessProbe (low)::Deployment shop/cart, container web: spec.template.spec.containers[0].readinessProbe is missing; add one (policy shop/baseline)
        ::notice file=a%2Cb/50%25 é%3A|<x>.yaml,title=validations/no-1.0 (low)::Pod 日本`|<b>@admin\u{1b}[31m: 100%25 "wrong" | `a` <b>&%0A::error::gotcha\u{1b}[2J\t#1 @all (policy all)
        "#);
    }

    #[test]
    fn without_violations_the_summary_is_the_only_notice() {
        insta::assert_snapshot!(commands(&clean()), @"::notice title=podgate::all 5 workloads pass (12 documents, 2 skipped); score 100");
        insta::assert_snapshot!(commands(&faulty()), @r#"
        ::error title=podgate could not judge this::deploy/<bad>.yaml:3:1: this is no YAML:%0Afound "\t\u{1b}" & more
        ::notice title=podgate::nothing to judge: no workload found (1 document, 1 skipped); 1 input could not be judged
        "#);
    }

    #[test]
    fn what_github_would_drop_is_counted_and_the_worst_is_kept() {
        let of = |severity, number| vec![Violation { severity, ..plain() }; number];
        let results = [(Severity::Low, 9), (Severity::Medium, 11), (Severity::High, 12)];
        let mut report = with(results.map(|(severity, number)| of(severity, number)).concat());
        report.results.push(Violation { severity: Severity::Critical, ..plain() });
        report.faults = faulty().faults;
        let text = commands(&report);
        for command in ["error", "warning", "notice"] {
            assert_eq!(text.matches(&format!("::{command} ")).count(), 10, "{text}");
        }
        // The fault and the critical one are among the ten errors.
        assert!(text.starts_with("::error title=podgate could not judge this::"), "{text}");
        assert!(text.lines().nth(1).unwrap().contains("(critical)"), "{text}");
        assert!(
            text.contains("; 5 more than GitHub shows of a step are not annotated\n"),
            "{text}"
        );

        report.results.push(Violation { severity: Severity::Low, ..plain() });
        assert!(commands(&report).contains("; 6 more than"), "the summary is a notice too");
    }

    #[test]
    fn no_text_begins_a_command_of_its_own() {
        let awkward = "a\r\n::set-output name=x::y\n##[error]z%0A";
        let violation = Violation {
            file: Some(format!("{awkward}::b,c")),
            name: awkward.to_owned(),
            message: awkward.to_owned(),
            rule: awkward.to_owned(),
            container: Some(awkward.to_owned()),
            ..plain()
        };
        let text = commands(&with(vec![violation]));
        let lines: Vec<_> = text.split(['\r', '\n']).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("::error file=a%0D%0A%3A%3Aset-output name=x%3A%3Ay%0A##[error]z%250A%3A%3Ab%2Cc,line=14,"), "{text}");
        assert!(lines[1].starts_with("::notice title=podgate::"), "{text}");
        assert_eq!(lines[2], "");
    }

    #[test]
    fn stdin_is_no_file_of_the_repository() {
        let violation = Violation { file: Some("-".to_owned()), ..plain() };
        let text = commands(&with(vec![violation]));
        assert!(
            text.starts_with("::error title=forbidLatestTag (high)::Deployment shop/cart"),
            "{text}"
        );
    }
}
