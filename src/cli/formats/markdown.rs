//! Renders Markdown, for a pull request's comment and `$GITHUB_STEP_SUMMARY`.

use std::fmt::Write;

use super::summary;
use super::violations::{decision, have_decisions, object_name, place, without_path, worst_first};
use crate::findings::{Report, Violation};
use crate::policy::text::printable;

const MAX_ROWS: usize = 100;
/// The most bytes of the page. A comment on GitHub holds 65 536 characters, a step's summary 1 MiB.
const MAX_BYTES: usize = 60_000;

pub(super) fn page(report: &Report) -> String {
    let mut page = format!("### podgate: {}\n", prose(&summary::line(report)));
    for line in summary::unjudged(report) {
        let _ = writeln!(page, "\n{}", prose(&line));
    }
    if !report.faults.is_empty() {
        page.push('\n');
        let lines = report.faults.iter();
        let lines = lines.map(|it| format!("- {}: {}\n", code(&it.place), prose(&it.message)));
        // The violations get the other half.
        fill(&mut page, lines, MAX_BYTES / 2);
    }
    if report.results.is_empty() {
        return page;
    }
    let decisions = have_decisions(&report.results);
    page.push_str(if decisions {
        "\n| severity | decision | object | rule | container | what |\n|---|---|---|---|---|---|\n"
    } else {
        "\n| severity | object | rule | container | what |\n|---|---|---|---|---|\n"
    });
    let rows = worst_first(&report.results).into_iter().map(|it| row(it, decisions));
    fill(&mut page, rows, MAX_BYTES);
    page
}

/// Adds lines while the page stays within the limits, and says how many are left out.
fn fill(page: &mut String, mut lines: impl ExactSizeIterator<Item = String>, most: usize) {
    for _ in 0..MAX_ROWS {
        let Some(line) = lines.next() else { return };
        if page.len() + line.len() > most {
            let _ = writeln!(page, "\nand {} more", lines.len() + 1);
            return;
        }
        page.push_str(&line);
    }
    if lines.len() > 0 {
        let _ = writeln!(page, "\nand {} more", lines.len());
    }
}

fn row(violation: &Violation, with_decision: bool) -> String {
    let place = place(violation).map(|place| format!("<br>{}", code(&place))).unwrap_or_default();
    let path = if violation.path.is_empty() { String::new() } else { code(&violation.path) + " " };
    let decision =
        if with_decision { format!(" {} |", decision(violation)) } else { String::new() };
    format!(
        "| {} |{decision} {}{place} | {} | {} | {path}{} |\n",
        violation.severity,
        code(&object_name(violation)),
        code(&violation.rule),
        violation.container.as_deref().map(code).unwrap_or_default(),
        prose(without_path(violation)),
    )
}

/// A code span: nothing in it is interpreted as Markdown, HTML or a mention.
pub(crate) fn code(text: &str) -> String {
    let text = printable(text).replace('|', "\\|");
    let runs = text.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or(0) + 1);
    let gap = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{gap}{text}{gap}{fence}")
}

/// Escaped text: nothing in it is interpreted as Markdown, HTML or a mention.
pub(crate) fn prose(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            // In an element of its own, `@` mentions nobody and `#` links no issue.
            '@' | '#' => shown.extend(["<span>", c.encode_utf8(&mut [0; 4]), "</span>"]),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '$' => shown.extend(['\\', c]),
            _ => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::testing::{clean, faulty, plain, violated, with};
    use super::*;

    #[test]
    fn the_page_is_a_headline_and_a_table_the_worst_first() {
        insta::assert_snapshot!(page(&violated()), @r#"
        ### podgate: 5 violations (1 critical, 1 high, 1 medium, 2 low) in 3 workloads (6 documents, 2 skipped); score 62

        | severity | object | rule | container | what |
        |---|---|---|---|---|
        | critical | `StatefulSet shop/db` | `maxRestartCount` | `postgres` | `status.containerStatuses[0].restartCount` is 12; at most 3 are allowed |
        | high | `Deployment shop/cart`<br>`deploy/cart.yaml:14:18` | `forbidLatestTag` | `web` | `spec.template.spec.containers[0].image` is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION |
        | medium | `Deployment shop/cart`<br>`deploy/cart.yaml:14:18` | `forbidLatestTag` | `sidecar` | `spec.template.spec.containers[0].image` is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION |
        | low | `Deployment shop/cart`<br>`deploy/cart.yaml:12:9` | `requireReadinessProbe` | `web` | `spec.template.spec.containers[0].readinessProbe` is missing; add one |
        | low | ``Pod 日本`\|<b>@admin\u{1b}[31m``<br>`./a,b/50% é:\|<x>.yaml` | `validations/no-1.0` |  | 100% "wrong" \| \`a\` &lt;b&gt;&amp;\\n::error::gotcha\\u{1b}\[2J\\t<span>#</span>1 <span>@</span>all |
        "#);
    }

    #[test]
    fn without_violations_there_is_no_table() {
        insta::assert_snapshot!(page(&clean()), @"### podgate: all 5 workloads pass (12 documents, 2 skipped); score 100");
        insta::assert_snapshot!(page(&faulty()), @r#"
        ### podgate: nothing to judge: no workload found (1 document, 1 skipped); 1 input could not be judged

        - `deploy/<bad>.yaml:3:1`: this is no YAML:\\nfound "\\t\\u{1b}" &amp; more
        "#);
    }

    #[test]
    fn a_hundred_rows_are_enough() {
        let text = page(&with(vec![plain(); 103]));
        assert_eq!(text.matches("\n| high |").count(), 100);
        assert!(text.ends_with("|\n\nand 3 more\n"), "{text}");
        let text = page(&with(vec![plain(); 100]));
        assert!(!text.contains("more\n"), "{text}");
    }

    #[test]
    fn long_messages_leave_the_page_within_a_comments_bounds() {
        let violation = Violation { message: "<".repeat(2000), ..plain() };
        let text = page(&with(vec![violation; 100]));
        assert!(text.len() < 65_536, "{} bytes", text.len());
        assert!(text.ends_with(" more\n"), "{text}");
    }

    #[test]
    fn faults_beyond_the_limits_are_counted_and_leave_room_for_violations() {
        let mut report = with(vec![plain()]);
        report.faults = vec![faulty().faults.remove(0); 103];
        let text = page(&report);
        assert!(text.contains("\n\nand 3 more\n\n| severity"), "{text}");
        report.faults[0].message = "<".repeat(20_000);
        let text = page(&report);
        assert!(text.contains("\n\nand 103 more\n\n| severity"), "{text}");
        assert_eq!(text.matches("\n| high |").count(), 1, "{text}");
    }

    #[test]
    fn a_code_span_is_fenced_by_more_backticks_than_it_holds() {
        assert_eq!(code("web"), "`web`");
        assert_eq!(code("a``b|c"), "```a``b\\|c```");
        assert_eq!(code("`"), "`` ` ``");
    }

    #[test]
    fn every_row_has_the_cells_of_the_heading() {
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        let text = page(&violated());
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 2 + 5);
        assert!(rows.iter().all(|row| bars(row) == 6), "{text}");
    }
}
