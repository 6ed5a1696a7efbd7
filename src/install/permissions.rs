//! What podgate must be allowed to do: the one table that `podgate check` asks the API server about and that the
//! chart's roles grant.

use crate::leader;
use crate::nonce;

/// A permission that `podgate serve` uses.
#[derive(Debug)]
pub struct Permission {
    pub group: &'static str,
    pub resource: &'static str,
    /// Empty where it is the resource itself.
    pub subresource: &'static str,
    pub name: Name,
    pub verbs: &'static [&'static str],
    pub scope: Scope,
    /// What cannot be done without it, after "to".
    pub why: &'static str,
    pub need: Need,
}

/// Of which object: a right by name is no right to its neighbours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Name {
    /// All of the resource.
    Any,
    /// The configuration of the release, by how its name ends.
    OfRelease(&'static str),
    /// The Lease of the leader.
    Lease,
    /// The Lease of the beat.
    AliveLease,
    /// The `EndpointSlice` in which API servers announce themselves.
    ApiServers,
    /// The Secret of the certificate.
    TlsSecret,
}

/// What the objects are called that rights are given by name to.
#[derive(Clone, Debug)]
pub struct Names {
    /// The release's full name, with which those of the configurations begin.
    pub release: String,
    pub tls_secret: String,
}

impl Default for Names {
    fn default() -> Self {
        Self { release: "podgate".to_owned(), tls_secret: "podgate-tls".to_owned() }
    }
}

impl Name {
    /// The name itself, where only one object is meant.
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
const LIST: &[&str] = &["list", "watch"];
/// What one object is followed by.
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

const READ_STATUS: &str = "see what the status says, and write only what differs";

const fn status(resource: &'static str) -> Permission {
    let why = "write what the audit found";
    Permission { subresource: "status", ..cluster(POLICIES, resource, &["patch"], why) }
}

/// In the namespace of the release, an object by its name.
const fn own(
    group: &'static str,
    resource: &'static str,
    name: Name,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Permission {
    Permission { scope: Scope::Release, name, ..cluster(group, resource, verbs, why) }
}

const SEEN: &str = "see whether the API server calls podgate, and trusts it";
const TRUST: &str = "tell the API server whom to trust (caBundle)";

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
    Permission { need, ..configuration(resource, suffix, &["patch"], TRUST) }
}

/// Every permission, those of all replicas first.
pub static PERMISSIONS: &[Permission] = &[
    cluster(POLICIES, "devopspolicies", LIST, "know the policies of namespaces"),
    cluster(POLICIES, "clusterdevopspolicies", LIST, "know the policies of the cluster"),
    cluster("", "namespaces", LIST, "know which namespaces a policy selects"),
    cluster("", "pods", LIST, "audit what runs"),
    configuration("validatingwebhookconfigurations", "-validating", FOLLOW, SEEN),
    configuration("mutatingwebhookconfigurations", "-mutating", FOLLOW, SEEN),
    own("", "secrets", Name::TlsSecret, FOLLOW, "serve by the certificate that all replicas share"),
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
    cluster("events.k8s.io", "events", &["create"], "tell what happens to policies and workloads"),
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
    repaired("deployments"),
    repaired("statefulsets"),
    repaired("daemonsets"),
    Permission { need: REPAIR, ..cluster("", "pods", &["delete"], STUCK) },
    Permission { need: REPAIR, ..cluster(POLICIES, "devopspolicies", &["patch"], FINALIZER) },
    Permission {
        need: REPAIR,
        ..cluster(POLICIES, "clusterdevopspolicies", &["patch"], FINALIZER)
    },
];

const REPAIR: Need = Need::For("remediation");
const STUCK: &str =
    "take away a StatefulSet's pod that never becomes ready, after its repair was taken back";
const FINALIZER: &str = "finish or take back repairs before a policy is gone (finalizer)";

/// A kind whose controller rolls a changed template out.
const fn repaired(resource: &'static str) -> Permission {
    let verbs = &["list", "patch"];
    Permission {
        need: REPAIR,
        ..cluster("apps", resource, verbs, "repair workloads, and take repairs back")
    }
}

/// A kind that may be the top owner of pods.
const fn owner(group: &'static str, resource: &'static str) -> Permission {
    const WHY: &str = "know which object an Event is about, and whose pods are (uid)";
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
        for it in sensitive {
            assert!(it.scope == Scope::Release && it.name != Name::Any, "{it:?}");
            assert!(!it.verbs.contains(&"list"), "{it:?}");
        }
    }
}
