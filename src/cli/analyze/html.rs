//! Renders an analysis as a page.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::columns::Detail;
use super::super::html::{Cell, Page, Section, Table, faults, findings};
use super::tables::{costs, summary};
use crate::analysis::result::{Analysis, NamespaceScore, RefusedPods};
use crate::policy::text::count;

/// The most rows of the tables before the violations.
const MOST: usize = 500;

/// `place` is what was analyzed: `cluster production`.
pub(super) fn page(analysis: &Analysis, place: &str, at: Timestamp) -> String {
    let violations = analysis.distinct();
    let own = analysis.own.is_some();
    let counts = &analysis.summary.counts;
    let mut sections: Vec<_> = faults(&analysis.faults, &analysis.notes).into_iter().collect();
    sections.push(refused(analysis, own));
    let mut by_namespace = BTreeMap::<_, u64>::new();
    for it in &violations {
        *by_namespace.entry(it.violation.namespace.as_deref()).or_default() += 1;
    }
    sections
        .push(namespaces(analysis, |it| by_namespace.get(&Some(it)).copied().unwrap_or_default()));
    sections.push(lost_points(analysis));
    if !violations.is_empty() {
        sections.push(findings::by_rule(&violations));
        sections.push(findings::worst_workloads(&violations));
        sections.push(findings::violations(&violations, &[]));
    }
    let given = "judged by the given policies, not by those of the cluster";
    let page = Page {
        command: "analyze",
        title: format!("Workloads of {place}"),
        at,
        score: Some((counts.score, analysis.summary.classification)),
        headline: summary(analysis, &violations),
        remarks: if own { Vec::new() } else { vec![given.to_owned()] },
        figures: vec![
            ("Namespaces", analysis.namespaces.len() as u64),
            ("Workloads", counts.workloads),
            ("Refused now", analysis.refused.len() as u64),
            ("Violations", violations.len() as u64),
        ],
        severities: Some(findings::severities(violations.iter().map(|it| it.violation.severity))),
        sections,
        more: "podgate analyze -o json has all of them",
    };
    page.render()
}

fn refused<'a>(analysis: &'a Analysis, own: bool) -> Section<'a> {
    let row = |it: &'a RefusedPods| {
        vec![
            Cell::Name(format!("{}/{}", it.kind, it.name).into()),
            Cell::text(&it.namespace),
            Cell::Text(format!("{} of {}", it.running, it.wanted).into()),
            Cell::text(&it.message),
            Cell::Code(it.policies.join(", ").into()),
        ]
    };
    let text = match (own, analysis.refused.len() as u64) {
        (false, _) => "Not judged: admission does not decide by the given policies.",
        (true, 0) => "No workload waits for pods that admission would deny.",
        (true, _) => "These want more pods than they have, and admission denies their new pods.",
    };
    let table = (!analysis.refused.is_empty()).then(|| Table {
        caption: "Those that lack the most pods first".to_owned(),
        headings: ["Workload", "Namespace", "Pods", "Why", "Policy"].map(Into::into).to_vec(),
        rows: analysis.refused.iter().map(row).collect(),
        most: MOST,
    });
    let preview = "What else would be refused if it were created anew, and which exemptions are in use: podgate policy preview -o html.";
    let text = vec![text.to_owned(), preview.to_owned()];
    Section { id: "refused", title: "Refused now", text, table }
}

/// `violations` counts those of a namespace.
fn namespaces(analysis: &Analysis, violations: impl Fn(&str) -> u64) -> Section<'_> {
    let mut sorted: Vec<&NamespaceScore> = analysis.namespaces.iter().collect();
    // Those without a score come last.
    sorted.sort_by_key(|it| (it.score.is_none(), it.score));
    let rows = sorted.into_iter().map(|it| {
        vec![
            Cell::Name(it.namespace.as_str().into()),
            Cell::Score(it.score, it.classification),
            Cell::Number(it.workloads),
            Cell::Number(it.pods),
            Cell::Number(violations(&it.namespace)),
            Cell::Text(costs(&it.lost_points, Detail::Full).into()),
            Cell::Code(it.policies.join(", ").into()),
        ]
    });
    let headings =
        ["Namespace", "Score", "Workloads", "Pods", "Violations", "Lost points", "Policies"];
    let table = Table {
        caption: format!(
            "{}, the lowest score first",
            count(analysis.namespaces.len() as u64, "namespace")
        ),
        headings: headings.map(Into::into).to_vec(),
        rows: rows.collect(),
        most: MOST,
    };
    let text = "A score is 100 less the points that violated rules cost. Without a workload there is no score.";
    Section {
        id: "namespaces",
        title: "Scores by namespace",
        text: vec![text.to_owned()],
        table: Some(table),
    }
}

fn lost_points(analysis: &Analysis) -> Section<'_> {
    let mut costs: Vec<_> = analysis.summary.lost_points.iter().collect();
    costs.sort_by_key(|(_, points)| Reverse(**points));
    let largest = costs.first().map_or(0, |(_, points)| u64::from(**points));
    let row = |(rule, points): (&&'static str, &u8)| {
        vec![Cell::code(rule), Cell::Bar { value: (*points).into(), largest }]
    };
    let text = match analysis.summary.counts.score {
        None => "There is no score, so there are no points to lose.".to_owned(),
        Some(100) => "No point is lost.".to_owned(),
        Some(score) => {
            format!("{} of 100 points are lost, over all namespaces.", 100_u8.saturating_sub(score))
        }
    };
    let table = (!costs.is_empty()).then(|| Table {
        caption: "What costs most first".to_owned(),
        headings: ["Rule", "Lost points"].map(Into::into).to_vec(),
        rows: costs.into_iter().map(row).collect(),
        most: MOST,
    });
    Section { id: "points", title: "Lost points by rule", text: vec![text], table }
}
