//! Previews for the formats' tests.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::analysis::observed::{ObservedPolicy, ObservedReplica, ObservedReviews, ReviewCounts};
use crate::analysis::preview::answer::{
    Change, ExemptionState, ExemptionUse, NamespaceChange, Pods, Preview, PreviewSummary,
    PreviewViolation, PreviewWorkload, PreviewedPolicy, Standing, Verdict, Versions,
};
use crate::api::{Classification, EnforcementMode, Severity};
use crate::findings::{Fault, FaultKind};

fn violation(severity: Severity, path: &str, pods: Option<u64>) -> PreviewViolation {
    PreviewViolation {
        policy: "shop/baseline".to_owned(),
        rule: "forbidLatestTag".to_owned(),
        severity,
        container: Some("web".to_owned()),
        path: path.to_owned(),
        value: Some("nginx".to_owned()),
        message: format!("{path} is \"nginx\" (no tag means :latest); give a version"),
        new: true,
        pods,
    }
}

fn workload(name: &str) -> PreviewWorkload {
    let path = "spec.template.spec.containers[0].image";
    PreviewWorkload {
        namespace: "shop".to_owned(),
        kind: "Deployment".to_owned(),
        name: name.to_owned(),
        verdict: Some(Verdict::Denied),
        before: None,
        violations: vec![violation(Severity::High, path, None)],
        pods: None,
    }
}

fn standing(score: u8) -> Standing {
    let classification = match score {
        80.. => Classification::Healthy,
        _ => Classification::Degraded,
    };
    Standing { score: Some(score), classification: Some(classification) }
}

fn policy(name: &str, mode: EnforcementMode, workloads: u64, pods: u64) -> PreviewedPolicy {
    PreviewedPolicy {
        policy: name.to_owned(),
        replaces: false,
        mode,
        would_deny: workloads,
        would_refuse_pods: pods,
        grace_until: None,
    }
}

/// A policy that nothing is compared with: a workload that is
/// denied, pods that are older than their template, an exemption.
pub(super) fn plain() -> Preview {
    let pods = |refused| Pods {
        running: 5,
        refused,
        graced: 0,
        refused_before: None,
        violations: vec![violation(Severity::High, "spec.containers[0].image", Some(refused))],
    };
    let mut cart = workload("cart");
    cart.pods = Some(pods(5));
    let mut probe =
        violation(Severity::Low, "spec.template.spec.containers[0].readinessProbe", None);
    probe.rule = "requireReadinessProbe".to_owned();
    cart.violations.push(probe);
    let rolling = PreviewWorkload {
        verdict: Some(Verdict::Admitted),
        violations: Vec::new(),
        pods: Some(pods(2)),
        ..workload("rolling")
    };
    let exemption = |index, state, end: Option<&str>| ExemptionUse {
        policy: "shop/baseline".to_owned(),
        index,
        state,
        rules: vec!["forbidLatestTag".to_owned()],
        reason: "moves in June".to_owned(),
        owner: "team cart".to_owned(),
        expires_at: end.map(|it| Time(it.parse().unwrap())),
        ends_within: None,
    };
    Preview {
        versions: Versions::Given,
        policies: vec![policy("shop/baseline", EnforcementMode::Enforce, 1, 7)],
        summary: PreviewSummary {
            workloads: 3,
            denied: 1,
            pods: 12,
            refused_pods: 7,
            violations: 2,
            new_violations: 2,
            score: Some(Change { before: standing(91), after: standing(74) }),
            ..PreviewSummary::default()
        },
        workloads: vec![cart, rolling],
        exemptions: vec![
            exemption(0, ExemptionState::Used, None),
            exemption(1, ExemptionState::Expired, Some("2026-01-01T00:00:00Z")),
        ],
        namespaces: vec![
            NamespaceChange {
                namespace: "lab".to_owned(),
                change: Change { before: standing(99), after: standing(99) },
            },
            NamespaceChange {
                namespace: "shop".to_owned(),
                change: Change { before: standing(85), after: standing(52) },
            },
        ],
        observed: None,
        faults: Vec::new(),
        notes: Vec::new(),
    }
}

/// The same beside a version in force.
pub(super) fn compared() -> Preview {
    let mut preview = plain();
    preview.policies[0].replaces = true;
    let summary = &mut preview.summary;
    summary.denied_before = Some(1);
    summary.refused_pods_before = Some(0);
    summary.new_violations = 1;
    summary.gone_violations = Some(3);
    for (workload, before) in
        preview.workloads.iter_mut().zip([Verdict::Admitted, Verdict::Admitted])
    {
        workload.before = Some(before);
    }
    preview.workloads.push(PreviewWorkload {
        verdict: Some(Verdict::Admitted),
        before: Some(Verdict::Denied),
        violations: Vec::new(),
        ..workload("freed")
    });
    preview.exemptions.clear();
    preview
}

/// Nothing is there, and not all could be seen.
pub(super) fn nothing() -> Preview {
    let fault = Fault {
        place: "pods".to_owned(),
        message: "cannot be read in <shop>".to_owned(),
        kind: FaultKind::Cluster,
    };
    let policy = |name: &str| policy(name, EnforcementMode::Enforce, 0, 0);
    Preview {
        versions: Versions::Given,
        policies: vec![policy("a"), policy("b")],
        summary: PreviewSummary::default(),
        workloads: Vec::new(),
        exemptions: Vec::new(),
        namespaces: Vec::new(),
        observed: None,
        faults: vec![fault],
        notes: Vec::new(),
    }
}

/// Texts that a terminal or a browser would obey.
pub(super) fn awkward() -> Preview {
    let mut preview = plain();
    let text = "`a|<b>@admin\u{1b}[31m\n#1";
    preview.policies[0].policy = text.to_owned();
    let workload = &mut preview.workloads[0];
    workload.name = text.to_owned();
    let violation = &mut workload.violations[0];
    violation.container = Some(text.to_owned());
    violation.message = text.to_owned();
    violation.path = text.to_owned();
    let exemption = &mut preview.exemptions[0];
    exemption.reason = text.to_owned();
    exemption.owner = text.to_owned();
    preview
}

pub(super) fn many(count: usize) -> Preview {
    let mut preview = plain();
    preview.workloads = (0..count).map(|number| workload(&format!("cart-{number}"))).collect();
    preview
}

/// The policies in force in their modes, and their reviews. One replica does not answer.
pub(super) fn in_force() -> Preview {
    let mut preview = plain();
    preview.versions = Versions::InForce;
    preview.policies = vec![
        policy("shop/baseline", EnforcementMode::Enforce, 1, 7),
        policy("restricted", EnforcementMode::Audit, 3, 1),
        policy("new", EnforcementMode::Warn, 0, 0),
    ];
    preview.exemptions.clear();
    let replica = |pod: &str, since: Option<i64>, unread: Option<&str>| ObservedReplica {
        pod: pod.to_owned(),
        since: since.map(|it| Time(Timestamp::from_second(it).unwrap())),
        unread: unread.map(str::to_owned),
    };
    let reviews = |policy: &str, denied, would_deny| ObservedPolicy {
        policy: policy.to_owned(),
        reviews: ReviewCounts { denied, would_deny },
    };
    preview.observe(ObservedReviews {
        replicas: vec![
            replica("podgate-a", Some(1_764_000_060), None),
            replica("podgate-b", Some(1_764_000_000), None),
            replica("podgate-c", None, Some("no answer within 10s")),
        ],
        policies: vec![
            reviews("shop/baseline", 12, 0),
            reviews("restricted", 0, 1041),
            reviews("lab/other", 5, 5),
        ],
        unseen: None,
    });
    preview
}

/// The same where the user may not read the replicas.
pub(super) fn unseen() -> Preview {
    let mut preview = in_force();
    preview.observe(ObservedReviews {
        unseen: Some("this needs the permission to list pods in podgate-system".to_owned()),
        ..ObservedReviews::default()
    });
    preview
}
