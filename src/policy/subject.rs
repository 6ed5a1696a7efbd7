//! What rules judge: a pod, or the pod that a workload's template would make.

use std::sync::LazyLock;

use super::document::Document;
use super::object::{Annotations, Container, List, Metadata, Object, OwnerReference, PodSpec};
use super::workload::Kind;

/// Why an object contains no pod to judge.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoPod {
    #[error("{0} is missing")]
    NoSpec(&'static str),
    #[error("{0}.containers is missing; a pod has at least one container")]
    NoContainers(&'static str),
}

/// The pod of an object, or the pod that its template would make.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub kind: Kind,
    /// The namespace of the object, if it is known.
    pub namespace: Option<&'a str>,
    /// The object's own metadata.
    pub metadata: Option<&'a Metadata<'a>>,
    /// The pod's metadata: the object's own, or the template's.
    pub pod_metadata: Option<&'a Metadata<'a>>,
    /// The pod's spec.
    pub spec: &'a PodSpec<'a>,
    /// The pod and its namespace as CEL reads them; `None` if no rule needs them or the object is too large.
    pub document: Option<&'a Document<'a>>,
}

impl<'a> Subject<'a> {
    /// Finds the pod in an object of a kind.
    ///
    /// # Errors
    /// The missing field of the pod.
    pub fn of(kind: Kind, object: &'a Object<'a>) -> Result<Self, NoPod> {
        let path = kind.names().spec_path;
        let (metadata, spec) = pod_of(kind, object);
        let spec = spec.ok_or(NoPod::NoSpec(path))?;
        if spec.containers.as_ref().is_none_or(|containers| containers.is_empty()) {
            return Err(NoPod::NoContainers(path));
        }
        Ok(Self::new(kind, object, metadata, spec))
    }

    /// The same for an object that may contain no pod: missing fields are empty. Admission uses it, because the API
    /// server itself rejects such an object, with a better message.
    pub fn or_empty(kind: Kind, object: &'a Object<'a>) -> Self {
        static EMPTY: LazyLock<PodSpec<'static>> = LazyLock::new(PodSpec::default);
        let (metadata, spec) = pod_of(kind, object);
        Self::new(kind, object, metadata, spec.unwrap_or(&EMPTY))
    }

    fn new(
        kind: Kind,
        object: &'a Object<'a>,
        pod_metadata: Option<&'a Metadata<'a>>,
        spec: &'a PodSpec<'a>,
    ) -> Self {
        let metadata = object.metadata.as_ref();
        let namespace = metadata.map(|it| &*it.namespace).filter(|it| !it.is_empty());
        Self { kind, namespace, metadata, pod_metadata, spec, document: None }
    }

    /// The path of a field of the pod, from the object's root: in a Deployment, `metadata.labels` becomes
    /// `spec.template.metadata.labels`.
    pub fn pod_path(&self, field: &str) -> String {
        let spec = self.kind.names().spec_path;
        format!("{}{field}", spec.strip_suffix("spec").unwrap_or_default())
    }

    /// Whether its containers or volumes exceed the limits of [`super::object`]. No legitimate pod comes close; judging
    /// a hundred thousand containers would take memory and time from other reviews.
    pub fn is_too_large(&self) -> bool {
        let PodSpec { init_containers, containers, ephemeral_containers, volumes, .. } = self.spec;
        let lists = [init_containers, containers, ephemeral_containers];
        lists.into_iter().flatten().any(List::is_cut) || volumes.as_ref().is_some_and(List::is_cut)
    }

    /// Whether a container runs to completion, so that it needs no probe: by its own restart policy and rules (KEP-753,
    /// KEP-5307), else by its pod's.
    pub fn ends(&self, container: &Container<'_>) -> bool {
        let once = |policy: &str| matches!(policy, "Never" | "OnFailure");
        if container.restart_policy_rules.after_success {
            return false;
        }
        match &*container.restart_policy {
            "" => self.kind.runs_to_completion() || once(&self.spec.restart_policy),
            own => once(own),
        }
    }

    /// The node of a mirror pod, judged by the pod's fields alone: the kubelet annotates a mirror pod, binds it to the
    /// node and makes the Node its controller (`CreateMirrorPod` in `pkg/kubelet/pod/mirror_client.go` of Kubernetes).
    /// Anyone can write such fields; [`Self::is_mirror_by`] also checks the user.
    pub fn mirrored_node(&self) -> Option<&'a str> {
        let node = &*self.spec.node_name;
        let owner = self.mirror_owner()?;
        (*owner.name == *node && !node.is_empty()).then_some(node)
    }

    /// The Node that owns it, if it is marked as the mirror pod of a static pod. A kubelet deletes every marked pod of
    /// its node that mirrors none, and the API server demands the node's name of it, so the audit may believe the mark.
    pub fn mirror_owner(&self) -> Option<&'a OwnerReference<'a>> {
        let metadata = self.metadata.filter(|_| self.kind == Kind::Pod)?;
        let marked = metadata.annotations.as_ref().is_some_and(Annotations::claims_mirror);
        let owner = metadata.controller.as_ref().filter(|_| marked)?;
        ((&*owner.api_version, &*owner.kind) == ("v1", "Node")).then_some(owner)
    }

    /// Whether this user is a kubelet that creates the mirror pod of a static pod on its own node. The static pod
    /// already runs, whatever admission answers.
    pub fn is_mirror_by(&self, user: &str) -> bool {
        let node = user.strip_prefix("system:node:");
        node.is_some() && self.mirrored_node() == node
    }
}

/// The metadata and the spec of the pod in an object of a kind.
fn pod_of<'a>(
    kind: Kind,
    object: &'a Object<'a>,
) -> (Option<&'a Metadata<'a>>, Option<&'a PodSpec<'a>>) {
    let own = object.spec.as_deref();
    let template = match kind {
        Kind::Pod => return (object.metadata.as_ref(), own.map(|spec| &spec.pod)),
        Kind::PodTemplate => object.template.as_deref(),
        Kind::CronJob => {
            let job = own.and_then(|spec| spec.job_template.as_deref());
            job.and_then(|job| job.spec.as_ref()?.template.as_ref())
        }
        _ => own.and_then(|spec| spec.template.as_deref()),
    };
    (template.and_then(|it| it.metadata.as_ref()), template.and_then(|it| it.spec.as_ref()))
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
    fn only_the_kubelet_of_a_node_shows_its_static_pods() {
        let pod = |annotation: &str, node: &str, owner: &str| {
            format!(
                r#"{{"metadata": {{"annotations": {{"{annotation}": "hash"}}, "ownerReferences": [{owner}]}}, "spec": {{"nodeName": "{node}", "containers": [{{"name": "web"}}]}}}}"#
            )
        };
        let mirror = "kubernetes.io/config.mirror";
        let owner = r#"{"apiVersion": "v1", "kind": "Node", "name": "n1", "controller": true}"#;
        for (user, json, expected) in [
            ("system:node:n1", pod(mirror, "n1", owner), true),
            ("system:node:n2", pod(mirror, "n1", owner), false),
            ("system:node:n1", pod(mirror, "n2", owner), false),
            ("system:node:", pod(mirror, "", &owner.replace("n1", "")), false),
            ("system:node:n1", pod("kubernetes.io/config.source", "n1", owner), false),
            ("system:node:n1", pod(mirror, "n1", ""), false),
            ("system:node:n1", pod(mirror, "n1", &owner.replace("true", "false")), false),
            ("system:node:n1", pod(mirror, "n1", &owner.replace("Node", "ReplicaSet")), false),
            ("system:node:n1", pod(mirror, "n1", &owner.replace("v1", "example.com/v1")), false),
            ("system:node:n1", pod(mirror, "n1", &owner.replace("n1", "n2")), false),
            ("n1", pod(mirror, "n1", owner), false),
            ("jane", pod(mirror, "n1", owner), false),
            ("", pod(mirror, "n1", owner), false),
        ] {
            let object: Object = serde_json::from_str(&json).unwrap();
            let subject = Subject::of(Kind::Pod, &object).unwrap();
            assert_eq!(subject.is_mirror_by(user), expected, "{user}: {json}");
            assert!(!Subject::or_empty(Kind::Deployment, &object).is_mirror_by(user));
        }
    }

    #[test]
    fn what_an_object_lacks_is_empty_where_the_api_server_refuses_it_itself() {
        for json in ["{}", r#"{"spec": null}"#, r#"{"spec": {"containers": [], "hostPID": true}}"#]
        {
            let object: Object = serde_json::from_str(json).unwrap();
            for kind in Kind::ALL {
                let subject = Subject::or_empty(kind, &object);
                assert!(subject.spec.containers.as_ref().is_none_or(|it| it.is_empty()));
                let seen = kind == Kind::Pod && json.contains("hostPID");
                assert_eq!(subject.spec.host_pid, seen.then_some(true));
            }
        }
    }
}
