//! Bounds how often a container may have restarted.
//!
//! A container that restarts again and again is crashing, whatever its pod's phase. Only the audit can check this, so
//! it never denies.

use super::super::degree::restart_degree;
use super::super::pod_status::RunningPod;
use super::super::rule::{Breach, Phase, Rule, examples, module_comment};
use super::super::vap::form::Form;
use crate::api::Severity;

pub static RULE: Rule = Rule {
    id: "maxRestartCount",
    severity: Severity::Critical,
    phase: Phase::Status(|spec| {
        let Some(maximum) = spec.max_restart_count else { return Ok(None) };
        Ok(Some(Box::new(move |pod, breaches| check(pod, maximum, breaches))))
    }),
    reads: &[],
    checks: &[],
    reads_document: false,
    vap: Form::None("it is about a running pod's status, so it never denies"),
    comment: module_comment!("max_restart_count.rs"),
    examples: examples!("maxRestartCount", "fail", "pass"),
};

fn check(pod: &RunningPod<'_>, maximum: u32, breaches: &mut Vec<Breach>) {
    for restarts in pod.restarts.iter().filter(|restarts| restarts.count > maximum) {
        breaches.push(Breach {
            container: Some(restarts.container.to_owned()),
            path: restarts.path.clone(),
            value: Some(restarts.count.to_string()),
            problem: format!("is {}, more than {maximum}", restarts.count),
            remedy: "find out why it ends: kubectl logs --previous".to_owned(),
            degree: restart_degree(restarts.count - maximum, maximum),
            ..Breach::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pod_status::Restarts;
    use super::super::testing::{enabled, status_breaches};
    use super::*;

    #[test]
    fn a_container_above_the_maximum_is_a_violation_and_one_at_it_is_not() {
        let at = |container, index, count| Restarts {
            container,
            path: format!("status.containerStatuses[{index}].restartCount"),
            count,
        };
        let pod = RunningPod {
            restarts: vec![at("web", 0, 3), at("crash", 1, 8)],
            ..RunningPod::default()
        };
        let found = status_breaches(&RULE, &enabled("maxRestartCount", "3"), &pod);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].container.as_deref(), Some("crash"));
        assert_eq!(found[0].path, "status.containerStatuses[1].restartCount");
        assert_eq!(found[0].problem, "is 8, more than 3");
        assert_eq!(found[0].degree, restart_degree(5, 3));
    }
}
