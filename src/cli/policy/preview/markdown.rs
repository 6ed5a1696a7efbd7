//! Renders a preview as Markdown, for a pull request's comment.

use std::fmt::Write;

use super::super::super::formats::markdown::{code, prose};
use super::headline::{
    change, compared, first, if_enforced, line, observed, policies, reviews, share, verdict,
};
use crate::analysis::preview::answer::{
    ExemptionUse, NamespaceChange, Preview, PreviewWorkload, PreviewedPolicy,
};

/// The most rows of each table.
const MAX_ROWS: usize = 50;
/// The most bytes of the tables. A comment on GitHub holds 65 536 characters, so lines after a cut table have room.
const MAX_BYTES: usize = 59_000;

pub(super) fn page(preview: &Preview) -> String {
    let mut page = format!("### podgate: {}\n", prose(&line(preview)));
    if let Some(compared) = compared(preview) {
        let _ = write!(page, "\n{}\n", prose(&compared));
    }
    if !preview.faults.is_empty() {
        page.push('\n');
        let rows = preview.faults.iter();
        rows_of(
            &mut page,
            rows.map(|it| format!("- {}: {}\n", code(&it.place), prose(&it.message))),
        );
    }
    for line in observed(preview) {
        let _ = write!(page, "\n{}\n", prose(&line));
    }
    let heading = if preview.observed.is_some() {
        "| policy | mode | if enforced | reviews |\n|---|---|---|---|\n"
    } else {
        "| policy | mode | if enforced |\n|---|---|---|\n"
    };
    table(&mut page, heading, policies(preview).iter().map(|it| policy(preview, it)));
    let scores = preview.namespaces.iter().filter(|it| it.change.before != it.change.after);
    table(&mut page, "| namespace | score |\n|---|---|\n", scores.map(score));
    let heading = "| severity | workload | if applied | pods refused | rule | container | what |\n|---|---|---|---|---|---|---|\n";
    table(&mut page, heading, preview.workloads.iter().map(workload));
    let heading =
        "| exemption | state | rules | owner | expires | reason |\n|---|---|---|---|---|---|\n";
    table(&mut page, heading, preview.exemptions.iter().map(exemption));
    page
}

fn table(page: &mut String, heading: &str, rows: impl Iterator<Item = String>) {
    let mut rows = rows.peekable();
    if rows.peek().is_some() {
        let _ = write!(page, "\n{heading}");
        rows_of(page, rows);
    }
}

/// Appends rows while there is room, and the number of the others.
fn rows_of(page: &mut String, rows: impl Iterator<Item = String>) {
    let (mut shown, mut left) = (0, 0);
    for row in rows {
        if left > 0 || shown == MAX_ROWS || page.len() + row.len() > MAX_BYTES {
            left += 1;
        } else {
            page.push_str(&row);
            shown += 1;
        }
    }
    if left > 0 {
        let _ = writeln!(page, "\nand {left} more");
    }
}

fn policy(preview: &Preview, it: &PreviewedPolicy) -> String {
    let cells = format!("| {} | {} | {} |", code(&it.policy), it.mode.as_str(), if_enforced(it));
    match preview.observed {
        Some(_) => format!("{cells} {} |\n", reviews(preview, it)),
        None => cells + "\n",
    }
}

fn score(it: &NamespaceChange) -> String {
    format!("| {} | {} |\n", code(&it.namespace), change(it.change))
}

fn workload(it: &PreviewWorkload) -> String {
    let name = code(&format!("{} {}/{}", it.kind, it.namespace, it.name));
    let (verdict, share) = (verdict(it), share(it));
    let Some((first, more)) = first(it) else {
        return format!("|  | {name} | {verdict} | {share} |  |  |  |\n");
    };
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let path = if first.path.is_empty() { String::new() } else { code(&first.path) + " " };
    let message = first.message.strip_prefix(&first.path).unwrap_or(&first.message).trim_start();
    format!(
        "| {} | {name} | {verdict} | {share} | {} | {} | {path}{}{more} |\n",
        first.severity,
        code(&first.rule),
        first.container.as_deref().map(code).unwrap_or_default(),
        prose(message),
    )
}

fn exemption(it: &ExemptionUse) -> String {
    let rules: Vec<_> = it.rules.iter().map(|rule| code(rule)).collect();
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        code(&format!("{}[{}]", it.policy, it.index)),
        it.state.as_str(),
        rules.join(", "),
        prose(&it.owner),
        it.expires(),
        prose(&it.reason),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{awkward, compared, in_force, many, nothing, plain, unseen};
    use super::*;

    #[test]
    fn the_page_is_a_headline_and_tables_the_worst_first() {
        insta::assert_snapshot!(page(&plain()), @r#"
        ### podgate: policy shop/baseline, enforced, would deny 1 of 3 workloads and refuse 7 of 12 running pods at the next start; score 91 → 74

        | namespace | score |
        |---|---|
        | `shop` | 85 → 52 |

        | severity | workload | if applied | pods refused | rule | container | what |
        |---|---|---|---|---|---|---|
        | high | `Deployment shop/cart` | denied | 5 of 5 | `forbidLatestTag` | `web` | `spec.template.spec.containers[0].image` is "nginx" (no tag means :latest); give a version (and 1 more) |
        | high | `Deployment shop/rolling` | admitted | 2 of 5 | `forbidLatestTag` | `web` | `spec.containers[0].image` is "nginx" (no tag means :latest); give a version |

        | exemption | state | rules | owner | expires | reason |
        |---|---|---|---|---|---|
        | `shop/baseline[0]` | used | `forbidLatestTag` | team cart |  | moves in June |
        | `shop/baseline[1]` | expired | `forbidLatestTag` | team cart | 2026-01-01T00:00:00Z | moves in June |
        "#);
        insta::assert_snapshot!(page(&compared()), @r#"
        ### podgate: policy shop/baseline, enforced, would deny 1 of 3 workloads and refuse 7 of 12 running pods at the next start; score 91 → 74

        today 1 workload would be denied and 0 pods refused; 1 violation in workloads is new, 3 gone

        | namespace | score |
        |---|---|
        | `shop` | 85 → 52 |

        | severity | workload | if applied | pods refused | rule | container | what |
        |---|---|---|---|---|---|---|
        | high | `Deployment shop/cart` | denied (new) | 5 of 5 | `forbidLatestTag` | `web` | `spec.template.spec.containers[0].image` is "nginx" (no tag means :latest); give a version (and 1 more) |
        | high | `Deployment shop/rolling` | admitted | 2 of 5 | `forbidLatestTag` | `web` | `spec.containers[0].image` is "nginx" (no tag means :latest); give a version |
        |  | `Deployment shop/freed` | admitted (new) |  |  |  |  |
        "#);
        insta::assert_snapshot!(page(&nothing()), @r#"
        ### podgate: 2 policies, enforced, would judge nothing: no workload was found

        - `pods`: cannot be read in &lt;shop&gt;
        "#);
    }

    #[test]
    fn the_policies_in_force_have_a_row_each_with_what_the_replicas_counted() {
        insta::assert_snapshot!(page(&in_force()), @r#"
        ### podgate: 3 policies, in force, would deny 1 of 3 workloads and refuse 7 of 12 running pods at the next start; score 91 → 74

        reviews counted by 2 replicas since each started, from 2025-11-24T16:00:00Z to 2025-11-24T16:01:00Z

        the counters of podgate-c were not seen: no answer within 10s

        | policy | mode | if enforced | reviews |
        |---|---|---|---|
        | `shop/baseline` | enforce | 1 workload, 7 pods | 12 denied, 0 would be denied |
        | `restricted` | audit | 3 workloads, 1 pod | 0 denied, 1041 would be denied |
        | `new` | warn | 0 workloads, 0 pods |  |

        | namespace | score |
        |---|---|
        | `shop` | 85 → 52 |

        | severity | workload | if applied | pods refused | rule | container | what |
        |---|---|---|---|---|---|---|
        | high | `Deployment shop/cart` | denied | 5 of 5 | `forbidLatestTag` | `web` | `spec.template.spec.containers[0].image` is "nginx" (no tag means :latest); give a version (and 1 more) |
        | high | `Deployment shop/rolling` | admitted | 2 of 5 | `forbidLatestTag` | `web` | `spec.containers[0].image` is "nginx" (no tag means :latest); give a version |
        "#);
        let unseen = page(&unseen());
        assert!(unseen.contains("\nthe replicas' counters were not seen: this needs"), "{unseen}");
        let mut unasked = in_force();
        unasked.observed = None;
        let unasked = page(&unasked);
        assert!(unasked.contains("| policy | mode | if enforced |\n"), "{unasked}");
        let bars = |line: &str| line.matches('|').count();
        assert!(unasked.lines().filter(|it| it.contains("restricted")).all(|it| bars(it) == 4));
    }

    #[test]
    fn what_objects_hold_is_only_shown() {
        insta::assert_snapshot!(page(&awkward()), @r#"
        ### podgate: policy \`a\|&lt;b&gt;<span>@</span>admin\\u{1b}\[31m\\n<span>#</span>1, enforced, would deny 1 of 3 workloads and refuse 7 of 12 running pods at the next start; score 91 → 74

        | namespace | score |
        |---|---|
        | `shop` | 85 → 52 |

        | severity | workload | if applied | pods refused | rule | container | what |
        |---|---|---|---|---|---|---|
        | high | ``Deployment shop/`a\|<b>@admin\u{1b}[31m\n#1`` | denied | 5 of 5 | `forbidLatestTag` | `` `a\|<b>@admin\u{1b}[31m\n#1 `` | `` `a\|<b>@admin\u{1b}[31m\n#1 ``  (and 2 more) |
        | high | `Deployment shop/rolling` | admitted | 2 of 5 | `forbidLatestTag` | `web` | `spec.containers[0].image` is "nginx" (no tag means :latest); give a version |

        | exemption | state | rules | owner | expires | reason |
        |---|---|---|---|---|---|
        | `shop/baseline[0]` | used | `forbidLatestTag` | \`a\|&lt;b&gt;<span>@</span>admin\\u{1b}\[31m\\n<span>#</span>1 |  | \`a\|&lt;b&gt;<span>@</span>admin\\u{1b}\[31m\\n<span>#</span>1 |
        | `shop/baseline[1]` | expired | `forbidLatestTag` | team cart | 2026-01-01T00:00:00Z | moves in June |
        "#);
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        let page = page(&awkward());
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with('|')).collect();
        assert!(
            rows.iter().any(|row| bars(row) == 8) && rows.iter().all(|row| bars(row) != 9),
            "{page}"
        );
    }

    #[test]
    fn fifty_rows_of_a_table_are_enough_and_the_page_fits_a_comment() {
        let text = page(&many(53));
        assert_eq!(text.matches("\n| high |").count(), 50, "{text}");
        assert!(text.contains("\n\nand 3 more\n"), "{text}");
        let mut long = many(60);
        for workload in &mut long.workloads {
            workload.violations[0].message = "<".repeat(2000);
        }
        let text = page(&long);
        assert!(text.len() < 60_000, "{} bytes", text.len());
        assert!(text.contains(" more\n"), "{text}");
    }
}
