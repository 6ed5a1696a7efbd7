//! Renders a report as a page.

use jiff::Timestamp;

use super::super::html::{Cell, Page, Section, faults, findings};
use super::summary::{line, unjudged};
use super::violations::{decision, place, worst_first};
use crate::analysis::result::DistinctViolation;
use crate::api::Effect;
use crate::findings::{Report, Violation};
use crate::policy::score::class;

/// `inputs` are the paths as given.
pub(super) fn page(report: &Report, inputs: &str, at: Timestamp) -> String {
    let distinct = |violation| DistinctViolation { violation, policies: vec![&violation.policy] };
    let found: Vec<_> = worst_first(&report.results).into_iter().map(distinct).collect();
    let decided =
        |effect| found.iter().filter(|it| it.violation.decision == Some(effect)).count() as u64;
    let mut sections: Vec<_> = faults(&report.faults, &[]).into_iter().collect();
    if !found.is_empty() {
        sections.push(findings::by_rule(&found));
        sections.push(findings::worst_workloads(&found));
        sections.push(findings::violations(
            &found,
            &[("Decision", decided_cell), ("Place", place_cell)],
        ));
    }
    let text = unjudged(report);
    if !text.is_empty() {
        sections.push(Section { id: "unjudged", title: "Not judged", text, table: None });
    }
    let mut figures = vec![
        ("Workloads", report.summary.workloads),
        ("Violations", report.summary.violations),
        ("Would be denied", decided(Effect::Deny)),
        ("In grace", decided(Effect::Grace)),
        ("Would warn", decided(Effect::Warn)),
        ("Recorded only", decided(Effect::Audit)),
    ];
    figures.extend(report.known.map(|known| ("Known before", known)));
    let page = Page {
        command: "scan",
        title: format!("Manifests of {inputs}"),
        at,
        score: Some((report.summary.score, report.summary.score.map(class))),
        headline: line(report),
        remarks: Vec::new(),
        figures,
        severities: Some(findings::severities(found.iter().map(|it| it.violation.severity))),
        sections,
        more: "podgate scan -o json has all of them",
    };
    page.render()
}

fn decided_cell(it: &Violation) -> Cell<'_> {
    Cell::text(decision(it))
}

fn place_cell(it: &Violation) -> Cell<'_> {
    Cell::Code(place(it).unwrap_or_default().into())
}
