//! `podgate policy bundles` and `podgate policy show`

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::super::args::bundle_parser;
use super::super::columns::{self, TableCell};
use super::super::failure::Failure;
use super::super::output;
use crate::api::{
    BundleName, ClusterDevOpsPolicy, DevOpsPolicy, DevOpsPolicySpec, EnforcementMode,
};
use crate::policy::bundles;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  podgate policy show baseline | kubectl apply -n shop -f -
  podgate policy show restricted --kind ClusterDevOpsPolicy > restricted.yaml")]
pub(crate) struct ShowArgs {
    /// The bundle's name
    #[arg(value_parser = bundle_parser())]
    bundle: BundleName,
    /// The policy's kind: for one namespace, or for the namespaces that it selects
    #[arg(long, value_enum, ignore_case = true, default_value = "DevOpsPolicy")]
    kind: PolicyKind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(super) enum PolicyKind {
    DevOpsPolicy,
    ClusterDevOpsPolicy,
}

impl ShowArgs {
    pub(super) fn run(&self) -> Result<(), Failure> {
        output::print(&manifest(self.bundle, self.kind)?)
    }
}

/// `podgate policy bundles`
pub(super) fn bundles() -> Result<(), Failure> {
    output::print(&list()?)
}

fn list() -> Result<String, Failure> {
    let mut rows = Vec::new();
    for bundle in BundleName::ALL {
        let spec = bundles::spec(bundle);
        let texts = [bundle.as_str(), bundles::VERSION, &rules(&spec)?];
        rows.push(texts.map(TableCell::new).into());
    }
    Ok(columns::table(&["NAME", "VERSION", "RULES"], rows))
}

/// The rules of a spec with their parameters: `forbidLatestTag, maxRestartCount=3`.
fn rules(spec: &DevOpsPolicySpec) -> Result<String, Failure> {
    let Value::Object(fields) = serde_json::to_value(spec).map_err(std::io::Error::from)? else {
        return Ok(String::new());
    };
    let described = fields.into_iter().map(|(field, value)| match value {
        Value::Bool(true) => field,
        Value::String(value) => format!("{field}={value}"),
        Value::Array(values) => {
            let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
            format!("{field}={}", values.join("+"))
        }
        value => format!("{field}={value}"),
    });
    Ok(described.collect::<Vec<_>>().join(", "))
}

fn manifest(bundle: BundleName, kind: PolicyKind) -> Result<String, Failure> {
    let (name, spec) = (bundle.as_str(), bundles::spec(bundle));
    let policy = match kind {
        PolicyKind::DevOpsPolicy => serde_saphyr::to_string(&DevOpsPolicy::new(name, spec)),
        PolicyKind::ClusterDevOpsPolicy => {
            // A ClusterDevOpsPolicy's spec has every field of a DevOpsPolicy's.
            let fields = serde_json::to_value(spec).map_err(std::io::Error::from)?;
            let spec = serde_json::from_value(fields).map_err(std::io::Error::from)?;
            serde_saphyr::to_string(&ClusterDevOpsPolicy::new(name, spec))
        }
    };
    let policy = policy.map_err(std::io::Error::other)?;
    let version = bundles::VERSION;
    // A bundle sets no mode.
    let mode = EnforcementMode::default().as_str();
    Ok(format!(
        "# podgate's bundle {name}, version {version}. Its mode is {mode}, unless enforcementMode says otherwise.\n{policy}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::policy_file;

    #[test]
    fn the_list_shows_what_each_bundle_asks() {
        insta::assert_snapshot!(list().unwrap(), @"
        NAME         VERSION   RULES
        permissive   2         forbidLatestTag, forbidPendingDuration=600, maxRestartCount=10, requireLivenessProbe, requireReadinessProbe
        baseline     2         forbidLatestTag, podSecurity=baseline, requireReadinessProbe, requireResourceRequests=cpu+memory
        restricted   2         forbidLatestTag, forbidPendingDuration=300, maxRestartCount=3, podSecurity=restricted, requireLivenessProbe, requireReadinessProbe, requireResourceLimits=memory, requireResourceRequests=cpu+memory
        ");
    }

    #[test]
    fn every_bundle_is_printed_as_a_policy_of_either_kind_that_asks_the_same() {
        for bundle in BundleName::ALL {
            let expected = serde_json::to_value(bundles::spec(bundle)).unwrap();
            for kind in [PolicyKind::DevOpsPolicy, PolicyKind::ClusterDevOpsPolicy] {
                let text = manifest(bundle, kind).unwrap();
                let read: Value = serde_saphyr::from_str(&text).unwrap();
                assert_eq!(read["spec"], expected);
                let policies = policy_file::parse(&text, policy_file::ParseOptions::default())
                    .unwrap_or_else(|fault| panic!("{}", fault.message));
                assert_eq!(policies.len(), 1);
                assert_eq!(policies[0].policy.name, bundle.as_str());
            }
        }
    }

    #[test]
    fn a_manifest_says_nothing_that_is_not_set() {
        insta::assert_snapshot!(manifest(BundleName::Restricted, PolicyKind::ClusterDevOpsPolicy).unwrap(), @"
        # podgate's bundle restricted, version 2. Its mode is audit, unless enforcementMode says otherwise.
        apiVersion: devops.stochastic.io/v1
        kind: ClusterDevOpsPolicy
        metadata:
          name: restricted
        spec:
          forbidLatestTag: true
          requireLivenessProbe: true
          requireReadinessProbe: true
          maxRestartCount: 3
          forbidPendingDuration: 300
          requireResourceRequests:
          - cpu
          - memory
          requireResourceLimits:
          - memory
          podSecurity: restricted
        ");
    }
}
