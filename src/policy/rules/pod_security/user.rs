//! The user of a container.

use super::super::super::containers::{PlacedContainer, containers};
use super::super::super::object::SecurityContext;
use super::super::super::rule::Breach;
use super::super::super::subject::Subject;
use super::super::super::vap::expression::text;
use super::super::super::vap::form::CelFinding;
use super::exceptions::{USER_NAMESPACE, has_user_namespace};
use super::field::{Context, Field, contexts};

const REMEDY: &str = "set it to true, here or once in the pod's securityContext, for an image whose user is not root";

/// `runAsNonRoot`: if it is true, the kubelet does not start a container as root. A container without the field has the
/// pod's.
pub fn non_root(subject: &Subject<'_>) -> Vec<Breach> {
    if has_user_namespace(subject.spec) {
        return Vec::new();
    }
    let explicit = contexts(subject)
        .filter(|context| context.settings.run_as_non_root == Some(false))
        .map(|context| {
            let field = context.field(subject, "runAsNonRoot");
            field.breach(Some("false"), "is false", "set it to true")
        });
    // A false field of the pod is reported once: its fix covers the containers.
    let given = |context: Option<&SecurityContext<'_>>| {
        context.is_some_and(|it| it.run_as_non_root.is_some())
    };
    let of_pod = given(subject.spec.security_context.as_ref());
    let without = containers(subject.spec)
        .filter(|place| !of_pod && !given(place.container.security_context.as_deref()));
    let missing = without.map(|place| {
        let field = Field::of_container(subject, &place, "securityContext.runAsNonRoot");
        field.breach(None, "is missing", REMEDY)
    });
    explicit.chain(missing).collect()
}

/// Whether the kubelet does not start a container as root, by the fields of the container or, where they are absent, of
/// the pod.
pub fn is_known_non_root(subject: &Subject<'_>, place: &PlacedContainer<'_>) -> bool {
    let own = place.container.security_context.as_deref();
    let pod = subject.spec.security_context.as_ref();
    let user = own.and_then(|it| it.run_as_user).or(pod.and_then(|it| it.run_as_user));
    let non_root = own.and_then(|it| it.run_as_non_root).or(pod.and_then(|it| it.run_as_non_root));
    user.map_or(non_root == Some(true), |user| user != 0)
}

/// The same of the container `x`, in CEL.
pub const KNOWN_NON_ROOT: &str = "[x.sc.?runAsUser.or(p.spec.?securityContext.?runAsUser)].map(u, u.hasValue() ? u.value() != 0 : \
    x.sc.?runAsNonRoot.or(p.spec.?securityContext.?runAsNonRoot).orValue(false))[0]";

/// `runAsUser`: a container may leave the user to its image, but may not set root.
pub fn root(subject: &Subject<'_>) -> Vec<Breach> {
    if has_user_namespace(subject.spec) {
        return Vec::new();
    }
    let is_root = |context: &Context<'_>| context.settings.run_as_user == Some(0);
    let root = contexts(subject).filter(is_root).map(|context| {
        let field = context.field(subject, "runAsUser");
        field.breach(Some("0"), "is 0, which is root", "remove it, or give another user's number")
    });
    root.collect()
}

pub fn non_root_in_cel() -> Vec<CelFinding> {
    let explicit = CelFinding::of_contexts("!x.sc.?runAsNonRoot.orValue(true)")
        .at("runAsNonRoot")
        .because(text("false"), text("is false"))
        .remedy("set it to true");
    let given = format!("{USER_NAMESPACE} || p.spec.?securityContext.?runAsNonRoot.hasValue()");
    let missing = CelFinding::of_containers("!has(x.sc.runAsNonRoot)")
        .at("securityContext.runAsNonRoot")
        .remedy(REMEDY);
    vec![explicit.unless(USER_NAMESPACE).by_removal(), missing.unless(&given).by_removal()]
}

pub fn root_in_cel() -> Vec<CelFinding> {
    let found = CelFinding::of_contexts("x.sc.?runAsUser.orValue(1) == 0")
        .at("runAsUser")
        .because(text("0"), text("is 0, which is root"))
        .remedy("remove it, or give another user's number");
    vec![found.unless(USER_NAMESPACE).by_removal()]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{hardened, restricted};

    /// A pod, its container and its init container, each with this value of a field.
    fn spec(field: &str, pod: &Value, web: &Value, init: &Value) -> Value {
        let mut spec = hardened();
        spec["initContainers"] = spec["containers"].clone();
        spec["initContainers"][0]["name"] = json!("init");
        spec["securityContext"][field] = pod.clone();
        spec["containers"][0]["securityContext"][field] = web.clone();
        spec["initContainers"][0]["securityContext"][field] = init.clone();
        spec
    }

    #[test]
    fn every_container_or_its_pod_sets_run_as_non_root() {
        let null = Value::Null;
        let (yes, no) = (json!(true), json!(false));
        let missing = "is missing; set it to true, here or once in the pod's securityContext, for an image whose user is not root";
        let explicit = "is false; set it to true";
        let (pod, web, init) = ("spec", "spec.containers[0]", "spec.initContainers[0]");
        for (values, expected) in [
            ([&yes, &null, &null], vec![]),
            ([&null, &yes, &yes], vec![]),
            ([&yes, &yes, &no], vec![(init, explicit)]),
            ([&null, &yes, &null], vec![(init, missing)]),
            ([&null, &null, &null], vec![(init, missing), (web, missing)]),
            ([&null, &no, &null], vec![(web, explicit), (init, missing)]),
            ([&no, &null, &yes], vec![(pod, explicit)]),
            ([&no, &yes, &yes], vec![(pod, explicit)]),
        ] {
            let mut spec = spec("runAsNonRoot", values[0], values[1], values[2]);
            let expected: Vec<_> = expected
                .iter()
                .map(|(whose, sentence)| {
                    format!("runAsNonRoot: {whose}.securityContext.runAsNonRoot {sentence}")
                })
                .collect();
            assert_eq!(restricted(&spec.to_string()), expected, "{values:?}");
            spec["hostUsers"] = json!(false);
            assert!(restricted(&spec.to_string()).is_empty(), "{values:?}");
        }
    }

    #[test]
    fn no_container_sets_root_outside_a_user_namespace() {
        let (null, root, other) = (Value::Null, json!(0), json!(1000));
        for (values, expected) in [
            ([&null, &null, &null], vec![]),
            ([&other, &other, &null], vec![]),
            ([&root, &other, &other], vec!["spec"]),
            ([&other, &root, &root], vec!["spec.initContainers[0]", "spec.containers[0]"]),
        ] {
            let mut spec = spec("runAsUser", values[0], values[1], values[2]);
            let sentence = "is 0, which is root; remove it, or give another user's number";
            let expected: Vec<_> = expected
                .iter()
                .map(|whose| format!("runAsUser: {whose}.securityContext.runAsUser {sentence}"))
                .collect();
            assert_eq!(restricted(&spec.to_string()), expected, "{values:?}");
            spec["hostUsers"] = json!(false);
            assert!(restricted(&spec.to_string()).is_empty(), "{values:?}");
        }
    }
}
