//! Plans a repair: the patch of a workload's pod template that satisfies the policies, or the reason why there is none.
//! Pure.
//!
//! A repair sets only missing resources, missing probes and image tags, each from the policy's own defaults. It is
//! planned from the template, whose containers are identified by their index; pods are not read, since webhooks may
//! have added containers to them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use json_patch::PatchOperation;
use serde_json::Value;

use crate::policy::engine::{Finding, judge};
use crate::policy::object::Object;
use crate::policy::patch;
use crate::policy::pointer::at;
use crate::policy::policy_set::PolicySet;
use crate::policy::subject::Subject;
use crate::policy::workload::Kind;

/// The rules that are repaired.
const REPAIRED: [&str; 6] = [
    "forbidLatestTag",
    "requireImageDigest",
    "requireLivenessProbe",
    "requireReadinessProbe",
    "requireResourceLimits",
    "requireResourceRequests",
];

/// The kinds whose controllers roll a changed template out.
pub const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

/// The plan for a workload.
#[derive(Debug)]
pub enum RepairPlan {
    /// The template violates nothing. Violating pods are of an older template, and its controller replaces them.
    Nothing,
    Patch(RepairPatch),
    Refused(RepairRefusal),
}

/// A patch that repairs a template as far as possible.
#[derive(Debug)]
pub struct RepairPatch {
    pub operations: Vec<PatchOperation>,
    /// The rules that it satisfies.
    pub rules: BTreeSet<&'static str>,
    /// The number of violations that it does not repair.
    pub left: usize,
}

/// Why a workload is not repaired. The sentence names the next step.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RepairRefusal {
    #[error("{0}")]
    Kind(&'static str),
    #[error("{kind} {name} owns it and would undo the repair; change {kind} {name} instead")]
    Owned { kind: String, name: String },
    #[error("it is paused; resume it, or change its template by hand")]
    Paused,
    #[error(
        "its updateStrategy is OnDelete, so nothing would roll out; change its template by hand"
    )]
    OnDelete,
    #[error(
        "its rolling update has a partition, so only a part would roll out; change its template by hand"
    )]
    Partition,
    #[error("it runs on Windows, for which podgate has no defaults; change its template by hand")]
    Windows,
    #[error("it has more containers than podgate reads; split it into several workloads")]
    TooLarge,
    #[error(
        "container \"{0}\" does not declare the default probe's port; declare it, or write a probe"
    )]
    NoPort(String),
    #[error("the policy has no default for {rule}: {what}")]
    NoDefault { rule: &'static str, what: &'static str },
    #[error("{0} cannot be repaired by a default; see podgate explain {0}")]
    NoRepair(&'static str),
    #[error("its policy exempts its violations")]
    Exempt,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// The [`Kind`] of a workload's kind, if workloads of that kind can be repaired.
///
/// # Errors
/// The reason why they cannot.
pub(super) fn repaired_kind(kind: &str) -> Result<Kind, RepairRefusal> {
    let known = KINDS.into_iter().find(|known| known.names().kind == kind);
    known.ok_or({
        RepairRefusal::Kind(match kind {
            "Pod" => "a Pod without a controller is never recreated; run it by a Deployment",
            "Job" | "CronJob" => {
                "a Job runs to its end and is not restarted; change the CronJob or Job itself"
            }
            "ReplicaSet" | "ReplicationController" => {
                "its controller does not roll out a changed template; make it a Deployment"
            }
            _ => "podgate does not know the kind of its pods' controller; change the pods there",
        })
    })
}

/// Plans the repair of an object by `policies`, each of which covers it and asks for its repair.
pub(super) fn plan(kind: Kind, object: &Value, policies: &PolicySet, now: Timestamp) -> RepairPlan {
    if let Some(refusal) = refusal(kind, object) {
        return RepairPlan::Refused(refusal);
    }
    let view = match Object::deserialize(object) {
        Ok(view) => view,
        Err(error) => return RepairPlan::Refused(RepairRefusal::Unreadable(error.to_string())),
    };
    let subject = match Subject::of(kind, &view) {
        Ok(subject) => subject,
        Err(error) => return RepairPlan::Refused(RepairRefusal::Unreadable(error.to_string())),
    };
    if subject.is_too_large() {
        return RepairPlan::Refused(RepairRefusal::TooLarge);
    }
    // The caller passes only policies that cover the workload.
    let Ok(all) = policies.covering(None) else { return RepairPlan::Nothing };
    let judgement = judge(all, &subject, now);
    let of_interest = |it: &&Finding<'_>| REPAIRED.contains(&it.rule.id);
    let fixable = judgement.violations.iter().filter(of_interest);
    let fixes: Vec<_> = fixable.clone().filter_map(|it| it.breach.fix.as_ref()).collect();
    let operations = patch::operations(object, fixes.iter().copied());
    if operations.is_empty() {
        return match (fixable.clone().next(), judgement.violations.first()) {
            (Some(finding), _) => RepairPlan::Refused(why_not(finding)),
            (None, Some(finding)) => RepairPlan::Refused(RepairRefusal::NoRepair(finding.rule.id)),
            (None, None) if judgement.exempt.is_empty() => RepairPlan::Nothing,
            (None, None) => RepairPlan::Refused(RepairRefusal::Exempt),
        };
    }
    let rules = fixable.filter(|it| it.breach.fix.is_some()).map(|it| it.rule.id).collect();
    let left = judgement
        .violations
        .iter()
        .filter(|it| !REPAIRED.contains(&it.rule.id) || it.breach.fix.is_none());
    RepairPlan::Patch(RepairPatch { operations, rules, left: left.count() })
}

/// Why a workload cannot be repaired, whatever its violations.
fn refusal(kind: Kind, object: &Value) -> Option<RepairRefusal> {
    let owners = at(object, "/metadata/ownerReferences").as_array();
    if let Some(owner) = owners.into_iter().flatten().find(|it| at(it, "/controller") == true) {
        let text = |field: &str| owner[field].as_str().unwrap_or_default().to_owned();
        return Some(RepairRefusal::Owned { kind: text("kind"), name: text("name") });
    }
    let spec = at(object, "/spec");
    if kind == Kind::Deployment && at(spec, "/paused") == true {
        return Some(RepairRefusal::Paused);
    }
    if at(spec, "/updateStrategy/type") == "OnDelete" {
        return Some(RepairRefusal::OnDelete);
    }
    if at(spec, "/updateStrategy/rollingUpdate/partition").as_i64().is_some_and(|it| it > 0) {
        return Some(RepairRefusal::Partition);
    }
    let pod = at(spec, "/template/spec");
    let windows =
        at(pod, "/os/name") == "windows" || at(pod, "/nodeSelector/kubernetes.io~1os") == "windows";
    windows.then_some(RepairRefusal::Windows)
}

/// Why a violation that a default could repair has no repair.
fn why_not(finding: &Finding<'_>) -> RepairRefusal {
    let rule = finding.rule.id;
    let what = match rule {
        "requireLivenessProbe" | "requireReadinessProbe" if finding.policy.repair.has_probe => {
            return RepairRefusal::NoPort(finding.breach.container.clone().unwrap_or_default());
        }
        "requireLivenessProbe" | "requireReadinessProbe" => "it has no defaultProbe",
        "forbidLatestTag" | "requireImageDigest" => "its imageTags have none for the image",
        _ => "its defaultResources have none that fits what the container says already",
    };
    RepairRefusal::NoDefault { rule, what }
}

#[cfg(test)]
mod tests;
