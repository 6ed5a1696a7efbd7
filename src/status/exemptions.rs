//! The exemptions in a policy's status, and the Events on their ends. Pure.
//!
//! The status says what was told: an Event is due when the status changes. So it is told once, whoever leads.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{
    DevOpsPolicyStatus, EnforcementMode, ExemptionPhase, ExemptionStatus, ListedExemption,
};
use crate::policy::exemption::ends_within;
use crate::policy::observed::ObservedPolicy;
use crate::policy::text::{brief, cut};

/// The most exemptions listed: those that a policy may have.
const MAX_LISTED: usize = 64;
/// The most entries of a field's list, and the most bytes of an entry (the CRD's limits).
const MAX_ENTRIES: usize = 8;
const MAX_ENTRY: usize = 128;
/// The most bytes of a note that name the exemption.
const MAX_WHAT: usize = 500;

/// The exemptions of a policy; `None` if it has none.
pub(super) fn exemptions(observed: &ObservedPolicy, now: Timestamp) -> Option<ExemptionStatus> {
    if !observed.policy.has_exemptions() {
        return None;
    }
    let count = |phase| {
        let count = observed.exemptions.iter().filter(|it| it.phase == phase).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    let written = observed.policy.exempts(now).map(|(exemption, _)| exemption);
    let list = written.zip(&observed.exemptions).take(MAX_LISTED).map(|(it, observed)| {
        let optional = |texts: &Option<Vec<String>>| texts.as_deref().map_or_else(Vec::new, some);
        ListedExemption {
            rules: some(&it.rules),
            kinds: optional(&it.kinds),
            names: optional(&it.names),
            namespaces: optional(&it.namespaces),
            containers: optional(&it.containers),
            images: optional(&it.images),
            owner: cut(it.owner.clone(), MAX_ENTRY),
            reason: cut(it.reason.clone(), MAX_ENTRY),
            expires_at: it.expires_at.clone(),
            ends_within: ends_within(it, now),
            workloads: i32::try_from(observed.workloads).unwrap_or(i32::MAX),
            state: observed.phase,
        }
    });
    Some(ExemptionStatus {
        used: count(ExemptionPhase::Active),
        unused: count(ExemptionPhase::Unused),
        expired: count(ExemptionPhase::Expired),
        list: list.collect(),
    })
}

fn some(texts: &[String]) -> Vec<String> {
    texts.iter().take(MAX_ENTRIES).map(|it| cut(it.clone(), MAX_ENTRY)).collect()
}

/// The notes of the Events that are due once a status is replaced: an exemption ends within a week, ends within a day,
/// or has ended. Nothing is told of an exemption that had ended when it was first seen.
pub(super) fn notes(before: &DevOpsPolicyStatus, after: &DevOpsPolicyStatus) -> Vec<String> {
    let listed = |status: &DevOpsPolicyStatus| {
        status.exemptions.as_ref().map(|it| it.list.clone()).unwrap_or_default()
    };
    let known = listed(before);
    let list = listed(after).into_iter().enumerate();
    list.filter_map(|(index, it)| {
        let end = it.expires_at.as_ref()?;
        let earlier = known.iter().find(|known| same(known, &it));
        if it.state == ExemptionPhase::Expired {
            let earlier = earlier.filter(|known| known.state != ExemptionPhase::Expired)?;
            return Some(ended(earlier, end, after.effective_mode));
        }
        let within = it.ends_within.filter(|within| {
            earlier.and_then(|known| known.ends_within) != Some(*within)
        })?;
        let what = what(&it);
        let users = match it.workloads {
            0 => "no workload needs it now: remove it".to_owned(),
            1 => format!("1 workload needs it: repair it, or move spec.exemptions[{index}].expiresAt"),
            count => format!(
                "{count} workloads need it: repair them, or move spec.exemptions[{index}].expiresAt"
            ),
        };
        Some(format!("{what} ends {within}, at {}; {users}", end.0))
    })
    .collect()
}

fn ended(earlier: &ListedExemption, Time(end): &Time, mode: Option<EnforcementMode>) -> String {
    let workloads = match earlier.workloads {
        0 => "no workload needed it".to_owned(),
        1 => "the violations of 1 workload are open now".to_owned(),
        count => format!("the violations of {count} workloads are open now"),
    };
    let enforced = match mode {
        Some(EnforcementMode::Enforce) if earlier.workloads > 0 => ", and the policy enforces",
        _ => "",
    };
    format!("{} ended at {end}; {workloads}{enforced}", what(earlier))
}

/// `the exemption of forbidLatestTag for cart (team shop: the image has no tags)`.
fn what(it: &ListedExemption) -> String {
    let only: Vec<_> = [&it.kinds, &it.names, &it.namespaces, &it.containers, &it.images]
        .into_iter()
        .filter(|texts| !texts.is_empty())
        .map(|texts| texts.join(", "))
        .collect();
    let only = if only.is_empty() { String::new() } else { format!(" for {}", only.join("; ")) };
    let rules = it.rules.join(", ");
    brief(format!("the exemption of {rules}{only} ({}: {})", it.owner, it.reason), MAX_WHAT)
}

/// Whether two entries are of the same exemption: one that is edited is another.
fn same(known: &ListedExemption, it: &ListedExemption) -> bool {
    let (ends_within, workloads, state) = (it.ends_within, it.workloads, it.state);
    ListedExemption { ends_within, workloads, state, ..known.clone() } == *it
}
