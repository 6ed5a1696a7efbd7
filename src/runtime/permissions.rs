//! What podgate must be allowed to do: the one table that `podgate check` asks the API server about and that the
//! chart's roles grant.

/// A permission that `podgate serve` uses.
#[derive(Debug)]
pub struct Permission {
    pub group: &'static str,
    pub resource: &'static str,
    /// Empty where it is the resource itself.
    pub subresource: &'static str,
    pub verbs: &'static [&'static str],
    pub scope: Scope,
    /// What cannot be done without it, after "to".
    pub why: &'static str,
    pub need: Need,
}

/// Where a permission must hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// In the whole cluster: a `ClusterRole`.
    Cluster,
    /// In the namespace of the release: a Role.
    Release,
}

/// Whether every podgate needs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    Always,
    /// Only one that does this.
    For(&'static str),
}

const POLICIES: &str = crate::api::GROUP;
const WEBHOOKS: &str = "admissionregistration.k8s.io";
const WATCH: &[&str] = &["list", "watch"];
/// Repairs get and patch the owner of a pod, in the kinds whose controllers then roll it out.
const REPAIR: Need = Need::For("remediation");
const SELF_SIGNED: Need = Need::For("certificates of its own");

const fn cluster(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Permission {
    Permission {
        group,
        resource,
        subresource: "",
        verbs,
        scope: Scope::Cluster,
        why,
        need: Need::Always,
    }
}

const READ_STATUS: &str = "see what the status says, and write only what differs";

const fn status(resource: &'static str) -> Permission {
    let why = "write what the audit found";
    Permission { subresource: "status", ..cluster(POLICIES, resource, &["patch"], why) }
}

/// Every permission, those of all replicas first.
pub static PERMISSIONS: &[Permission] = &[
    cluster(POLICIES, "devopspolicies", WATCH, "know the policies of namespaces"),
    cluster(POLICIES, "clusterdevopspolicies", WATCH, "know the policies of the cluster"),
    cluster("", "namespaces", WATCH, "know which namespaces a policy selects"),
    cluster("", "pods", WATCH, "audit what runs"),
    cluster(POLICIES, "devopspolicies", &["get"], READ_STATUS),
    cluster(POLICIES, "clusterdevopspolicies", &["get"], READ_STATUS),
    status("devopspolicies"),
    status("clusterdevopspolicies"),
    cluster("events.k8s.io", "events", &["create"], "tell what happens to policies and workloads"),
    Permission {
        scope: Scope::Release,
        ..cluster(
            "coordination.k8s.io",
            "leases",
            &["get", "create", "update"],
            "have one replica write at a time",
        )
    },
    cluster(
        WEBHOOKS,
        "validatingwebhookconfigurations",
        WATCH,
        "see whether the API server calls podgate, and trusts it",
    ),
    cluster(
        WEBHOOKS,
        "mutatingwebhookconfigurations",
        WATCH,
        "see whether the API server calls podgate, and trusts it",
    ),
    Permission {
        need: SELF_SIGNED,
        ..cluster(
            WEBHOOKS,
            "validatingwebhookconfigurations",
            &["patch"],
            "tell the API server whom to trust (caBundle)",
        )
    },
    Permission {
        need: SELF_SIGNED,
        ..cluster(
            WEBHOOKS,
            "mutatingwebhookconfigurations",
            &["patch"],
            "tell the API server whom to trust (caBundle)",
        )
    },
    Permission {
        scope: Scope::Release,
        need: SELF_SIGNED,
        ..cluster(
            "",
            "secrets",
            &["get", "create", "update"],
            "share its certificate among replicas",
        )
    },
    Permission {
        need: Need::For("reports"),
        ..cluster(
            crate::api::REPORT_GROUP,
            "reports",
            &["get", "list", "create", "patch", "delete"],
            "write reports",
        )
    },
    owner("", "pods"),
    owner("", "replicationcontrollers"),
    owner("apps", "deployments"),
    owner("apps", "statefulsets"),
    owner("apps", "daemonsets"),
    owner("apps", "replicasets"),
    owner("batch", "jobs"),
    repaired("deployments"),
    repaired("statefulsets"),
    repaired("daemonsets"),
    Permission { need: REPAIR, ..cluster(POLICIES, "devopspolicies", &["patch"], FINALIZER) },
    Permission {
        need: REPAIR,
        ..cluster(POLICIES, "clusterdevopspolicies", &["patch"], FINALIZER)
    },
];

const FINALIZER: &str = "finish repairs before a policy is gone (finalizer)";

const fn repaired(resource: &'static str) -> Permission {
    Permission { need: REPAIR, ..cluster("apps", resource, &["patch"], "repair workloads") }
}

/// A kind that may be the top owner of pods. Its metadata is read, with which a repair begins too.
const fn owner(group: &'static str, resource: &'static str) -> Permission {
    const WHY: &str = "know which object an Event is about (uid)";
    let need = Need::For("Events on workloads");
    Permission { need, ..cluster(group, resource, &["get"], WHY) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nothing_is_asked_twice_and_nothing_is_asked_of_everything() {
        let mut seen = BTreeSet::new();
        for Permission { group, resource, subresource, verbs, .. } in PERMISSIONS {
            for verb in *verbs {
                assert!(![*verb, *group, *resource].contains(&"*"));
                assert!(seen.insert((group, resource, subresource, verb)), "{verb} {resource}");
            }
        }
    }

    #[test]
    fn what_holds_secrets_and_leases_is_asked_in_one_namespace_only() {
        let cluster = PERMISSIONS.iter().filter(|it| it.scope == Scope::Cluster);
        assert!(cluster.into_iter().all(|it| !["secrets", "leases"].contains(&it.resource)));
    }
}
