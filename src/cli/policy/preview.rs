//! `podgate policy preview`

mod headline;
mod markdown;
mod table;
#[cfg(test)]
mod testing;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::super::args::{ClusterArgs, ProtectedArgs, bundle_parser};
use super::super::diagnostics;
use super::super::failure::{Failure, block_on};
use super::super::gate::GateArgs;
use super::super::output;
use super::super::output::Versioned;
use crate::analysis::preview;
use crate::api::{BundleName, DevOpsPolicySpec, EnforcementMode};
use crate::clusters;
use crate::manifests::policy_file::ParseOptions;
use crate::policies::files;
use crate::policy::compile::Policy;
use crate::policy::scope::{Scope, Selection};

#[derive(Args, Debug)]
#[command(
    after_help = "Each policy counts as enforced, whatever its mode, beside the cluster's policies and in place of one with \
the same name. Nothing is written to the cluster.

Exit codes: 2 where a file cannot be used, 3 where something could not be read (the rest is previewed), else 1 by \
--fail-on (violations that would deny) and 4 by --min-score (the cluster's score afterwards).

Examples:
  podgate policy preview policies/
  podgate policy preview --bundle restricted               # for the whole cluster
  podgate policy preview --bundle baseline -n shop
  podgate policy preview policies/ -o markdown --fail-on high > comment.md
  kustomize build | podgate policy preview - -o json"
)]
pub(crate) struct PreviewArgs {
    /// A policy file, a folder (read recursively), or - for stdin
    #[arg(
        value_name = "FILE|DIR|-",
        required_unless_present = "bundle",
        conflicts_with = "bundle"
    )]
    policies: Vec<PathBuf>,
    /// A built-in bundle, as a policy for the namespace of -n or for the whole cluster
    #[arg(long, value_name = "NAME", value_parser = bundle_parser())]
    bundle: Option<BundleName>,
    /// The namespace of a DevOpsPolicy without one [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: PreviewFormat,
    #[command(flatten)]
    gate: GateArgs,
    #[command(flatten)]
    protected: ProtectedArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum PreviewFormat {
    /// For people: the worst violations
    #[default]
    Table,
    /// For programs: every violation
    Json,
    /// The same as YAML
    Yaml,
    /// For a pull request's comment or $GITHUB_STEP_SUMMARY
    Markdown,
}

impl PreviewArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(run(self))
    }
}

async fn run(args: PreviewArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let mut policies = if let Some(bundle) = args.bundle {
        vec![Arc::new(of_bundle(bundle, args.namespace)?)]
    } else {
        let default = cluster.client.default_namespace();
        let namespace = args.namespace.as_deref().unwrap_or(default);
        let read = files::read(&args.policies, ParseOptions::gitops_folder(namespace))?;
        read.into_iter().map(|it| it.document.policy).collect()
    };
    for policy in policies.iter_mut().filter_map(Arc::get_mut) {
        policy.mode = EnforcementMode::Enforce;
    }
    let protected = args.protected.list();
    let preview = preview::preview(&cluster, policies, protected, Timestamp::now()).await?;
    diagnostics::report_notes(&preview.notes, &preview.faults);
    match args.output {
        PreviewFormat::Table => output::print(&table::table(&preview))?,
        PreviewFormat::Json => output::json(&Versioned::of(&preview))?,
        PreviewFormat::Yaml => output::yaml(&Versioned::of(&preview))?,
        PreviewFormat::Markdown => output::print(&markdown::page(&preview))?,
    }
    diagnostics::require_complete("preview", &preview.faults)?;
    let violations = preview.workloads.iter().flat_map(preview::answer::PreviewWorkload::distinct);
    let score = preview.summary.score.and_then(|score| score.after.score);
    args.gate.check(violations.map(|it| it.severity), score)
}

/// The policy of a bundle, for a namespace or for all namespaces.
fn of_bundle(bundle: BundleName, namespace: Option<String>) -> Result<Policy, Failure> {
    let all = || Scope::Cluster(Selection::default());
    let scope = namespace.map_or_else(all, Scope::Namespace);
    let spec = DevOpsPolicySpec { bundle: Some(bundle), ..DevOpsPolicySpec::default() };
    Policy::compile(scope, bundle.as_str().to_owned(), &spec)
        .map_err(|error| Failure::Input(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_these_fields() {
        let mut preview = testing::plain();
        preview.workloads.clear();
        preview.exemptions.remove(0);
        preview.namespaces.remove(0);
        insta::assert_snapshot!(output::to_json(&Versioned::of(&preview)).unwrap(), @r#"
        {
          "apiVersion": "podgate/v1",
          "policies": [
            {
              "policy": "shop/baseline",
              "replaces": false,
              "graceUntil": null
            }
          ],
          "summary": {
            "workloads": 3,
            "denied": 1,
            "deniedBefore": null,
            "pods": 12,
            "refusedPods": 7,
            "gracedPods": 0,
            "refusedPodsBefore": null,
            "violations": 2,
            "newViolations": 2,
            "goneViolations": null,
            "score": {
              "before": {
                "score": 91,
                "classification": "Healthy"
              },
              "after": {
                "score": 74,
                "classification": "Degraded"
              }
            }
          },
          "workloads": [],
          "exemptions": [
            {
              "policy": "shop/baseline",
              "index": 1,
              "state": "expired",
              "rules": [
                "forbidLatestTag"
              ],
              "reason": "moves in June",
              "owner": "team cart",
              "expiresAt": "2026-01-01T00:00:00Z",
              "endsWithin": null
            }
          ],
          "namespaces": [
            {
              "namespace": "shop",
              "before": {
                "score": 85,
                "classification": "Healthy"
              },
              "after": {
                "score": 52,
                "classification": "Degraded"
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_workloads_json_has_these_fields() {
        let mut workload = testing::plain().workloads.remove(0);
        workload.violations.truncate(1);
        insta::assert_snapshot!(output::to_json(&workload).unwrap(), @r#"
        {
          "namespace": "shop",
          "kind": "Deployment",
          "name": "cart",
          "verdict": "denied",
          "before": null,
          "violations": [
            {
              "policy": "shop/baseline",
              "rule": "forbidLatestTag",
              "severity": "high",
              "container": "web",
              "path": "spec.template.spec.containers[0].image",
              "value": "nginx",
              "message": "spec.template.spec.containers[0].image is \"nginx\" (no tag means :latest); give a version",
              "new": true,
              "pods": null
            }
          ],
          "pods": {
            "running": 5,
            "refused": 5,
            "graced": 0,
            "refusedBefore": null,
            "violations": [
              {
                "policy": "shop/baseline",
                "rule": "forbidLatestTag",
                "severity": "high",
                "container": "web",
                "path": "spec.containers[0].image",
                "value": "nginx",
                "message": "spec.containers[0].image is \"nginx\" (no tag means :latest); give a version",
                "new": true,
                "pods": 5
              }
            ]
          }
        }
        "#);
    }
}
