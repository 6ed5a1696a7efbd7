//! Metrics of the audit and of policy statuses, on the leader. A policy's or namespace's series are removed with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGaugeVec, Registry};

use super::exemptions::ExemptionMetrics;
use super::family::{counter, counters, gauges, register};
use super::open_violations::OpenViolations;
use super::policy_info::PolicyInfo;
use crate::api::Severity;

/// The values of the label `severity`, worst first.
const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];

#[derive(Clone)]
pub struct AuditMetrics {
    cluster: IntGaugeVec,
    namespaces: IntGaugeVec,
    pod_events: IntCounter,
    workload_events: IntCounter,
    reconciles: IntCounter,
    reconcile_errors: IntCounter,
    violations: IntCounterVec,
    open: IntGaugeVec,
    scores: IntGaugeVec,
    refused: IntGaugeVec,
    refused_in: IntGaugeVec,
    at_risk: IntGaugeVec,
    at_risk_in: IntGaugeVec,
    slipped: IntGaugeVec,
    grace_end: IntGaugeVec,
    open_in: OpenViolations,
    pods: IntGaugeVec,
    info: PolicyInfo,
    watch_errors: IntCounter,
    list_seconds: Gauge,
    pub exemptions: ExemptionMetrics,
    /// Namespace and name of each policy that has series.
    with_series: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl AuditMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let of_policy = |name, help| gauges(registry, name, help, &["namespace", "policy"]);
        let in_namespace = |name, help| gauges(registry, name, help, &["namespace"]);
        Ok(Self {
            // A vector without labels, like that of the pods: a replica that does not lead has no series.
            cluster: gauges(
                registry,
                "cluster_health_score",
                "The mean score of the namespaces that have workloads, 0 to 100. No series where none has.",
                &[],
            )?,
            namespaces: in_namespace(
                "namespace_health_score",
                "A namespace's score by all policies in force there, 0 to 100. No series without a workload.",
            )?,
            pod_events: counter(
                registry,
                "pod_events_total",
                "Changes of pods that the audit has seen.",
            )?,
            workload_events: counter(
                registry,
                "podgate_workload_events_total",
                "Changes of the workloads that make pods, that the audit has seen.",
            )?,
            reconciles: counter(
                registry,
                "devopspolicy_reconcile_total",
                "Times the status of a policy was brought up to date.",
            )?,
            reconcile_errors: counter(
                registry,
                "devopspolicy_reconcile_errors_total",
                "Times the status of a policy could not be written; each is retried.",
            )?,
            violations: counters(
                registry,
                "devopspolicy_violations_total",
                "Violations that began while podgate watched.",
                &["namespace", "policy"],
            )?,
            open: gauges(
                registry,
                "devopspolicy_open_violations",
                "Violations that are open now. The namespace is the policy's, empty for a cluster policy.",
                &["namespace", "policy", "severity"],
            )?,
            scores: of_policy(
                "devopspolicy_health_score",
                "A policy's score, 0 to 100; no series without a workload. The namespace is the policy's, empty for a cluster policy.",
            )?,
            refused: of_policy(
                "devopspolicy_workloads_refused",
                "Workloads that lack pods because the policy refuses new ones. The namespace is the policy's, empty for a cluster policy.",
            )?,
            refused_in: in_namespace(
                "podgate_workloads_refused",
                "Workloads of a namespace that lack pods because a policy refuses new ones.",
            )?,
            at_risk: of_policy(
                "devopspolicy_pods_at_risk",
                "Pods that the policy would refuse if they were made again now, whatever its grace. The namespace is the policy's, empty for a cluster policy.",
            )?,
            at_risk_in: in_namespace(
                "podgate_pods_at_risk",
                "Pods of a namespace that a policy would refuse if they were made again now, whatever its grace.",
            )?,
            slipped: of_policy(
                "devopspolicy_pods_slipped",
                "Pods that break a rule of the policy and were admitted while podgate did not judge. The namespace is the policy's, empty for a cluster policy.",
            )?,
            grace_end: of_policy(
                "devopspolicy_grace_end_timestamp_seconds",
                "When the grace of a policy ends or ended, in seconds since the epoch; no series without one. The namespace is the policy's, empty for a cluster policy.",
            )?,
            open_in: OpenViolations::new(registry)?,
            pods: gauges(
                registry,
                "podgate_audit_pods",
                "Pods that the audit counts now. No series before the first full picture.",
                &[],
            )?,
            info: PolicyInfo::new(registry)?,
            watch_errors: counter(
                registry,
                "podgate_pod_watch_errors_total",
                "Times a watch of pods or workloads failed; each is retried.",
            )?,
            list_seconds: register(
                registry,
                Gauge::new(
                    "podgate_audit_first_list_seconds",
                    "Time from the start of the audit to the first full picture.",
                )?,
            )?,
            exemptions: ExemptionMetrics::new(registry)?,
            with_series: Arc::default(),
        })
    }

    pub fn pod_event(&self) {
        self.pod_events.inc();
    }

    pub fn workload_event(&self) {
        self.workload_events.inc();
    }

    pub fn reconciled(&self) {
        self.reconciles.inc();
    }

    pub fn reconcile_failed(&self) {
        self.reconcile_errors.inc();
    }

    pub fn watch_failed(&self) {
        self.watch_errors.inc();
    }

    pub fn first_list(&self, seconds: f64) {
        self.list_seconds.set(seconds);
    }

    pub fn pods(&self, pods: usize) {
        let pods = i64::try_from(pods).unwrap_or(i64::MAX);
        self.pods.with_label_values::<&str>(&[]).set(pods);
    }

    /// The cluster's score; `None` removes the series.
    pub fn cluster(&self, score: Option<u8>) {
        set(&self.cluster, &[], score.map(Into::into));
    }

    /// A namespace's score; `None` removes the series.
    pub fn namespace(&self, namespace: &str, score: Option<u8>) {
        set(&self.namespaces, &[namespace], score.map(Into::into));
    }

    /// A violation of a policy began; the namespace of a cluster policy is empty.
    pub fn began(&self, namespace: &str, policy: &str) {
        self.violations.with_label_values(&[namespace, policy]).inc();
    }

    /// The number of a namespace's workloads that lack pods because a policy refuses new ones, and of its pods that one
    /// would refuse if they were made again; `None` removes the series.
    pub fn refusals(&self, namespace: &str, counts: Option<(u64, u64)>) {
        set(&self.refused_in, &[namespace], counts.map(|(refused, _)| refused));
        set(&self.at_risk_in, &[namespace], counts.map(|(_, at_risk)| at_risk));
    }

    /// The open violations of a namespace's workloads, by the rule's id (`RULE` or `RULE/CHECK`) and severity. Series
    /// of others are removed.
    pub fn open_violations(&self, namespace: &str, open: &BTreeMap<(String, Severity), u64>) {
        self.open_in.set(namespace, open);
    }

    /// A policy's score, whose series `None` removes, its open violations by severity, worst first, and the number of
    /// workloads whose new pods it refuses.
    pub fn policy(
        &self,
        namespace: &str,
        policy: &str,
        score: Option<u8>,
        open: [u64; 4],
        refused: u64,
    ) {
        let mut with_series = self.with_series.lock().unwrap_or_else(PoisonError::into_inner);
        with_series.insert((namespace.to_owned(), policy.to_owned()));
        set(&self.scores, &[namespace, policy], score.map(Into::into));
        // A series that starts at 0 shows the first violation as an increase.
        self.violations.with_label_values(&[namespace, policy]).inc_by(0);
        for (severity, open) in SEVERITIES.into_iter().zip(open) {
            set(&self.open, &[namespace, policy, severity], Some(open));
        }
        set(&self.refused, &[namespace, policy], Some(refused));
    }

    /// The number of pods that a policy would refuse if they were made again, and of those that it did not judge; when
    /// its grace ends, in seconds since the epoch.
    pub fn enforced(
        &self,
        namespace: &str,
        policy: &str,
        [at_risk, slipped]: [u64; 2],
        grace_end: Option<i64>,
    ) {
        set(&self.at_risk, &[namespace, policy], Some(at_risk));
        set(&self.slipped, &[namespace, policy], Some(slipped));
        set(&self.grace_end, &[namespace, policy], grace_end.map(|end| end.max(0).cast_unsigned()));
    }

    /// The mode in force of a policy, and its bundle, which is empty without one.
    pub fn policy_info(&self, namespace: &str, policy: &str, mode: &str, bundle: &str) {
        self.info.set([namespace, policy], [mode, bundle]);
    }

    /// A policy was deleted.
    pub fn policy_gone(&self, namespace: &str, policy: &str) {
        self.exemptions.set(namespace, policy, std::iter::empty());
        let mut with_series = self.with_series.lock().unwrap_or_else(PoisonError::into_inner);
        if with_series.remove(&(namespace.to_owned(), policy.to_owned())) {
            self.remove(namespace, policy);
        }
    }

    /// Removes every series that only the leader has.
    pub fn stopped(&self) {
        let mut with_series = self.with_series.lock().unwrap_or_else(PoisonError::into_inner);
        for (namespace, policy) in std::mem::take(&mut *with_series) {
            self.remove(&namespace, &policy);
        }
        self.exemptions.stopped();
        self.cluster.reset();
        self.namespaces.reset();
        self.refused_in.reset();
        self.at_risk_in.reset();
        self.open_in.reset();
        self.pods.reset();
    }

    fn remove(&self, namespace: &str, policy: &str) {
        set(&self.scores, &[namespace, policy], None);
        // An error means that there was no such series.
        self.info.remove([namespace, policy]);
        drop(self.violations.remove_label_values(&[namespace, policy]));
        for gauge in [&self.refused, &self.at_risk, &self.slipped, &self.grace_end] {
            set(gauge, &[namespace, policy], None);
        }
        for severity in SEVERITIES {
            drop(self.open.remove_label_values(&[namespace, policy, severity]));
        }
    }
}

/// Sets a series, or removes it. Not inlined, for the size of the binary.
#[inline(never)]
fn set(gauge: &IntGaugeVec, labels: &[&str], value: Option<u64>) {
    match value {
        Some(value) => {
            gauge.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        // An error means that there was no such series.
        None => drop(gauge.remove_label_values(labels)),
    }
}
