//! `status.atRisk` and `status.slipped`. Pure.

use super::refused::{MAX_MESSAGE, MAX_RULES, MAX_WORKLOAD, integer};
use crate::api::{AffectedStatus, AffectedWorkloadStatus};
use crate::policy::observed::{Affected, ViolatingPods};
use crate::policy::text::cut;

/// `None` where there is none. `namespace` is the policy's.
pub(super) fn status(affected: &Affected, namespace: Option<&str>) -> Option<AffectedStatus> {
    (affected.workloads > 0).then(|| AffectedStatus {
        pods: integer(affected.pods),
        workloads: integer(affected.workloads),
        worst: affected.worst.iter().map(|it| workload(it, namespace)).collect(),
    })
}

fn workload(affected: &ViolatingPods, namespace: Option<&str>) -> AffectedWorkloadStatus {
    let rules = affected.rules().take(MAX_RULES).map(str::to_owned);
    AffectedWorkloadStatus {
        workload: cut(affected.workload.label_in(namespace), MAX_WORKLOAD),
        pods: integer(affected.pods.into()),
        rules: rules.collect(),
        message: cut(affected.why(), MAX_MESSAGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::observed::testing::refused;

    fn pods(name: &str, pods: u32) -> ViolatingPods {
        let refused = refused(name, (0, 1), &["forbidLatestTag", "podSecurity"]);
        ViolatingPods { workload: refused.workload, pods, faults: refused.faults }
    }

    #[test]
    fn each_workload_has_its_pods_its_rules_and_what_is_wrong() {
        assert_eq!(status(&Affected::default(), None), None);
        let affected =
            Affected { pods: 5, workloads: 2, worst: vec![pods("cart", 4), pods("web", 1)] };
        let status = status(&affected, None).unwrap();
        assert_eq!((status.pods, status.workloads), (5, 2));
        let [cart, web] = &*status.worst else { panic!("{status:?}") };
        assert_eq!((cart.workload.as_str(), cart.pods), ("Deployment/shop/cart", 4));
        assert_eq!(web.rules, ["forbidLatestTag", "podSecurity"]);
        assert_eq!(
            web.message,
            "spec.containers[0] breaks forbidLatestTag · spec.containers[0] breaks podSecurity"
        );
    }

    #[test]
    fn the_status_keeps_within_the_limits_of_the_crd() {
        let huge = Affected {
            pods: u64::MAX,
            workloads: u64::MAX,
            worst: vec![pods(&"n".repeat(2000), u32::MAX)],
        };
        let status = status(&huge, Some("shop")).unwrap();
        assert_eq!((status.pods, status.workloads), (i32::MAX, i32::MAX));
        assert!(status.worst[0].workload.len() <= MAX_WORKLOAD);
        assert_eq!(status.worst[0].pods, i32::MAX);
    }
}
