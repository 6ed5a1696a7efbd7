//! Detects the tool (Argo CD, Flux, Helm) that manages a workload: the change belongs in its repository then. Pure.

use serde_json::Value;

use crate::policy::pointer::{at, place};

/// A label or annotation that a tool sets.
struct Mark {
    key: &'static str,
    /// The value that identifies the tool; `None` where any does.
    value: Option<&'static str>,
    tool: &'static str,
}

const MARKS: [Mark; 6] = [
    Mark { key: "argocd.argoproj.io/tracking-id", value: None, tool: "Argo CD" },
    Mark { key: "argocd.argoproj.io/instance", value: None, tool: "Argo CD" },
    Mark { key: "kustomize.toolkit.fluxcd.io/name", value: None, tool: "Flux" },
    Mark { key: "helm.toolkit.fluxcd.io/name", value: None, tool: "Flux" },
    Mark { key: "meta.helm.sh/release-name", value: None, tool: "Helm" },
    Mark { key: "app.kubernetes.io/managed-by", value: Some("Helm"), tool: "Helm" },
];
/// The field managers of each tool.
const MANAGERS: [(&str, &str); 6] = [
    ("argocd-controller", "Argo CD"),
    ("argocd-application-controller", "Argo CD"),
    ("kustomize-controller", "Flux"),
    ("helm-controller", "Flux"),
    ("flux-client-side-apply", "Flux"),
    ("helm", "Helm"),
];

/// The tool that manages an object, if any.
pub(super) fn manager(object: &Value) -> Option<&'static str> {
    let of = |part: &str, key: &str| at(object, &place(part, key)).as_str();
    let marked = MARKS.iter().find(|mark| {
        let found = of("labels", mark.key).or_else(|| of("annotations", mark.key));
        found.is_some_and(|found| mark.value.is_none_or(|wanted| wanted == found))
    });
    let managed = || {
        let fields = at(object, "/metadata/managedFields").as_array()?;
        let managers = fields.iter().filter_map(|it| at(it, "/manager").as_str());
        let mut tools = managers.filter_map(|it| MANAGERS.iter().find(|(name, _)| *name == it));
        tools.next().map(|(_, tool)| *tool)
    };
    marked.map(|mark| mark.tool).or_else(managed)
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
