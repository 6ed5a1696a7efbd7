//! Checks what judges while podgate is away.

use super::super::floors;
use super::check::{Check, CheckSubject};
use crate::clusters::Cluster;
use crate::policy::vap::floor::mend;

pub(super) async fn floor(cluster: &Cluster, release: &str) -> Check {
    let policies = floors::names(&floors::api(cluster, floors::POLICY)).await;
    let bindings = floors::names(&floors::api(cluster, floors::BINDING)).await;
    match policies.and_then(|policies| Ok((policies, bindings?))) {
        Ok((policies, bindings)) => judge(&policies, &bindings, release),
        Err(error) => CheckSubject::Webhook.unseen("the floor", &error),
    }
}

fn judge(policies: &[String], bindings: &[String], release: &str) -> Check {
    let unbound: Vec<_> = policies.iter().filter(|it| !bindings.contains(it)).collect();
    if policies.is_empty() {
        return CheckSubject::Webhook
            .ok("there is no floor: while podgate is away, the webhooks' failurePolicy decides");
    }
    if !unbound.is_empty() {
        return CheckSubject::Webhook.warning(
            format!(
                "the glass is broken: {} of {} policies of the floor have no binding, so they do not judge while podgate is away",
                unbound.len(),
                policies.len()
            ),
            format!("to mend it: {}", mend(release)),
        );
    }
    CheckSubject::Webhook.ok(format!(
        "a floor of {} ValidatingAdmissionPolicies judges while podgate is away",
        policies.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::check::CheckState;
    use super::*;

    #[test]
    fn a_policy_without_a_binding_is_a_broken_glass() {
        let found = |policies: &[&str], bindings: &[&str]| {
            let owned = |of: &[&str]| of.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
            let check = judge(&owned(policies), &owned(bindings), "podgate");
            (check.state, check.what)
        };
        let (state, what) = found(&[], &[]);
        assert!(state == CheckState::Ok && what.starts_with("there is no floor"), "{what}");
        let (state, what) = found(&["podgate-floor-elsewhere-deny"], &[]);
        assert!(state == CheckState::Warning && what.contains("1 of 1"), "{what}");
        let (state, _) =
            found(&["podgate-floor-elsewhere-deny"], &["podgate-floor-elsewhere-deny"]);
        assert_eq!(state, CheckState::Ok);
    }
}
