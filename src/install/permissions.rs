//! The permissions that podgate needs. `podgate check` asks the API server about each entry of this table, and a test
//! holds the chart's roles to it.

use crate::leader;
use crate::nonce;

/// A permission that `podgate serve` uses.
#[derive(Debug)]
pub struct Permission {
    pub group: &'static str,
    pub resource: &'static str,
    /// Empty for the resource itself.
    pub subresource: &'static str,
    pub name: Name,
    pub verbs: &'static [&'static str],
    pub scope: Scope,
    /// The purpose, as it reads after "podgate needs it to".
    pub why: &'static str,
    pub need: Need,
}

/// Which objects of the resource: RBAC's `resourceNames`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Name {
    /// All objects.
    Any,
    /// The release's configuration with this suffix.
    OfRelease(&'static str),
    /// The leader's Lease.
    Lease,
    /// The beat's Lease.
    AliveLease,
    /// The `EndpointSlice` in which the API servers announce themselves.
    ApiServers,
    /// The Secret of the serving certificate.
    TlsSecret,
}

/// The names that depend on the release.
#[derive(Clone, Debug)]
pub struct Names {
    /// The release's full name, the prefix of the configurations' names.
    pub release: String,
    pub tls_secret: String,
}

impl Default for Names {
    fn default() -> Self {
        Self { release: "podgate".to_owned(), tls_secret: "podgate-tls".to_owned() }
    }
}

impl Name {
    /// The object's name; `None` for all objects.
    pub fn of(self, names: &Names) -> Option<String> {
        match self {
            Self::Any => None,
            Self::OfRelease(suffix) => Some(format!("{}{suffix}", names.release)),
            Self::Lease => Some(leader::LEASE.to_owned()),
            Self::AliveLease => Some(nonce::LEASE.to_owned()),
            Self::ApiServers => Some("kubernetes".to_owned()),
            Self::TlsSecret => Some(names.tls_secret.clone()),
        }
    }
}

/// Where a permission is granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// In the whole cluster, by a `ClusterRole`.
    Cluster,
    /// In the release's namespace, by a Role.
    Release,
}

/// Whether every installation needs a permission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    Always,
    /// Only for this feature.
    For(&'static str),
}

const POLICIES: &str = crate::api::GROUP;
const WEBHOOKS: &str = "admissionregistration.k8s.io";
const LIST: &[&str] = &["list", "watch"];
/// The verbs of a watch of one object by its name.
const FOLLOW: &[&str] = &["get", "watch"];

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
        name: Name::Any,
        verbs,
        scope: Scope::Cluster,
        why,
        need: Need::Always,
    }
}

const READ_STATUS: &str = "compare a status before it is written";

const fn status(resource: &'static str) -> Permission {
    let why = "write what the audit found";
    Permission { subresource: "status", ..cluster(POLICIES, resource, &["patch"], why) }
}

/// A permission for one object in the release's namespace.
const fn own(
    group: &'static str,
    resource: &'static str,
    name: Name,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Permission {
    Permission { scope: Scope::Release, name, ..cluster(group, resource, verbs, why) }
}

const WATCH_CONFIGURATION: &str = "see whether the API server calls podgate, and trusts it";
const WRITE_BUNDLE: &str = "have the API server trust its certificate (caBundle)";

const fn configuration(
    resource: &'static str,
    suffix: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Permission {
    Permission { name: Name::OfRelease(suffix), ..cluster(WEBHOOKS, resource, verbs, why) }
}

const fn fills(resource: &'static str, suffix: &'static str) -> Permission {
    let need = Need::For("a podgate that fills caBundle itself");
    Permission { need, ..configuration(resource, suffix, &["patch"], WRITE_BUNDLE) }
}

/// Every permission; those of all replicas come first.
pub static PERMISSIONS: &[Permission] = &[
    cluster(POLICIES, "devopspolicies", LIST, "know the policies of namespaces"),
    cluster(POLICIES, "clusterdevopspolicies", LIST, "know the policies of the cluster"),
    cluster("", "namespaces", LIST, "know which namespaces a policy selects"),
    cluster("", "pods", LIST, "audit what runs"),
    maker("", "replicationcontrollers"),
    maker("apps", "deployments"),
    maker("apps", "statefulsets"),
    maker("apps", "daemonsets"),
    maker("apps", "replicasets"),
    maker("batch", "jobs"),
    maker("batch", "cronjobs"),
    configuration("validatingwebhookconfigurations", "-validating", FOLLOW, WATCH_CONFIGURATION),
    configuration("mutatingwebhookconfigurations", "-mutating", FOLLOW, WATCH_CONFIGURATION),
    own("", "secrets", Name::TlsSecret, FOLLOW, "serve the certificate that all replicas share"),
    own(
        "coordination.k8s.io",
        "leases",
        Name::Lease,
        &["get", "create", "update"],
        "have one replica write at a time",
    ),
    own(
        "coordination.k8s.io",
        "leases",
        Name::AliveLease,
        &["get", "create", "update"],
        "see that API servers call it, and show when they last did",
    ),
    Permission {
        name: Name::ApiServers,
        need: Need::For("a podgate with several API servers"),
        ..cluster(
            "discovery.k8s.io",
            "endpointslices",
            &["get"],
            "see of each API server that it calls podgate",
        )
    },
    cluster(POLICIES, "devopspolicies", &["get"], READ_STATUS),
    cluster(POLICIES, "clusterdevopspolicies", &["get"], READ_STATUS),
    status("devopspolicies"),
    status("clusterdevopspolicies"),
    cluster("events.k8s.io", "events", &["create"], "write Events about policies and workloads"),
    fills("validatingwebhookconfigurations", "-validating"),
    fills("mutatingwebhookconfigurations", "-mutating"),
    Permission {
        need: Need::For("a podgate that makes its certificates itself"),
        ..own(
            "",
            "secrets",
            Name::TlsSecret,
            &["create", "patch"],
            "make and renew its certificate",
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
    owner("batch", "cronjobs"),
    repaired("deployments"),
    repaired("statefulsets"),
    repaired("daemonsets"),
    Permission { need: REPAIR, ..cluster("", "pods", &["delete"], STUCK) },
    Permission { need: REPAIR, ..cluster(POLICIES, "devopspolicies", &["patch"], FINALIZER) },
    Permission {
        need: REPAIR,
        ..cluster(POLICIES, "clusterdevopspolicies", &["patch"], FINALIZER)
    },
    floor("validatingadmissionpolicies"),
    floor("validatingadmissionpolicybindings"),
    Permission {
        need: FLOOR,
        ..cluster(
            "coordination.k8s.io",
            "leases",
            &["get"],
            "write policies whose parameter is a Lease",
        )
    },
    Permission {
        need: FLOOR,
        name: Name::OfRelease("-floor"),
        ..cluster(
            "rbac.authorization.k8s.io",
            "clusterroles",
            &["get"],
            "have the floor garbage-collected with the release",
        )
    },
];

const FLOOR: Need = Need::For("a podgate that keeps a floor");

/// A kind of the floor's objects.
const fn floor(resource: &'static str) -> Permission {
    let verbs = &["list", "create", "patch", "delete"];
    Permission {
        need: FLOOR,
        ..cluster(WEBHOOKS, resource, verbs, "keep the policies that judge while podgate is away")
    }
}

const REPAIR: Need = Need::For("remediation");
const STUCK: &str =
    "delete a StatefulSet's pod that never becomes ready, after its repair was rolled back";
const FINALIZER: &str = "finish or roll back repairs before a policy is deleted (finalizer)";

/// A kind whose controller makes pods.
const fn maker(group: &'static str, resource: &'static str) -> Permission {
    cluster(group, resource, LIST, "see workloads whose pods are refused or not there")
}

/// A kind whose controller rolls out a changed template.
const fn repaired(resource: &'static str) -> Permission {
    let verbs = &["patch"];
    Permission {
        need: REPAIR,
        ..cluster("apps", resource, verbs, "repair workloads, and roll repairs back")
    }
}

/// A kind that can be the top owner of pods.
const fn owner(group: &'static str, resource: &'static str) -> Permission {
    const WHY: &str = "find the owner of pods, and the object of an Event (uid)";
    let need = Need::For("a podgate that writes Events or repairs workloads");
    Permission { need, ..cluster(group, resource, &["get"], WHY) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nothing_is_asked_twice_and_nothing_is_asked_of_everything() {
        let mut seen = BTreeSet::new();
        for Permission { group, resource, subresource, name, verbs, .. } in PERMISSIONS {
            let name = name.of(&Names::default());
            for verb in *verbs {
                assert!(![*verb, *group, *resource].contains(&"*"));
                let right = (group, resource, subresource, name.clone(), verb);
                assert!(seen.insert(right), "{verb} {resource}");
            }
        }
    }

    #[test]
    fn what_holds_secrets_and_leases_is_asked_in_one_namespace_only_and_by_name() {
        let sensitive =
            PERMISSIONS.iter().filter(|it| ["secrets", "leases"].contains(&it.resource));
        // The API server asks for the whole cluster, whatever Lease a policy names.
        for it in sensitive.filter(|it| it.need != FLOOR) {
            assert!(it.scope == Scope::Release && it.name != Name::Any, "{it:?}");
            assert!(!it.verbs.contains(&"list"), "{it:?}");
        }
    }
}
