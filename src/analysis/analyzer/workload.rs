//! Judges a workload that has no pod, or fewer than it wants, by the pod that its controller would make.

use std::collections::BTreeMap;

use super::super::denial::Denial;
use super::super::result::RefusedPods;
use super::{Analyzer, WorkloadFindings};
use crate::findings::Fault;
use crate::policy::decision::decide;
use crate::policy::engine::judge_as_created;
use crate::policy::inherited::Before;
use crate::policy::made_pod::{MadePod, made_pod};
use crate::policy::object::Object;
use crate::policy::owner;
use crate::policy::subject::Subject;
use crate::policy::workload::Kind;

impl Analyzer<'_> {
    /// Judges a workload, given as the API server's JSON, after all pods: by its template if none of its pods counts,
    /// and by whether admission would deny its new pods if it lacks some.
    pub fn workload(&mut self, kind: Kind, json: &str) {
        if let Err(message) = self.judge_workload(kind, json) {
            let place = format!("a {}", kind.names().kind);
            self.faults.push(Fault::cluster(&place, format!("cannot be read: {message}")));
        }
    }

    fn judge_workload(&mut self, kind: Kind, json: &str) -> Result<(), String> {
        let made = made_pod(kind, json).map_err(|error| error.to_string())?;
        let Some(MadePod { json, wanted, running, .. }) = made else { return Ok(()) };
        let object: Object = serde_json::from_str(&json).map_err(|error| error.to_string())?;
        let mut subject = Subject::of(Kind::Pod, &object).map_err(|error| error.to_string())?;
        let known = subject.namespace.and_then(|name| self.namespaces.get_mut(name));
        let (Some(name), Some(namespace)) = (subject.namespace, known) else { return Ok(()) };
        let owner = owner::workload(&subject);
        let key = match owner::cron_job_of(&owner.name).filter(|_| kind == Kind::CronJob) {
            Some(cron_job) => (kind.names().kind.to_owned(), cron_job.to_owned()),
            None => (owner.kind.into_owned(), owner.name.into_owned()),
        };
        if kind == Kind::CronJob {
            count_runs_for(&key, &mut namespace.workloads);
        }
        let has_pods = namespace.workloads.get(&key).is_some_and(|it| it.pods > 0);
        let lacks_pods = wanted > running;
        if has_pods && !lacks_pods {
            return Ok(());
        }
        let plan = namespace.plan;
        let document;
        if plan.reads_documents() {
            document = self.policies.pod_document(plan, subject.namespace, &json)?;
            subject.document = Some(&document);
        }
        let whole = || serde_json::from_str(&json).ok();
        let findings = judge_as_created(plan, &subject, whole, self.now).violations;
        if !has_pods {
            let workload = namespace.workloads.entry(key.clone()).or_default();
            workload.score.add_pod(findings.iter().map(|it| (it.rule.id, it.breach.degree)));
            for finding in &findings {
                workload.record("", finding);
            }
        }
        let denied = decide(findings, &Before::OwnersTemplate, self.now).denied;
        if let Some(Denial { policies, message }) = Denial::of(&denied).filter(|_| lacks_pods) {
            let (namespace, (kind, name)) = (name.to_owned(), key);
            self.refused.push(RefusedPods {
                namespace,
                kind,
                name,
                wanted,
                running,
                policies,
                message,
            });
        }
        Ok(())
    }
}

/// Counts the pods of a CronJob's Jobs for the CronJob.
fn count_runs_for(
    cron_job: &(String, String),
    workloads: &mut BTreeMap<(String, String), WorkloadFindings>,
) {
    let first = (Kind::Job.names().kind.to_owned(), format!("{}-", cron_job.1));
    let jobs = workloads.range(first.clone()..);
    let jobs = jobs.take_while(|((kind, job), _)| *kind == first.0 && job.starts_with(&first.1));
    let runs = jobs.filter(|((_, job), facts)| {
        facts.pods > 0 && owner::cron_job_of(job) == Some(cron_job.1.as_str())
    });
    let runs: Vec<_> = runs.map(|(key, _)| key.clone()).collect();
    for run in runs {
        if let Some(facts) = workloads.remove(&run) {
            workloads.entry(cron_job.clone()).or_default().merge(facts);
        }
    }
}
