//! The Lease that processes contend for, and the name of this process in it.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The name of the leader's Lease.
pub const LEASE: &str = "podgate";

/// The Lease to contend for, and the durations of client-go's leader election.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    pub namespace: String,
    pub name: String,
    /// `holderIdentity` of this process, unique among all processes; see [`identity`].
    pub identity: String,
    /// How long candidates leave the Lease alone after they saw a renewal.
    pub duration: Duration,
    /// How long the holder leads without a renewal; shorter than `duration`.
    pub renew_deadline: Duration,
    /// The interval between two renewals of the holder, or between two reads of a candidate.
    pub retry: Duration,
}

impl LeaseOptions {
    /// The Lease `podgate` in a namespace, with the durations of Kubernetes' own controllers.
    pub fn new(namespace: String) -> Self {
        Self {
            namespace,
            name: LEASE.to_owned(),
            identity: identity(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A unique name of this process: the hostname, which in a cluster is the pod's name, and a random suffix, since a
/// container that is restarted in its pod is another process.
pub(super) fn identity() -> String {
    let of_host = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = std::env::var("HOSTNAME").ok().or_else(of_host);
    let host = host.as_deref().map(str::trim).filter(|it| !it.is_empty()).unwrap_or("podgate");
    // The standard library seeds its hash maps from the system's randomness, which saves a dependency.
    let suffix = RandomState::new().hash_one(std::process::id());
    format!("{host}_{suffix:016x}")
}
