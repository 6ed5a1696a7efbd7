//! Distinguishes the denial of a pod template from its controller's retries, which come several times a minute for as
//! long as the template is denied. The clock is a parameter.
//!
//! The table has a fixed size, and a template whose place another one took is counted anew: a flood of templates makes
//! podgate count retries as denials, and nothing else.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::policy::decision::Decision;
use crate::policy::inherited::FindingKey;
use crate::policy::subject::Subject;

/// The number of templates that are remembered, in 96 KiB.
const TEMPLATES: usize = 4096;
/// How often a template that stays denied is a denial again.
const PERIOD: Duration = Duration::from_mins(1);

/// The hash of a denied pod's controller and of the violations that denied it. It is seeded, so that nobody can make a
/// template that is taken for another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeniedTemplate(u64);

impl DeniedTemplate {
    /// `None` for a pod without a controller.
    pub(super) fn of(
        subject: &Subject<'_>,
        decision: &Decision<'_>,
        seed: &RandomState,
    ) -> Option<Self> {
        let owner = subject.metadata?.controller.as_ref()?;
        let mut hasher = seed.build_hasher();
        (subject.namespace, &*owner.api_version, &*owner.kind, &*owner.name).hash(&mut hasher);
        let mut last = None;
        for finding in &decision.denied {
            // Policies that share a check share its breaches, and their findings follow each other.
            let shared = last.is_some_and(|it| Arc::ptr_eq(it, &finding.breach));
            last = Some(&finding.breach);
            shared.hash(&mut hasher);
            if shared {
                finding.policy.label.hash(&mut hasher);
            } else {
                FindingKey::of(finding).hash(&mut hasher);
            }
        }
        Some(Self(hasher.finish()))
    }
}

/// A template, and when its denial was last counted.
#[derive(Clone, Copy)]
struct Counted {
    template: DeniedTemplate,
    at: Instant,
}

/// The templates that were denied last.
pub(super) struct Retries {
    pub seed: RandomState,
    counted: Mutex<Vec<Option<Counted>>>,
}

impl Default for Retries {
    fn default() -> Self {
        Self { seed: RandomState::new(), counted: Mutex::new(vec![None; TEMPLATES]) }
    }
}

impl Retries {
    /// Whether a denial of this template was counted within a minute. If not, this one is to be counted.
    pub fn is_retry(&self, template: DeniedTemplate, now: Instant) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let place = usize::try_from(template.0 % TEMPLATES as u64).unwrap_or_default();
        let Some(counted) = counted.get_mut(place) else { return false };
        let known = counted.filter(|it| it.template == template);
        let retry = known.is_some_and(|it| now.saturating_duration_since(it.at) < PERIOD);
        if !retry {
            *counted = Some(Counted { template, at: now });
        }
        retry
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::policy::compile::Policy;
    use crate::policy::decision::decide;
    use crate::policy::engine::judge;
    use crate::policy::inherited::Before;
    use crate::policy::object::Object;
    use crate::policy::policy_set::PolicySet;
    use crate::policy::scope::{Scope, Selection};
    use crate::policy::workload::Kind;

    #[test]
    fn templates_are_one_if_controller_policies_and_violations_are() {
        let seed = RandomState::new();
        let template = |owner: &str, policies: &[&str], images: &[&str]| {
            let policy = |name: &&str| {
                let spec = json!({"enforcementMode": "enforce", "forbidLatestTag": true});
                let spec = serde_json::from_value(spec).unwrap();
                let scope = Scope::Cluster(Selection::default());
                Arc::new(Policy::compile(scope, (*name).to_owned(), &spec).unwrap())
            };
            let set = PolicySet::new(policies.iter().map(policy), Arc::default());
            let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": "u", "controller": true});
            let containers: Vec<_> =
                images.iter().map(|it| json!({"name": it, "image": it})).collect();
            let pod = json!({"metadata": {"name": "p", "ownerReferences": [owner]}, "spec": {"containers": containers}});
            let pod = pod.to_string();
            let object: Object = serde_json::from_str(&pod).unwrap();
            let subject = Subject::of(Kind::Pod, &object).unwrap();
            let plan = set.covering(Some("shop")).unwrap();
            let found = judge(plan, &subject, Timestamp::UNIX_EPOCH).violations;
            let decision = decide(found, &Before::Nothing, Timestamp::UNIX_EPOCH);
            assert_eq!(decision.denied.len(), policies.len() * images.len());
            DeniedTemplate::of(&subject, &decision, &seed).expect("it has a controller")
        };
        let one = template("a", &["p", "q"], &["x", "y"]);
        assert_eq!(one, template("a", &["p", "q"], &["x", "y"]));
        for other in [
            template("b", &["p", "q"], &["x", "y"]),
            template("a", &["p", "r"], &["x", "y"]),
            template("a", &["q", "p", "r"], &["x", "y"]),
            template("a", &["p"], &["x", "y"]),
            template("a", &["p", "q"], &["x", "z"]),
            template("a", &["p", "q"], &["x"]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_template_that_stays_denied_is_one_denial_a_minute() {
        let (retries, start) = (Retries::default(), Instant::now());
        let counted = |seconds: &dyn Fn(u64) -> u64| {
            let times = (0..600).map(|it| start + Duration::from_secs(seconds(it)));
            times.filter(|now| !retries.is_retry(DeniedTemplate(7), *now)).count()
        };
        assert_eq!(counted(&|it| it), 10, "600 retries in ten minutes");
        assert_eq!(counted(&|_| 599), 0, "all within the last of these minutes");
        assert_eq!(counted(&|it| 600 + 61 * it), 600, "a retry after more than a minute");
        assert!(!retries.is_retry(DeniedTemplate(8), start), "another template");
    }

    #[test]
    fn a_flood_of_templates_is_counted_in_the_same_memory() {
        let (retries, now) = (Retries::default(), Instant::now());
        let flood = (0..1_000_000).map(DeniedTemplate);
        assert_eq!(flood.filter(|it| !retries.is_retry(*it, now)).count(), 1_000_000);
        assert_eq!(retries.counted.lock().unwrap().capacity(), TEMPLATES);
        assert!(!retries.is_retry(DeniedTemplate(0), now), "its place was taken");
        assert!(retries.is_retry(DeniedTemplate(0), now));
    }
}
