//! The kernel: /proc and sysctls.

use super::super::super::containers::containers;
use super::super::super::rule::Breach;
use super::super::super::subject::Subject;
use super::super::super::vap::expression::texts;
use super::super::super::vap::form::CelFinding;
use super::exceptions::{USER_NAMESPACE, has_user_namespace};
use super::field::{Field, MAX_SHOWN};

/// The sysctls that affect only the pod.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

const REMEDY: &str = "set it to Default, or give the pod a user namespace: hostUsers: false";
const REMEDY_RESTRICTED: &str = "remove it, or set it to Default";
const REMEDY_SYSCTL: &str =
    "remove it: it reaches beyond the pod (podgate explain podSecurity lists those that do not)";

/// `procMount`: the runtime hides the parts of /proc that expose or change the node. In a user namespace, the pod
/// cannot use them anyway.
pub fn proc_mount_baseline(subject: &Subject<'_>) -> Vec<Breach> {
    if has_user_namespace(subject.spec) {
        return Vec::new();
    }
    proc_mount(subject, REMEDY)
}

/// `procMount_restricted`: the same, also in a user namespace.
pub fn proc_mount_restricted(subject: &Subject<'_>) -> Vec<Breach> {
    proc_mount(subject, REMEDY_RESTRICTED)
}

fn proc_mount(subject: &Subject<'_>, remedy: &str) -> Vec<Breach> {
    let other = containers(subject.spec).filter_map(|place| {
        let context = place.container.security_context.as_deref()?;
        let proc_mount = context.proc_mount.as_deref().filter(|it| *it != "Default")?;
        let field = Field::of_container(subject, &place, "securityContext.procMount");
        Some(field.value_breach(proc_mount, remedy))
    });
    other.collect()
}

/// `sysctls`: most sysctls affect the whole node. Names are compared exactly: the form with slashes is another name.
pub fn sysctls(subject: &Subject<'_>) -> Vec<Breach> {
    let context = subject.spec.security_context.as_ref();
    let list = context.and_then(|it| it.sysctls.as_ref());
    let given = list.map(|list| &**list).unwrap_or_default();
    let unseen = list.filter(|list| list.is_cut());
    let unseen = unseen.map(|_| Field::of_pod(subject, "spec.securityContext.sysctls").too_long());
    let reaching = given
        .iter()
        .enumerate()
        .filter(|(_, it)| !SAFE_SYSCTLS.contains(&&*it.name))
        .take(MAX_SHOWN);
    let breach = reaching.map(|(index, sysctl)| {
        let path = format!("spec.securityContext.sysctls[{index}].name");
        Field::of_pod(subject, &path).value_breach(&sysctl.name, REMEDY_SYSCTL)
    });
    breach.chain(unseen).collect()
}

pub fn proc_mount_baseline_in_cel() -> Vec<CelFinding> {
    vec![proc_mount_in_cel(REMEDY).unless(USER_NAMESPACE)]
}

pub fn proc_mount_restricted_in_cel() -> Vec<CelFinding> {
    vec![proc_mount_in_cel(REMEDY_RESTRICTED)]
}

fn proc_mount_in_cel(remedy: &str) -> CelFinding {
    CelFinding::of_containers("x.sc.?procMount.orValue('Default') != 'Default'")
        .at("securityContext.procMount")
        .holding("x.sc.procMount")
        .remedy(remedy)
        // Without hostUsers, /proc that a user namespace hid is a violation.
        .by_removal()
}

pub fn sysctls_in_cel() -> Vec<CelFinding> {
    let reaching = format!(
        "p.spec.?securityContext.?sysctls.orValue([]).transformList(k, y, !(y.name in {}), {{'k': dyn(k), 'y': y}})",
        texts(&SAFE_SYSCTLS)
    );
    let found = CelFinding::of_list(&reaching, "true")
        .at_path("variables.at + 'spec.securityContext.sysctls[' + string(x.k) + '].name'")
        .holding("x.y.name")
        .remedy(REMEDY_SYSCTL);
    vec![found]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{baseline, hardened, restricted};
    use super::*;

    #[test]
    fn an_unmasked_proc_needs_a_user_namespace_and_is_never_restricted() {
        let path = "spec.containers[0].securityContext.procMount";
        let relaxed = "set it to Default, or give the pod a user namespace: hostUsers: false";
        for (value, host_users, sentence) in [
            (json!(null), json!(null), None),
            (json!("Default"), json!(null), None),
            (json!("Unmasked"), json!(false), None),
            (json!("Unmasked"), json!(true), Some(format!("is \"Unmasked\"; {relaxed}"))),
            (json!("Unmasked"), json!(null), Some(format!("is \"Unmasked\"; {relaxed}"))),
            (json!(""), json!(null), Some(format!("is \"\"; {relaxed}"))),
        ] {
            let mut spec = hardened();
            spec["hostUsers"] = host_users;
            spec["containers"][0]["securityContext"]["procMount"] = value.clone();
            let expected: Vec<_> =
                sentence.iter().map(|it| format!("procMount: {path} {it}")).collect();
            assert_eq!(baseline(&spec.to_string()), expected);
            let strict = restricted(&spec.to_string());
            assert_eq!(strict.is_empty(), value.is_null() || value == "Default", "{strict:?}");
            if let [only] = &strict[..] {
                let sentence = format!("is {value}; remove it, or set it to Default");
                assert_eq!(*only, format!("procMount_restricted: {path} {sentence}"));
            }
        }
    }

    #[test]
    fn a_parameter_of_the_whole_kernel_is_a_breach() {
        let spec = |names: &[&str]| {
            let sysctls: Vec<_> =
                names.iter().map(|it| json!({"name": it, "value": "1"})).collect();
            let mut spec = hardened();
            spec["securityContext"]["sysctls"] = json!(sysctls);
            spec.to_string()
        };
        assert!(restricted(&spec(&SAFE_SYSCTLS)).is_empty());
        for name in ["kernel.msgmax", "net/ipv4/tcp_rmem", "net.core.somaxconn", ""] {
            assert_eq!(
                baseline(&spec(&["net.ipv4.tcp_rmem", name])),
                [format!(
                    "sysctls: spec.securityContext.sysctls[1].name is \"{name}\"; remove it: it reaches beyond the pod \
                     (podgate explain podSecurity lists those that do not)"
                )]
            );
        }
    }
}
