//! The tables of violations that `analyze` and `scan` share.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::page::Section;
use super::table::{Cell, Table};
use crate::analysis::result::{DistinctViolation, RuleCount};
use crate::api::Severity;
use crate::findings::Violation;
use crate::policy::text::count;

/// How many workloads are worst; the table of violations has all.
const WORST: usize = 25;
/// The most violations on a page.
const MOST: usize = 5000;

/// The counts in the order of [`Severity::ALL`].
pub(in crate::cli) fn severities(found: impl Iterator<Item = Severity>) -> [u64; 4] {
    let mut counts = [0; 4];
    for severity in found {
        let place = Severity::ALL.iter().position(|it| *it == severity);
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count += 1;
        }
    }
    counts
}

pub(in crate::cli) fn by_rule<'a>(found: &[DistinctViolation<'_>]) -> Section<'a> {
    let rules = RuleCount::of(found);
    let largest = rules.iter().map(|it| it.violations).max().unwrap_or(0);
    let rows = rules.into_iter().map(|it| {
        let bar = Cell::Bar { value: it.violations, largest };
        vec![Cell::Severity(it.severity), Cell::Code(it.rule.into()), bar]
    });
    let table = Table {
        caption: "The most severe rules first".to_owned(),
        headings: ["Severity", "Rule", "Violations"].map(Into::into).to_vec(),
        rows: rows.collect(),
        most: 500,
    };
    Section { id: "rules", title: "Violated rules", text: Vec::new(), table: Some(table) }
}

pub(in crate::cli) fn worst_workloads<'a>(found: &[DistinctViolation<'a>]) -> Section<'a> {
    let mut places = HashMap::new();
    let mut workloads: Vec<(&Violation, [u64; 4])> = Vec::new();
    for DistinctViolation { violation: it, .. } in found {
        let next = workloads.len();
        let place = *places.entry((&it.file, &it.namespace, &it.kind, &it.name)).or_insert(next);
        if place == next {
            workloads.push((it, [0; 4]));
        }
        if let Some((worst, counts)) = workloads.get_mut(place) {
            if it.severity < worst.severity {
                *worst = it;
            }
            let one = severities([it.severity].into_iter());
            counts.iter_mut().zip(one).for_each(|(count, one)| *count += one);
        }
    }
    workloads.sort_by_key(|(_, counts)| Reverse(*counts));
    let all = workloads.len() as u64;
    let rows = workloads.into_iter().map(|(worst, counts)| {
        let [critical, high, medium, low] = counts.map(Cell::Number);
        vec![workload(worst), namespace(worst), critical, high, medium, low, message(worst)]
    });
    let headings =
        ["Workload", "Namespace", "Critical", "High", "Medium", "Low", "Its worst violation"];
    let table = Table {
        caption: format!(
            "{} with violations, those with the most severe first",
            count(all, "workload")
        ),
        headings: headings.map(Into::into).to_vec(),
        rows: rows.collect(),
        most: WORST,
    };
    Section { id: "workloads", title: "Worst workloads", text: Vec::new(), table: Some(table) }
}

/// A column that only one command has: its heading and its cells.
pub(in crate::cli) type ExtraColumn<'a> = (&'static str, fn(&'a Violation) -> Cell<'a>);

/// Every violation.
pub(in crate::cli) fn violations<'a>(
    found: &[DistinctViolation<'a>],
    extra: &[ExtraColumn<'a>],
) -> Section<'a> {
    let row = |DistinctViolation { violation: it, policies }: &DistinctViolation<'a>| {
        let mut row = vec![Cell::Severity(it.severity), Cell::code(&it.rule)];
        row.extend(extra.iter().map(|(_, cell)| cell(it)));
        row.extend([
            Cell::text(it.namespace.as_deref().unwrap_or_default()),
            Cell::Text(format!("{}/{}", it.kind, it.name).into()),
            Cell::text(it.container.as_deref().unwrap_or_default()),
            message(it),
            Cell::Text(policies.join(", ").into()),
        ]);
        row
    };
    let mut headings = vec!["Severity", "Rule"];
    headings.extend(extra.iter().map(|(heading, _)| heading));
    headings.extend(["Namespace", "Workload", "Container", "What, and what would pass", "Policy"]);
    let table = Table {
        caption: format!("{}, the most severe first", count(found.len() as u64, "violation")),
        headings: headings.into_iter().map(Into::into).collect(),
        rows: found.iter().map(row).collect(),
        most: MOST,
    };
    Section { id: "violations", title: "Violations", text: Vec::new(), table: Some(table) }
}

fn workload(it: &Violation) -> Cell<'_> {
    Cell::Name(format!("{}/{}", it.kind, it.name).into())
}

fn namespace(it: &Violation) -> Cell<'_> {
    Cell::text(it.namespace.as_deref().unwrap_or_default())
}

fn message(it: &Violation) -> Cell<'_> {
    let fix = it.fix.as_ref().map(ToString::to_string);
    Cell::Message { path: &it.path, message: it.message.as_str().into(), fix }
}
