//! Renders a preview as a page.

use jiff::Timestamp;

use super::super::super::html::{Cell, Page, Section, Table, faults, findings};
use super::headline::{compared, first, line, observed, share, subject, verdict};
use crate::analysis::preview::answer::{
    ExemptionUse, NamespaceChange, Preview, PreviewViolation, PreviewWorkload, PreviewedPolicy,
    Standing, Versions,
};
use crate::policy::text::count;

/// The most rows of each table, and of that of violations.
const MOST: usize = 500;
const MOST_VIOLATIONS: usize = 5000;
const WHAT: &str = "What, and what would pass";

/// `place` is what was read: `cluster production`.
pub(super) fn page(preview: &Preview, place: &str, at: Timestamp) -> String {
    let summary = &preview.summary;
    let all = || preview.workloads.iter().flat_map(PreviewWorkload::distinct);
    let mut sections: Vec<_> = faults(&preview.faults, &preview.notes).into_iter().collect();
    sections.push(policies(preview));
    sections.push(workloads(preview));
    sections.push(exemptions(preview));
    sections.push(namespaces(preview));
    sections.push(violations(preview));
    let score = summary.score.map(|it| (it.after.score, it.after.classification));
    let mut figures = vec![
        ("Workloads", summary.workloads),
        ("Would be denied", summary.denied),
        ("Running pods", summary.pods),
        ("Pods at risk", summary.refused_pods),
        ("In grace", summary.graced_pods),
    ];
    if changes(preview) {
        figures.push(("New violations", summary.new_violations));
    }
    figures.extend(summary.gone_violations.map(|gone| ("Gone violations", gone)));
    let page = Page {
        command: "policy preview",
        title: format!("{} in {place}", subject(preview)),
        at,
        score: Some(score.unwrap_or_default()),
        headline: line(preview),
        remarks: compared(preview).into_iter().chain(observed(preview)).collect(),
        figures,
        severities: Some(findings::severities(all().map(|it| it.severity))),
        sections,
        more: "podgate policy preview -o json has all of them",
    };
    page.render()
}

fn policies<'a>(preview: &'a Preview) -> Section<'a> {
    let row = |it: &'a PreviewedPolicy| {
        let end = it.grace_until.as_ref().map(|end| end.0.to_string()).unwrap_or_default();
        let mut row = vec![
            Cell::Name(it.policy.as_str().into()),
            Cell::text(it.mode.as_str()),
            Cell::text(if it.replaces { "today's version" } else { "" }),
            Cell::Number(it.would_deny),
            Cell::Number(it.would_refuse_pods),
            Cell::Text(end.into()),
        ];
        if let Some(observed) = &preview.observed {
            let counts = observed.of(&it.policy).map(|it| [it.denied, it.would_deny]);
            row.extend(
                counts.map_or([(); 2].map(|()| Cell::text("not seen")), |it| it.map(Cell::Number)),
            );
        }
        row
    };
    let mut headings =
        vec!["Policy", "Mode", "Replaces", "Would deny", "Would refuse pods", "Grace until"];
    if preview.observed.is_some() {
        headings.extend(["Reviews denied", "Reviews it would deny"]);
    }
    let table = Table {
        caption: "What each would deny and refuse if it were enforced".to_owned(),
        headings: headings.into_iter().map(Into::into).collect(),
        rows: preview.policies.iter().map(row).collect(),
        most: MOST,
    };
    Section { id: "policies", title: "Policies", text: Vec::new(), table: Some(table) }
}

fn workloads<'a>(preview: &'a Preview) -> Section<'a> {
    let row = |it: &'a PreviewWorkload| {
        let mut row = vec![Cell::Name(format!("{}/{}", it.kind, it.name).into())];
        row.push(Cell::text(&it.namespace));
        row.extend([verdict(it), share(it)].map(|it| Cell::Text(it.into())));
        match first(it) {
            None => row.extend([(); 3].map(|()| Cell::text(""))),
            Some((worst, more)) => {
                row.push(Cell::Severity(worst.severity));
                row.push(Cell::Message {
                    path: &worst.path,
                    message: worst.message.as_str().into(),
                    fix: None,
                });
                row.push(Cell::Number(more as u64));
            }
        }
        row
    };
    let rows: Vec<_> = preview.workloads.iter().map(row).collect();
    let text = if rows.is_empty() {
        "No workload would be denied, and no running pod would be refused."
    } else {
        "A denied workload cannot be applied as it is. Pods at risk run, but their replacements would be refused: at the next \
         start, eviction or drain. Those in grace are refused after it."
    };
    let headings = [
        "Workload",
        "Namespace",
        "If applied",
        "Pods at risk",
        "Severity",
        "Worst violation",
        "Others",
    ];
    let table = (!rows.is_empty()).then(|| Table {
        caption: "The worst first".to_owned(),
        headings: headings.map(Into::into).to_vec(),
        rows,
        most: MOST,
    });
    Section { id: "refused", title: "Refused and at risk", text: vec![text.to_owned()], table }
}

fn exemptions<'a>(preview: &'a Preview) -> Section<'a> {
    let row = |it: &'a ExemptionUse| {
        vec![
            Cell::Name(format!("{}[{}]", it.policy, it.index).into()),
            Cell::text(it.state.as_str()),
            Cell::Code(it.rules.join(", ").into()),
            Cell::text(&it.owner),
            Cell::Text(it.expires().into()),
            Cell::text(&it.reason),
        ]
    };
    let rows: Vec<_> = preview.exemptions.iter().map(row).collect();
    let text = if rows.is_empty() {
        "These policies exempt nothing."
    } else {
        "One that is used exempts at least one present violation."
    };
    let headings = ["Exemption", "State", "Rules", "Owner", "Expires", "Reason"];
    let table = (!rows.is_empty()).then(|| Table {
        caption: "In the order of the policies".to_owned(),
        headings: headings.map(Into::into).to_vec(),
        rows,
        most: MOST,
    });
    Section { id: "exemptions", title: "Exemptions", text: vec![text.to_owned()], table }
}

/// Whether there is a difference to today: those in force are what they are.
fn changes(preview: &Preview) -> bool {
    preview.versions == Versions::Given
}

fn namespaces(preview: &Preview) -> Section<'_> {
    let mut sorted: Vec<&NamespaceChange> = preview.namespaces.iter().collect();
    sorted.sort_by_key(|it| (it.change.after.score.is_none(), it.change.after.score));
    let score = |it: Standing| Cell::Score(it.score, it.classification);
    let rows = sorted.into_iter().map(|it| {
        let mut row = vec![Cell::Name(it.namespace.as_str().into())];
        if changes(preview) {
            row.push(score(it.change.before));
        }
        row.push(score(it.change.after));
        row
    });
    let headings = if changes(preview) {
        vec!["Namespace", "Score today", "Score afterwards"]
    } else {
        vec!["Namespace", "Score"]
    };
    let namespaces = count(preview.namespaces.len() as u64, "namespace");
    let table = Table {
        caption: format!("{namespaces}, the lowest score first"),
        headings: headings.into_iter().map(Into::into).collect(),
        rows: rows.collect(),
        most: MOST,
    };
    Section { id: "namespaces", title: "Scores by namespace", text: Vec::new(), table: Some(table) }
}

fn violations(preview: &Preview) -> Section<'_> {
    let changes = changes(preview);
    let of = |it| PreviewWorkload::distinct(it).map(move |found| violation(it, found, changes));
    let rows: Vec<_> = preview.workloads.iter().flat_map(of).collect();
    let mut headings = vec!["Severity", "Rule"];
    if changes {
        headings.push("Today");
    }
    headings.extend(["Namespace", "Workload", "Found in", "Container", WHAT, "Policy"]);
    let table = (!rows.is_empty()).then(|| Table {
        caption: format!(
            "{}, those of the worst workloads first",
            count(rows.len() as u64, "violation")
        ),
        headings: headings.into_iter().map(Into::into).collect(),
        rows,
        most: MOST_VIOLATIONS,
    });
    let text = "Violations that would deny a workload or refuse a pod. One of a workload's pods that the workload has too is listed once.";
    Section { id: "violations", title: "Violations", text: vec![text.to_owned()], table }
}

fn violation<'a>(
    it: &'a PreviewWorkload,
    found: &'a PreviewViolation,
    changes: bool,
) -> Vec<Cell<'a>> {
    let mut row = vec![Cell::Severity(found.severity), Cell::code(&found.rule)];
    if changes {
        row.push(Cell::text(if found.new { "new" } else { "known" }));
    }
    let pods = |pods: u64| format!("{pods} of its pods");
    row.extend([
        Cell::text(&it.namespace),
        Cell::Text(format!("{}/{}", it.kind, it.name).into()),
        Cell::Text(found.pods.map_or_else(|| "the workload".to_owned(), pods).into()),
        Cell::text(found.container.as_deref().unwrap_or_default()),
        Cell::Message { path: &found.path, message: found.message.as_str().into(), fix: None },
        Cell::code(&found.policy),
    ]);
    row
}
