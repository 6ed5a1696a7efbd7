//! Judges the objects of a cluster one by one, as if they were created today, by both sets of policies. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::violation_key::ViolationKey;
use super::answer::{
    ExemptionState, ExemptionUse, Pods, Preview, PreviewSummary, PreviewViolation, PreviewWorkload,
    PreviewedPolicy, Verdict,
};
use super::created;
use super::sets::Sets;
use crate::api::Severity;
use crate::cel::tree::Tree;
use crate::policy::compile::Policy;
use crate::policy::decision::{Decision, decide};
use crate::policy::document::Document;
use crate::policy::engine::{Finding, judge_as_created, judge_running};
use crate::policy::exemption::ends_within;
use crate::policy::inherited::Before;
use crate::policy::observed::WorkloadKey;
use crate::policy::owner;
use crate::policy::plan::EvaluationPlan;
use crate::policy::pod_status::PodStatus;
use crate::policy::policy_set::PolicySet;
use crate::policy::subject::Subject;
use crate::policy::workload::Kind;

/// The findings in some namespaces, from the objects read so far.
pub struct PreviewJudge<'p> {
    sets: &'p Sets,
    now: Timestamp,
    /// The namespaces that a previewed policy judges, in either version.
    namespaces: BTreeMap<String, Plans<'p>>,
    workloads: BTreeMap<WorkloadKey, Row>,
    /// The label of a policy and the index of its exemption, for each exemption that exempts a violation.
    used: BTreeSet<(&'p str, usize)>,
    /// How many workloads were judged.
    judged: u64,
    /// How many violations only the versions in force find.
    gone: u64,
    /// By the label of a policy, what it denies or would deny in the mode `enforce`.
    would_deny: BTreeMap<&'p str, WouldDeny>,
}

/// What one policy denies, or would deny in the mode `enforce`.
#[derive(Clone, Copy, Default)]
struct WouldDeny {
    workloads: u64,
    pods: u64,
}

#[derive(Clone, Copy)]
struct Plans<'p> {
    before: &'p EvaluationPlan,
    after: &'p EvaluationPlan,
}

/// The findings in a workload and its pods.
#[derive(Default)]
struct Row {
    verdict: Option<Verdict>,
    before: Option<Verdict>,
    violations: Vec<PreviewViolation>,
    running: u64,
    refused: u64,
    graced: u64,
    refused_before: u64,
    of_pods: BTreeMap<ViolationKey, PreviewViolation>,
}

/// The findings of the previewed policies in an object, in one of their versions.
#[derive(Default)]
struct VersionFindings<'p> {
    denied: Vec<Finding<'p>>,
    /// Those that would deny, were their policies not in their grace.
    graced: Vec<Finding<'p>>,
    /// All violations, whether they deny the object or not.
    found: BTreeSet<ViolationKey>,
    exempt: Vec<(&'p str, usize)>,
    /// The labels of the policies that deny the object, or would deny it in the mode `enforce`.
    policies: BTreeSet<&'p str>,
}

impl<'p> PreviewJudge<'p> {
    /// Judges the objects of these namespaces, and skips all others.
    pub fn new(sets: &'p Sets, namespaces: impl Iterator<Item = String>, now: Timestamp) -> Self {
        fn plan<'p>(set: &'p PolicySet, namespace: &str) -> &'p EvaluationPlan {
            set.covering(Some(namespace)).unwrap_or_else(|unknown| unknown.assumed)
        }
        let previewed =
            |plan: &EvaluationPlan| plan.policies().iter().any(|it| sets.is_previewed(it));
        let namespaces = namespaces.filter_map(|name| {
            let plans =
                Plans { before: plan(&sets.before, &name), after: plan(&sets.after, &name) };
            (previewed(plans.before) || previewed(plans.after)).then_some((name, plans))
        });
        Self {
            sets,
            now,
            namespaces: namespaces.collect(),
            workloads: BTreeMap::new(),
            used: BTreeSet::new(),
            judged: 0,
            gone: 0,
            would_deny: BTreeMap::new(),
        }
    }

    /// Judges an object, given as the API server's JSON.
    ///
    /// # Errors
    /// The object cannot be decoded as its kind.
    pub fn object(&mut self, kind: Kind, json: &str) -> Result<(), String> {
        let object = created::view(json).map_err(|error| error.to_string())?;
        let mut subject = Subject::of(kind, &object).map_err(|error| error.to_string())?;
        let own = subject.namespace.and_then(|name| self.namespaces.get_key_value(name));
        let Some((namespace, &plans)) = own else { return Ok(()) };
        // An object does not record its creator, so every pod that looks like a mirror pod is taken for one: it shows a
        // static pod, which no admission replaces.
        if subject.mirrored_node().is_some() {
            return Ok(());
        }
        let applied = created::is_workload(kind, json).map_err(|error| error.to_string())?;
        let status = match kind {
            Kind::Pod => Some(serde_json::from_str(json)),
            _ => None,
        };
        let status: Option<PodStatus<'_>> = status.transpose().map_err(|it| it.to_string())?;
        // Ended pods are not replaced; terminating pods already are.
        let status = status.filter(|it| !it.has_ended() && !it.is_terminating());
        if !applied && status.is_none() {
            return Ok(());
        }
        let document =
            (plans.before.reads_documents() || plans.after.reads_documents()).then(|| {
                let namespace = self.sets.after.namespace_object(subject.namespace);
                let object = Tree::from_value(created::whole(kind, json).unwrap_or_default());
                let object = object.unwrap_or_else(|_| Tree::empty());
                Document::of(kind, object, namespace)
            });
        subject.document = document.as_ref();
        let before = self.sets.replaces().then(|| self.judge_version(plans.before, &subject, json));
        let after = self.judge_version(plans.after, &subject, json);
        self.used.extend(&after.exempt);

        let key = |kind: &str, name: &str| WorkloadKey {
            namespace: namespace.clone(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        let (own, owner) = (subject.metadata.map_or("", |it| &*it.name), owner::workload(&subject));
        let (own, owner) = (key(kind.names().kind, own), key(&owner.kind, &owner.name));
        if applied {
            self.judged += 1;
            if let Some(before) = &before {
                self.gone += before.found.difference(&after.found).count() as u64;
            }
            for policy in &after.policies {
                self.would_deny.entry(policy).or_default().workloads += 1;
            }
            self.workloads.entry(own).or_default().apply(before.as_ref(), &after);
        }
        if let Some(status) = status {
            let running = judge_running(plans.after, &subject, &status.running(self.now), self.now);
            let previewed =
                running.exempt.iter().filter(|it| self.sets.is_previewed(it.finding.policy));
            self.used.extend(previewed.map(|it| (it.finding.policy.label.as_str(), it.exemption)));
            for policy in &after.policies {
                self.would_deny.entry(policy).or_default().pods += 1;
            }
            self.workloads.entry(owner).or_default().restart(before.as_ref(), &after);
        }
        Ok(())
    }

    fn judge_version(
        &self,
        plan: &'p EvaluationPlan,
        subject: &Subject<'_>,
        json: &str,
    ) -> VersionFindings<'p> {
        let whole = || created::whole(subject.kind, json);
        let judgement = judge_as_created(plan, subject, whole, self.now);
        let previewed = |policy: &Policy| self.sets.is_previewed(policy);
        let exempt = judgement.exempt.iter().filter(|it| previewed(it.finding.policy));
        let exempt = exempt.map(|it| (it.finding.policy.label.as_str(), it.exemption)).collect();
        let mut findings = judgement.violations;
        findings.retain(|it| previewed(it.policy));
        let found = findings.iter().map(ViolationKey::of).collect();
        // Whoever applies a workload is no controller, and the pods of a controller are made again by it.
        let before = Before::made_again(subject);
        let decision = decide(findings, &before, self.now);
        let denying = decision.denied.iter().map(|it| it.policy);
        let policies = denying.chain(decision.would_deny.iter().copied());
        let policies = policies.map(|it| it.label.as_str()).collect();
        let Decision { denied, graced, .. } = decision;
        VersionFindings { denied, graced, found, exempt, policies }
    }

    fn policies(&self) -> Vec<PreviewedPolicy> {
        let entry = |policy: &Policy| {
            let label = policy.label.as_str();
            let WouldDeny { workloads, pods } =
                self.would_deny.get(label).copied().unwrap_or_default();
            PreviewedPolicy {
                policy: label.to_owned(),
                replaces: self.sets.replaces_version(policy),
                mode: policy.mode,
                would_deny: workloads,
                would_refuse_pods: pods,
                grace_until: policy.grace_until.map(Time),
            }
        };
        self.sets.previewed().iter().map(|policy| entry(policy)).collect()
    }

    /// The preview, without the scores.
    pub fn finish(self) -> Preview {
        let replaces = self.sets.replaces();
        let policies = self.policies();
        let mut summary = PreviewSummary { workloads: self.judged, ..PreviewSummary::default() };
        let (mut denied_before, mut refused_before) = (0, 0);
        let mut workloads = Vec::new();
        for (key, row) in self.workloads {
            summary.denied += u64::from(row.verdict == Some(Verdict::Denied));
            denied_before += u64::from(row.before == Some(Verdict::Denied));
            summary.pods += row.running;
            summary.refused_pods += row.refused;
            summary.graced_pods += row.graced;
            refused_before += row.refused_before;
            summary.violations += row.violations.len() as u64;
            summary.new_violations += row.violations.iter().filter(|it| it.new).count() as u64;
            if row.is_reported() {
                workloads.push(row.into_workload(key, replaces));
            }
        }
        summary.denied_before = replaces.then_some(denied_before);
        summary.refused_pods_before = replaces.then_some(refused_before);
        summary.gone_violations = replaces.then_some(self.gone);
        // A stable sort: workloads of equal severity stay sorted by namespace, kind and name.
        workloads.sort_by_key(|it: &PreviewWorkload| {
            let worst: Option<Severity> = it.all().map(|violation| violation.severity).min();
            (worst.is_none(), worst)
        });
        let used = &self.used;
        let exemptions = self.sets.previewed().iter().flat_map(|policy| {
            policy.exempts(self.now).enumerate().map(move |(index, (exemption, expired))| {
                let state = if expired {
                    ExemptionState::Expired
                } else if used.contains(&(policy.label.as_str(), index)) {
                    ExemptionState::Used
                } else {
                    ExemptionState::Unused
                };
                ExemptionUse {
                    policy: policy.label.clone(),
                    index,
                    state,
                    rules: exemption.rules.clone(),
                    reason: exemption.reason.clone(),
                    owner: exemption.owner.clone(),
                    expires_at: exemption.expires_at.clone(),
                    ends_within: ends_within(exemption, self.now),
                }
            })
        });
        let exemptions = exemptions.collect();
        Preview {
            versions: self.sets.versions,
            policies,
            summary,
            workloads,
            exemptions,
            namespaces: Vec::new(),
            observed: None,
            faults: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl Row {
    /// Records the findings of applying the workload itself.
    fn apply(&mut self, before: Option<&VersionFindings<'_>>, after: &VersionFindings<'_>) {
        self.verdict = Some(after.verdict());
        self.before = before.map(VersionFindings::verdict);
        self.violations = after.denied.iter().map(|it| violation(it, before)).collect();
    }

    /// Records the findings of recreating one of its pods.
    fn restart(&mut self, before: Option<&VersionFindings<'_>>, after: &VersionFindings<'_>) {
        self.running += 1;
        let refused = !after.denied.is_empty();
        self.refused += u64::from(refused);
        self.graced += u64::from(!refused && !after.graced.is_empty());
        self.refused_before += before.map_or(0, |it| u64::from(!it.denied.is_empty()));
        for finding in after.denied.iter().chain(&after.graced) {
            let violation = violation(finding, before);
            let known =
                self.of_pods.entry(ViolationKey::of(finding)).or_insert_with(|| violation.clone());
            known.pods = Some(known.pods.unwrap_or(0) + 1);
            known.new &= violation.new;
            if violation.severity < known.severity {
                *known = PreviewViolation { pods: known.pods, new: known.new, ..violation };
            }
        }
    }

    fn is_reported(&self) -> bool {
        let denied = Some(Verdict::Denied);
        self.verdict == denied
            || self.before == denied
            || self.refused + self.graced + self.refused_before > 0
    }

    fn into_workload(self, key: WorkloadKey, replaces: bool) -> PreviewWorkload {
        let mut violations: Vec<_> = self.of_pods.into_values().collect();
        // A stable sort: violations of equal severity stay sorted by key.
        violations.sort_by_key(|it| it.severity);
        let WorkloadKey { namespace, kind, name } = key;
        let pods = (self.running > 0).then(|| Pods {
            running: self.running,
            refused: self.refused,
            graced: self.graced,
            refused_before: replaces.then_some(self.refused_before),
            violations,
        });
        let Self { verdict, before, violations, .. } = Self { of_pods: BTreeMap::new(), ..self };
        PreviewWorkload { namespace, kind, name, verdict, before, violations, pods }
    }
}

impl VersionFindings<'_> {
    fn verdict(&self) -> Verdict {
        if self.denied.is_empty() { Verdict::Admitted } else { Verdict::Denied }
    }
}

fn violation(finding: &Finding<'_>, before: Option<&VersionFindings<'_>>) -> PreviewViolation {
    let breach = &finding.breach;
    PreviewViolation {
        policy: finding.policy.label.clone(),
        rule: finding.id().into_owned(),
        severity: finding.severity,
        container: breach.container.clone(),
        path: breach.path.clone(),
        value: breach.value.clone(),
        message: finding.sentence(),
        new: before.is_none_or(|it| !it.found.contains(&ViolationKey::of(finding))),
        pods: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::policy::policy_set::Namespaces;
    use crate::policy::protected::Protected;
    use crate::policy::scope::Scope;

    #[test]
    fn a_grace_admits_the_pods_that_kubernetes_controllers_make_again_and_no_others() {
        let pod = |name: &str, owner: &str| {
            json!({
                "metadata": {"name": name, "namespace": "shop", "ownerReferences": [
                    {"apiVersion": owner, "kind": "ReplicaSet", "name": name, "controller": true}]},
                "spec": {"containers": [{"name": "web", "image": "nginx"}]},
                "status": {"phase": "Running"},
            })
        };
        let deployment = json!({
            "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx"}]}}},
        });
        for (end, expected) in
            [("2027-01-01T00:00:01Z", (1, 1, 1)), ("2027-01-01T00:00:00Z", (1, 2, 0))]
        {
            let spec =
                json!({"enforcementMode": "enforce", "forbidLatestTag": true, "graceUntil": end});
            let spec = serde_json::from_value(spec).unwrap();
            let scope = Scope::Namespace("shop".to_owned());
            let policy = Policy::compile(scope, "own".to_owned(), &spec).unwrap();
            let protected = Protected::default();
            let sets = Sets::new(Vec::new(), vec![Arc::new(policy)], Namespaces::new(), &protected);
            let now = "2027-01-01T00:00:00Z".parse().unwrap();
            let mut judge = PreviewJudge::new(&sets, ["shop".to_owned()].into_iter(), now);
            judge.object(Kind::Deployment, &deployment.to_string()).unwrap();
            judge.object(Kind::Pod, &pod("a", "apps/v1").to_string()).unwrap();
            judge.object(Kind::Pod, &pod("b", "example.com/v1").to_string()).unwrap();
            let preview = judge.finish();
            let summary = &preview.summary;
            let counts = (summary.denied, summary.refused_pods, summary.graced_pods);
            assert_eq!(counts, expected, "{end}");
            assert_eq!(preview.workloads.len(), 3, "what the grace admits is shown too");
            assert_eq!(preview.policies[0].grace_until.as_ref().unwrap().0, end.parse().unwrap());
        }
    }
}
