//! Grants a user exactly the permissions that podgate needs, so that a suite fails if they are too few.

use podgate::install::permissions::{Names, PERMISSIONS, Permission, Scope};
use serde_json::json;

use super::control_plane::{ControlPlane, text};

/// Grants a user the permissions that `podgate check` lists, and nothing else.
pub fn grant(plane: &ControlPlane, user: &str) {
    let rules = |scope: Scope| {
        let granted = PERMISSIONS.iter().filter(|it| it.scope == scope);
        let rule = |it: &Permission| {
            let resource = match it.subresource {
                "" => it.resource.to_owned(),
                subresource => format!("{}/{subresource}", it.resource),
            };
            // `resourceNames` is empty for rules about all objects.
            let names: Vec<_> = it.name.of(&Names::default()).into_iter().collect();
            json!({"apiGroups": [it.group], "resources": [resource], "verbs": it.verbs, "resourceNames": names})
        };
        granted.map(rule).collect::<Vec<_>>()
    };
    let rbac = "rbac.authorization.k8s.io/v1";
    let subjects = json!([{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]);
    for (kind, metadata, scope) in [
        ("ClusterRole", json!({"name": "podgate"}), Scope::Cluster),
        ("Role", json!({"name": "podgate", "namespace": "default"}), Scope::Release),
    ] {
        let role =
            json!({"apiVersion": rbac, "kind": kind, "metadata": metadata, "rules": rules(scope)});
        let binding = json!({"apiVersion": rbac, "kind": format!("{kind}Binding"), "metadata": metadata,
            "subjects": subjects, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "podgate"}});
        for object in [role, binding] {
            plane.kubectl(&["apply", "-f", "-"]).given(&object).ok();
        }
    }
}
