//! The workload that a pod belongs to, derived from the pod alone: its top owner. Admission, the audit and scans agree.
//!
//! Tenants choose names and owner references. The result is a convenience inside a namespace, never a security
//! boundary.

use std::borrow::Cow;

use super::object::Metadata;
use super::subject::Subject;
use super::workload::Kind;

/// A kind and a name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectName<'a> {
    pub kind: Cow<'a, str>,
    pub name: Cow<'a, str>,
}

fn object_name<'a>(kind: &'a str, name: &'a str) -> ObjectName<'a> {
    ObjectName { kind: Cow::Borrowed(kind), name: Cow::Borrowed(name) }
}

/// The workload: the Deployment behind the pod's ReplicaSet, else the controller, else the object itself.
pub fn workload<'a>(subject: &Subject<'a>) -> ObjectName<'a> {
    let kind = subject.kind.names().kind;
    let Some(metadata) = subject.metadata else { return object_name(kind, "") };
    if let Some(owner) = &metadata.controller {
        if &*owner.kind == "ReplicaSet"
            && let Some(deployment) = deployment_of(&owner.name, metadata)
        {
            return object_name("Deployment", deployment);
        }
        return object_name(&owner.kind, &owner.name);
    }
    let name = own_name(metadata);
    if subject.kind == Kind::ReplicaSet
        && let Some(deployment) = deployment_of(name, metadata)
    {
        return object_name("Deployment", deployment);
    }
    object_name(kind, name)
}

/// The names that an exemption may match: the object, its workload, and the CronJob if the workload is a CronJob's Job.
pub fn object_names<'a>(subject: &Subject<'a>) -> impl Iterator<Item = ObjectName<'a>> {
    let own = object_name(subject.kind.names().kind, subject.metadata.map_or("", own_name));
    let workload = workload(subject);
    let cron_job = (workload.kind == "Job").then(|| cron_job_of(&workload.name)).flatten();
    let cron_job = cron_job.map(|name| ObjectName {
        kind: Cow::Borrowed("CronJob"),
        name: Cow::Owned(name.to_owned()),
    });
    [Some(own), Some(workload), cron_job].into_iter().flatten()
}

/// `metadata.name`, or else `metadata.generateName` without its dash.
fn own_name<'a>(metadata: &'a Metadata<'_>) -> &'a str {
    if metadata.name.is_empty() {
        metadata.generate_name.strip_suffix('-').unwrap_or(&metadata.generate_name)
    } else {
        &metadata.name
    }
}

/// The Deployment controller names a ReplicaSet after the Deployment and the hash, and labels it with the hash.
fn deployment_of<'a>(replica_set: &'a str, metadata: &Metadata<'_>) -> Option<&'a str> {
    let hash = metadata.labels.as_ref()?.get("pod-template-hash")?;
    let name = replica_set.strip_suffix(hash)?.strip_suffix('-')?;
    (!hash.is_empty() && !name.is_empty()).then_some(name)
}

/// The CronJob that a Job is named after: the CronJob controller appends the scheduled minute.
pub fn cron_job_of(job: &str) -> Option<&str> {
    let (name, minute) = job.rsplit_once('-')?;
    let digits = !minute.is_empty() && minute.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::object::Object;
    use super::*;

    fn names(kind: Kind, metadata: &str) -> (String, Vec<String>) {
        let spec = r#"{"containers": [{"name": "web"}], "template": {"spec": {"containers": [{"name": "web"}]}}}"#;
        let json = format!(r#"{{"metadata": {metadata}, "spec": {spec}}}"#);
        let object: Object = serde_json::from_str(&json).unwrap();
        let subject = Subject::of(kind, &object).unwrap();
        let show = |it: ObjectName<'_>| format!("{}/{}", it.kind, it.name);
        (show(workload(&subject)), object_names(&subject).map(show).collect())
    }

    fn pod(owner: &str, labels: &str) -> String {
        format!(
            r#"{{"name": "p", "labels": {{{labels}}}, "ownerReferences": [{{"kind": "Node", "name": "n"}}, {owner}]}}"#
        )
    }

    #[test]
    fn a_pod_belongs_to_its_top_owner() {
        let replica_set = r#"{"kind": "ReplicaSet", "name": "cart-5d4", "controller": true}"#;
        let hash = r#""pod-template-hash": "5d4""#;
        assert_eq!(names(Kind::Pod, &pod(replica_set, hash)).0, "Deployment/cart");
        assert_eq!(names(Kind::Pod, &pod(replica_set, "")).0, "ReplicaSet/cart-5d4");
        assert_eq!(
            names(Kind::Pod, &pod(replica_set, r#""pod-template-hash": """#)).0,
            "ReplicaSet/cart-5d4"
        );

        let job = r#"{"kind": "Job", "name": "report-28012345", "controller": true}"#;
        let (workload, all) = names(Kind::Pod, &pod(job, ""));
        assert_eq!(workload, "Job/report-28012345");
        assert_eq!(all, ["Pod/p", "Job/report-28012345", "CronJob/report"]);

        let own = r#"{"kind": "CronTab", "name": "x", "controller": true}"#;
        assert_eq!(names(Kind::Pod, &pod(own, "")).0, "CronTab/x");
        assert_eq!(names(Kind::Pod, r#"{"generateName": "debug-"}"#).0, "Pod/debug");
        assert_eq!(names(Kind::Pod, "{}").0, "Pod/");
    }

    #[test]
    fn a_controllers_own_objects_belong_to_it_too() {
        let metadata = r#"{"name": "cart-5d4", "labels": {"pod-template-hash": "5d4"}}"#;
        assert_eq!(names(Kind::ReplicaSet, metadata).0, "Deployment/cart");
        assert_eq!(names(Kind::ReplicaSet, r#"{"name": "cart-5d4"}"#).0, "ReplicaSet/cart-5d4");
        assert_eq!(names(Kind::Deployment, r#"{"name": "cart"}"#).0, "Deployment/cart");
        let job = r#"{"name": "r-1", "ownerReferences": [{"kind": "CronJob", "name": "r", "controller": true}]}"#;
        assert_eq!(names(Kind::Job, job).0, "CronJob/r");
    }
}
