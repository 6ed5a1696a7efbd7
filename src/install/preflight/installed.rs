//! Checks the API server's version, the CRDs and the policies.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use super::super::crd;
use super::check::{Check, CheckSubject};
use crate::api;
use crate::clusters::Cluster;
use crate::findings::FaultKind;
use crate::policies::list::ClusterPolicies;
use crate::policy::compile::Policy;
use crate::policy::exemption::ends_within;
use crate::policy::text::clip;

/// The first minor version of Kubernetes 1 in which every API that podgate uses is stable; the last to become stable
/// was the validation of custom resources by CEL (`x-kubernetes-validations`).
const MINIMUM_MINOR: u32 = 29;
const INSTALL: &str = "podgate crd install";

/// Checks the API server's version.
///
/// # Errors
/// The check that failed, where the API server does not answer.
pub(super) async fn api(cluster: &Cluster) -> Result<Check, Check> {
    let version = cluster.client.apiserver_version().await.map_err(|error| {
        let check = CheckSubject::Api.error(cluster.explain(error).to_string(), String::new());
        Check { todo: None, ..check }
    })?;
    Ok(version_check(&version.major, &version.minor, &version.git_version))
}

fn version_check(major: &str, minor: &str, version: &str) -> Check {
    // Some providers write the minor version as "29+".
    let number = minor.trim_end_matches(|it: char| !it.is_ascii_digit()).parse::<u32>();
    let what = format!("the API server answers; it is Kubernetes {version}");
    match number {
        Ok(minor) if major == "1" && minor < MINIMUM_MINOR => CheckSubject::Api.warning(
            what,
            format!("upgrade: below 1.{MINIMUM_MINOR} the API server may not check policies as it should"),
        ),
        _ => CheckSubject::Api.ok(what),
    }
}

/// Checks that each CRD is installed, served, and of this binary's version.
pub(super) async fn crds(cluster: &Cluster) -> Vec<Check> {
    let api = crd::api(cluster.client.clone());
    let mut checks = Vec::new();
    for ours in api::CRDS {
        let Ok(ours) = crd::parse(ours) else { continue };
        let name = ours.name_any();
        let versions = ours.data.pointer("/spec/versions").cloned().unwrap_or_default();
        checks.push(match api.get_opt(&name).await {
            Ok(installed) => crd_check(&name, installed.as_ref(), &versions),
            Err(error) => CheckSubject::Crd.unseen(&format!("CRD {name}"), &error),
        });
    }
    checks
}

/// `versions` are those of this binary.
fn crd_check(name: &str, installed: Option<&DynamicObject>, versions: &Value) -> Check {
    let Some(installed) = installed else {
        return CheckSubject::Crd.error(format!("CRD {name} is not installed"), INSTALL);
    };
    if !crd::is_established(installed) {
        let todo = format!("see why: kubectl describe crd {name}");
        return CheckSubject::Crd.error(format!("CRD {name} is installed and not served"), todo);
    }
    if !installed.data.pointer("/spec/versions").is_some_and(|it| crd::is_same(it, versions)) {
        let what = format!("CRD {name} is not the one of podgate {}", env!("CARGO_PKG_VERSION"));
        return CheckSubject::Crd.warning(what, INSTALL);
    }
    CheckSubject::Crd.ok(format!("CRD {name} is installed and up to date"))
}

/// Checks that every policy compiles. Returns those that do, too.
pub(super) async fn policies(cluster: &Cluster) -> (Vec<Check>, Vec<Arc<Policy>>) {
    let read = match ClusterPolicies::read(cluster, true, std::iter::empty()).await {
        Ok(read) => read,
        Err(error) => {
            let check = CheckSubject::Policy.error(error.to_string(), "try again");
            return (vec![check], Vec::new());
        }
    };
    let count = read.policies.len();
    let plural = if count == 1 { "policy compiles" } else { "policies compile" };
    let mut checks = Vec::new();
    if read.faults.is_empty() {
        checks.push(CheckSubject::Policy.ok(format!("{count} {plural}")));
    }
    // The check of CRDs reports a missing CRD.
    let forbidden = read.faults.iter().filter(|fault| fault.kind != FaultKind::NotServed);
    checks.extend(forbidden.map(|fault| {
        let what = format!("{} cannot be seen, so they are not checked", fault.place);
        CheckSubject::Policy.warning(what, "ask a cluster admin to run podgate check")
    }));
    checks.extend(read.policies.iter().flat_map(|policy| {
        policy.unknown_fields.iter().map(|field| {
            let what = format!("policy {}: {field}", policy.label);
            CheckSubject::Policy.warning(
                what,
                "correct the expression; kubectl explain pod --recursive lists a Pod's fields",
            )
        })
    }));
    let now = Timestamp::now();
    checks.extend(read.policies.iter().flat_map(|policy| exemptions(policy, now)));
    checks.extend(read.policies.iter().filter_map(|policy| ended_grace(policy, now)));
    checks.extend(read.unusable.into_iter().map(|policy| {
        let what = format!("{} cannot be used: {}", policy.name, policy.error);
        CheckSubject::Policy
            .error(what, "correct that field; until then the last version that compiled (status.lastGood) is in force or, where there is none, what of this one compiles, and the rest is undecided")
    }));
    (checks, read.policies)
}

/// A warning for a grace that has ended.
fn ended_grace(policy: &Policy, now: Timestamp) -> Option<Check> {
    let end = policy.grace_until.filter(|end| *end <= now)?;
    let what = format!("policy {}: its grace ended at {end}", policy.label);
    let todo =
        "remove spec.graceUntil, which changes nothing any more, or move it for another grace";
    Some(CheckSubject::Policy.warning(what, todo))
}

/// A warning for each exemption that ends within a week, and for one that names a kind that podgate does not judge.
fn exemptions(policy: &Policy, now: Timestamp) -> Vec<Check> {
    let ending = policy.exempts(now).enumerate().filter_map(|(index, (exemption, _))| {
        let within = ends_within(exemption, now)?;
        let end = &exemption.expires_at.as_ref()?.0;
        let what = format!(
            "policy {}: the exemption of {} ({}) ends {within}, at {end}",
            policy.label,
            clip(&exemption.rules.join(", ")),
            clip(&exemption.owner)
        );
        let todo = format!(
            "repair the workloads that need it, or move spec.exemptions[{index}].expiresAt; policy preview lists \
             the exemptions in use"
        );
        Some(CheckSubject::Policy.warning(what, todo))
    });
    let unknown = policy.unknown_kind().map(|fault| {
        let what = format!("policy {}: {fault}", policy.label);
        CheckSubject::Policy
            .warning(what, "correct it; the API server refuses it in a new exemption")
    });
    ending.chain(unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::super::check::CheckState;
    use super::*;
    use crate::policy::scope::Scope;

    #[test]
    fn an_api_server_that_is_too_old_is_a_warning_and_an_unknown_version_is_none() {
        for (major, minor, state) in [
            ("1", "28", CheckState::Warning),
            ("1", "28+", CheckState::Warning),
            ("1", "29", CheckState::Ok),
            ("1", "36+", CheckState::Ok),
            ("2", "0", CheckState::Ok),
            ("1", "", CheckState::Ok),
        ] {
            assert_eq!(version_check(major, minor, "v").state, state, "{major}.{minor}");
        }
    }

    #[test]
    fn a_crd_is_ok_only_as_this_binary_has_it_and_once_it_is_served() {
        let mut installed = crd::parse(api::CRDS[0]).unwrap();
        let versions = installed.data["spec"]["versions"].clone();
        let state = |installed: Option<&DynamicObject>| crd_check("x", installed, &versions).state;
        assert_eq!(state(None), CheckState::Error);
        assert_eq!(state(Some(&installed)), CheckState::Error);
        installed.data["status"] =
            serde_json::json!({"conditions": [{"type": "Established", "status": "True"}]});
        assert_eq!(state(Some(&installed)), CheckState::Ok);
        installed.data["spec"]["versions"][0]["additionalPrinterColumns"].take();
        assert_eq!(state(Some(&installed)), CheckState::Warning);
    }

    #[test]
    fn a_grace_that_has_ended_is_a_warning() {
        let spec =
            serde_json::json!({"enforcementMode": "enforce", "graceUntil": "2026-01-01T00:00:00Z"});
        let scope = Scope::Namespace("shop".to_owned());
        let spec = serde_json::from_value(spec).unwrap();
        let policy = Policy::compile(scope, "own".to_owned(), &spec).unwrap();
        let check = |now: &str| ended_grace(&policy, now.parse().unwrap());
        assert!(check("2025-12-31T23:59:59Z").is_none());
        let check = check("2026-01-01T00:00:00Z").unwrap();
        assert_eq!(check.state, CheckState::Warning);
        assert_eq!(check.what, "policy shop/own: its grace ended at 2026-01-01T00:00:00Z");
    }

    #[test]
    fn exemptions_that_end_within_a_week_and_unknown_kinds_are_warnings() {
        let exemption = |end: &str, kind: &str| {
            serde_json::json!({"rules": ["forbidLatestTag"], "kinds": [kind], "reason": "r", "owner": "team shop",
                "expiresAt": end})
        };
        let spec = serde_json::json!({"exemptions": [
            exemption("2026-01-09T00:00:00Z", "Deployment"), exemption("2026-01-03T00:00:00Z", "Job"),
            exemption("2025-12-31T00:00:00Z", "Workflow"),
        ]});
        let scope = Scope::Namespace("shop".to_owned());
        let spec = serde_json::from_value(spec).unwrap();
        let policy = Policy::compile(scope, "own".to_owned(), &spec).unwrap();
        let found = exemptions(&policy, "2026-01-01T00:00:00Z".parse().unwrap());
        assert!(found.iter().all(|it| it.state == CheckState::Warning));
        let found: Vec<_> = found.iter().map(|it| it.what.as_str()).collect();
        assert_eq!(
            found[0],
            "policy shop/own: the exemption of forbidLatestTag (team shop) ends within a week, at 2026-01-03T00:00:00Z"
        );
        let unknown = "policy shop/own: spec.exemptions[2].kinds[0]: podgate does not judge the kind \"Workflow\"";
        assert!(found.len() == 2 && found[1].starts_with(unknown), "{found:?}");
    }
}
