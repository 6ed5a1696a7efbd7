//! Words a preview's summary, for the table and the Markdown page.

use std::collections::BTreeMap;

use super::super::super::columns;
use crate::analysis::preview::answer::{
    Change, Preview, PreviewViolation, PreviewWorkload, PreviewedPolicy, Versions,
};
use crate::policy::text::clip;
use crate::policy::text::count;

/// The summary as one sentence without a full stop.
pub(super) fn line(preview: &Preview) -> String {
    let summary = &preview.summary;
    if preview.policies.is_empty() && preview.versions == Versions::InForce {
        return "no policy is in force, so nothing is denied; podgate policy preview --bundle baseline shows what \
                one would deny"
            .to_owned();
    }
    let subject = subject(preview);
    let how = match preview.versions {
        Versions::Given => "enforced",
        Versions::InForce => "in force",
    };
    if summary.workloads + summary.pods == 0 {
        return format!("{subject}, {how}, would judge nothing: no workload was found");
    }
    let scored = summary.score.filter(|it| it.before.score.or(it.after.score).is_some());
    let score = scored.map(|it| format!("; score {}", change(it))).unwrap_or_default();
    let graced = match summary.graced_pods {
        0 => String::new(),
        graced => format!(", and {graced} more after the grace"),
    };
    format!(
        "{subject}, {how}, would deny {} of {} and refuse {} of {} at the next start{graced}{score}",
        summary.denied,
        count(summary.workloads, "workload"),
        summary.refused_pods,
        count(summary.pods, "running pod"),
    )
}

/// What is previewed: `policy shop/baseline`, `3 policies`.
pub(super) fn subject(preview: &Preview) -> String {
    match preview.policies.as_slice() {
        [one] => format!("policy {}", clip(&one.policy)),
        all => format!("{} policies", all.len()),
    }
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

/// The policies that have a row of their own: all, if they have different modes or their reviews were observed.
pub(super) fn policies(preview: &Preview) -> &[PreviewedPolicy] {
    if preview.versions == Versions::InForce || preview.observed.is_some() {
        &preview.policies
    } else {
        &[]
    }
}

/// `1 workload, 7 pods`: what one policy denies and refuses if it is enforced.
pub(super) fn if_enforced(policy: &PreviewedPolicy) -> String {
    let (workloads, pods) = (policy.would_deny, policy.would_refuse_pods);
    format!("{}, {}", count(workloads, "workload"), count(pods, "pod"))
}

/// `2 denied, 41 would be denied`: the reviews of one policy; empty where no replica counted them.
pub(super) fn reviews(preview: &Preview, policy: &PreviewedPolicy) -> String {
    let counted = preview.observed.as_ref().and_then(|it| it.of(&policy.policy));
    let words = counted
        .map(|counts| format!("{} denied, {} would be denied", counts.denied, counts.would_deny));
    words.unwrap_or_default()
}

/// Who counted the reviews and since when, and a line for each reason why some were not seen.
pub(super) fn observed(preview: &Preview) -> Vec<String> {
    let Some(observed) = &preview.observed else { return Vec::new() };
    let mut lines = Vec::new();
    let starts: Vec<_> = observed.replicas.iter().filter_map(|it| it.since.as_ref()).collect();
    if let Some((first, last)) = starts.iter().min().zip(starts.iter().max()) {
        let since = if first == last {
            format!("since {}", first.0)
        } else {
            format!("since each started, from {} to {}", first.0, last.0)
        };
        let replicas = count(starts.len() as u64, "replica");
        lines.push(format!("reviews counted by {replicas} {since}"));
    }
    if let Some(reason) = &observed.unseen {
        lines.push(format!("the replicas' counters were not seen: {reason}"));
    }
    let mut unread: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for replica in &observed.replicas {
        if let Some(reason) = &replica.unread {
            unread.entry(reason).or_default().push(&replica.pod);
        }
    }
    for (reason, pods) in unread {
        lines.push(format!("the counters of {} were not seen: {reason}", pods.join(", ")));
    }
    lines
}
