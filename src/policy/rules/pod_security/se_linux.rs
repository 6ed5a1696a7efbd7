//! Mandatory access control by SELinux.

use super::super::super::rule::Breach;
use super::super::super::subject::Subject;
use super::super::super::vap::expression::texts;
use super::super::super::vap::form::CelFinding;
use super::field::contexts;

/// The types that confine a container.
const TYPES: [&str; 4] =
    ["container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// `seLinuxOptions`: a container may choose a type that confines it, but no user or role.
pub fn options(subject: &Subject<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for context in contexts(subject) {
        let Some(options) = &context.settings.se_linux_options else { continue };
        let field = |name: &str| context.field(subject, &format!("seLinuxOptions.{name}"));
        let r#type = &*options.r#type;
        if !r#type.is_empty() && !TYPES.contains(&r#type) {
            let remedy = format!("remove it, or set it to one of {}", TYPES.join(", "));
            found.push(field("type").value_breach(r#type, remedy));
        }
        for (name, value) in [("user", &*options.user), ("role", &*options.role)] {
            if !value.is_empty() {
                found.push(field(name).value_breach(value, "remove it"));
            }
        }
    }
    found
}

pub fn options_in_cel() -> Vec<CelFinding> {
    let of = |field: &str| format!("x.sc.?seLinuxOptions.?{field}.orValue('')");
    let found = |field: &str, broken: String, remedy: &str| {
        let found = CelFinding::of_contexts(broken).at(&format!("seLinuxOptions.{field}"));
        found.holding(&of(field)).remedy(remedy)
    };
    let unconfined = format!("!({} in [''] + {})", of("type"), texts(&TYPES));
    let types = format!("remove it, or set it to one of {}", TYPES.join(", "));
    let mut all = vec![found("type", unconfined, &types)];
    all.extend(["user", "role"].map(|it| found(it, format!("{} != ''", of(it)), "remove it")));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::baseline;
    use super::*;

    #[test]
    fn types_that_confine_a_container_pass_and_a_user_or_role_does_not() {
        let types: Vec<_> = TYPES.iter().map(|it| (json!({"type": it}), vec![])).collect();
        let others = [
            (json!({"type": "", "user": "", "role": null, "level": "s0:c1,c2"}), vec![]),
            (
                json!({"type": "spc_t"}),
                vec![
                    "type is \"spc_t\"; remove it, or set it to one of container_t, container_init_t, container_kvm_t, container_engine_t",
                ],
            ),
            (
                json!({"type": "container_t", "user": "system_u", "role": "system_r"}),
                vec!["user is \"system_u\"; remove it", "role is \"system_r\"; remove it"],
            ),
        ];
        for (options, sentences) in types.into_iter().chain(others) {
            let context = json!({"seLinuxOptions": options});
            let of_pod = json!({"securityContext": context, "containers": [{"name": "web"}]});
            let of_app = json!({"containers": [{"name": "web", "securityContext": context}]});
            for (spec, path) in [(of_pod, "spec"), (of_app, "spec.containers[0]")] {
                let path = format!("seLinuxOptions: {path}.securityContext.seLinuxOptions");
                let expected: Vec<_> = sentences.iter().map(|it| format!("{path}.{it}")).collect();
                assert_eq!(baseline(&spec.to_string()), expected);
            }
        }
    }
}
