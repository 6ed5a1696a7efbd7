//! A preview as a person reads it.

use std::fmt::Write;

use super::super::super::columns::{self, Cell};
use super::headline::{change, compared, first, line, share, verdict};
use crate::policy::text::clip;
use crate::scan::preview::answer::{ExemptionUse, Preview, Workload};

/// How many workloads are shown.
const SHOWN: usize = 20;
/// The row of all namespaces together; no namespace can be called so.
const TOTAL: &str = "(cluster)";

pub(super) fn table(preview: &Preview) -> String {
    let mut text = columns::align(&[vec![Cell::new(&line(preview))]]).concat() + "\n";
    if let Some(compared) = compared(preview) {
        let _ = writeln!(text, "{compared}");
    }
    let shown = preview.workloads.iter().take(SHOWN);
    if !preview.workloads.is_empty() {
        let headings =
            ["SEVERITY", "NAMESPACE", "WORKLOAD", "IF APPLIED", "PODS REFUSED", "REASON"];
        text.push('\n');
        text.push_str(&columns::table(&headings, shown.map(workload).collect()));
    }
    if preview.workloads.len() > SHOWN {
        let _ = writeln!(text, "and {} more: -o json", preview.workloads.len() - SHOWN);
    }
    if !preview.exemptions.is_empty() {
        let headings = ["EXEMPTION", "STATE", "RULES", "OWNER", "EXPIRES", "REASON"];
        text.push('\n');
        text.push_str(&columns::table(
            &headings,
            preview.exemptions.iter().map(exemption).collect(),
        ));
    }
    text + &scores(preview)
}

fn workload(it: &Workload) -> Vec<Cell> {
    let first = first(it);
    let reason = first.map(|(violation, more)| {
        let container = violation.container.as_deref().map(|name| format!(" {}", clip(name)));
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        let (rule, message) = (&violation.rule, &violation.message);
        format!("{rule}{}: {message}{more}", container.unwrap_or_default())
    });
    vec![
        Cell::or_none(first.map_or("", |(violation, _)| violation.severity.as_str())),
        Cell::new(&it.namespace),
        Cell::new(&clip(&format!("{}/{}", it.kind, it.name))),
        Cell::or_none(&verdict(it)),
        Cell::or_none(&share(it)),
        Cell::or_none(&reason.unwrap_or_default()),
    ]
}

fn exemption(it: &ExemptionUse) -> Vec<Cell> {
    let expires = it.expires_at.as_ref().map(|end| end.0.to_string()).unwrap_or_default();
    vec![
        Cell::new(&format!("{}[{}]", clip(&it.policy), it.index)),
        Cell::new(it.state.as_str()),
        Cell::new(&it.rules.join(", ")),
        Cell::new(&clip(&it.owner)),
        Cell::or_none(&expires),
        Cell::new(&clip(&it.reason)),
    ]
}

/// Those that change, and the whole.
fn scores(preview: &Preview) -> String {
    let Some(total) = preview.summary.score else { return String::new() };
    let changed = preview.namespaces.iter().filter(|it| it.change.before != it.change.after);
    let changed = changed.map(|it| (it.namespace.as_str(), it.change));
    let rows = changed.chain([(TOTAL, total)]).map(|(name, it)| {
        let class = if it.before.classification == it.after.classification {
            format!("{:?}", it.after.classification)
        } else {
            format!("{:?} → {:?}", it.before.classification, it.after.classification)
        };
        vec![Cell::new(name), Cell::new(&change(it)), Cell::new(&class)]
    });
    format!("\n{}", columns::table(&["NAMESPACE", "SCORE", "CLASS"], rows.collect()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{awkward, compared, many, nothing, plain};
    use super::*;

    #[test]
    fn the_table_is_a_headline_and_what_it_is_made_of() {
        insta::assert_snapshot!(table(&plain()));
        insta::assert_snapshot!(table(&compared()));
        insta::assert_snapshot!(table(&nothing()));
    }

    #[test]
    fn twenty_workloads_are_shown_and_nothing_of_an_object_reaches_a_terminal() {
        let long = table(&many(23));
        assert!(long.contains("and 3 more: -o json\n"), "{long}");
        assert!(!table(&awkward()).contains('\u{1b}'));
    }
}
