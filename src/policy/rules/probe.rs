//! Shared by the two probe rules: which containers need a probe, and the remedy.

use serde_json::{Value, json};

use super::super::containers::{ContainerRole, containers};
use super::super::object::Container;
use super::super::rule::{Breach, Fix};
use super::super::subject::Subject;
use super::super::vap::expression::text;
use super::super::vap::form::CelFinding;
use crate::api::DefaultProbe;

/// Reports each container that needs a probe and has none.
///
/// Containers that run to completion ([`Subject::ends`]) are monitored by their exit code, and init and ephemeral
/// containers do not serve, so they need no probe.
pub fn require(
    subject: &Subject<'_>,
    field: &str,
    has_probe: fn(&Container<'_>) -> bool,
    default: Option<&DefaultProbe>,
    breaches: &mut Vec<Breach>,
) {
    for place in containers(subject.spec) {
        let serves = matches!(place.role, ContainerRole::App | ContainerRole::Sidecar);
        if serves && !subject.ends(place.container) && !has_probe(place.container) {
            let remedy = match tcp_ports(place.container).next() {
                Some(port) => format!("add one, such as {field}: {{tcpSocket: {{port: {port}}}}}"),
                None => "declare the port it serves and probe that, or probe by a command (exec); exempt it if it \
                         serves nobody"
                    .to_owned(),
            };
            let path = place.path(subject, field);
            // The default probe is meant for the pod's own containers; sidecars are often injected by other webhooks.
            let fix = default
                .filter(|_| place.role == ContainerRole::App)
                .and_then(|default| default_probe(default, place.container));
            breaches.push(Breach {
                container: Some(place.name()),
                fix: fix.map(|value| Fix::new(path.clone(), value)),
                path,
                problem: "is missing".to_owned(),
                remedy,
                ..Breach::default()
            });
        }
    }
}

/// The TCP ports the container declares.
fn tcp_ports(container: &Container<'_>) -> impl Iterator<Item = i32> {
    let ports = container.ports.iter().flatten();
    ports.filter(|port| matches!(&*port.protocol, "" | "TCP")).map(|port| port.container_port)
}

/// The policy's default probe for a container that declares the probe's port. Probing a port that the container does
/// not serve would restart a healthy container.
fn default_probe(default: &DefaultProbe, container: &Container<'_>) -> Option<Value> {
    let asked = default.http_get.as_ref().map(|get| get.port).or(default.tcp_port);
    let mut ports = tcp_ports(container);
    let port = if let Some(asked) = asked {
        ports.find(|declared| *declared == asked)?
    } else {
        ports.next().filter(|_| ports.next().is_none())?
    };
    let mut probe = match &default.http_get {
        Some(get) => json!({"httpGet": {"path": get.path, "port": port}}),
        None => json!({"tcpSocket": {"port": port}}),
    };
    for (field, seconds) in [
        ("initialDelaySeconds", default.initial_delay_seconds),
        ("periodSeconds", default.period_seconds),
    ] {
        if let (Some(probe), Some(seconds)) = (probe.as_object_mut(), seconds) {
            probe.insert(field.to_owned(), seconds.into());
        }
    }
    Some(probe)
}

/// The default probe in CEL, as [`default_probe`] makes it: whether the container declares its port, and the probe.
fn default_in_cel(default: &DefaultProbe) -> (String, String) {
    let ports = "x.c.?ports.orValue([]).filter(y, y.?protocol.orValue('') in ['', 'TCP'])";
    let asked = default.http_get.as_ref().map(|get| get.port).or(default.tcp_port);
    let (declared, port) = match asked {
        Some(port) => (format!("{ports}.exists(y, y.containerPort == {port})"), port.to_string()),
        None => (format!("size({ports}) == 1"), format!("{ports}[0].containerPort")),
    };
    let action = match &default.http_get {
        Some(get) => {
            format!("'httpGet': dyn({{'path': dyn({}), 'port': dyn({port})}})", text(&get.path))
        }
        None => format!("'tcpSocket': dyn({{'port': {port}}})"),
    };
    let times = [
        ("initialDelaySeconds", default.initial_delay_seconds),
        ("periodSeconds", default.period_seconds),
    ];
    let times =
        times.iter().filter_map(|(field, it)| Some(format!(", '{field}': dyn({})", (*it)?)));
    (declared, format!("{{{action}{}}}", times.collect::<String>()))
}

/// The same in CEL.
pub fn in_cel(field: &str, default: Option<&DefaultProbe>) -> CelFinding {
    // A rule that restarts a container after success, and the policy that says it ends: `Subject::ends`.
    let restarts = "x.c.?restartPolicyRules.orValue([]).exists(r, !has(r.exitCodes) || \
                    (r.exitCodes.?operator.orValue('') == 'In' ? 0 in r.exitCodes.?values.orValue([]) : \
                    r.exitCodes.?operator.orValue('') == 'NotIn' ? !(0 in r.exitCodes.?values.orValue([])) : true))";
    let once = "in ['Never', 'OnFailure']";
    let ends = format!(
        "!{restarts} && (x.c.?restartPolicy.orValue('') == '' ? request.kind.kind in ['Job', 'CronJob'] || \
         p.spec.?restartPolicy.orValue('') {once} : x.c.restartPolicy {once})"
    );
    let broken = format!("x.role in ['app', 'sidecar'] && !has(x.c.{field}) && !({ends})");
    let remedy = format!(
        "x.c.?ports.orValue([]).filter(y, y.?protocol.orValue('') in ['', 'TCP'])\
         .map(y, {} + string(y.containerPort) + '}}}}')[?0].orValue({})",
        text(&format!("add one, such as {field}: {{tcpSocket: {{port: ")),
        text(
            "declare the port it serves and probe that, or probe by a command (exec); exempt it if it serves nobody"
        ),
    );
    let finding =
        CelFinding::of_containers(broken.clone()).at(field).remedy_of(remedy).by_removal();
    let Some((declared, probe)) = default.map(default_in_cel) else { return finding };
    finding.fixed(field, &probe, format!("x.role == 'app' && {broken} && {declared}"))
}

#[cfg(test)]
mod tests {
    use super::super::super::rule::Rule;
    use super::super::testing::{breaches, enabled};
    use super::super::{require_liveness_probe, require_readiness_probe};

    /// Both rules, with the field each asks for.
    const BOTH: [(&Rule, &str); 2] = [
        (&require_liveness_probe::RULE, "livenessProbe"),
        (&require_readiness_probe::RULE, "readinessProbe"),
    ];

    fn containers_at_fault(rule: &Rule, spec: &str) -> Vec<String> {
        let found = breaches(rule, &enabled(rule.id, "true"), spec);
        found.into_iter().filter_map(|breach| breach.container).collect()
    }

    #[test]
    fn app_containers_and_native_sidecars_need_one_and_others_do_not() {
        for (rule, field) in BOTH {
            let spec = r#"{
                "initContainers": [{"name": "migrate"}, {"name": "mesh", "restartPolicy": "Always"}],
                "containers": [{"name": "web"}, {"name": "probed", "FIELD": {"tcpSocket": {"port": 80}}}],
                "ephemeralContainers": [{"name": "debug"}]
            }"#;
            assert_eq!(containers_at_fault(rule, &spec.replace("FIELD", field)), ["mesh", "web"]);
        }
    }

    #[test]
    fn one_probe_does_not_stand_for_the_other() {
        for (rule, other) in [(BOTH[0].0, BOTH[1].1), (BOTH[1].0, BOTH[0].1)] {
            let spec = format!(r#"{{"containers": [{{"name": "web", "{other}": {{}}}}]}}"#);
            assert_eq!(containers_at_fault(rule, &spec), ["web"]);
        }
    }

    #[test]
    fn a_pod_that_runs_to_completion_needs_none() {
        for (rule, _) in BOTH {
            for policy in ["Never", "OnFailure"] {
                let spec = format!(
                    r#"{{"restartPolicy": "{policy}", "containers": [{{"name": "web"}}]}}"#
                );
                assert_eq!(containers_at_fault(rule, &spec), Vec::<String>::new());
            }
        }
    }

    #[test]
    fn a_container_ends_by_its_own_restart_policy_and_rules_before_its_pods() {
        let rules = |operator: &str, codes: &str| {
            format!(
                r#", "restartPolicyRules": [{{"action": "Restart", "exitCodes": {{"operator": "{operator}", "values": {codes}}}}}]"#
            )
        };
        for (of_pod, own, more, serves) in [
            ("Never", "Always", String::new(), true),
            ("OnFailure", "Always", String::new(), true),
            ("Always", "Never", String::new(), false),
            ("Always", "OnFailure", String::new(), false),
            ("Never", "", String::new(), false),
            ("Always", "", String::new(), true),
            ("Never", "Never", rules("In", "[42]"), false),
            ("Never", "Never", rules("In", "[0]"), true),
            ("Never", "OnFailure", rules("NotIn", "[137]"), true),
            ("Always", "Never", rules("NotIn", "[0]"), false),
        ] {
            let spec = format!(
                r#"{{"restartPolicy": "{of_pod}", "containers": [{{"name": "web", "restartPolicy": "{own}"{more}}}]}}"#
            );
            for (rule, _) in BOTH {
                let found = containers_at_fault(rule, &spec);
                assert_eq!(found, if serves { vec!["web"] } else { vec![] }, "{spec}");
            }
        }
        let sidecar = r#"{"restartPolicy": "Never", "initContainers": [{"name": "mesh", "restartPolicy": "Always"}], "containers": [{"name": "web"}]}"#;
        assert_eq!(containers_at_fault(BOTH[0].0, sidecar), ["mesh"]);
    }

    #[test]
    fn the_remedy_names_a_port_the_container_declares() {
        for (rule, field) in BOTH {
            let spec = r#"{"containers": [{"name": "web", "ports": [
                {"containerPort": 53, "protocol": "UDP"}, {"containerPort": 9000}]}]}"#;
            let breach = breaches(rule, &enabled(rule.id, "true"), spec).remove(0);
            assert_eq!(breach.path, format!("spec.containers[0].{field}"));
            assert_eq!(
                breach.remedy,
                format!("add one, such as {field}: {{tcpSocket: {{port: 9000}}}}")
            );
        }
    }
}
