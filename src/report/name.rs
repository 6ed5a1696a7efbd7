//! The name and labels of a policy's report. They are the same in every version of podgate.

use std::collections::BTreeMap;

use super::ownership::MANAGED_BY;
use crate::policy::key::PolicyKey;
use crate::policy::text::hash;

/// The most bytes of an object's name.
const MAX_NAME: usize = 253;
/// The most bytes of a label's value.
const MAX_LABEL: usize = 63;
const POLICY_KIND: &str = "devops.stochastic.io/policy-kind";
const POLICY_NAME: &str = "devops.stochastic.io/policy-name";

/// The report's name, the same in each namespace. No prefix is a prefix of the other, and the separator distinguishes a
/// name (`-`) from a hash (`.`), so no two policies share a report.
pub(super) fn report(policy: &PolicyKey) -> String {
    let prefix = match policy.namespace {
        Some(_) => "podgate-dop",
        None => "podgate-cdop",
    };
    let name = format!("{prefix}-{}", policy.name);
    if name.len() <= MAX_NAME { name } else { format!("{prefix}.{}", hash(&policy.name)) }
}

pub(super) fn labels(policy: &PolicyKey) -> BTreeMap<String, String> {
    let name = &policy.name;
    let name = if name.len() <= MAX_LABEL { name.clone() } else { hash(name) };
    [
        (MANAGED_BY.0, MANAGED_BY.1.to_owned()),
        (POLICY_KIND, policy.kind().to_owned()),
        (POLICY_NAME, name),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Whether [`labels`] sets a label.
pub(super) fn is_ours(label: &str) -> bool {
    [MANAGED_BY.0, POLICY_KIND, POLICY_NAME].contains(&label)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn own(name: &str) -> PolicyKey {
        PolicyKey { namespace: Some("shop".to_owned()), name: name.to_owned() }
    }

    fn cluster(name: &str) -> PolicyKey {
        PolicyKey { namespace: None, name: name.to_owned() }
    }

    #[test]
    fn no_two_policies_share_a_report_and_every_name_is_one() {
        let long = "a.b-".repeat(63) + "c";
        let other = "a.b-".repeat(63) + "d";
        let mut keys = Vec::new();
        for name in ["x", "cluster-x", "cdop-x", "dop-x", "-x", &long, &other, &long[..241]] {
            keys.extend([own(name), cluster(name)]);
            // A policy whose name is another's hash.
            keys.extend([own(&hash(name)), cluster(&hash(name))]);
        }
        let names: BTreeSet<_> = keys.iter().map(report).collect();
        assert_eq!(names.len(), keys.len());
        assert!(names.iter().all(|name| name.len() <= MAX_NAME));
        assert_eq!(report(&own("baseline")), "podgate-dop-baseline");
        assert_eq!(report(&cluster("baseline")), "podgate-cdop-baseline");
        assert_eq!(report(&own(&long)), "podgate-dop.436cc9517ae275b393e6c94788d806f4");
    }

    #[test]
    fn the_hash_is_the_published_one_so_that_it_never_changes() {
        assert_eq!(hash(""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(hash("a"), "d228cb696f1a8caf78912b704e4a8964");
    }

    #[test]
    fn labels_select_the_reports_of_a_policy_whatever_its_length() {
        let of = |key| labels(&key)[POLICY_NAME].clone();
        assert_eq!(of(own("baseline")), "baseline");
        assert_eq!(of(own(&"a".repeat(63))).len(), 63);
        assert_ne!(of(own(&"a".repeat(64))), of(own(&"a".repeat(65))));
        assert_eq!(of(own(&"a".repeat(64))).len(), 32);
        assert_eq!(labels(&cluster("x"))[POLICY_KIND], "ClusterDevOpsPolicy");
    }
}
