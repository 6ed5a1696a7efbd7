//! Judges a pod by its namespace's policies, and converts the engine's findings into the index's [`PodFinding`]s.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::facts::{Interner, Maker, PodFinding, PolicyId};
use crate::policy::compile::Policy;
use crate::policy::document::Document;
use crate::policy::engine::{Finding, Judgement, judge, judge_as_created, judge_running};
use crate::policy::grace::by_controller;
use crate::policy::object::Object;
use crate::policy::observed::Fault;
use crate::policy::owner::{self, ObjectName};
use crate::policy::plan::EvaluationPlan;
use crate::policy::pod_status::PodStatus;
use crate::policy::registry;
use crate::policy::rule::Breach;
use crate::policy::subject::Subject;
use crate::policy::text::cut;
use crate::policy::workload::Kind;

/// The most bytes of a message: the limit of a policy's status.
const MAX_MESSAGE: usize = 256;

/// What a judgement needs: the policies, their ids, the interned faults and the time.
pub(super) struct PodJudge<'a> {
    pub plan: &'a EvaluationPlan,
    pub ids: &'a HashMap<usize, PolicyId>,
    pub faults: &'a mut Interner<Fault>,
    pub now: Timestamp,
}

/// The judgement of a pod.
pub(super) struct JudgedPod {
    /// The workload's kind and name.
    pub workload: (String, String),
    pub maker: Maker,
    /// In the order of the policies' ids.
    pub findings: Vec<PodFinding>,
    /// When it exceeds the next limit on Pending, if it stays Pending.
    pub due: Option<Timestamp>,
    /// Whether a pod of the same namespace with the same texts is judged the same, for as long as its policies are.
    pub alike: bool,
}

/// The address of a policy, its key in [`PodJudge::ids`].
pub(super) fn address(policy: &Policy) -> usize {
    std::ptr::from_ref(policy).addr()
}

impl PodJudge<'_> {
    /// Judges a pod by its cut-down `json` and, for rules that read documents, by its
    /// `document`. Without a document, the earlier findings of those rules (`known`) are kept.
    ///
    /// # Errors
    /// `json` is not a pod's.
    pub fn pod(
        &mut self,
        json: &str,
        document: Option<&Document<'_>>,
        known: &[PodFinding],
    ) -> Result<JudgedPod, String> {
        let object: Object = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let status: PodStatus = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let mut subject = Subject::of(Kind::Pod, &object).map_err(|error| error.to_string())?;
        subject.document = document;
        let running = status.running(self.now);
        let mut findings = Vec::new();
        self.collect(judge(self.plan, &subject, self.now), &mut findings);
        self.collect(judge_running(self.plan, &subject, &running, self.now), &mut findings);
        self.complete(&mut findings, document, known);
        let waits = running.phase == "Pending" && !running.gated;
        let due = waits.then(|| self.next_limit(running.age_seconds)).flatten();
        let due = due.and_then(|left| self.now.checked_add(left).ok());
        let owner = owner::workload(&subject);
        let alike = running.phase != "Pending" && self.judges_alike(&owner);
        let workload = (owner.kind.into_owned(), owner.name.into_owned());
        Ok(JudgedPod { workload, maker: maker(&subject), findings, due, alike })
    }

    /// Judges the pod that a workload would make, with the mutations of all policies. `whole` is its JSON where it is
    /// not cut down.
    ///
    /// # Errors
    /// `json` is not a pod's.
    pub fn template(
        &mut self,
        json: &str,
        whole: Option<&str>,
        document: Option<&Document<'_>>,
        known: &[PodFinding],
    ) -> Result<Vec<PodFinding>, String> {
        let object: Object = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let mut subject = Subject::of(Kind::Pod, &object).map_err(|error| error.to_string())?;
        subject.document = document;
        let whole = || serde_json::from_str(whole.unwrap_or(json)).ok();
        let mut findings = Vec::new();
        self.collect(judge_as_created(self.plan, &subject, whole, self.now), &mut findings);
        self.complete(&mut findings, document, known);
        Ok(findings)
    }

    /// Keeps the earlier findings (`known`) of rules that read documents where there is no document, and sorts.
    fn complete(
        &self,
        findings: &mut Vec<PodFinding>,
        document: Option<&Document<'_>>,
        known: &[PodFinding],
    ) {
        if self.plan.reads_documents() && document.is_none() {
            findings.retain(|it| !reads_document(it));
            let in_force = |it: &&PodFinding| self.ids.values().any(|id| *id == it.policy);
            findings.extend(known.iter().filter(|it| reads_document(it)).filter(in_force).cloned());
        }
        findings.sort_by_key(|it| it.policy);
    }

    /// Whether a workload's pods with the same texts are judged the same: neither their names nor the time decide. What
    /// a pod of a Job belongs to depends on the `CronJobs` that are known.
    fn judges_alike(&self, workload: &ObjectName<'_>) -> bool {
        let named = matches!(&*workload.kind, "Pod" | "Job");
        let exempts = || self.plan.policies().iter().any(|policy| policy.has_exemptions());
        !named && !self.plan.reads_documents() && !exempts()
    }

    /// The time until the pod exceeds the next limit on Pending.
    fn next_limit(&self, age_seconds: u64) -> Option<std::time::Duration> {
        let limits = self.plan.policies().iter().filter_map(|policy| policy.pending_limit);
        let left = limits.filter_map(|limit| (u64::from(limit) + 1).checked_sub(age_seconds));
        left.filter(|left| *left > 0).min().map(std::time::Duration::from_secs)
    }

    fn collect(&mut self, judgement: Judgement<'_>, findings: &mut Vec<PodFinding>) {
        // Policies with an equal rule share a breach, and their findings follow each other.
        let mut last: Option<(*const Breach, Arc<Fault>)> = None;
        let exempt = judgement.exempt.into_iter().map(|it| (it.finding, Some(it.exemption)));
        let all = judgement.violations.into_iter().map(|it| (it, None)).chain(exempt);
        for (finding, exemption) in all {
            let Some(policy) = self.ids.get(&address(finding.policy)) else { continue };
            let breach = Arc::as_ptr(&finding.breach);
            let fault = match &last {
                Some((known, fault)) if *known == breach => Arc::clone(fault),
                _ => {
                    let fault = fault(&finding);
                    self.faults.get(&fault, || Arc::new(fault.clone()))
                }
            };
            last = Some((breach, Arc::clone(&fault)));
            findings.push(PodFinding {
                policy: *policy,
                severity: finding.severity,
                degree: finding.breach.degree,
                exemption: exemption.map(|place| u16::try_from(place).unwrap_or(u16::MAX)),
                exempt_until: finding.expired.and_then(|it| Some(it.expires_at.as_ref()?.0)),
                fault,
            });
        }
    }
}

fn maker(subject: &Subject<'_>) -> Maker {
    if subject.mirror_owner().is_some() {
        Maker::Kubelet
    } else if by_controller(subject) {
        Maker::Controller
    } else {
        Maker::Other
    }
}

fn reads_document(finding: &PodFinding) -> bool {
    registry::find(finding.fault.rule).is_some_and(|rule| rule.reads_document)
}

fn fault(finding: &Finding<'_>) -> Fault {
    let breach = &finding.breach;
    Fault {
        rule: finding.rule.id,
        id: finding.id().into_owned(),
        container: breach.container.clone(),
        path: breach.path.clone(),
        message: cut(breach.sentence(), MAX_MESSAGE),
        undecided: breach.undecided,
    }
}
