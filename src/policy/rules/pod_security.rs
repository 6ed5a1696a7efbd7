//! Holds pods to a level of the Pod Security Standards: `baseline` or `restricted`.
//!
//! The verdict is that of the API server's own Pod Security admission (Kubernetes 1.36, version `latest`), with the
//! same checks under the same names. In addition, podgate names each field at fault, and exemptions, severities and the
//! audit can refer to a single check, as `podSecurity/hostPathVolumes`.
//!
//! `baseline` forbids known ways from a container to its node:
//!
//! - `appArmorProfile`: a profile other than `RuntimeDefault` or `Localhost`, in a field or in the old annotation.
//! - `capabilities_baseline`: adding capabilities beyond the defaults of container runtimes.
//! - `hostNamespaces`: `hostNetwork`, `hostPID`, `hostIPC`.
//! - `hostPathVolumes`: folders of the node.
//! - `hostPorts`: ports of the node; with `hostNetwork`, every declared port is a port of the node.
//! - `hostProbesAndHostLifecycle`: probes and hooks that name a host, which the kubelet calls from the node's network.
//! - `privileged`: `privileged: true`.
//! - `procMount`: a view of /proc other than `Default`, unless `hostUsers: false`.
//! - `seLinuxOptions`: a user, a role, or a type other than `container_t`, `container_init_t`, `container_kvm_t`,
//!   `container_engine_t`.
//! - `seccompProfile_baseline`: the profile `Unconfined`.
//! - `sysctls`: all but `kernel.shm_rmid_forced` and, below `net.ipv4`, `ip_local_port_range`,
//!   `ip_local_reserved_ports`, `ip_unprivileged_port_start`, `ping_group_range`, `tcp_fin_timeout`,
//!   `tcp_keepalive_intvl`, `tcp_keepalive_probes`, `tcp_keepalive_time`, `tcp_rmem`, `tcp_syncookies`, `tcp_wmem`.
//! - `windowsHostProcess`: Windows containers that run as processes of the node.
//!
//! `restricted` requires all that, and in addition:
//!
//! - `allowPrivilegeEscalation`: false in every container.
//! - `capabilities_restricted`: every container drops `ALL`, and adds `NET_BIND_SERVICE` at most.
//! - `procMount_restricted`: the `Default` view of /proc, always.
//! - `restrictedVolumes`: only `configMap`, `csi`, `downwardAPI`, `emptyDir`, `ephemeral`, `image`,
//!   `persistentVolumeClaim`, `projected` and `secret`.
//! - `runAsNonRoot`: true in the pod or in every container, unless `hostUsers: false`.
//! - `runAsUser`: not 0, unless `hostUsers: false`.
//! - `seccompProfile_restricted`: `RuntimeDefault` or `Localhost`, in the pod or in every container.
//!
//! If one of these is a stricter form of a baseline check, only the stricter one reports. A pod with
//! `spec.os.name: windows` is exempt from `allowPrivilegeEscalation`, `capabilities_restricted` and
//! `seccompProfile_restricted`, which Windows does not have. With `hostUsers: false`, root in the pod is an
//! unprivileged user on the node, which is why it is an exception.
//!
//! podgate can fix these three checks if the field is absent, but never in a Windows pod. It adds
//! `allowPrivilegeEscalation: false`, `seccompProfile.type: RuntimeDefault` and, if the container is known not to run
//! as root (`runAsNonRoot: true`, or a `runAsUser` other than 0, its own or the pod's), `capabilities.drop: [ALL]`.
//! Images that start as root and then change the user (nginx, mysql) need their capabilities to start. It does not add
//! `runAsNonRoot`, which would stop an image whose user is root.

mod app_armor;
mod capabilities;
mod exceptions;
mod field;
mod host;
mod kernel;
mod privileges;
mod se_linux;
mod seccomp;
#[cfg(test)]
mod testing;
mod user;
mod volumes;

pub use field::MAX_SHOWN;

use std::borrow::Cow;

use super::super::rule::{Breach, Phase, Rule, examples, module_comment};
use super::super::subject::Subject;
use super::super::vap::form::{CelFinding, Form};
use crate::api::PodSecurityLevel::{self, Baseline, Restricted};
use crate::api::{DevOpsPolicySpec, Severity};

pub static RULE: Rule = Rule {
    id: "podSecurity",
    severity: Severity::High,
    phase: Phase::Spec(|spec| {
        let Some(level) = spec.pod_security else { return Ok(None) };
        let checks: Vec<_> = checks_of(level).collect();
        Ok(Some(Box::new(move |subject, breaches| {
            for Check { id, find, .. } in &checks {
                let found = find(subject).into_iter();
                let check = Some(Cow::Borrowed(*id));
                breaches.extend(found.map(|breach| Breach { check: check.clone(), ..breach }));
            }
        })))
    }),
    reads: &[],
    checks: &IDS,
    reads_document: false,
    vap: Form::Cel(in_cel),
    comment: module_comment!("pod_security.rs"),
    examples: examples!("podSecurity", "fail", "pass"),
};

/// A check of the Pod Security Standards.
struct Check {
    /// The id that Pod Security admission uses.
    id: &'static str,
    level: PodSecurityLevel,
    /// The baseline check that it replaces at the level restricted, as its stricter form.
    overrides: Option<&'static str>,
    /// One breach for each field at fault.
    find: fn(&Subject<'_>) -> Vec<Breach>,
    /// The same in CEL.
    in_cel: fn() -> Vec<CelFinding>,
}

/// The checks, in the order in which Pod Security admission reports them.
static CHECKS: [Check; 19] = [
    baseline("appArmorProfile", app_armor::profile, app_armor::profile_in_cel),
    baseline("capabilities_baseline", capabilities::baseline, capabilities::baseline_in_cel),
    baseline("hostNamespaces", host::namespaces, host::namespaces_in_cel),
    baseline("hostPathVolumes", volumes::host_path, volumes::host_path_in_cel),
    baseline("hostPorts", host::ports, host::ports_in_cel),
    baseline(
        "hostProbesAndHostLifecycle",
        host::probes_and_lifecycle,
        host::probes_and_lifecycle_in_cel,
    ),
    baseline("privileged", privileges::privileged, privileges::privileged_in_cel),
    baseline("procMount", kernel::proc_mount_baseline, kernel::proc_mount_baseline_in_cel),
    baseline("seLinuxOptions", se_linux::options, se_linux::options_in_cel),
    baseline("seccompProfile_baseline", seccomp::baseline, seccomp::baseline_in_cel),
    baseline("sysctls", kernel::sysctls, kernel::sysctls_in_cel),
    baseline("windowsHostProcess", host::windows_process, host::windows_process_in_cel),
    restricted(
        "allowPrivilegeEscalation",
        None,
        privileges::escalation,
        privileges::escalation_in_cel,
    ),
    restricted(
        "capabilities_restricted",
        Some("capabilities_baseline"),
        capabilities::restricted,
        capabilities::restricted_in_cel,
    ),
    restricted(
        "procMount_restricted",
        Some("procMount"),
        kernel::proc_mount_restricted,
        kernel::proc_mount_restricted_in_cel,
    ),
    restricted(
        "restrictedVolumes",
        Some("hostPathVolumes"),
        volumes::restricted,
        volumes::restricted_in_cel,
    ),
    restricted("runAsNonRoot", None, user::non_root, user::non_root_in_cel),
    restricted("runAsUser", None, user::root, user::root_in_cel),
    restricted(
        "seccompProfile_restricted",
        Some("seccompProfile_baseline"),
        seccomp::restricted,
        seccomp::restricted_in_cel,
    ),
];

const fn baseline(
    id: &'static str,
    find: fn(&Subject<'_>) -> Vec<Breach>,
    in_cel: fn() -> Vec<CelFinding>,
) -> Check {
    Check { id, level: Baseline, overrides: None, find, in_cel }
}

const fn restricted(
    id: &'static str,
    overrides: Option<&'static str>,
    find: fn(&Subject<'_>) -> Vec<Breach>,
    in_cel: fn() -> Vec<CelFinding>,
) -> Check {
    Check { id, level: Restricted, overrides, find, in_cel }
}

#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
static IDS: [&str; CHECKS.len()] = {
    let mut ids = [""; CHECKS.len()];
    let mut at = 0;
    while at < ids.len() {
        ids[at] = CHECKS[at].id;
        at += 1;
    }
    ids
};

fn in_cel(spec: &DevOpsPolicySpec) -> Vec<CelFinding> {
    let checks = spec.pod_security.into_iter().flat_map(checks_of);
    let found = checks.flat_map(|check| {
        let named = |it| CelFinding { check: Some(Cow::Borrowed(check.id)), ..it };
        (check.in_cel)().into_iter().map(named)
    });
    found.collect()
}

/// The ids of the checks of a level.
pub fn ids_of(level: PodSecurityLevel) -> impl Iterator<Item = &'static str> {
    checks_of(level).map(|check| check.id)
}

fn checks_of(level: PodSecurityLevel) -> impl Iterator<Item = &'static Check> {
    let overridden = |id| CHECKS.iter().any(|check| check.overrides == Some(id));
    CHECKS.iter().filter(move |check| match level {
        Baseline => check.level == Baseline,
        Restricted => !overridden(check.id),
    })
}

#[cfg(test)]
mod tests {
    use super::testing::{baseline, hardened, restricted};
    use super::*;

    #[test]
    fn a_hardened_pod_passes_both_levels_and_a_bare_one_fails_restricted_only() {
        assert!(baseline(&hardened().to_string()).is_empty());
        assert!(restricted(&hardened().to_string()).is_empty());
        let bare = r#"{"containers": [{"name": "web"}]}"#;
        assert!(baseline(bare).is_empty());
        let found = restricted(bare);
        let ids: Vec<_> = found.iter().map(|it| it.split_once(':').unwrap().0).collect();
        assert_eq!(
            ids,
            [
                "allowPrivilegeEscalation",
                "capabilities_restricted",
                "runAsNonRoot",
                "seccompProfile_restricted"
            ]
        );
    }

    #[test]
    fn restricted_asks_every_baseline_check_that_it_has_no_stricter_form_of() {
        let ids = |level| ids_of(level).collect::<Vec<_>>();
        assert_eq!(ids(Baseline), RULE.checks[..12]);
        assert_eq!(ids(Restricted).len(), 15);
        for id in
            ["procMount", "capabilities_baseline", "hostPathVolumes", "seccompProfile_baseline"]
        {
            assert!(ids(Baseline).contains(&id) && !ids(Restricted).contains(&id), "{id}");
        }
        for check in &CHECKS {
            assert!(check.overrides.is_none_or(|id| ids(Baseline).contains(&id)), "{}", check.id);
        }
    }

    #[test]
    fn of_a_list_that_does_not_end_some_are_reported() {
        let many = |item: &str| vec![item; 100_000].join(",");
        let (volume, sysctl, port) = (r#"{"hostPath":{}}"#, r#"{"name":"x"}"#, r#"{"hostPort":1}"#);
        let spec = format!(
            r#"{{"volumes": [{}], "securityContext": {{"sysctls": [{}]}},
                "containers": [{{"ports": [{}], "securityContext": {{"capabilities": {{"add": [{}]}}}}}}]}}"#,
            many(volume),
            many(sysctl),
            many(port),
            many(r#""ALL""#),
        );
        let found = baseline(&spec);
        let of = |id: &str| found.iter().filter(|it| it.starts_with(&format!("{id}:"))).count();
        let ids = ["capabilities_baseline", "hostPathVolumes", "hostPorts", "sysctls"];
        // One more breach reports a cut list; too many volumes are reported for the whole pod.
        assert_eq!(ids.map(of), [2, 20, 21, 21]);
    }

    #[test]
    fn the_page_lists_every_check() {
        for id in RULE.checks {
            assert!(RULE.page().contains(&format!("- `{id}`: ")), "{id}");
        }
    }
}
