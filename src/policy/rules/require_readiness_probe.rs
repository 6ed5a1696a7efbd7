//! Requires a readiness probe on every container that serves.
//!
//! Without one, a pod gets traffic from the moment it starts, before it can
//! answer, and a rollout goes on past new pods that never will.
//! Pods that run to completion, init containers and ephemeral ones need none.

use super::super::rule::{Breach, Phase, Rule};
use super::super::workload::Subject;
use super::probe;
use crate::api::Severity;

pub static RULE: Rule = Rule {
    id: "requireReadinessProbe",
    severity: Severity::Low,
    phase: Phase::Spec(|spec| spec.require_readiness_probe?.then(|| Box::new(check) as _)),
    source: include_str!("require_readiness_probe.rs"),
};

fn check(subject: &Subject<'_>, breaches: &mut Vec<Breach>) {
    probe::require(subject, "readinessProbe", |it| it.readiness_probe.is_some(), breaches);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{breaches, enabled};
    use super::RULE;

    fn containers_at_fault(spec: &str) -> Vec<String> {
        let found = breaches(&RULE, &enabled("requireReadinessProbe", "true"), spec);
        found.into_iter().filter_map(|breach| breach.container).collect()
    }

    #[test]
    fn app_containers_and_native_sidecars_need_one_and_others_do_not() {
        let spec = r#"{
            "initContainers": [{"name": "migrate"}, {"name": "mesh", "restartPolicy": "Always"}],
            "containers": [{"name": "web"}, {"name": "probed", "readinessProbe": {"tcpSocket": {"port": 80}}}],
            "ephemeralContainers": [{"name": "debug"}]
        }"#;
        assert_eq!(containers_at_fault(spec), ["mesh", "web"]);
    }

    #[test]
    fn a_pod_that_runs_to_completion_needs_none() {
        for policy in ["Never", "OnFailure"] {
            let spec =
                format!(r#"{{"restartPolicy": "{policy}", "containers": [{{"name": "web"}}]}}"#);
            assert_eq!(containers_at_fault(&spec), Vec::<String>::new());
        }
    }

    #[test]
    fn the_remedy_names_a_port_the_container_declares() {
        let spec = r#"{"containers": [{"name": "web", "ports": [
            {"containerPort": 53, "protocol": "UDP"}, {"containerPort": 9000}]}]}"#;
        let breach = breaches(&RULE, &enabled("requireReadinessProbe", "true"), spec).remove(0);
        assert_eq!(breach.path, "spec.containers[0].readinessProbe");
        assert_eq!(breach.remedy, "add one, such as readinessProbe: {tcpSocket: {port: 9000}}");
    }
}
