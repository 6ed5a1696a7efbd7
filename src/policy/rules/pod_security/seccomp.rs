//! Seccomp: the system calls that a container may make.

use serde_json::json;

use super::super::super::containers::{PlacedContainer, containers};
use super::super::super::object::{Annotations, SecurityContext};
use super::super::super::rule::Breach;
use super::super::super::subject::Subject;
use super::super::super::vap::form::CelFinding;
use super::exceptions::{WINDOWS, is_windows};
use super::field::{CONTAINER, Field, annotations, contexts, fix};

const REMEDY: &str = "remove it, or set it to RuntimeDefault or Localhost";
const REMEDY_RESTRICTED: &str = "set it to RuntimeDefault or Localhost";
const REMEDY_MISSING: &str =
    "set its type to RuntimeDefault or Localhost, here or once in the pod's securityContext";

/// `seccompProfile_baseline`: the profile is not `Unconfined`. A pod without a profile passes, although many nodes then
/// filter nothing.
pub fn baseline(subject: &Subject<'_>) -> Vec<Breach> {
    unconfined(subject, REMEDY).collect()
}

/// `seccompProfile_restricted`: every container has a profile, its own or the pod's. Windows has no seccomp.
pub fn restricted(subject: &Subject<'_>) -> Vec<Breach> {
    if is_windows(subject.spec) {
        return Vec::new();
    }
    let unconfined = unconfined(subject, REMEDY_RESTRICTED);
    // A fault in the pod's profile is reported once: its fix covers the containers.
    let of_pod = subject.spec.security_context.as_ref().and_then(profile);
    let without = containers(subject.spec).filter(|place| {
        of_pod.is_none() && place.container.security_context.as_deref().and_then(profile).is_none()
    });
    unconfined.chain(without.map(|place| missing(subject, &place))).collect()
}

fn profile<'a>(context: &'a SecurityContext<'_>) -> Option<&'a str> {
    context.seccomp_profile.as_ref().map(|profile| &*profile.r#type)
}

fn unconfined(subject: &Subject<'_>, remedy: &'static str) -> impl Iterator<Item = Breach> {
    contexts(subject).filter_map(move |context| {
        let profile = profile(context.settings)?;
        (!matches!(profile, "RuntimeDefault" | "Localhost"))
            .then(|| context.field(subject, "seccompProfile.type").value_breach(profile, remedy))
    })
}

/// The breach of a container without a profile. Each container has its own breach and fix, so that an exemption can
/// cover one of them.
fn missing(subject: &Subject<'_>, place: &PlacedContainer<'_>) -> Breach {
    const PATH: &str = "securityContext.seccompProfile";
    // The API server rejects a field that differs from the annotation, which it otherwise ignores.
    let annotated =
        annotations(subject).is_some_and(|it| it.may_have_seccomp(&place.container.name));
    let default = || fix(subject, place, PATH, json!({"type": "RuntimeDefault"}));
    let breach =
        Field::of_container(subject, place, PATH).breach(None, "is missing", REMEDY_MISSING);
    Breach { fix: if annotated { None } else { default() }, ..breach }
}

pub fn baseline_in_cel() -> Vec<CelFinding> {
    vec![unconfined_in_cel(REMEDY)]
}

pub fn restricted_in_cel() -> Vec<CelFinding> {
    let given = format!("{WINDOWS} || p.spec.?securityContext.?seccompProfile.hasValue()");
    let missing = CelFinding::of_containers("!has(x.sc.seccompProfile)")
        .at("securityContext.seccompProfile")
        .remedy(REMEDY_MISSING)
        .by_removal()
        .fixed(
            "securityContext.seccompProfile",
            "{'type': 'RuntimeDefault'}",
            format!(
                "{CONTAINER} && !p.spec.?securityContext.?seccompProfile.hasValue() && \
                 !('{}' + x.n in p.?metadata.?annotations.orValue(dyn({{}})))",
                Annotations::SECCOMP_PREFIX
            ),
        );
    // Without `os: windows`, what Windows hid is a violation.
    vec![unconfined_in_cel(REMEDY_RESTRICTED).unless(WINDOWS).by_removal(), missing.unless(&given)]
}

fn unconfined_in_cel(remedy: &str) -> CelFinding {
    CelFinding::of_contexts(
        "has(x.sc.seccompProfile) && !(x.sc.seccompProfile.?type.orValue('') in ['RuntimeDefault', 'Localhost'])",
    )
    .at("seccompProfile.type")
    .holding("x.sc.seccompProfile.?type.orValue('')")
    .remedy(remedy)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{
        baseline, hardened, restricted, restricted_breaches, restricted_pod,
    };

    const MISSING: &str = "is missing; set its type to RuntimeDefault or Localhost, here or once in the pod's securityContext";

    fn spec(pod: &Value, web: &Value) -> Value {
        let mut spec = hardened();
        spec["securityContext"]["seccompProfile"] = pod.clone();
        spec["containers"][0]["securityContext"]["seccompProfile"] = web.clone();
        spec
    }

    #[test]
    fn baseline_forbids_no_filter_by_name_and_restricted_asks_for_one() {
        let null = Value::Null;
        let typed = |name: &str| json!({"type": name});
        let (default, local, none) =
            (typed("RuntimeDefault"), typed("Localhost"), typed("Unconfined"));
        let (pod, web) = ("spec.securityContext", "spec.containers[0].securityContext");
        let unconfined = ".type is \"Unconfined\"; ";
        for (values, in_baseline, in_restricted) in [
            ([&default, &null], vec![], vec![]),
            ([&null, &local], vec![], vec![]),
            ([&local, &default], vec![], vec![]),
            ([&null, &null], vec![], vec![(web, MISSING)]),
            ([&default, &none], vec![web], vec![(web, unconfined)]),
            ([&none, &default], vec![pod], vec![(pod, unconfined)]),
            ([&none, &null], vec![pod], vec![(pod, unconfined)]),
            ([&none, &none], vec![pod, web], vec![(pod, unconfined), (web, unconfined)]),
        ] {
            let spec = spec(values[0], values[1]).to_string();
            let set = "set it to RuntimeDefault or Localhost";
            let line = |whose: &&str| {
                format!(
                    "seccompProfile_baseline: {whose}.seccompProfile{unconfined}remove it, or {set}"
                )
            };
            let expected: Vec<_> = in_baseline.iter().map(line).collect();
            assert_eq!(baseline(&spec), expected, "{values:?}");
            let line = |(whose, problem): &(&str, &str)| {
                let (gap, set) = if *problem == MISSING { (" ", "") } else { ("", set) };
                format!("seccompProfile_restricted: {whose}.seccompProfile{gap}{problem}{set}")
            };
            let expected: Vec<_> = in_restricted.iter().map(line).collect();
            assert_eq!(restricted(&spec), expected, "{values:?}");
        }
    }

    #[test]
    fn podgate_adds_a_profile_where_there_is_none_and_nothing_speaks_against_it() {
        let fixed = |pod: Value| {
            let found = restricted_pod(&pod.to_string());
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].fix.clone()
        };
        let bare = spec(&Value::Null, &Value::Null);
        let fix = fixed(json!({"spec": bare})).unwrap();
        assert_eq!(fix.path, "spec.containers[0].securityContext.seccompProfile");
        assert_eq!(fix.value, json!({"type": "RuntimeDefault"}));

        let mut on_windows = bare.clone();
        on_windows["nodeSelector"] = json!({"kubernetes.io/os": "windows"});
        assert_eq!(fixed(json!({"spec": on_windows})), None);

        for (container, fixable) in [("web", false), ("other", true)] {
            let key = format!("container.seccomp.security.alpha.kubernetes.io/{container}");
            let pod = json!({"metadata": {"annotations": {key: "unconfined"}}, "spec": bare});
            assert_eq!(fixed(pod).is_some(), fixable, "{container}");
        }
        let unconfined = spec(&Value::Null, &json!({"type": "Unconfined"}));
        assert_eq!(fixed(json!({"spec": unconfined})), None);
    }

    #[test]
    fn a_debug_container_of_a_running_pod_is_judged_and_left_as_it_is() {
        let mut spec = hardened();
        spec["ephemeralContainers"] = json!([{"name": "debug"}]);
        let found = restricted_breaches(&spec.to_string());
        let checks: Vec<_> = found.iter().map(|it| it.check.as_deref().unwrap()).collect();
        assert_eq!(checks, ["allowPrivilegeEscalation", "capabilities_restricted"]);
        assert!(found.iter().all(|it| it.container.as_deref() == Some("debug")));
        assert!(found.iter().all(|it| it.fix.is_none()), "{found:?}");
    }
}
