//! Describes the workloads whose new pods a policy refuses: `status.refused`, and the message of the condition
//! `Refusing`. Pure.

use crate::api::{RefusedStatus, RefusedWorkloadStatus};
use crate::policy::observed::{Refused, RefusedWorkload};
use crate::policy::text::cut;

/// The longest texts and the most rules of a workload in a status (the CRD's limits).
pub(super) const MAX_WORKLOAD: usize = 512;
pub(super) const MAX_RULES: usize = 10;
pub(super) const MAX_MESSAGE: usize = 1024;
/// The workloads that the condition names.
const NAMED: usize = 3;

/// `status.refused`; `None` where no workload is refused. `namespace` is the policy's.
pub(super) fn status(refused: &Refused, namespace: Option<&str>) -> Option<RefusedStatus> {
    (refused.workloads > 0).then(|| RefusedStatus {
        workloads: integer(refused.workloads),
        worst: refused.worst.iter().map(|it| workload(it, namespace)).collect(),
    })
}

fn workload(refused: &RefusedWorkload, namespace: Option<&str>) -> RefusedWorkloadStatus {
    let rules = refused.rules().take(MAX_RULES).map(str::to_owned);
    RefusedWorkloadStatus {
        workload: cut(refused.workload.label_in(namespace), MAX_WORKLOAD),
        wanted: integer(refused.wanted.into()),
        running: integer(refused.running.into()),
        rules: rules.collect(),
        message: cut(refused.why(), MAX_MESSAGE),
    }
}

/// The message of the condition `Refusing`: how many workloads, which, why, and the next step. `None` where no workload
/// is refused.
pub(super) fn message(refused: &Refused, namespace: Option<&str>) -> Option<String> {
    let (lack, it) = match refused.workloads {
        0 => return None,
        1 => ("1 workload lacks pods".to_owned(), "its pod template, exempt it"),
        count => (format!("{count} workloads lack pods"), "their pod templates, exempt them"),
    };
    let named = refused.worst.iter().take(NAMED);
    let named: Vec<_> = named
        .map(|it| format!("{} has {} ({})", it.workload.label_in(namespace), it.pods(), it.why()))
        .collect();
    let more = match refused.workloads - named.len() as u64 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let named = named.join(", ");
    Some(format!(
        "{lack} because this policy refuses new ones: {named}{more}; fix {it} (spec.exemptions), or set enforcementMode to warn"
    ))
}

pub(super) fn integer(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::observed::testing::refused;

    fn refusals(names: &[&str]) -> Refused {
        let worst = names.iter().map(|name| refused(name, (0, 4), &["forbidLatestTag"]));
        Refused { workloads: names.len() as u64, worst: worst.collect() }
    }

    #[test]
    fn a_condition_says_how_many_which_three_why_and_what_to_do() {
        insta::assert_snapshot!(message(&refusals(&["cart"]), Some("shop")).unwrap(), @"1 workload lacks pods because this policy refuses new ones: Deployment/cart has 0 of 4 pods (spec.containers[0] breaks forbidLatestTag); fix its pod template, exempt it (spec.exemptions), or set enforcementMode to warn");
        insta::assert_snapshot!(message(&refusals(&["a", "b", "c", "d", "e"]), None).unwrap(), @"5 workloads lack pods because this policy refuses new ones: Deployment/shop/a has 0 of 4 pods (spec.containers[0] breaks forbidLatestTag), Deployment/shop/b has 0 of 4 pods (spec.containers[0] breaks forbidLatestTag), Deployment/shop/c has 0 of 4 pods (spec.containers[0] breaks forbidLatestTag), and 2 more; fix their pod templates, exempt them (spec.exemptions), or set enforcementMode to warn");
    }

    #[test]
    fn where_nothing_is_refused_there_is_no_status_and_no_condition() {
        assert_eq!(status(&Refused::default(), None), None);
        assert_eq!(message(&Refused::default(), None), None);
    }

    #[test]
    fn the_status_keeps_within_the_limits_of_the_crd() {
        let rules: Vec<&'static str> = (0..40)
            .map(|index| &*Box::leak(format!("validations/{index}").into_boxed_str()))
            .collect();
        let mut large = refused(&"n".repeat(2000), (u32::MAX - 1, u32::MAX), &rules);
        for fault in &mut large.faults {
            std::sync::Arc::make_mut(fault).message = "\u{1b}é".repeat(4000);
        }
        let refused = Refused { workloads: u64::MAX, worst: vec![large] };
        let status = status(&refused, None).unwrap();
        assert_eq!(status.workloads, i32::MAX);
        let [only] = &*status.worst else { panic!("{status:?}") };
        assert_eq!((only.running, only.wanted), (i32::MAX, i32::MAX));
        assert_eq!(only.rules.len(), MAX_RULES);
        assert!(only.workload.len() <= MAX_WORKLOAD && only.message.len() <= MAX_MESSAGE);
        assert!(!only.message.contains('\u{1b}'));
    }
}
