//! Checks the API server's version, the CRDs and the policies.

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::wait::{Condition, conditions};

use super::check::{Check, CheckSubject};
use crate::api;
use crate::clusters::Cluster;
use crate::findings::FaultKind;
use crate::policies::list::ClusterPolicies;
use crate::policy::compile::Policy;

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
    let api = Api::<CustomResourceDefinition>::all(cluster.client.clone());
    let mut checks = Vec::new();
    for ours in api::crds() {
        let name = ours.name_any();
        checks.push(match api.get_opt(&name).await {
            Ok(installed) => crd_check(&name, installed.as_ref(), &ours),
            Err(error) => CheckSubject::Crd.unseen(&format!("CRD {name}"), &error),
        });
    }
    checks
}

fn crd_check(
    name: &str,
    installed: Option<&CustomResourceDefinition>,
    ours: &CustomResourceDefinition,
) -> Check {
    let Some(installed) = installed else {
        return CheckSubject::Crd.error(format!("CRD {name} is not installed"), INSTALL);
    };
    if !conditions::is_crd_established().matches_object(Some(installed)) {
        let todo = format!("see why: kubectl describe crd {name}");
        return CheckSubject::Crd.error(format!("CRD {name} is installed and not served"), todo);
    }
    if installed.spec.versions != ours.spec.versions {
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
    checks.extend(read.unusable.into_iter().map(|policy| {
        let what = format!("{} cannot be used: {}", policy.name, policy.error);
        CheckSubject::Policy
            .error(what, "correct that field; until then the last version that compiled (status.lastGood) is in force or, where there is none, what of this one compiles, and the rest is undecided")
    }));
    (checks, read.policies)
}

#[cfg(test)]
mod tests {
    use super::super::check::CheckState;
    use super::*;

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
        let ours = api::crds().remove(0);
        let established =
            serde_json::json!({"conditions": [{"type": "Established", "status": "True"}]});
        let mut installed = ours.clone();
        let state =
            |installed: Option<&CustomResourceDefinition>| crd_check("x", installed, &ours).state;
        assert_eq!(state(None), CheckState::Error);
        assert_eq!(state(Some(&installed)), CheckState::Error);
        installed.status = serde_json::from_value(established).unwrap();
        assert_eq!(state(Some(&installed)), CheckState::Ok);
        installed.spec.versions[0].additional_printer_columns = None;
        assert_eq!(state(Some(&installed)), CheckState::Warning);
    }
}
