//! Mandatory access control by AppArmor.

use super::super::super::object::{Annotations, MAX_ITEMS};
use super::super::super::rule::Breach;
use super::super::super::subject::Subject;
use super::super::super::text::clip;
use super::super::super::vap::expression::clip as clipped;
use super::super::super::vap::form::CelFinding;
use super::field::{Field, annotations, contexts};

/// The most annotations that are reported: one for every container of the largest pod that is judged. The API server
/// rejects annotations of missing containers. With a lower limit, exempt breaches could hide others.
const MAX_ANNOTATIONS: usize = 3 * MAX_ITEMS;

/// `appArmorProfile`: on nodes with AppArmor, a container runs under the runtime's profile. It may name that profile or
/// another one of the node, but not disable it. An annotation (the form before 1.30) may also be empty.
pub fn profile(subject: &Subject<'_>) -> Vec<Breach> {
    let fields = contexts(subject).filter_map(|context| {
        let profile = &*context.settings.app_armor_profile.as_ref()?.r#type;
        (!matches!(profile, "RuntimeDefault" | "Localhost")).then(|| {
            let field = context.field(subject, "appArmorProfile.type");
            field.value_breach(profile, "remove it, or set it to RuntimeDefault or Localhost")
        })
    });
    let annotations = annotations(subject);
    let unseen = annotations.filter(|annotations| annotations.is_cut());
    let unseen = unseen.map(|_| Field::of_pod(subject, "metadata.annotations").too_long());
    let annotations = annotations.into_iter().flat_map(Annotations::apparmor);
    let annotations = annotations.filter_map(|(key, profile)| {
        let allowed = matches!(&**profile, "" | "runtime/default");
        (!allowed && !profile.starts_with("localhost/")).then(|| {
            let path = format!("metadata.annotations[\"{}\"]", clip(key));
            let breach = Field::of_pod(subject, &path).value_breach(
                profile,
                "remove it, or set it to runtime/default or localhost/PROFILE",
            );
            let container = key.strip_prefix(Annotations::APPARMOR_PREFIX).map(str::to_owned);
            Breach { container, ..breach }
        })
    });
    fields.chain(annotations.take(MAX_ANNOTATIONS)).chain(unseen).collect()
}

pub fn profile_in_cel() -> Vec<CelFinding> {
    let prefix = Annotations::APPARMOR_PREFIX;
    // A map has no order, so the keys are sorted by the text that is shown.
    let annotated = format!(
        "p.ann.map(k, k).filter(k, k.startsWith('{prefix}')).map(k, {{'k': k, 'v': p.ann[k], 'n': dyn(k.substring({})), \
         'im': dyn(p.cs.filter(c, c.n == k.substring({})).map(c, c.?im.orValue(''))[?0].orValue(''))}})",
        prefix.len(),
        prefix.len(),
    );
    vec![
        CelFinding::of_contexts(
            "has(x.sc.appArmorProfile) && !(x.sc.appArmorProfile.?type.orValue('') in ['RuntimeDefault', 'Localhost'])",
        )
        .at("appArmorProfile.type")
        .holding("x.sc.appArmorProfile.?type.orValue('')")
        .remedy("remove it, or set it to RuntimeDefault or Localhost"),
        CelFinding::of_containers("!(x.v in ['', 'runtime/default']) && !x.v.startsWith('localhost/')")
            .each(annotated)
            .at_path(format!("variables.at + 'metadata.annotations[\"' + {} + '\"]'", clipped("x.k")))
            .holding("x.v")
            .remedy("remove it, or set it to runtime/default or localhost/PROFILE"),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::super::testing::{baseline, baseline_pod};
    use super::*;

    #[test]
    fn the_runtimes_profile_and_the_nodes_pass_and_none_does_not() {
        for (profile, passes) in [
            ("RuntimeDefault", true),
            ("Localhost", true),
            ("Unconfined", false),
            ("runtime/default", false),
            ("", false),
        ] {
            let context =
                format!(r#""securityContext": {{"appArmorProfile": {{"type": "{profile}"}}}}"#);
            let of_pod = format!(r#"{{"containers": [{{"name": "web"}}], {context}}}"#);
            let of_init = format!(
                r#"{{"initContainers": [{{"name": "init", {context}}}], "containers": [{{"name": "web"}}]}}"#
            );
            let of_app = format!(r#"{{"containers": [{{"name": "web", {context}}}]}}"#);
            for (spec, path) in [
                (of_pod, "spec.securityContext"),
                (of_init, "spec.initContainers[0].securityContext"),
                (of_app, "spec.containers[0].securityContext"),
            ] {
                let sentence = format!(
                    "appArmorProfile: {path}.appArmorProfile.type is \"{profile}\"; remove it, or set it to RuntimeDefault or Localhost"
                );
                let expected = if passes { vec![] } else { vec![sentence] };
                assert_eq!(baseline(&spec), expected);
            }
        }
    }

    #[test]
    fn the_old_annotation_counts_and_names_its_container() {
        for (value, passes) in [
            ("runtime/default", true),
            ("localhost/mine", true),
            ("", true),
            ("unconfined", false),
            ("localhost", false),
        ] {
            let pod = format!(
                r#"{{"metadata": {{"annotations": {{"container.apparmor.security.beta.kubernetes.io/web": "{value}", "other": "unconfined"}}}},
                    "spec": {{"containers": [{{"name": "web"}}]}}}}"#
            );
            let found = baseline_pod(&pod);
            assert_eq!(found.is_empty(), passes, "{value}");
            if let Some(breach) = found.first() {
                assert_eq!(breach.container.as_deref(), Some("web"));
                assert_eq!(
                    breach.sentence(),
                    format!(
                        "metadata.annotations[\"container.apparmor.security.beta.kubernetes.io/web\"] is \"{value}\"; \
                         remove it, or set it to runtime/default or localhost/PROFILE"
                    )
                );
            }
        }
    }

    #[test]
    fn as_many_annotations_are_reported_as_the_largest_pod_has_containers() {
        let many = 3 * MAX_ITEMS + 1;
        let annotations: Map<_, _> = (0..many)
            .map(|at| (format!("{}c{at}", Annotations::APPARMOR_PREFIX), "unconfined".into()))
            .collect();
        let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "web"}]}});
        assert_eq!(baseline_pod(&pod.to_string()).len(), 3 * MAX_ITEMS);
    }
}
