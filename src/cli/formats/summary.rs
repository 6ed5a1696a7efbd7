//! Words a report's summary.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::api::Severity;
use crate::findings::{PassedOver, Report, Summary, Unjudged};
use crate::policy::text::count;

/// The most kinds that are named; JSON has them all.
const MAX_KINDS: usize = 10;

/// The report's summary as one sentence without a full stop.
pub(super) fn line(report: &Report) -> String {
    let summary = &report.summary;
    let read = read(summary);
    let score = summary.score.map(|score| format!("; score {score}")).unwrap_or_default();
    let verdict = match (report.results.as_slice(), summary.workloads) {
        ([], 0) => format!("nothing to judge: no workload found {read}"),
        ([], workloads) if report.known.is_some_and(|known| known > 0) => {
            format!("no new violation in {} {read}{score}", count(workloads, "workload"))
        }
        ([], 1) => format!("the only workload passes {read}{score}"),
        ([], workloads) => format!("all {workloads} workloads pass {read}{score}"),
        (_, workloads) => format!(
            "{} ({}) in {} {read}{score}",
            count(summary.violations, "violation"),
            by_severity(report.results.iter().map(|it| it.severity)),
            count(workloads, "workload"),
        ),
    };
    let verdict = match report.known {
        Some(known) if known > 0 => {
            format!("{verdict}; {} known", count(known, "violation"))
        }
        _ => verdict,
    };
    match report.faults.len() as u64 {
        0 => verdict,
        faults => format!("{verdict}; {} could not be judged", count(faults, "input")),
    }
}

/// What was not judged, a line each without a line break.
pub(super) fn unjudged(report: &Report) -> Vec<String> {
    let Unjudged {
        kinds,
        protected,
        uncovered,
        passed_over,
        unrendered_charts,
        unrendered_kustomizations,
    } = &report.unjudged;
    let unrendered = [(unrendered_charts, "chart"), (unrendered_kustomizations, "kustomization")];
    let unrendered = unrendered.into_iter().filter(|(number, _)| **number > 0);
    let unrendered: Vec<_> = unrendered.map(|(number, what)| count(*number, what)).collect();
    let mut kinds: Vec<_> = kinds.iter().collect();
    kinds.sort_by_key(|(_, number)| Reverse(**number));
    let others = kinds.split_off(kinds.len().min(MAX_KINDS)).len() as u64;
    let mut kinds: Vec<_> = kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
    if others > 0 {
        kinds.push(count(others, "other kind"));
    }
    let protected = protected.iter().map(|(namespace, number)| {
        format!("{} in the protected namespace {namespace}", count(*number, "workload"))
    });
    let uncovered = (*uncovered > 0)
        .then(|| format!("{} in namespaces that no policy covers", count(*uncovered, "workload")));
    let unjudged: Vec<_> = protected.chain(uncovered).collect();
    let passed_over = passed_over.iter().map(|(what, number)| passed(*what, *number));
    let passed_over: Vec<_> = passed_over.collect();
    let line = |what: &str, listed: &[String]| {
        (!listed.is_empty()).then(|| format!("{what}: {}", listed.join(", ")))
    };
    let lines = [
        line("not judged", &unjudged),
        line("not rendered", &unrendered),
        line("skipped, since they run no pods", &kinds),
        line("passed over", &passed_over),
    ];
    lines.into_iter().flatten().collect()
}

fn passed(what: PassedOver, number: u64) -> String {
    match what {
        PassedOver::Other => format!("{} of other programs", count(number, "file")),
        PassedOver::Template => count(number, "template"),
        PassedOver::Chart => format!("{} of charts", count(number, "file")),
        PassedOver::Kustomization => format!("{} of kustomizations", count(number, "file")),
        PassedOver::Excluded => format!("{number} excluded"),
        PassedOver::Dependencies => {
            format!("{} of dependencies (node_modules, vendor)", count(number, "folder"))
        }
    }
}

/// `(12 documents, 2 skipped)`
fn read(summary: &Summary) -> String {
    let skipped = match summary.skipped {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    format!("({}{skipped})", count(summary.documents, "document"))
}

/// `1 critical, 6 low`
pub(crate) fn by_severity(severities: impl Iterator<Item = Severity>) -> String {
    let mut numbers = BTreeMap::<Severity, usize>::new();
    for severity in severities {
        *numbers.entry(severity).or_default() += 1;
    }
    let counts = numbers.into_iter().map(|(severity, number)| format!("{number} {severity}"));
    counts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{clean, faulty, violated};
    use super::*;

    #[test]
    fn the_line_says_what_was_found_in_how_much() {
        insta::assert_snapshot!(line(&violated()), @"5 violations (1 critical, 1 high, 1 medium, 2 low) in 3 workloads (6 documents, 2 skipped); score 62");
        insta::assert_snapshot!(line(&clean()), @"all 5 workloads pass (12 documents, 2 skipped); score 100");
        insta::assert_snapshot!(line(&faulty()), @"nothing to judge: no workload found (1 document, 1 skipped); 1 input could not be judged");
        insta::assert_snapshot!(line(&Report::default()), @"nothing to judge: no workload found (0 documents)");
    }

    #[test]
    fn the_most_frequent_kinds_are_named_and_the_others_counted() {
        let kinds = (1..=12).map(|number| (format!("Kind{number}"), number)).collect();
        let report =
            Report { unjudged: Unjudged { kinds, ..Unjudged::default() }, ..Report::default() };
        let lines = unjudged(&report);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(
            line.starts_with("skipped, since they run no pods: 12 Kind12, 11 Kind11"),
            "{line}"
        );
        assert!(line.ends_with(", 3 Kind3, 2 other kinds"), "{line}");
    }

    #[test]
    fn one_of_a_kind_is_no_plural() {
        let summary =
            Summary { documents: 1, workloads: 1, score: Some(100), ..Summary::default() };
        insta::assert_snapshot!(line(&Report { summary, ..Report::default() }), @"the only workload passes (1 document); score 100");
    }
}
