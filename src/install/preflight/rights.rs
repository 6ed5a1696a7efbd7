//! RBAC: which subjects may perform an action, by the cluster's roles and bindings. [`Rights::read`] reads them, and
//! [`Rights::holders`] decides without I/O.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use crate::clusters::Cluster;

/// The roles and bindings of a cluster.
#[derive(Default)]
pub(super) struct Rights {
    /// By namespace (empty for a `ClusterRole`) and name.
    roles: BTreeMap<(String, String), Vec<PolicyRule>>,
    bindings: Vec<Binding>,
}

#[derive(Deserialize)]
struct View {
    metadata: ObjectMeta,
    rules: Option<Vec<PolicyRule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Binding {
    metadata: ObjectMeta,
    role_ref: RoleRef,
    subjects: Option<Vec<Subject>>,
}

/// An action on an object.
pub(super) struct Action<'a> {
    pub group: &'a str,
    pub resource: &'a str,
    /// The object's name; empty for a namespace, whose name is that of the binding.
    pub name: &'a str,
    /// The verbs, each of which suffices.
    pub verbs: &'a [&'a str],
}

impl Rights {
    /// Reads all roles and bindings.
    pub async fn read(cluster: &Cluster) -> Result<Self, kube::Error> {
        let mut rights = Self::default();
        let mut faulty = None;
        let mut role = |json: &str| match serde_json::from_str(json) {
            Ok(View { metadata, rules }) => {
                let key =
                    (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
                rights.roles.insert(key, rules.unwrap_or_default());
            }
            Err(error) => faulty = Some(error),
        };
        cluster.list::<ClusterRole>(None, None, &mut role).await?;
        cluster.list::<Role>(None, None, &mut role).await?;
        let mut bind = |json: &str| match serde_json::from_str(json) {
            Ok(binding) => rights.bindings.push(binding),
            Err(error) => faulty = Some(error),
        };
        cluster.list::<ClusterRoleBinding>(None, None, &mut bind).await?;
        cluster.list::<RoleBinding>(None, None, &mut bind).await?;
        faulty.map_or(Ok(rights), |error| Err(kube::Error::SerdeError(error)))
    }

    /// Who may perform the action in this namespace (empty: in any), each as `ROLE (SUBJECT)`. The cluster's own roles
    /// (`system:…`) are left out.
    pub fn holders(&self, namespace: &str, action: &Action<'_>) -> BTreeSet<String> {
        let mut holders = BTreeSet::new();
        for binding in &self.bindings {
            let bound = binding.metadata.namespace.clone().unwrap_or_default();
            let reaches = bound.is_empty() || namespace.is_empty() || bound == namespace;
            let RoleRef { kind, name, .. } = &binding.role_ref;
            if !reaches || name.starts_with("system:") {
                continue;
            }
            let home = if kind == "Role" { bound.clone() } else { String::new() };
            let rules = self.roles.get(&(home, name.clone())).into_iter().flatten();
            // A binding in a namespace grants rights to that namespace object.
            let object = if action.name.is_empty() { &bound } else { action.name };
            if !rules.into_iter().any(|rule| grants(rule, action, object)) {
                continue;
            }
            let place = if bound.is_empty() { String::new() } else { format!(" in {bound}") };
            for subject in binding.subjects.iter().flatten() {
                let owner =
                    subject.namespace.as_ref().map(|it| format!("{it}/")).unwrap_or_default();
                let Subject { kind: subject_kind, name: subject, .. } = subject;
                holders.insert(format!("{kind} {name}{place} ({subject_kind} {owner}{subject})"));
            }
        }
        holders
    }
}

fn grants(rule: &PolicyRule, action: &Action<'_>, object: &str) -> bool {
    let has = |list: &[String], item: &str| list.iter().any(|it| it == item || it == "*");
    let groups = rule.api_groups.as_deref().unwrap_or_default();
    let resources = rule.resources.as_deref().unwrap_or_default();
    let names = rule.resource_names.as_deref().unwrap_or_default();
    has(groups, action.group)
        && has(resources, action.resource)
        && (names.is_empty() || names.iter().any(|it| it == object))
        && action.verbs.iter().any(|verb| has(&rule.verbs, verb))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rights(roles: &[Value], bindings: &[Value]) -> Rights {
        let mut rights = Rights::default();
        for role in roles {
            let View { metadata, rules } = serde_json::from_value(role.clone()).unwrap();
            let key = (metadata.namespace.unwrap_or_default(), metadata.name.unwrap());
            rights.roles.insert(key, rules.unwrap());
        }
        let bindings = bindings.iter().cloned().map(|it| serde_json::from_value(it).unwrap());
        rights.bindings = bindings.collect();
        rights
    }

    fn role(name: &str, namespace: &Value, rule: &Value) -> Value {
        json!({"metadata": {"name": name, "namespace": namespace}, "rules": [rule]})
    }

    fn binding(namespace: &Value, kind: &str, role: &str, subject: &str) -> Value {
        json!({
            "metadata": {"name": "b", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "User", "name": subject}],
        })
    }

    #[test]
    fn who_may_write_a_lease_is_found_by_every_way_that_roles_have() {
        let leases = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]});
        let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
        let one = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["podgate-alive"], "verbs": ["delete"]});
        let other = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["podgate"], "verbs": ["*"]});
        let reads = json!({"apiGroups": ["*"], "resources": ["leases"], "verbs": ["get"]});
        let rights = rights(
            &[
                role("edit", &json!(null), &leases),
                role("cluster-admin", &json!(null), &all),
                role("one", &json!("podgate-system"), &one),
                role("other", &json!("podgate-system"), &other),
                role("reads", &json!("podgate-system"), &reads),
                role("system:controller:x", &json!(null), &all),
            ],
            &[
                binding(&json!("podgate-system"), "ClusterRole", "edit", "eve"),
                binding(&json!("shop"), "ClusterRole", "edit", "jane"),
                binding(&json!(null), "ClusterRole", "cluster-admin", "root"),
                binding(&json!("podgate-system"), "Role", "one", "ann"),
                binding(&json!("podgate-system"), "Role", "other", "bob"),
                binding(&json!("podgate-system"), "Role", "reads", "cem"),
                binding(&json!(null), "ClusterRole", "system:controller:x", "x"),
                binding(&json!("podgate-system"), "Role", "gone", "dan"),
            ],
        );
        let action = Action {
            group: "coordination.k8s.io",
            resource: "leases",
            name: "podgate-alive",
            verbs: &["update", "delete"],
        };
        let holders: Vec<_> = rights.holders("podgate-system", &action).into_iter().collect();
        assert_eq!(
            holders,
            [
                "ClusterRole cluster-admin (User root)",
                "ClusterRole edit in podgate-system (User eve)",
                "Role one in podgate-system (User ann)",
            ]
        );
    }

    #[test]
    fn a_role_in_a_namespace_may_label_that_namespace() {
        let own = json!({"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["shop"], "verbs": ["patch"]});
        let rights = rights(
            &[role("labels", &json!("shop"), &own), role("labels", &json!("other"), &own)],
            &[
                binding(&json!("shop"), "Role", "labels", "jane"),
                binding(&json!("other"), "Role", "labels", "eve"),
            ],
        );
        let action =
            Action { group: "", resource: "namespaces", name: "", verbs: &["patch", "update"] };
        let holders: Vec<_> = rights.holders("", &action).into_iter().collect();
        assert_eq!(holders, ["Role labels in shop (User jane)"]);
    }
}
