//! `podgate policy preview`

mod headline;
mod html;
mod markdown;
mod table;
#[cfg(test)]
mod testing;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::super::args::{ClusterArgs, OutputFileArgs, ProtectedArgs, bundle_parser};
use super::super::diagnostics;
use super::super::failure::{Failure, block_on};
use super::super::gate::GateArgs;
use super::super::html::place;
use super::super::output;
use super::super::output::Versioned;
use crate::analysis::cluster::Extent;
use crate::analysis::observed;
use crate::analysis::preview::{self, Previewed};
use crate::api::{BundleName, DevOpsPolicySpec, EnforcementMode};
use crate::clusters;
use crate::manifests::policy_file::ParseOptions;
use crate::policies::files;
use crate::policy::compile::Policy;
use crate::policy::scope::{Scope, Selection};

#[derive(Args, Debug)]
#[command(
    after_help = "Each given policy counts as enforced, whatever its mode, beside the cluster's policies and in place of one \
with the same name. Without policies, those in force are judged as they are, each in its mode; each has a row with what it \
would deny if it were enforced. Nothing is written to the cluster.

--observed adds the reviews that the running replicas have counted since they started: those that a policy denied, and \
those that it would have denied in the mode enforce, of pods that are long gone too. It needs the permissions to list pods \
and to get pods/proxy in the release's namespace; a line says what was not seen.

Exit codes: 2 where a file cannot be used, 3 where something could not be read (the rest is previewed), else 1 by \
--fail-on (violations that would deny) and 4 by --min-score (the cluster's score afterwards).

Examples:
  podgate policy preview                                   # the policies in force
  podgate policy preview --observed -o json
  podgate policy preview policies/
  podgate policy preview --bundle restricted               # for the whole cluster
  podgate policy preview --bundle baseline -n shop
  podgate policy preview policies/ -o markdown --fail-on high > comment.md
  kustomize build | podgate policy preview - -o json
  podgate policy preview -o html --output-file preview.html"
)]
pub(crate) struct PreviewArgs {
    /// A policy file, a folder (read recursively), or - for stdin [default: the policies in force]
    #[arg(value_name = "FILE|DIR|-", conflicts_with = "bundle")]
    policies: Vec<PathBuf>,
    /// A built-in bundle, as a policy for the namespace of -n or for the whole cluster
    #[arg(long, value_name = "NAME", value_parser = bundle_parser())]
    bundle: Option<BundleName>,
    /// The namespace of a DevOpsPolicy without one [default: the context's];
    /// without policies, the only namespace to judge [default: all]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Show the reviews that the running replicas have counted, beside what the preview computes
    #[arg(long)]
    observed: bool,
    /// The namespace of podgate's replicas, for --observed
    #[arg(long, value_name = "NAME", default_value = "podgate-system", requires = "observed")]
    release_namespace: String,
    #[arg(short, long, value_enum, default_value_t)]
    output: PreviewFormat,
    #[command(flatten)]
    output_file: OutputFileArgs,
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
    /// One page for a browser, with search and sorting
    Html,
}

impl PreviewArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(run(self))
    }
}

async fn run(args: PreviewArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let default = cluster.client.default_namespace();
    let (now, in_force) = (Timestamp::now(), args.policies.is_empty() && args.bundle.is_none());
    let place = place(&cluster.name, args.namespace.as_deref().filter(|_| in_force));
    let previewed = if let Some(bundle) = args.bundle {
        enforced(vec![Arc::new(of_bundle(bundle, args.namespace)?)])
    } else if args.policies.is_empty() {
        let all = || Extent::All { or_else: default.to_owned() };
        Previewed::InForce(args.namespace.map_or_else(all, Extent::One))
    } else {
        let namespace = args.namespace.as_deref().unwrap_or(default);
        let read = files::read(&args.policies, ParseOptions::gitops_folder(namespace))?;
        enforced(read.into_iter().map(|it| it.document.policy).collect())
    };
    let protected = args.protected.list();
    let mut preview = preview::preview(&cluster, previewed, protected, now).await?;
    if args.observed {
        let observed = observed::observe(&cluster.client, &args.release_namespace).await;
        preview.observe(observed.map_err(|error| cluster.explain(error))?);
    }
    diagnostics::report_notes(&preview.notes, &preview.faults);
    args.output_file.write(&match args.output {
        PreviewFormat::Table => table::table(&preview),
        PreviewFormat::Json => output::to_json(&Versioned::of(&preview))?,
        PreviewFormat::Yaml => output::to_yaml(&Versioned::of(&preview))?,
        PreviewFormat::Markdown => markdown::page(&preview),
        PreviewFormat::Html => html::page(&preview, &place, now),
    })?;
    diagnostics::require_complete("preview", &preview.faults)?;
    let violations = preview.workloads.iter().flat_map(preview::answer::PreviewWorkload::distinct);
    let score = preview.summary.score.and_then(|score| score.after.score);
    args.gate.check(violations.map(|it| it.severity), score)
}

/// Given policies, as if they were enforced.
fn enforced(mut policies: Vec<Arc<Policy>>) -> Previewed {
    for policy in policies.iter_mut().filter_map(Arc::get_mut) {
        policy.mode = EnforcementMode::Enforce;
    }
    Previewed::Given(policies)
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
          "versions": "given",
          "policies": [
            {
              "policy": "shop/baseline",
              "replaces": false,
              "mode": "enforce",
              "wouldDeny": 1,
              "wouldRefusePods": 7,
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
          ],
          "observed": null
        }
        "#);
    }

    #[test]
    fn what_replicas_counted_has_these_fields() {
        let observed = testing::in_force().observed.unwrap();
        insta::assert_snapshot!(output::to_json(&observed).unwrap(), @r#"
        {
          "replicas": [
            {
              "pod": "podgate-a",
              "since": "2025-11-24T16:01:00Z",
              "unread": null
            },
            {
              "pod": "podgate-b",
              "since": "2025-11-24T16:00:00Z",
              "unread": null
            },
            {
              "pod": "podgate-c",
              "since": null,
              "unread": "no answer within 10s"
            }
          ],
          "policies": [
            {
              "policy": "shop/baseline",
              "denied": 12,
              "wouldDeny": 0
            },
            {
              "policy": "restricted",
              "denied": 0,
              "wouldDeny": 1041
            }
          ],
          "unseen": null
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
