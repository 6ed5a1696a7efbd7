//! The kinds that run pods, and where each keeps its pod template.

use std::borrow::Cow;

use super::document::Document;
use super::object::{Annotations, MAX_ITEMS, Metadata, Object, PodSpec};
use super::text;

/// A kind that podgate judges.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    Pod,
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    ReplicationController,
    Job,
    CronJob,
    PodTemplate,
}

/// What the API server calls a kind.
pub struct KindNames {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub resource: &'static str,
    /// Where its pods' spec stands in the object.
    pub spec_path: &'static str,
}

impl KindNames {
    /// As it stands in a manifest's `apiVersion`.
    pub fn api_version(&self) -> Cow<'static, str> {
        match self.group {
            "" => Cow::Borrowed(self.version),
            group => Cow::Owned(format!("{group}/{}", self.version)),
        }
    }
}

/// A group and kind podgate judges, in a version it does not know.
#[derive(Debug, thiserror::Error)]
#[error("{found} {kind} is not a version podgate reads; it reads {known}")]
pub struct UnknownVersion {
    found: String,
    kind: &'static str,
    known: Cow<'static, str>,
}

impl Kind {
    /// Every kind podgate judges.
    pub const ALL: [Self; 9] = [
        Self::Pod,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::ReplicationController,
        Self::Job,
        Self::CronJob,
        Self::PodTemplate,
    ];

    /// The names of this kind; the one table that decoding, registration and
    /// messages share.
    pub const fn names(self) -> KindNames {
        const fn names(
            group: &'static str,
            kind: &'static str,
            resource: &'static str,
            spec_path: &'static str,
        ) -> KindNames {
            KindNames { group, version: "v1", kind, resource, spec_path }
        }
        const TEMPLATE: &str = "spec.template.spec";
        match self {
            Self::Pod => names("", "Pod", "pods", "spec"),
            Self::Deployment => names("apps", "Deployment", "deployments", TEMPLATE),
            Self::StatefulSet => names("apps", "StatefulSet", "statefulsets", TEMPLATE),
            Self::DaemonSet => names("apps", "DaemonSet", "daemonsets", TEMPLATE),
            Self::ReplicaSet => names("apps", "ReplicaSet", "replicasets", TEMPLATE),
            Self::ReplicationController => {
                names("", "ReplicationController", "replicationcontrollers", TEMPLATE)
            }
            Self::Job => names("batch", "Job", "jobs", TEMPLATE),
            Self::CronJob => {
                names("batch", "CronJob", "cronjobs", "spec.jobTemplate.spec.template.spec")
            }
            Self::PodTemplate => names("", "PodTemplate", "podtemplates", "template.spec"),
        }
    }

    /// The kind by its API names; `None` is a kind podgate has nothing to say of.
    ///
    /// # Errors
    /// A known group and kind in another version: judging it as if it were
    /// known would be a guess, and passing it a bypass.
    pub fn find(group: &str, version: &str, kind: &str) -> Result<Option<Self>, UnknownVersion> {
        let Some(found) = Self::ALL.into_iter().find(|known| {
            let names = known.names();
            names.kind == kind && names.group == group
        }) else {
            return Ok(None);
        };
        let names = found.names();
        if names.version == version {
            Ok(Some(found))
        } else {
            let slash = if group.is_empty() { "" } else { "/" };
            Err(UnknownVersion {
                found: text::clip(&format!("{group}{slash}{version}")),
                kind: names.kind,
                known: names.api_version(),
            })
        }
    }

    /// Whether pods of this kind end by themselves.
    const fn runs_to_completion(self) -> bool {
        matches!(self, Self::Job | Self::CronJob)
    }
}

/// Why an object holds no pod to judge.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoPod {
    #[error("{0} is missing")]
    NoSpec(&'static str),
    #[error("{0}.containers is missing; a pod has at least one container")]
    NoContainers(&'static str),
}

/// What the rules judge: a pod, or the pod that a template would make.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub kind: Kind,
    /// The namespace it is in, or will be in, where that is known.
    pub namespace: Option<&'a str>,
    /// The object's own metadata.
    pub metadata: Option<&'a Metadata<'a>>,
    /// The pod's metadata: the object's own, or the template's.
    pub pod_metadata: Option<&'a Metadata<'a>>,
    /// The pod's spec.
    pub spec: &'a PodSpec<'a>,
    /// The pod as CEL reads it, and its namespace, for rules that read whatever they like.
    pub document: Option<&'a Document<'a>>,
}

impl<'a> Subject<'a> {
    /// Finds the pod in an object of a kind.
    ///
    /// # Errors
    /// Names the field that the kind cannot do without.
    pub fn of(kind: Kind, object: &'a Object<'a>) -> Result<Self, NoPod> {
        let path = kind.names().spec_path;
        let own = object.spec.as_deref();
        let template = match kind {
            Kind::Pod => None,
            Kind::PodTemplate => object.template.as_deref(),
            Kind::CronJob => {
                let job = own.and_then(|spec| spec.job_template.as_deref());
                job.and_then(|job| job.spec.as_ref()?.template.as_ref())
            }
            _ => own.and_then(|spec| spec.template.as_deref()),
        };
        let (metadata, spec) = match kind {
            Kind::Pod => (object.metadata.as_ref(), own.map(|spec| &spec.pod)),
            _ => (
                template.and_then(|it| it.metadata.as_ref()),
                template.and_then(|it| it.spec.as_ref()),
            ),
        };
        let spec = spec.ok_or(NoPod::NoSpec(path))?;
        if spec.containers.as_ref().is_none_or(Vec::is_empty) {
            return Err(NoPod::NoContainers(path));
        }
        let own = object.metadata.as_ref();
        let namespace = own.map(|it| &*it.namespace).filter(|it| !it.is_empty());
        let pod_metadata = metadata;
        Ok(Self { kind, namespace, metadata: own, pod_metadata, spec, document: None })
    }

    /// The path of a field of the pod, from the object's root: of `metadata.labels`, in a Deployment,
    /// `spec.template.metadata.labels`.
    pub fn pod_path(&self, field: &str) -> String {
        let spec = self.kind.names().spec_path;
        format!("{}{field}", spec.strip_suffix("spec").unwrap_or_default())
    }

    /// Whether it holds more containers or volumes than are looked at. A legitimate pod comes nowhere near; judging each
    /// of a hundred thousand would take the memory and time of everybody else's reviews.
    pub fn is_too_large(&self) -> bool {
        let PodSpec { init_containers, containers, ephemeral_containers, volumes, .. } = self.spec;
        let length = |list: Option<usize>| list.unwrap_or(0) > MAX_ITEMS;
        length(init_containers.as_ref().map(Vec::len))
            || length(containers.as_ref().map(Vec::len))
            || length(ephemeral_containers.as_ref().map(Vec::len))
            || length(volumes.as_ref().map(Vec::len))
    }

    /// Whether the pod ends by itself, so that nobody needs to probe it.
    pub fn runs_to_completion(&self) -> bool {
        self.kind.runs_to_completion()
            || matches!(&*self.spec.restart_policy, "Never" | "OnFailure")
    }

    /// Whether the kubelet made this pod to show a static one. It runs already,
    /// whatever an admission says.
    pub fn is_mirror(&self) -> bool {
        let annotations = self.metadata.and_then(|metadata| metadata.annotations.as_ref());
        self.kind == Kind::Pod && annotations.is_some_and(Annotations::is_mirror)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_found_where_each_kind_keeps_it() {
        let spec = r#"{"containers":[{"name":"web","image":"nginx"}]}"#;
        for kind in Kind::ALL {
            let json = kind
                .names()
                .spec_path
                .rsplit('.')
                .fold(spec.to_owned(), |inner, field| format!(r#"{{"{field}":{inner}}}"#));
            let object: Object = serde_json::from_str(&json).unwrap();
            let subject = Subject::of(kind, &object).unwrap();
            assert_eq!(&*subject.spec.containers.as_ref().unwrap()[0].image, "nginx", "{kind:?}");
        }
    }

    #[test]
    fn an_object_of_another_shape_is_refused_by_the_field_it_lacks() {
        let pod = r#"{"spec":{"containers":[{"name":"web"}]}}"#;
        let object: Object = serde_json::from_str(pod).unwrap();
        let error = Subject::of(Kind::Deployment, &object).unwrap_err();
        assert_eq!(error.to_string(), "spec.template.spec is missing");

        let object: Object = serde_json::from_str(r#"{"spec":{"containers":[]}}"#).unwrap();
        assert_eq!(Subject::of(Kind::Pod, &object).unwrap_err(), NoPod::NoContainers("spec"));
    }

    #[test]
    fn a_known_kind_in_an_unknown_version_is_an_error_and_a_foreign_kind_is_not() {
        assert_eq!(Kind::find("apps", "v1", "Deployment").unwrap(), Some(Kind::Deployment));
        assert_eq!(Kind::find("", "v1", "ConfigMap").unwrap(), None);
        assert_eq!(Kind::find("example.com", "v1", "Pod").unwrap(), None);
        for (group, version, kind, expected) in
            [("batch", "v1beta1", "CronJob", "batch/v1beta1 CronJob"), ("", "v2", "Pod", "v2 Pod")]
        {
            let error = Kind::find(group, version, kind).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
