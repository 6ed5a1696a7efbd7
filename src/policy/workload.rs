//! The kinds that run pods: their API names, and the path of the pod spec in each.

use std::borrow::Cow;

use super::text;

/// A kind that podgate judges.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
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
    /// A StatefulSet's old template. Only its creation is judged, at admission; it is not among [`Kind::ALL`].
    ControllerRevision,
}

/// The API names of a kind.
pub struct KindNames {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub resource: &'static str,
    /// The path of the pod spec in the object: `spec.template.spec`.
    pub spec_path: &'static str,
}

impl KindNames {
    /// The `apiVersion` of a manifest: `apps/v1`.
    pub fn api_version(&self) -> Cow<'static, str> {
        match self.group {
            "" => Cow::Borrowed(self.version),
            group => Cow::Owned(format!("{group}/{}", self.version)),
        }
    }
}

/// A group and kind that podgate judges, in a version that it does not know.
#[derive(Debug, thiserror::Error)]
#[error("{found} {kind} is not a version podgate reads; it reads {known}")]
pub struct UnknownVersion {
    found: String,
    kind: &'static str,
    known: Cow<'static, str>,
}

/// A kind that podgate judges, in a group of Kubernetes itself that does not have it.
#[derive(Debug, thiserror::Error)]
#[error("no Kubernetes serves {found} {kind}; write apiVersion: {known}")]
pub struct Unserved {
    found: String,
    kind: &'static str,
    known: Cow<'static, str>,
}

impl Kind {
    /// Every kind that podgate judges everywhere.
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

    /// The fields that lead to its template; none for a pod.
    pub fn template_path(self) -> impl Iterator<Item = &'static str> {
        let path = self.names().spec_path.strip_suffix(".spec");
        path.into_iter().flat_map(|path| path.split('.'))
    }

    /// The names of this kind. Decoding, webhook registration and messages share this table.
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
            Self::ControllerRevision => names(
                "apps",
                "ControllerRevision",
                "controllerrevisions",
                "data.spec.template.spec",
            ),
        }
    }

    /// The kind with these API names; `None` for a kind that podgate does not judge.
    ///
    /// # Errors
    /// A known group and kind in another version. Judging it as the known version would be a guess; allowing it would
    /// be a bypass.
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

    /// Refuses a kind that podgate judges in a built-in group that no Kubernetes serves it in: one that was removed
    /// (`extensions/v1beta1 Deployment`), or never was (`v1 Deployment`). A group with a dot is a custom resource's, by
    /// the API server's validation of CRDs, and may have kinds of these names.
    ///
    /// # Errors
    /// It is such a kind.
    pub fn refuse_unserved(api_version: &str, kind: &str) -> Result<(), Unserved> {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let known = Self::ALL.map(Self::names).into_iter().find(|names| names.kind == kind);
        match known {
            Some(names) if names.group != group && !group.contains('.') => Err(Unserved {
                found: text::clip(api_version),
                kind: names.kind,
                known: names.api_version(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether pods of this kind run to completion.
    pub(super) const fn runs_to_completion(self) -> bool {
        matches!(self, Self::Job | Self::CronJob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_kind_in_a_group_of_kubernetes_that_has_it_not_is_refused_and_a_custom_one_is_not() {
        for (api_version, kind, known) in [
            ("extensions/v1beta1", "Deployment", "apps/v1"),
            ("v1", "CronJob", "batch/v1"),
            ("apps/v1", "Pod", "v1"),
        ] {
            let error = Kind::refuse_unserved(api_version, kind).unwrap_err().to_string();
            let expected =
                format!("no Kubernetes serves {api_version} {kind}; write apiVersion: {known}");
            assert_eq!(error, expected);
        }
        for (api_version, kind) in
            [("apps/v1", "Deployment"), ("batch.volcano.sh/v1", "Job"), ("v1", "ConfigMap")]
        {
            assert!(Kind::refuse_unserved(api_version, kind).is_ok(), "{api_version} {kind}");
        }
    }
}
