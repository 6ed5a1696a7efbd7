//! Who manages an object: where it comes from a repository, the repository is what should change. Pure.

use serde_json::Value;

use crate::policy::pointer::{at, place};

/// Labels and annotations that a tool leaves, and what of their value tells it.
const MARKS: [(&str, Option<&str>, &str); 6] = [
    ("argocd.argoproj.io/tracking-id", None, "Argo CD"),
    ("argocd.argoproj.io/instance", None, "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", None, "Flux"),
    ("helm.toolkit.fluxcd.io/name", None, "Flux"),
    ("meta.helm.sh/release-name", None, "Helm"),
    ("app.kubernetes.io/managed-by", Some("Helm"), "Helm"),
];
/// Field managers that write for a tool.
const MANAGERS: [(&str, &str); 6] = [
    ("argocd-controller", "Argo CD"),
    ("argocd-application-controller", "Argo CD"),
    ("kustomize-controller", "Flux"),
    ("helm-controller", "Flux"),
    ("flux-client-side-apply", "Flux"),
    ("helm", "Helm"),
];

/// The tool that manages an object, if one does.
pub fn manager(object: &Value) -> Option<&'static str> {
    let of = |part: &str, key: &str| at(object, &place(part, key)).as_str();
    let marked = MARKS.iter().find(|(key, wanted, _)| {
        let found = of("labels", key).or_else(|| of("annotations", key));
        found.is_some_and(|found| wanted.is_none_or(|wanted| wanted == found))
    });
    let managed = || {
        let fields = at(object, "/metadata/managedFields").as_array()?;
        let managers = fields.iter().filter_map(|it| at(it, "/manager").as_str());
        let mut tools = managers.filter_map(|it| MANAGERS.iter().find(|(name, _)| *name == it));
        tools.next().map(|(_, tool)| *tool)
    };
    marked.map(|(.., tool)| *tool).or_else(managed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tool_is_known_by_labels_annotations_and_who_wrote_the_fields() {
        for (metadata, expected) in [
            (json!({}), None),
            (json!({"labels": {"app.kubernetes.io/managed-by": "me"}}), None),
            (json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), Some("Helm")),
            (json!({"annotations": {"argocd.argoproj.io/tracking-id": "a"}}), Some("Argo CD")),
            (json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "a"}}), Some("Flux")),
            (json!({"managedFields": [{"manager": "kubectl"}]}), None),
            (
                json!({"managedFields": [{"manager": "kubectl"}, {"manager": "argocd-controller"}]}),
                Some("Argo CD"),
            ),
        ] {
            assert_eq!(manager(&json!({ "metadata": metadata })), expected, "{metadata}");
        }
    }
}
