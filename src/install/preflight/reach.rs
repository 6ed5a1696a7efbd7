//! Checks what policies reach: whether the API servers call podgate for those that enforce, and whether each policy
//! covers a namespace.

use std::sync::Arc;

use super::super::configurations;
use super::beat::Beats;
use super::check::{Check, CheckSubject};
use crate::api::EnforcementMode;
use crate::clusters::Cluster;
use crate::policies::namespaces;
use crate::policy::compile::Policy;
use crate::policy::policy_set::PolicySet;
use crate::policy::scope::Scope;

/// The most policies that a check names.
const MAX_NAMED: usize = 10;

pub(super) async fn reach(cluster: &Cluster, policies: &[Arc<Policy>], beats: Beats) -> Vec<Check> {
    let mut checks: Vec<_> = called(policies, beats).into_iter().collect();
    if policies.is_empty() {
        return checks;
    }
    match namespaces::all(cluster).await {
        Ok(namespaces) => {
            // Another check says so where the configurations cannot be read.
            let protected = configurations::protected(cluster).await.unwrap_or_default();
            let set = PolicySet::new(policies.iter().cloned(), Arc::new(namespaces));
            checks.extend(covered(&set.protecting(protected)));
        }
        Err(error) => checks.push(CheckSubject::Policy.unseen("namespaces", &error)),
    }
    checks
}

/// Checks that the API servers call podgate, if a policy enforces.
fn called(policies: &[Arc<Policy>], beats: Beats) -> Option<Check> {
    let enforcing = policies.iter().filter(|it| it.mode == EnforcementMode::Enforce);
    let enforcing: Vec<_> = enforcing.map(|it| it.label.as_str()).collect();
    let who = match enforcing.len() {
        0 => return None,
        1 => "1 policy enforces".to_owned(),
        count => format!("{count} policies enforce"),
    };
    Some(match beats {
        Beats::Seen => CheckSubject::Policy.ok(format!("{who}, and the API servers call podgate")),
        Beats::Missing => CheckSubject::Policy.error(
            format!(
                "{who}, but the API servers are not seen to call podgate, so what they forbid may be admitted: {}",
                named(&enforcing)
            ),
            "see the webhooks and the Lease above; helm upgrade restores the webhook configurations",
        ),
        Beats::Unseen => CheckSubject::Policy.warning(
            format!("{who}; whether the API servers call podgate cannot be seen"),
            "see the condition Enforcing of these policies, or ask a cluster admin to run podgate check",
        ),
    })
}

/// The policies that cover no namespace.
fn covered(set: &PolicySet) -> Vec<Check> {
    let nothing = set.covering_nothing();
    let check = |policy: &Arc<Policy>| {
        let why = nothing.get(policy.label.as_str())?;
        let what = format!("policy {} covers nothing: {why}", policy.label);
        let todo = match policy.scope {
            Scope::Namespace(_) => "move it to a namespace that is not protected, or delete it",
            Scope::Cluster(_) => {
                "create or label a namespace for it, or correct namespaceSelector and excludeNamespaces"
            }
        };
        Some(match policy.mode {
            EnforcementMode::Enforce => CheckSubject::Policy.error(what, todo),
            EnforcementMode::Audit | EnforcementMode::Warn => {
                CheckSubject::Policy.warning(what, todo)
            }
        })
    };
    set.policies().iter().filter_map(check).collect()
}

fn named(all: &[&str]) -> String {
    let more = all.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    all.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ") + &more
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check::CheckState;
    use super::*;
    use crate::policy::policy_set::NamespaceMetadata;

    fn policy(namespace: &str, mode: &str) -> Arc<Policy> {
        let spec = serde_json::from_value(json!({"enforcementMode": mode})).unwrap();
        let scope = Scope::Namespace(namespace.to_owned());
        Arc::new(Policy::compile(scope, "own".to_owned(), &spec).unwrap())
    }

    #[test]
    fn a_policy_that_enforces_and_is_not_called_is_an_error_and_what_cannot_be_seen_is_none() {
        let audited = [policy("lab", "audit"), policy("web", "warn")];
        let one = [policy("shop", "enforce"), policy("lab", "audit")];
        let two = [policy("shop", "enforce"), policy("lab", "enforce")];
        let found = |policies: &[Arc<Policy>], beats| {
            called(policies, beats).map(|check| (check.state, check.what))
        };
        for beats in [Beats::Seen, Beats::Missing, Beats::Unseen] {
            assert_eq!(found(&audited, beats), None);
        }
        let (state, what) = found(&one, Beats::Seen).unwrap();
        assert_eq!(state, CheckState::Ok);
        assert_eq!(what, "1 policy enforces, and the API servers call podgate");
        let (state, what) = found(&two, Beats::Missing).unwrap();
        assert_eq!(state, CheckState::Error);
        assert!(
            what.starts_with("2 policies enforce, but") && what.ends_with(": shop/own, lab/own"),
            "{what}"
        );
        let (state, what) = found(&one, Beats::Unseen).unwrap();
        assert!(state == CheckState::Warning && what.contains("cannot be seen"), "{what}");
    }

    #[test]
    fn a_policy_that_covers_nothing_is_an_error_if_it_enforces() {
        let known = ["shop", "kube-system"].map(|it| (it.to_owned(), NamespaceMetadata::default()));
        for (mode, state) in [("enforce", CheckState::Error), ("warn", CheckState::Warning)] {
            let policies = [policy("shop", mode), policy("kube-system", mode)];
            let checks = covered(&PolicySet::new(policies, Arc::new(known.clone().into())));
            let found: Vec<_> = checks.iter().map(|it| (it.state, it.what.as_str())).collect();
            let what = "policy kube-system/own covers nothing: kube-system is protected, and podgate never judges it";
            assert_eq!(found, [(state, what)]);
        }
    }
}
