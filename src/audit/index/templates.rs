//! The templates of workloads: each stands in for a pod while its workload has none.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::super::began::BeganTimes;
use super::super::facts::{Facts, Findings, PodFinding, PolicyId, TrackedTemplate};
use super::super::judge::PodJudge;
use super::super::namespace::Exchange;
use super::super::pod::ObservedPod;
use super::{AuditIndex, PolicySets};
use crate::policy::document::Document;
use crate::policy::made_pod::{self, MadePod};
use crate::policy::observed::WorkloadKey;
use crate::policy::owner;
use crate::policy::workload::Kind;

impl AuditIndex {
    /// Adds or updates a workload; `None` removes one that makes no pod of its own.
    pub fn workload(
        &mut self,
        kind: Kind,
        (namespace, name): (&str, &str),
        made: Option<&MadePod>,
        now: Timestamp,
    ) {
        let Some(made) = made else { return self.delete_workload(kind, (namespace, name), now) };
        if self.policies.in_force.protects(namespace) {
            return;
        }
        let pod: ObservedPod<true> = match serde_json::from_str(&made.json) {
            Ok(pod) => pod,
            Err(error) => {
                let workload = workload_key(namespace, kind.names().kind, name);
                return cannot_be_read(&workload, &error.to_string());
            }
        };
        let facts = Facts::new(&pod.cut, &mut self.text_pool);
        let namespace = self.namespace(namespace, now);
        let workload = self.shared_key(workload_key(&namespace, kind.names().kind, name));
        let in_force = Arc::clone(&self.policies.in_force);
        let document = PolicySets::document(&in_force, &namespace, &made.json);
        let listed = self.lists.number(kind);
        let known = self.namespaces.get_mut(&namespace);
        let known = known.and_then(|state| state.template_mut(&workload));
        let mut before = None;
        if let Some(known) = known {
            known.listed = listed;
            let counts = (made.wanted, made.running);
            let same_counts = (known.wanted, known.running) == counts;
            (known.wanted, known.running) = counts;
            if !same_counts {
                self.unpublished.mark_namespace(&namespace);
            }
            if known.facts.same(&facts) && document.is_none() {
                return;
            }
            before = Some(Arc::clone(&known.findings));
        }
        let json = facts.json(&namespace, &made_pod::name(kind, name));
        let known = before.as_deref().map_or(&[][..], |it| it);
        let whole = Some(&*made.json);
        let judged = self.judged_template(&workload, &json, whole, document.as_ref(), known, now);
        let Some(findings) = judged else { return };
        let (wanted, running) = (made.wanted, made.running);
        let created = made.created;
        let template = TrackedTemplate { kind, facts, findings, wanted, running, created, listed };
        self.put_template(&namespace, &workload, Some(template), now);
        if kind == Kind::CronJob && before.is_none() {
            self.adopt_runs(&namespace, name, now);
        }
    }

    /// Removes a workload.
    pub fn delete_workload(&mut self, kind: Kind, (namespace, name): (&str, &str), now: Timestamp) {
        let Some((namespace, state)) = self.namespaces.get_key_value(namespace) else { return };
        let workload = workload_key(namespace, kind.names().kind, name);
        if let Some((workload, _)) = state.templates().get_key_value(&workload) {
            let (namespace, workload) = (Arc::clone(namespace), Arc::clone(workload));
            self.put_template(&namespace, &workload, None, now);
        }
    }

    /// Removes the workloads of a kind that a list did not contain.
    pub(super) fn remove_unlisted_workloads(&mut self, kind: Kind, list: u32, now: Timestamp) {
        let mut gone = Vec::new();
        for (namespace, state) in &self.namespaces {
            let templates = state.templates().iter();
            let unlisted = templates.filter(|(_, it)| it.kind == kind && it.listed != list);
            gone.extend(unlisted.map(|(key, _)| (Arc::clone(namespace), Arc::clone(key))));
        }
        for (namespace, workload) in gone {
            self.put_template(&namespace, &workload, None, now);
        }
    }

    /// The key of a pod's workload, shared by all its pods. A pod of a CronJob's run counts for the CronJob.
    pub(super) fn workload_of_pod(
        &self,
        namespace: &Arc<str>,
        kind: String,
        name: String,
    ) -> Arc<WorkloadKey> {
        if kind == "Job"
            && let Some(cron_job) = owner::cron_job_of(&name)
            && let Some(state) = self.namespaces.get(namespace)
        {
            let cron_job = workload_key(namespace, "CronJob", cron_job);
            if let Some((known, _)) = state.templates().get_key_value(&cron_job) {
                return Arc::clone(known);
            }
        }
        self.shared_key(WorkloadKey { namespace: namespace.to_string(), kind, name })
    }

    fn shared_key(&self, workload: WorkloadKey) -> Arc<WorkloadKey> {
        let state = self.namespaces.get(&*workload.namespace);
        state.and_then(|state| state.key(&workload)).unwrap_or_else(|| Arc::new(workload))
    }

    /// Judges the templates of a namespace again by the policies that cover it now. `counted` is the number of pods of
    /// each workload that were counted since; `covered` are the policies that covered the namespace before.
    pub(super) fn replan_templates(
        &mut self,
        namespace: &Arc<str>,
        counted: &HashMap<Arc<WorkloadKey>, u32>,
        covered: &BTreeSet<PolicyId>,
        now: Timestamp,
    ) {
        let Some(state) = self.namespaces.get(namespace) else { return };
        let templates: Vec<_> = state.templates().keys().cloned().collect();
        for workload in templates {
            let state = self.namespaces.get(namespace);
            let template = state.and_then(|state| state.templates().get(&workload));
            let Some(TrackedTemplate { kind, facts, findings, .. }) = template else { continue };
            let (kind, before) = (*kind, Arc::clone(findings));
            let json = facts.json(namespace, &made_pod::name(kind, &workload.name));
            let judged = self.judged_template(&workload, &json, None, None, &before, now);
            let Some(after) = judged else { continue };
            let Some(state) = self.namespaces.get_mut(namespace) else { continue };
            let Some(template) = state.template_mut(&workload) else { continue };
            template.findings = Arc::clone(&after);
            if counted.contains_key(&workload) {
                continue;
            }
            let change =
                Exchange { workload: &workload, before: Some(&before), after: Some(&after) };
            let began = BeganTimes { remembered: &self.remembered, now };
            let changed = state.rejudged(&change, 0, covered, &began);
            self.mark_changed(namespace, changed);
        }
    }

    fn judged_template(
        &mut self,
        workload: &WorkloadKey,
        json: &str,
        whole: Option<&str>,
        document: Option<&Document<'_>>,
        known: &[PodFinding],
        now: Timestamp,
    ) -> Option<Findings> {
        let plan = self.policies.plan(&workload.namespace);
        let mut judge = PodJudge { plan, ids: &self.ids, faults: &mut self.faults, now };
        match judge.template(json, whole, document, known) {
            Ok(findings) => Some(self.intern_findings(findings)),
            Err(error) => {
                cannot_be_read(workload, &error);
                None
            }
        }
    }

    fn put_template(
        &mut self,
        namespace: &Arc<str>,
        workload: &Arc<WorkloadKey>,
        template: Option<TrackedTemplate>,
        now: Timestamp,
    ) {
        let Some(state) = self.namespaces.get_mut(namespace) else { return };
        let began = BeganTimes { remembered: &self.remembered, now };
        let changed = state.exchange_template(workload, template, &began);
        self.unpublished.mark_namespace(namespace);
        self.mark_changed(namespace, changed);
    }

    /// Counts the pods of a CronJob's runs for the CronJob, which was not known before.
    fn adopt_runs(&mut self, namespace: &Arc<str>, cron_job: &str, now: Timestamp) {
        let Some(state) = self.namespaces.get(namespace) else { return };
        let of_run = |workload: &WorkloadKey| {
            workload.kind == "Job" && owner::cron_job_of(&workload.name) == Some(cron_job)
        };
        let pods = state.pods.iter().filter(|(_, pod)| of_run(&pod.workload));
        for pod in pods.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.judge_again(namespace, &pod, now);
        }
    }
}

fn workload_key(namespace: &str, kind: &str, name: &str) -> WorkloadKey {
    let [namespace, kind, name] = [namespace, kind, name].map(str::to_owned);
    WorkloadKey { namespace, kind, name }
}

fn cannot_be_read(WorkloadKey { namespace, kind, name }: &WorkloadKey, error: &str) {
    // The API server validates workloads, so this is a fault worth a log line.
    tracing::error!(namespace, kind, name, error, "a workload cannot be read, and is not audited");
}
