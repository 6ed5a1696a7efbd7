//! The metrics. Names and labels are a contract with dashboards and alerts; no label is the name of an object, other
//! than of policies and namespaces, nor a user or an image. The names of policies' validations are labels too, a bounded number
//! of them.
//!
//! Each file holds the families of one part; [`Metrics`] registers them all and renders `/metrics`.

mod admission;
mod audit;
mod beat;
mod certificates;
mod connections;
mod decisions;
mod enforced;
mod exemptions;
mod family;
mod floor;
mod leader;
mod open_violations;
mod policies;
mod policy_info;
mod remediation;

use prometheus::{Encoder, Registry, TextEncoder};

pub use admission::{AdmissionMetrics, ReviewSummary};
pub use audit::AuditMetrics;
pub use beat::BeatMetrics;
pub use certificates::CertificateMetrics;
pub use connections::{ConnectionMetrics, Ended};
pub use decisions::Decided;
use decisions::DecisionMetrics;
pub use exemptions::ExemptionMetrics;
use family::gauges;
pub use floor::FloorMetrics;
pub use leader::LeaderMetrics;
pub use policies::PolicyMetrics;
pub use remediation::RemediationMetrics;

/// The registry and all families in it.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    pub admission: AdmissionMetrics,
    pub connections: ConnectionMetrics,
    pub policies: PolicyMetrics,
    pub audit: AuditMetrics,
    pub leader: LeaderMetrics,
    pub certificates: CertificateMetrics,
    pub remediation: RemediationMetrics,
    pub beat: BeatMetrics,
    pub floor: FloorMetrics,
}

impl Metrics {
    /// # Errors
    /// Two families have one name, which the tests would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = gauges(
            &registry,
            "podgate_build_info",
            "1, with the version as a label.",
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let decisions = DecisionMetrics::new(&registry)?;
        Ok(Self {
            admission: AdmissionMetrics::new(&registry, decisions.clone())?,
            connections: ConnectionMetrics::new(&registry)?,
            policies: PolicyMetrics::new(&registry, decisions)?,
            audit: AuditMetrics::new(&registry)?,
            leader: LeaderMetrics::new(&registry)?,
            certificates: CertificateMetrics::new(&registry)?,
            remediation: RemediationMetrics::new(&registry)?,
            beat: BeatMetrics::new(&registry)?,
            floor: FloorMetrics::new(&registry)?,
            registry,
        })
    }

    /// The Prometheus text format, for `/metrics`.
    ///
    /// # Errors
    /// A family without a metric or a name, which cannot be built here.
    pub fn expose(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Severity;

    #[test]
    fn a_policy_has_one_series_of_information_until_it_is_gone() {
        let metrics = Metrics::new().unwrap();
        let audit = &metrics.audit;
        let series = || {
            let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
            let lines = text.lines().filter(|line| line.starts_with("devopspolicy_info"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        audit.policy("shop", "own", Some(100), [0; 4], 0);
        audit.policy_info("shop", "own", "audit", "");
        audit.policy_info("shop", "own", "enforce", "baseline");
        let own = r#"devopspolicy_info{bundle="baseline",mode="enforce",namespace="shop",policy="own"} 1"#;
        assert_eq!(series(), [own]);
        audit.policy_gone("shop", "own");
        assert_eq!(series(), Vec::<String>::new());
        audit.policy("", "all", Some(100), [0; 4], 0);
        audit.policy_info("", "all", "warn", "");
        audit.stopped();
        assert_eq!(series(), Vec::<String>::new(), "another replica leads");
    }

    #[test]
    fn a_review_is_counted_by_its_decision_and_while_it_is_answered() {
        let metrics = Metrics::new().unwrap();
        let review = ReviewSummary {
            webhook: "validate",
            operation: "CREATE",
            kind: "Pod",
            decision: "deny",
            decided: &Decided::default(),
            retry: false,
            patch_operations: 0,
        };
        metrics.admission.judged(&review);
        let in_flight = metrics.admission.in_flight();
        let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
        for line in [
            r#"podgate_admission_reviews_total{decision="deny",kind="Pod",operation="CREATE",webhook="validate"} 1"#,
            "podgate_admission_in_flight 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        drop(in_flight);
        let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
        assert!(text.contains("podgate_admission_in_flight 0"), "{text}");
    }

    /// The series of a family in the exposition.
    fn series(metrics: &Metrics, family: &str) -> Vec<String> {
        let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
        let own = text.lines().filter(|line| line.starts_with(&format!("{family}{{")));
        own.map(str::to_owned).collect()
    }

    #[test]
    fn refused_workloads_have_series_as_long_as_their_namespace_and_policy_and_the_leader() {
        let metrics = Metrics::new().unwrap();
        let audit = &metrics.audit;
        let of = |family| series(&metrics, family);
        audit.refusals("shop", Some((3, 7)));
        audit.refusals("lab", Some((0, 0)));
        audit.policy("shop", "own", Some(40), [0; 4], 3);
        audit.policy("", "all", Some(40), [0; 4], 0);
        assert_eq!(
            of("podgate_workloads_refused"),
            [
                r#"podgate_workloads_refused{namespace="lab"} 0"#,
                r#"podgate_workloads_refused{namespace="shop"} 3"#,
            ]
        );
        assert_eq!(
            of("devopspolicy_workloads_refused"),
            [
                r#"devopspolicy_workloads_refused{namespace="",policy="all"} 0"#,
                r#"devopspolicy_workloads_refused{namespace="shop",policy="own"} 3"#,
            ]
        );
        audit.refusals("shop", None);
        audit.policy_gone("shop", "own");
        assert_eq!(of("podgate_workloads_refused").len(), 1);
        assert_eq!(of("devopspolicy_workloads_refused").len(), 1);
        audit.stopped();
        assert_eq!(of("podgate_workloads_refused").len(), 0);
        assert_eq!(of("devopspolicy_workloads_refused").len(), 0);
    }

    #[test]
    fn pods_at_risk_and_slipped_ones_have_series_as_long_as_their_policy_and_the_leader() {
        let metrics = Metrics::new().unwrap();
        let audit = &metrics.audit;
        let all = || {
            let families =
                ["pods_at_risk", "pods_slipped", "grace_end_timestamp_seconds"].into_iter();
            let own = families.flat_map(|it| series(&metrics, &format!("devopspolicy_{it}")));
            own.chain(series(&metrics, "podgate_pods_at_risk")).collect::<Vec<_>>()
        };
        audit.refusals("shop", Some((0, 7)));
        audit.policy("shop", "own", Some(40), [0; 4], 0);
        audit.enforced.set("shop", "own", [7, 2], Some(90));
        let policy = r#"{namespace="shop",policy="own"}"#;
        assert_eq!(
            all(),
            [
                format!("devopspolicy_pods_at_risk{policy} 7"),
                format!("devopspolicy_pods_slipped{policy} 2"),
                format!("devopspolicy_grace_end_timestamp_seconds{policy} 90"),
                r#"podgate_pods_at_risk{namespace="shop"} 7"#.to_owned(),
            ]
        );
        audit.enforced.set("shop", "own", [0, 0], None);
        assert_eq!(all().len(), 3, "it has no grace any more");
        audit.policy_gone("shop", "own");
        assert_eq!(all().len(), 1);
        audit.stopped();
        assert!(all().is_empty());
    }

    #[test]
    fn the_open_violations_of_a_namespace_are_exactly_those_that_were_set_last() {
        let metrics = Metrics::new().unwrap();
        let audit = &metrics.audit;
        let of = || series(&metrics, "podgate_open_violations");
        let key = |rule: &str, severity| (rule.to_owned(), severity);
        let privileged = key("podSecurity/privileged", Severity::Critical);
        let tag = key("forbidLatestTag", Severity::High);
        audit.open_violations("shop", &[(privileged.clone(), 2), (tag.clone(), 7)].into());
        audit.open_violations("lab", &[(tag, 1)].into());
        audit.open_violations("shop", &[(privileged, 1)].into());
        let lab =
            r#"podgate_open_violations{namespace="lab",rule="forbidLatestTag",severity="high"} 1"#;
        let shop = r#"podgate_open_violations{namespace="shop",rule="podSecurity/privileged",severity="critical"} 1"#;
        assert_eq!(of(), [lab, shop]);
        audit.open_violations("shop", &[].into());
        assert_eq!(of(), [lab]);
        audit.stopped();
        assert_eq!(of().len(), 0);
        audit.open_violations("lab", &[].into());
        assert_eq!(of().len(), 0);
    }
}
