//! The kinds of volumes.

use super::super::super::object::Volume;
use super::super::super::rule::Breach;
use super::super::super::subject::Subject;
use super::super::super::text::{clip, quote};
use super::super::super::vap::expression::{quote as quoted, texts};
use super::super::super::vap::form::CelFinding;
use super::field::{Field, MAX_SHOWN};

/// The kinds that restricted allows: from the API, from a driver, or deleted with the pod.
const ALLOWED: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// `hostPathVolumes`: through a folder of the node, a pod can reach the kubelet, other pods and the node itself.
pub fn host_path(subject: &Subject<'_>) -> Vec<Breach> {
    let folders = volumes(subject).filter_map(|(index, volume)| {
        let path = &volume.host_path.as_ref()?.path;
        let problem = format!("is {} (volume {})", quote(path), quote(&volume.name));
        let remedy = "use another kind of volume, such as emptyDir or persistentVolumeClaim";
        let field = Field::of_pod(subject, &format!("spec.volumes[{index}].hostPath"));
        Some(field.breach(Some(path), problem, remedy))
    });
    folders.take(MAX_SHOWN).collect()
}

/// `restrictedVolumes`: no folder of the node, and no storage that bypasses a `PersistentVolumeClaim`. A kind that
/// podgate does not know is not allowed.
pub fn restricted(subject: &Subject<'_>) -> Vec<Breach> {
    let sources = volumes(subject).flat_map(|(index, volume)| {
        volume.sources.iter().map(move |source| (index, &*volume.name, &**source))
    });
    let forbidden = sources.filter(|(_, _, source)| !ALLOWED.contains(source)).take(MAX_SHOWN);
    let breaches = forbidden.map(|(index, name, source)| {
        let problem = format!("is a kind restricted forbids (volume {})", quote(name));
        let remedy = format!("use one of {}", ALLOWED.join(", "));
        let path = format!("spec.volumes[{index}].{}", clip(source));
        Field::of_pod(subject, &path).breach(Some(source), problem, remedy)
    });
    let unseen = volumes(subject).filter(|(_, volume)| volume.sources.is_cut());
    let unseen = unseen
        .map(|(index, _)| Field::of_pod(subject, &format!("spec.volumes[{index}]")).too_long());
    breaches.chain(unseen.take(MAX_SHOWN)).collect()
}

fn volumes<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (usize, &'a Volume<'a>)> {
    subject.spec.volumes.iter().flatten().enumerate()
}

pub fn host_path_in_cel() -> Vec<CelFinding> {
    let path = "x.v.hostPath.?path.orValue('')";
    let problem = format!("'is ' + {} + ' (volume ' + {} + ')'", quoted(path), quoted("x.v.name"));
    let found = CelFinding::of_list(&volumes_in_cel("has(v.hostPath)"), "true")
        .at_path("variables.at + 'spec.volumes[' + string(x.k) + '].hostPath'")
        .because(path, problem)
        .remedy("use another kind of volume, such as emptyDir or persistentVolumeClaim");
    vec![found]
}

pub fn restricted_in_cel() -> Vec<CelFinding> {
    let known = texts(&[&["name"], ALLOWED.as_slice()].concat());
    let forbidden = format!("v.exists(y, !(y in {known}))");
    // The API server allows one source.
    let source = format!("x.v.filter(y, !(y in {known}))[0]");
    let problem = format!("'is a kind restricted forbids (volume ' + {} + ')'", quoted("x.v.name"));
    let found = CelFinding::of_list(&volumes_in_cel(&forbidden), "true")
        .at_path(format!("variables.at + 'spec.volumes[' + string(x.k) + '].' + {source}"))
        .because(source, problem)
        .remedy(&format!("use one of {}", ALLOWED.join(", ")));
    vec![found]
}

/// The volumes `v` that meet a condition, as `v` and their places `k`.
fn volumes_in_cel(condition: &str) -> String {
    format!("p.spec.?volumes.orValue([]).transformList(k, v, {condition}, {{'k': dyn(k), 'v': v}})")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{baseline, hardened, restricted};
    use super::*;

    fn spec(source: &str) -> String {
        let mut spec = hardened();
        spec["volumes"] = json!([{"name": "scratch"}, {"name": "data", source: {"path": "/etc"}}]);
        spec.to_string()
    }

    #[test]
    fn a_folder_of_the_node_is_a_breach_at_both_levels_under_one_name_each() {
        assert_eq!(
            baseline(&spec("hostPath")),
            ["hostPathVolumes: spec.volumes[1].hostPath is \"/etc\" (volume \"data\"); \
                 use another kind of volume, such as emptyDir or persistentVolumeClaim"]
        );
        let found = restricted(&spec("hostPath"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("restrictedVolumes: spec.volumes[1].hostPath "), "{found:?}");
    }

    #[test]
    fn restricted_allows_the_kinds_it_lists_and_no_other_known_or_not() {
        for source in ALLOWED {
            assert!(restricted(&spec(source)).is_empty(), "{source}");
        }
        for source in ["nfs", "iscsi", "gitRepo", "flexVolume", "yetToCome", "configmap"] {
            assert!(baseline(&spec(source)).is_empty(), "{source}");
            assert_eq!(
                restricted(&spec(source)),
                [format!(
                    "restrictedVolumes: spec.volumes[1].{source} is a kind restricted forbids (volume \"data\"); \
                     use one of configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected, secret"
                )]
            );
        }
    }
}
