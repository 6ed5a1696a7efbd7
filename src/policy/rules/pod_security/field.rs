//! Fields at fault, and the fixes of absent ones.

use serde_json::Value;

use super::super::super::containers::{ContainerRole, PlacedContainer, containers};
use super::super::super::object::{
    Annotations, MAX_ENTRIES, MAX_ITEMS, NodeSelector, SecurityContext,
};
use super::super::super::rule::{Breach, Fix};
use super::super::super::subject::Subject;
use super::super::super::text::quote;
use super::exceptions::is_windows;

/// The most items of one list that are reported. More would not help, and a list can have a hundred thousand.
pub const MAX_SHOWN: usize = 20;

/// The most breaches of a container to report after `others` of other containers: at least one, since an exemption may
/// cover only some containers.
pub const fn shown_beside(others: usize) -> usize {
    if others < MAX_ITEMS { MAX_SHOWN } else { 1 }
}

/// A field of a pod, and the container it belongs to.
pub struct Field {
    container: Option<String>,
    path: String,
}

impl Field {
    /// A field by its path from the pod: `spec.hostNetwork`.
    pub fn of_pod(subject: &Subject<'_>, path: &str) -> Self {
        Self { container: None, path: subject.pod_path(path) }
    }

    /// A field by its path from the container: `securityContext.privileged`.
    pub fn of_container(subject: &Subject<'_>, place: &PlacedContainer<'_>, path: &str) -> Self {
        let container = Some(place.name());
        Self { container, path: place.path(subject, path) }
    }

    /// `PATH PROBLEM; REMEDY`.
    pub fn breach(
        self,
        value: Option<&str>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Breach {
        Breach {
            container: self.container,
            path: self.path,
            value: value.map(str::to_owned),
            problem: problem.into(),
            remedy: remedy.into(),
            ..Breach::default()
        }
    }

    /// `PATH is "TEXT"; REMEDY`.
    pub fn value_breach(self, text: &str, remedy: impl Into<String>) -> Breach {
        self.breach(Some(text), format!("is {}", quote(text)), remedy)
    }

    /// The breach of a list beyond the limit, which cannot be decided.
    pub fn too_long(self) -> Breach {
        let problem = format!("could not be judged: it has more than {MAX_ENTRIES} entries");
        Breach { undecided: true, ..self.breach(None, problem, "make it shorter") }
    }

    /// `PATH is true; REMEDY`.
    pub fn true_breach(self, remedy: &str) -> Breach {
        self.breach(Some("true"), "is true", remedy)
    }
}

/// A security context of the pod or of a container.
pub struct Context<'a> {
    pub settings: &'a SecurityContext<'a>,
    /// `None` for the pod.
    place: Option<PlacedContainer<'a>>,
}

impl Context<'_> {
    /// A field by its path from the security context: `runAsUser`.
    pub fn field(&self, subject: &Subject<'_>, path: &str) -> Field {
        match &self.place {
            None => Field::of_pod(subject, &format!("spec.securityContext.{path}")),
            Some(place) => Field::of_container(subject, place, &format!("securityContext.{path}")),
        }
    }
}

/// The security contexts of the pod and its containers, where present.
pub fn contexts<'a>(subject: &Subject<'a>) -> impl Iterator<Item = Context<'a>> {
    let of_pod = subject.spec.security_context.as_ref();
    let of_pod = of_pod.map(|settings| Context { settings, place: None });
    let of_containers = containers(subject.spec).filter_map(|place| {
        let settings = place.container.security_context.as_deref()?;
        Some(Context { settings, place: Some(place) })
    });
    of_pod.into_iter().chain(of_containers)
}

/// The fix of an absent field of a container, if it is safe: not for ephemeral containers, which already run, and not
/// for Windows pods, also if only the node selector selects Windows.
pub fn fix(
    subject: &Subject<'_>,
    place: &PlacedContainer<'_>,
    path: &str,
    value: Value,
) -> Option<Fix> {
    let selector = subject.spec.node_selector.as_ref();
    let on_windows = selector.is_some_and(NodeSelector::may_be_windows);
    if place.role == ContainerRole::Ephemeral || on_windows || is_windows(subject.spec) {
        return None;
    }
    Some(Fix::new(place.path(subject, path), value))
}

/// Whether a fix is safe for the container `x`, in CEL.
pub const CONTAINER: &str = "x.role != 'ephemeral' && p.spec.?os.?name.orValue('') != 'windows' && \
    p.spec.?nodeSelector[?'kubernetes.io/os'].orValue('') != 'windows'";

/// The pod's annotations.
pub fn annotations<'a>(subject: &Subject<'a>) -> Option<&'a Annotations<'a>> {
    subject.pod_metadata?.annotations.as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::baseline_pod;
    use super::*;

    #[test]
    fn beside_many_breaches_of_other_containers_a_container_has_one() {
        assert_eq!(shown_beside(0), MAX_SHOWN);
        assert_eq!(shown_beside(MAX_ITEMS - 1), MAX_SHOWN);
        assert_eq!(shown_beside(MAX_ITEMS), 1);
    }

    #[test]
    fn a_list_beyond_the_limit_is_undecided() {
        let sysctls = vec![json!({"name": "kernel.shm_rmid_forced"}); MAX_ENTRIES + 1];
        let spec =
            json!({"securityContext": {"sysctls": sysctls}, "containers": [{"name": "web"}]});
        let found = baseline_pod(&json!({ "spec": spec }).to_string());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].undecided, "{found:?}");
    }
}
