//! What would make a workload pass: the patch of its pod template, or why there is none. Pure.
//!
//! The list of what is put in is closed: missing resources, missing probes, image tags, each from the policy's own
//! defaults. What is found is found in the template itself, whose containers are known by their place there; pods, into
//! which others may have put containers, are never looked at.

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

/// What can be done for a workload.
#[derive(Debug)]
pub enum RepairPlan {
    /// Its template breaks nothing: what runs of an older one goes by itself.
    Nothing,
    Patch(Repair),
    Refused(Refusal),
}

/// A patch that makes a template pass, as far as it can be made to.
#[derive(Debug)]
pub struct Repair {
    pub operations: Vec<PatchOperation>,
    /// The rules that it satisfies.
    pub rules: BTreeSet<&'static str>,
    /// How many violations it leaves.
    pub left: usize,
}

/// Why nothing is done, as a sentence that says what could be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Kind(&'static str),
    #[error("{kind} {name} owns it and would undo it; let that make it right")]
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
    #[error("it has more containers than podgate looks at; make it several pods")]
    TooLarge,
    #[error(
        "container \"{0}\" declares no port that the default probe would ask; declare it, or write a probe"
    )]
    NoPort(String),
    #[error("the policy says nothing to put in for {rule}: {what}")]
    NoDefault { rule: &'static str, what: &'static str },
    #[error("{0} cannot be repaired by a default; see podgate explain {0}")]
    NoRepair(&'static str),
    #[error("its policy exempts what it breaks")]
    Exempt,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// The kind that a workload's pods are made by, if it can be repaired.
///
/// # Errors
/// Why it cannot.
pub fn repaired_kind(kind: &str) -> Result<Kind, Refusal> {
    let known = KINDS.into_iter().find(|known| known.names().kind == kind);
    known.ok_or({
        Refusal::Kind(match kind {
            "Pod" => "a Pod of its own is never made anew; make it by a Deployment",
            "Job" | "CronJob" => {
                "what runs to its end is not restarted; change the CronJob or Job itself"
            }
            "ReplicaSet" | "ReplicationController" => {
                "its controller does not roll a changed template out; make it a Deployment"
            }
            _ => "a controller that podgate does not know makes its pods; change them there",
        })
    })
}

/// Plans for an object, by policies all of which cover it and want it repaired.
pub fn plan(kind: Kind, object: &Value, policies: &PolicySet, now: Timestamp) -> RepairPlan {
    if let Some(refusal) = refusal(kind, object) {
        return RepairPlan::Refused(refusal);
    }
    let view = match Object::deserialize(object) {
        Ok(view) => view,
        Err(error) => return RepairPlan::Refused(Refusal::Unreadable(error.to_string())),
    };
    let subject = match Subject::of(kind, &view) {
        Ok(subject) => subject,
        Err(error) => return RepairPlan::Refused(Refusal::Unreadable(error.to_string())),
    };
    if subject.is_too_large() {
        return RepairPlan::Refused(Refusal::TooLarge);
    }
    // All of them cover the workload: whoever asks has seen to that.
    let Ok(all) = policies.covering(None) else { return RepairPlan::Nothing };
    let judgement = judge(all, &subject, now);
    let of_interest = |it: &&Finding<'_>| REPAIRED.contains(&it.rule.id);
    let fixable = judgement.violations.iter().filter(of_interest);
    let fixes: Vec<_> = fixable.clone().filter_map(|it| it.breach.fix.as_ref()).collect();
    let operations = patch::operations(object, fixes.iter().copied());
    if operations.is_empty() {
        return match (fixable.clone().next(), judgement.violations.first()) {
            (Some(finding), _) => RepairPlan::Refused(why_not(finding)),
            (None, Some(finding)) => RepairPlan::Refused(Refusal::NoRepair(finding.rule.id)),
            (None, None) if judgement.exempt.is_empty() => RepairPlan::Nothing,
            (None, None) => RepairPlan::Refused(Refusal::Exempt),
        };
    }
    let rules = fixable.filter(|it| it.breach.fix.is_some()).map(|it| it.rule.id).collect();
    let left = judgement
        .violations
        .iter()
        .filter(|it| !REPAIRED.contains(&it.rule.id) || it.breach.fix.is_none());
    RepairPlan::Patch(Repair { operations, rules, left: left.count() })
}

/// What stands in the way, whatever the policies want.
fn refusal(kind: Kind, object: &Value) -> Option<Refusal> {
    let owners = at(object, "/metadata/ownerReferences").as_array();
    if let Some(owner) = owners.into_iter().flatten().find(|it| at(it, "/controller") == true) {
        let text = |field: &str| owner[field].as_str().unwrap_or_default().to_owned();
        return Some(Refusal::Owned { kind: text("kind"), name: text("name") });
    }
    let spec = at(object, "/spec");
    if kind == Kind::Deployment && at(spec, "/paused") == true {
        return Some(Refusal::Paused);
    }
    if at(spec, "/updateStrategy/type") == "OnDelete" {
        return Some(Refusal::OnDelete);
    }
    if at(spec, "/updateStrategy/rollingUpdate/partition").as_i64().is_some_and(|it| it > 0) {
        return Some(Refusal::Partition);
    }
    let pod = at(spec, "/template/spec");
    let windows =
        at(pod, "/os/name") == "windows" || at(pod, "/nodeSelector/kubernetes.io~1os") == "windows";
    windows.then_some(Refusal::Windows)
}

/// Why the first violation that a default could repair is not repaired.
fn why_not(finding: &Finding<'_>) -> Refusal {
    let rule = finding.rule.id;
    let what = match rule {
        "requireLivenessProbe" | "requireReadinessProbe" if finding.policy.repair.has_probe => {
            return Refusal::NoPort(finding.breach.container.clone().unwrap_or_default());
        }
        "requireLivenessProbe" | "requireReadinessProbe" => "it has no defaultProbe",
        "forbidLatestTag" | "requireImageDigest" => "its imageTags have none for the image",
        _ => "its defaultResources have none that fits what the container says already",
    };
    Refusal::NoDefault { rule, what }
}

#[cfg(test)]
mod tests;
