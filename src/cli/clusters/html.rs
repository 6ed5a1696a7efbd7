//! Renders the analysis of several clusters as a page.

use std::borrow::Cow;

use jiff::Timestamp;

use super::super::html::{Cell, Page, Section, Table};
use super::contexts::UnreadFile;
use super::tables::{hash, same};
use crate::analysis::fleet::{ClusterFindings, Drift, Fleet, Member};
use crate::policy::text::count;

const MOST: usize = 500;

pub(super) fn page(fleet: &Fleet, unread: &[UnreadFile], at: Timestamp) -> String {
    let clusters = count(fleet.clusters.len() as u64, "cluster");
    let found = || fleet.found().map(|(_, found)| found);
    let sum = |of: fn(&ClusterFindings) -> u64| found().map(of).sum();
    let mut severities = [0; 4];
    for (total, of_cluster) in found().flat_map(|it| (0..4).zip(it.severities.each())) {
        if let Some(count) = severities.get_mut(total) {
            *count += of_cluster.1;
        }
    }
    let mut sections: Vec<_> = unread_files(unread).into_iter().collect();
    sections.extend(messages(fleet));
    sections.push(members(fleet));
    sections.extend([points(fleet), rules(fleet)]);
    sections.extend(fleet.drift.as_deref().map(|drift| policies(fleet, drift)));
    let headline = match fleet.unread() {
        0 => format!("{clusters} analyzed"),
        unread => format!("{clusters}, of which {unread} could not be read, or not completely"),
    };
    let page = Page {
        command: "clusters analyze",
        title: clusters,
        at,
        score: None,
        headline,
        remarks: Vec::new(),
        figures: vec![
            ("Clusters", fleet.clusters.len() as u64),
            ("Workloads", sum(|it| it.workloads)),
            ("Refused now", sum(|it| it.refused)),
            ("Violations", sum(|it| it.violations)),
        ],
        severities: Some(severities),
        sections,
        more: "podgate clusters analyze -o json has all of them",
    };
    page.render()
}

fn unread_files<'a>(unread: &'a [UnreadFile]) -> Option<Section<'a>> {
    let row = |it: &'a UnreadFile| vec![Cell::code(&it.file), Cell::text(&it.message)];
    (!unread.is_empty()).then(|| Section {
        id: "files",
        title: "Unread kubeconfigs",
        text: vec!["The clusters of these files are unknown.".to_owned()],
        table: Some(Table {
            caption: "In the order of the files".to_owned(),
            headings: ["File", "Why"].map(Into::into).to_vec(),
            rows: unread.iter().map(row).collect(),
            most: MOST,
        }),
    })
}

/// Why clusters were not read, or not completely, and notes.
fn messages(fleet: &Fleet) -> Option<Section<'_>> {
    let row = |it: &Member| {
        let message = it.message.clone()?;
        Some(vec![
            Cell::Name(it.context.clone().into()),
            Cell::text(it.state.as_str()),
            Cell::Text(message.into()),
        ])
    };
    let rows: Vec<_> = fleet.clusters.iter().filter_map(row).collect();
    let text = match fleet.unread() {
        0 => "Every cluster was read.",
        _ => "This report is incomplete: of these clusters it says nothing, or not all.",
    };
    (!rows.is_empty()).then(|| Section {
        id: "faults",
        title: "Not read",
        text: vec![text.to_owned()],
        table: Some(Table {
            caption: "In the order of the kubeconfig".to_owned(),
            headings: ["Cluster", "State", "Why"].map(Into::into).to_vec(),
            rows,
            most: MOST,
        }),
    })
}

fn members<'a>(fleet: &'a Fleet) -> Section<'a> {
    let row = |it: &'a Member| {
        let mut row = vec![Cell::Name(it.context.as_str().into()), Cell::text(it.state.as_str())];
        if let Some(found) = &it.found {
            row.push(Cell::Score(found.score, found.classification));
            row.extend([found.workloads, found.refused, found.violations].map(Cell::Number));
            row.extend(found.severities.each().map(|(_, count)| Cell::Number(count)));
        } else {
            row.push(Cell::text("not analyzed"));
            row.extend([(); 7].map(|()| Cell::text("–")));
        }
        let facts = [&it.version, &it.server];
        row.extend(facts.map(|it| Cell::text(it.as_deref().unwrap_or_default())));
        row
    };
    let headings = [
        "Cluster",
        "State",
        "Score",
        "Workloads",
        "Refused",
        "Violations",
        "Critical",
        "High",
        "Medium",
        "Low",
        "Version",
        "Server",
    ];
    let table = Table {
        caption: "In the order of the kubeconfig".to_owned(),
        headings: headings.map(Into::into).to_vec(),
        rows: fleet.clusters.iter().map(row).collect(),
        most: MOST,
    };
    Section { id: "clusters", title: "Clusters", text: Vec::new(), table: Some(table) }
}

/// A row for each rule, with a number for each cluster that was analyzed.
fn by_cluster<'a>(
    fleet: &'a Fleet,
    id: &'static str,
    title: &'static str,
    rules: impl Iterator<Item = Vec<Cell<'a>>>,
    headings: &[&'static str],
) -> Section<'a> {
    let contexts = fleet.found().map(|(member, _)| Cow::from(&member.context));
    let table = Table {
        caption: "A column for each cluster that was analyzed".to_owned(),
        headings: headings.iter().map(|it| Cow::from(*it)).chain(contexts).collect(),
        rows: rules.collect(),
        most: MOST,
    };
    Section { id, title, text: Vec::new(), table: Some(table) }
}

fn points(fleet: &Fleet) -> Section<'_> {
    let mut rules: Vec<&str> =
        fleet.found().flat_map(|(_, found)| found.lost_points.keys().copied()).collect();
    rules.sort_unstable();
    rules.dedup();
    let rows = rules.into_iter().map(|rule| {
        let of = |found: &ClusterFindings| found.lost_points.get(rule).copied().unwrap_or(0);
        let points = fleet.found().map(|(_, found)| Cell::Number(of(found).into()));
        std::iter::once(Cell::code(rule)).chain(points).collect()
    });
    by_cluster(fleet, "points", "Lost points by rule", rows, &["Rule"])
}

fn rules(fleet: &Fleet) -> Section<'_> {
    let rows = fleet.rules().into_iter().map(|rule| {
        let counts = fleet.found().map(|(_, found)| {
            let of = found.rules.iter().find(|it| it.rule == rule.rule);
            Cell::Number(of.map_or(0, |it| it.violations))
        });
        let counts: Vec<_> = counts.collect();
        [Cell::Severity(rule.severity), Cell::Code(rule.rule.into())]
            .into_iter()
            .chain(counts)
            .collect()
    });
    by_cluster(fleet, "rules", "Violations by rule", rows, &["Severity", "Rule"])
}

fn policies<'a>(fleet: &'a Fleet, drift: &'a [Drift]) -> Section<'a> {
    let contexts: Vec<_> = fleet.compared().map(|it| it.context.as_str()).collect();
    let row = |drift: &'a Drift| {
        let hashes = contexts.iter().map(|context| Cell::code(hash(drift, context)));
        std::iter::once(Cell::Name(drift.policy.as_str().into())).chain(hashes).collect()
    };
    let (text, table) = if drift.is_empty() {
        (same(fleet), None)
    } else {
        let table = Table {
            caption: "The first digits of each policy's content hash".to_owned(),
            headings: std::iter::once("Policy")
                .chain(contexts.iter().copied())
                .map(Into::into)
                .collect(),
            rows: drift.iter().map(row).collect(),
            most: MOST,
        };
        let text = "A cluster with - has no such policy. One with ? may have it: its policies were not all read.";
        (text.to_owned(), Some(table))
    };
    Section { id: "drift", title: "Policies that differ", text: vec![text], table }
}
