//! Words a preview's summary, for the table and the Markdown page.

use super::super::super::columns;
use crate::analysis::preview::answer::{Change, Preview, PreviewViolation, PreviewWorkload};
use crate::policy::text::clip;
use crate::policy::text::count;

/// The summary as one sentence without a full stop.
pub(super) fn line(preview: &Preview) -> String {
    let summary = &preview.summary;
    let subject = match preview.policies.as_slice() {
        [one] => format!("policy {}", clip(&one.policy)),
        all => format!("{} policies", all.len()),
    };
    if summary.workloads + summary.pods == 0 {
        return format!("{subject}, enforced, would judge nothing: no workload was found");
    }
    let scored = summary.score.filter(|it| it.before.score.or(it.after.score).is_some());
    let score = scored.map(|it| format!("; score {}", change(it))).unwrap_or_default();
    let graced = match summary.graced_pods {
        0 => String::new(),
        graced => format!(", and {graced} more after the grace"),
    };
    format!(
        "{subject}, enforced, would deny {} of {} and refuse {} of {} at the next start{graced}{score}",
        summary.denied,
        count(summary.workloads, "workload"),
        summary.refused_pods,
        count(summary.pods, "running pod"),
    )
}

/// The comparison with the versions in force, if there are any.
pub(super) fn compared(preview: &Preview) -> Option<String> {
    let summary = &preview.summary;
    let (denied, refused) = (summary.denied_before?, summary.refused_pods_before?);
    Some(format!(
        "today {} would be denied and {} refused; {} in workloads {} new, {} gone",
        count(denied, "workload"),
        count(refused, "pod"),
        count(summary.new_violations, "violation"),
        if summary.new_violations == 1 { "is" } else { "are" },
        summary.gone_violations?,
    ))
}

/// `62 → 58`, or `62` where it stays; `-` is no score.
pub(super) fn change(Change { before, after }: Change) -> String {
    let [before, after] = [before.score, after.score].map(columns::score);
    if before == after { after } else { format!("{before} → {after}") }
}

/// `2 of 5`, or `0 of 5 (3 in grace)`; empty where no pod would be refused.
pub(super) fn share(workload: &PreviewWorkload) -> String {
    let some = workload.pods.as_ref().filter(|pods| pods.refused + pods.graced > 0);
    some.map(|pods| match pods.graced {
        0 => format!("{} of {}", pods.refused, pods.running),
        graced => format!("{} of {} ({graced} in grace)", pods.refused, pods.running),
    })
    .unwrap_or_default()
}

/// The verdict, marked `(new)` where the policies in force decide otherwise.
pub(super) fn verdict(workload: &PreviewWorkload) -> String {
    use crate::analysis::preview::answer::Verdict::{Admitted, Denied};
    match (workload.verdict, workload.before) {
        (Some(Denied), Some(Admitted)) => "denied (new)",
        (Some(Denied), _) => "denied",
        (Some(Admitted), Some(Denied)) => "admitted (new)",
        (Some(Admitted), _) => "admitted",
        (None, _) => "",
    }
    .to_owned()
}

/// A workload's worst violation, and the number of its others.
pub(super) fn first(workload: &PreviewWorkload) -> Option<(&PreviewViolation, usize)> {
    let mut distinct = workload.distinct();
    let first = distinct.next()?;
    Some((first, distinct.count()))
}
