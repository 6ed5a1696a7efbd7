//! What rules judge: a pod, or the pod that a workload's template would make.

use std::sync::LazyLock;

use super::document::Document;
use super::object::{Annotations, Container, List, Metadata, Object, PodSpec};
use super::workload::Kind;

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
        let (metadata, spec) = pod_of(kind, object);
        let spec = spec.ok_or(NoPod::NoSpec(path))?;
        if spec.containers.as_ref().is_none_or(|containers| containers.is_empty()) {
            return Err(NoPod::NoContainers(path));
        }
        Ok(Self::new(kind, object, metadata, spec))
    }

    /// The same of an object that may hold no pod: what is not there is empty. At admission, since the API server refuses
    /// such an object itself, and says why in its own words.
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

    /// The path of a field of the pod, from the object's root: of `metadata.labels`, in a Deployment,
    /// `spec.template.metadata.labels`.
    pub fn pod_path(&self, field: &str) -> String {
        let spec = self.kind.names().spec_path;
        format!("{}{field}", spec.strip_suffix("spec").unwrap_or_default())
    }

    /// Whether it holds more containers or volumes, or these hold more, than is looked at. A legitimate pod comes nowhere
    /// near; judging each of a hundred thousand would take the memory and time of everybody else's reviews.
    pub fn is_too_large(&self) -> bool {
        let PodSpec { init_containers, containers, ephemeral_containers, volumes, .. } = self.spec;
        let lists = [init_containers, containers, ephemeral_containers];
        lists.into_iter().flatten().any(List::is_cut) || volumes.as_ref().is_some_and(List::is_cut)
    }

    /// Whether a container ends by itself, so that nobody needs to probe it: by its own restart policy and rules (KEP-753,
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

    /// The node whose static pod this pod shows, going by the pod alone: its kubelet marks the mirror, binds it to the node
    /// and makes the Node its controller (`CreateMirrorPod` in `pkg/kubelet/pod/mirror_client.go` of Kubernetes). Whether
    /// a kubelet made it, only the user can tell: [`Self::is_mirror_by`].
    pub fn mirrored_node(&self) -> Option<&'a str> {
        let metadata = self.metadata.filter(|_| self.kind == Kind::Pod)?;
        let node = &*self.spec.node_name;
        let owner = metadata.controller.as_ref()?;
        let by_node = (&*owner.api_version, &*owner.kind, &*owner.name) == ("v1", "Node", node);
        let marked = metadata.annotations.as_ref().is_some_and(Annotations::claims_mirror);
        (marked && by_node && !node.is_empty()).then_some(node)
    }

    /// Whether this user, a kubelet, shows a static pod of its own node. It runs already, whatever an admission says.
    pub fn is_mirror_by(&self, user: &str) -> bool {
        let node = user.strip_prefix("system:node:");
        node.is_some() && self.mirrored_node() == node
    }
}

/// Where a kind keeps its pod: the pod's metadata and its spec.
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
