//! Renders a preview as tables.

use std::fmt::Write;

use super::super::super::columns::{self, TableCell};
use super::headline::{
    change, compared, first, if_enforced, line, observed, policies, reviews, share, verdict,
};
use crate::analysis::preview::answer::{ExemptionUse, Preview, PreviewWorkload, PreviewedPolicy};
use crate::policy::text::clip;

/// The most workloads shown, and the most exemptions.
const SHOWN: usize = 20;
/// The row of all namespaces together. No namespace can have this name.
const TOTAL: &str = "(cluster)";

pub(super) fn table(preview: &Preview) -> String {
    let mut text = columns::align(&[vec![TableCell::new(&line(preview))]]).concat() + "\n";
    if let Some(compared) = compared(preview) {
        let _ = writeln!(text, "{compared}");
    }
    let lines: Vec<_> = observed(preview).iter().map(|it| vec![TableCell::new(it)]).collect();
    for line in columns::align(&lines) {
        let _ = writeln!(text, "{line}");
    }
    let headings: &[&str] = match preview.observed {
        Some(_) => &["POLICY", "MODE", "IF ENFORCED", "REVIEWS"],
        None => &["POLICY", "MODE", "IF ENFORCED"],
    };
    section(&mut text, headings, policies(preview).iter().map(|it| policy(preview, it)));
    let headings = ["SEVERITY", "NAMESPACE", "WORKLOAD", "IF APPLIED", "PODS REFUSED", "REASON"];
    section(&mut text, &headings, preview.workloads.iter().map(workload));
    let headings = ["EXEMPTION", "STATE", "RULES", "OWNER", "EXPIRES", "REASON"];
    section(&mut text, &headings, preview.exemptions.iter().map(exemption));
    text + &scores(preview)
}

/// Appends the first rows under their headings, if there are any, and the number of the others.
fn section(text: &mut String, headings: &[&str], mut rows: impl Iterator<Item = Vec<TableCell>>) {
    let shown: Vec<_> = rows.by_ref().take(SHOWN).collect();
    if !shown.is_empty() {
        let _ = write!(text, "\n{}", columns::table(headings, shown));
    }
    let more = rows.count();
    if more > 0 {
        let _ = writeln!(text, "and {more} more: -o json");
    }
}

fn workload(it: &PreviewWorkload) -> Vec<TableCell> {
    let first = first(it);
    let reason = first.map(|(violation, more)| {
        let container = violation.container.as_deref().map(|name| format!(" {}", clip(name)));
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        let (rule, message) = (&violation.rule, &violation.message);
        format!("{rule}{}: {message}{more}", container.unwrap_or_default())
    });
    vec![
        TableCell::or_none(first.map_or("", |(violation, _)| violation.severity.as_str())),
        TableCell::new(&it.namespace),
        TableCell::new(&clip(&format!("{}/{}", it.kind, it.name))),
        TableCell::or_none(&verdict(it)),
        TableCell::or_none(&share(it)),
        TableCell::or_none(&reason.unwrap_or_default()),
    ]
}

fn policy(preview: &Preview, it: &PreviewedPolicy) -> Vec<TableCell> {
    let mut cells = vec![
        TableCell::new(&clip(&it.policy)),
        TableCell::new(it.mode.as_str()),
        TableCell::new(&if_enforced(it)),
    ];
    if preview.observed.is_some() {
        cells.push(TableCell::or_none(&reviews(preview, it)));
    }
    cells
}

fn exemption(it: &ExemptionUse) -> Vec<TableCell> {
    vec![
        TableCell::new(&format!("{}[{}]", clip(&it.policy), it.index)),
        TableCell::new(it.state.as_str()),
        TableCell::new(&it.rules.join(", ")),
        TableCell::new(&clip(&it.owner)),
        TableCell::or_none(&it.expires()),
        TableCell::new(&clip(&it.reason)),
    ]
}

/// The scores of the namespaces that change, and of the cluster.
fn scores(preview: &Preview) -> String {
    let Some(total) = preview.summary.score else { return String::new() };
    let changed = preview.namespaces.iter().filter(|it| it.change.before != it.change.after);
    let changed = changed.map(|it| (it.namespace.as_str(), it.change));
    let rows = changed.chain([(TOTAL, total)]).map(|(name, it)| {
        let [before, after] = [it.before, it.after].map(|it| columns::class(it.classification));
        let class = if before == after { after } else { format!("{before} → {after}") };
        vec![TableCell::new(name), TableCell::new(&change(it)), TableCell::new(&class)]
    });
    format!("\n{}", columns::table(&["NAMESPACE", "SCORE", "CLASS"], rows.collect()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{awkward, compared, in_force, many, nothing, plain, unseen};
    use super::*;
    use crate::analysis::preview::answer::{Change, ExemptionState, Standing, Versions};
    use crate::api::EndsWithin;

    #[test]
    fn the_table_is_a_headline_and_what_it_is_made_of() {
        insta::assert_snapshot!(table(&plain()), @r#"
        policy shop/baseline, enforced, would deny 1 of 3 workloads and refuse 7 of 12 running pods at the next start; score 91 → 74

        SEVERITY   NAMESPACE   WORKLOAD             IF APPLIED   PODS REFUSED   REASON
        high       shop        Deployment/cart      denied       5 of 5         forbidLatestTag web: spec.template.spec.containers[0].image is "nginx" (no tag means :latest); give a version (and 1 more)
        high       shop        Deployment/rolling   admitted     2 of 5         forbidLatestTag web: spec.containers[0].image is "nginx" (no tag means :latest); give a version

        EXEMPTION          STATE     RULES             OWNER       EXPIRES                REASON
        shop/baseline[0]   used      forbidLatestTag   team cart   <none>                 moves in June
        shop/baseline[1]   expired   forbidLatestTag   team cart   2026-01-01T00:00:00Z   moves in June

        NAMESPACE   SCORE     CLASS
        shop        85 → 52   Healthy → Degraded
        (cluster)   91 → 74   Healthy → Degraded
        "#);
        insta::assert_snapshot!(table(&compared()), @r#"
        policy shop/baseline, enforced, would deny 1 of 3 workloads and refuse 7 of 12 running pods at the next start; score 91 → 74
        today 1 workload would be denied and 0 pods refused; 1 violation in workloads is new, 3 gone

        SEVERITY   NAMESPACE   WORKLOAD             IF APPLIED       PODS REFUSED   REASON
        high       shop        Deployment/cart      denied (new)     5 of 5         forbidLatestTag web: spec.template.spec.containers[0].image is "nginx" (no tag means :latest); give a version (and 1 more)
        high       shop        Deployment/rolling   admitted         2 of 5         forbidLatestTag web: spec.containers[0].image is "nginx" (no tag means :latest); give a version
        <none>     shop        Deployment/freed     admitted (new)   <none>         <none>

        NAMESPACE   SCORE     CLASS
        shop        85 → 52   Healthy → Degraded
        (cluster)   91 → 74   Healthy → Degraded
        "#);
        insta::assert_snapshot!(table(&nothing()), @r#"2 policies, enforced, would judge nothing: no workload was found"#);
    }

    #[test]
    fn pods_that_only_a_grace_admits_are_told_beside_those_that_are_refused() {
        let mut preview = plain();
        preview.summary.refused_pods = 2;
        preview.summary.graced_pods = 5;
        let pods = preview.workloads[0].pods.as_mut().unwrap();
        (pods.refused, pods.graced) = (0, 5);
        let table = table(&preview);
        let line = "refuse 2 of 12 running pods at the next start, and 5 more after the grace; score 91 → 74";
        assert!(table.contains(line), "{table}");
        assert!(table.contains("denied       0 of 5 (5 in grace)   forbidLatestTag"), "{table}");
    }

    #[test]
    fn the_policies_in_force_have_a_row_each_with_what_the_replicas_counted() {
        insta::assert_snapshot!(table(&in_force()), @r#"
        3 policies, in force, would deny 1 of 3 workloads and refuse 7 of 12 running pods at the next start; score 91 → 74
        reviews counted by 2 replicas since each started, from 2025-11-24T16:00:00Z to 2025-11-24T16:01:00Z
        the counters of podgate-c were not seen: no answer within 10s

        POLICY          MODE      IF ENFORCED           REVIEWS
        shop/baseline   enforce   1 workload, 7 pods    12 denied, 0 would be denied
        restricted      audit     3 workloads, 1 pod    0 denied, 1041 would be denied
        new             warn      0 workloads, 0 pods   <none>

        SEVERITY   NAMESPACE   WORKLOAD             IF APPLIED   PODS REFUSED   REASON
        high       shop        Deployment/cart      denied       5 of 5         forbidLatestTag web: spec.template.spec.containers[0].image is "nginx" (no tag means :latest); give a version (and 1 more)
        high       shop        Deployment/rolling   admitted     2 of 5         forbidLatestTag web: spec.containers[0].image is "nginx" (no tag means :latest); give a version

        NAMESPACE   SCORE     CLASS
        shop        85 → 52   Healthy → Degraded
        (cluster)   91 → 74   Healthy → Degraded
        "#);
        let unseen = table(&unseen());
        let line = "the replicas' counters were not seen: this needs the permission to list pods in podgate-system\n";
        assert!(unseen.contains(line), "{unseen}");
        assert!(!unseen.contains("counted by"), "{unseen}");
        let mut unasked = in_force();
        unasked.observed = None;
        let unasked = table(&unasked);
        assert!(unasked.contains("POLICY          MODE      IF ENFORCED\n"), "{unasked}");
    }

    #[test]
    fn replicas_that_started_together_and_those_that_fail_alike_are_one_line_each() {
        let mut preview = in_force();
        let observed = preview.observed.as_mut().unwrap();
        observed.replicas[0].since = observed.replicas[1].since.clone();
        let text = table(&preview);
        assert!(
            text.contains("\nreviews counted by 2 replicas since 2025-11-24T16:00:00Z\n"),
            "{text}"
        );
        let observed = preview.observed.as_mut().unwrap();
        for replica in &mut observed.replicas {
            replica.since = None;
            replica.unread = Some("this needs \u{1b}".to_owned());
        }
        let text = table(&preview);
        let line =
            "\nthe counters of podgate-a, podgate-b, podgate-c were not seen: this needs \\u{1b}\n";
        assert!(text.contains(line) && !text.contains("counted by"), "{text}");
    }

    #[test]
    fn without_a_policy_in_force_the_next_step_is_named() {
        let mut preview = nothing();
        preview.versions = Versions::InForce;
        let judged = "2 policies, in force, would judge nothing: no workload was found\n";
        assert_eq!(table(&preview).lines().next(), judged.lines().next());
        preview.policies.clear();
        let text = table(&preview);
        assert!(text.starts_with("no policy is in force, so nothing is denied; "), "{text}");
    }

    #[test]
    fn an_exemption_that_ends_within_a_week_says_so() {
        let mut preview = plain();
        preview.exemptions[1].state = ExemptionState::Used;
        preview.exemptions[1].ends_within = Some(EndsWithin::Week);
        let row = "shop/baseline[1]   used    forbidLatestTag   team cart   2026-01-01T00:00:00Z (within a week)   ";
        let table = table(&preview);
        assert!(table.contains(row), "{table}");
    }

    #[test]
    fn without_workloads_there_is_no_score() {
        let mut preview = plain();
        let unscored = Standing { score: None, classification: None };
        let score = preview.summary.score.as_mut().unwrap();
        score.before = unscored;
        let text = table(&preview);
        assert!(text.contains("; score - → 74\n"), "{text}");
        assert!(text.ends_with("(cluster)   - → 74    - → Degraded\n"), "{text}");
        preview.summary.score = Some(Change { before: unscored, after: unscored });
        let text = table(&preview);
        assert!(text.lines().next().is_some_and(|it| it.ends_with("at the next start")), "{text}");
    }

    #[test]
    fn twenty_workloads_are_shown_and_nothing_of_an_object_reaches_a_terminal() {
        let long = table(&many(23));
        assert!(long.contains("and 3 more: -o json\n"), "{long}");
        assert!(!table(&awkward()).contains('\u{1b}'));
    }
}
