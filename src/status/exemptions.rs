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
        let within = it
            .ends_within
            .filter(|within| earlier.and_then(|known| known.ends_within) != Some(*within))?;
        let what = what(&it);
        let users = match it.workloads {
            0 => "no workload needs it now: remove it".to_owned(),
            1 => format!(
                "1 workload needs it: repair it, or move spec.exemptions[{index}].expiresAt"
            ),
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

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;

    use super::super::build::PolicyState;
    use super::*;
    use crate::api::{EndsWithin, crds};
    use crate::policy::compile::Policy;
    use crate::policy::enforced::Enforced;
    use crate::policy::observed::{Affected, Refused};
    use crate::policy::scope::Scope;
    use crate::policy::score::Score;

    const END: &str = "2026-06-30T00:00:00Z";

    /// The state at a time of a policy with these exemptions, of which some are used.
    pub fn state(exemptions: &serde_json::Value, used: &[(usize, u64)], now: &str) -> PolicyState {
        let spec = json!({"enforcementMode": "enforce", "exemptions": exemptions});
        let spec = serde_json::from_value(spec).unwrap();
        let scope = Scope::Namespace("shop".to_owned());
        let policy = Policy::compile(scope, "own".to_owned(), &spec).unwrap();
        let used: BTreeMap<_, _> = used.iter().copied().collect();
        let observed = ObservedPolicy {
            exemptions: policy.exemptions(&used, now.parse().unwrap()),
            policy: Arc::new(policy),
            score: Some(Score { points: 100, lost_points: BTreeMap::new() }),
            workloads: 1,
            open: [0; 4],
            worst: Vec::new(),
            refused: Refused::default(),
            at_risk: Affected::default(),
            slipped: Affected::default(),
            enforced: Enforced::default(),
            covers_nothing: None,
        };
        PolicyState { observed: Some(observed), ..PolicyState::default() }
    }

    /// Its status, after the current one.
    fn status(
        current: &DevOpsPolicyStatus,
        exemptions: &serde_json::Value,
        used: &[(usize, u64)],
        now: &str,
    ) -> DevOpsPolicyStatus {
        state(exemptions, used, now).status(current, now.parse().unwrap())
    }

    pub fn ending() -> serde_json::Value {
        json!({"rules": ["forbidLatestTag"], "names": ["cart"], "reason": "moves in June", "owner": "team shop",
            "expiresAt": END})
    }

    #[test]
    fn the_status_lists_each_exemption_with_its_state_and_the_number_of_workloads() {
        let for_ever = json!({"rules": ["podSecurity/hostPorts"], "kinds": ["DaemonSet"], "containers": ["web"],
            "images": ["nginx*"], "reason": "r", "owner": "o"});
        let ended = json!({"rules": ["forbidLatestTag"], "reason": "r", "owner": "o",
            "expiresAt": "2026-01-01T00:00:00Z"});
        let exemptions = json!([ending(), for_ever, ended]);
        let used = [(0, 3), (2, 5)];
        let status =
            status(&DevOpsPolicyStatus::default(), &exemptions, &used, "2026-06-24T00:00:00Z");
        assert_eq!(
            serde_json::to_value(status.exemptions).unwrap(),
            json!({"used": 1, "unused": 1, "expired": 1, "list": [
                {"rules": ["forbidLatestTag"], "names": ["cart"], "owner": "team shop", "reason": "moves in June",
                 "expiresAt": END, "endsWithin": "Week", "workloads": 3, "state": "Active"},
                {"rules": ["podSecurity/hostPorts"], "kinds": ["DaemonSet"], "containers": ["web"],
                 "images": ["nginx*"], "owner": "o", "reason": "r", "workloads": 0, "state": "Unused"},
                {"rules": ["forbidLatestTag"], "owner": "o", "reason": "r", "expiresAt": "2026-01-01T00:00:00Z",
                 "workloads": 0, "state": "Expired"},
            ]})
        );
    }

    #[test]
    fn the_end_of_an_exemption_is_told_a_week_before_a_day_before_and_when_it_has_come_and_each_once()
     {
        let mut told = Vec::new();
        let mut current = DevOpsPolicyStatus::default();
        for (now, workloads) in [
            ("2026-06-01T00:00:00Z", 2),
            ("2026-06-23T00:00:00Z", 3),
            ("2026-06-23T00:01:00Z", 3),
            ("2026-06-25T00:00:00Z", 0),
            ("2026-06-26T00:00:00Z", 3),
            ("2026-06-29T00:00:00Z", 1),
            ("2026-06-29T23:59:59Z", 2),
            (END, 0),
            ("2026-07-01T00:00:00Z", 0),
        ] {
            let next = status(&current, &json!([ending()]), &[(0, workloads)], now);
            told.extend(notes(&current, &next).into_iter().map(|note| format!("{now}: {note}")));
            // The next leader knows only what is in the cluster.
            current = serde_json::from_value(serde_json::to_value(&next).unwrap()).unwrap();
        }
        insta::assert_snapshot!(told.join("\n"), @r"
        2026-06-23T00:00:00Z: the exemption of forbidLatestTag for cart (team shop: moves in June) ends within a week, at 2026-06-30T00:00:00Z; 3 workloads need it: repair them, or move spec.exemptions[0].expiresAt
        2026-06-29T00:00:00Z: the exemption of forbidLatestTag for cart (team shop: moves in June) ends within a day, at 2026-06-30T00:00:00Z; 1 workload needs it: repair it, or move spec.exemptions[0].expiresAt
        2026-06-30T00:00:00Z: the exemption of forbidLatestTag for cart (team shop: moves in June) ended at 2026-06-30T00:00:00Z; the violations of 2 workloads are open now, and the policy enforces
        ");
    }

    #[test]
    fn an_exemption_that_is_moved_up_or_down_is_not_told_again_and_an_edited_one_is() {
        let now = "2026-06-24T00:00:00Z";
        let other = json!({"rules": ["podSecurity"], "reason": "r", "owner": "o"});
        let first = status(&DevOpsPolicyStatus::default(), &json!([ending()]), &[], now);
        let moved = status(&first, &json!([other, ending()]), &[], now);
        assert_eq!(notes(&first, &moved), Vec::<String>::new());
        let mut edited = ending();
        edited["expiresAt"] = "2026-06-29T00:00:00Z".into();
        let edited = status(&moved, &json!([other, edited]), &[], now);
        assert_eq!(
            notes(&moved, &edited),
            [
                "the exemption of forbidLatestTag for cart (team shop: moves in June) ends within a week, at \
              2026-06-29T00:00:00Z; no workload needs it now: remove it"
            ]
        );
        let mut later = ending();
        later["expiresAt"] = "2027-06-29T00:00:00Z".into();
        let later = status(&moved, &json!([other, later]), &[], now);
        assert_eq!(notes(&moved, &later), Vec::<String>::new());
    }

    #[test]
    fn an_exemption_that_had_ended_before_it_was_seen_is_not_told() {
        let before = DevOpsPolicyStatus::default();
        let after = status(&before, &json!([ending()]), &[], "2026-07-24T00:00:00Z");
        assert_eq!(notes(&before, &after), Vec::<String>::new());
    }

    #[test]
    fn long_exemptions_are_cut_to_the_limits_of_the_crd_and_to_a_note() {
        let crd = serde_json::to_value(&crds()[0]).unwrap();
        let list = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/exemptions/properties/list";
        let schema = crd.pointer(list).unwrap();
        let long = |count: usize| vec!["ü\u{1b}\"".repeat(100); count];
        let exemption = json!({"rules": vec!["forbidLatestTag"; 32], "kinds": long(16), "names": long(64),
            "containers": long(64), "images": long(64), "reason": "r".repeat(256), "owner": "o".repeat(120),
            "expiresAt": END});
        let before = DevOpsPolicyStatus::default();
        let exemptions = json!(vec![exemption; 64]);
        let after = status(&before, &exemptions, &[(63, u64::MAX)], "2026-06-24T00:00:00Z");
        let listed = serde_json::to_value(after.exemptions.as_ref().unwrap()).unwrap();
        let listed = listed["list"].as_array().unwrap();
        assert_eq!(Some(listed.len() as u64), schema["maxItems"].as_u64());
        assert_eq!(listed[63]["workloads"], i32::MAX);
        for (field, value) in listed[63].as_object().unwrap() {
            let schema = &schema["items"]["properties"][field];
            let most =
                |schema: &serde_json::Value| schema["maxLength"].as_u64().unwrap_or(u64::MAX);
            let length =
                |text: &serde_json::Value| text.as_str().map_or(0, |it| it.chars().count() as u64);
            match value.as_array() {
                Some(texts) => {
                    assert!(texts.len() as u64 <= schema["maxItems"].as_u64().unwrap(), "{field}");
                    assert!(texts.iter().all(|it| length(it) <= most(&schema["items"])), "{field}");
                }
                None => assert!(length(value) <= most(schema), "{field}"),
            }
        }
        let notes = notes(&before, &after);
        assert_eq!(
            (notes.len(), after.exemptions.unwrap().list[0].ends_within),
            (64, Some(EndsWithin::Week))
        );
        assert!(notes.iter().all(|it| it.len() < 1024 && !it.contains('\u{1b}')), "{}", notes[0]);
        assert!(notes[63].ends_with("or move spec.exemptions[63].expiresAt"), "{}", notes[63]);
    }
}
