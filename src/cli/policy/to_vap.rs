//! `podgate policy to-vap`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::super::args::{ClusterArgs, ProtectedArgs, bundle_parser};
use super::super::diagnostics;
use super::super::failure::{Failure, block_on};
use super::super::output;
use super::apply::ModeArg;
use crate::api::{BundleName, DevOpsPolicySpec};
use crate::clusters;
use crate::manifests::policy_file::ParseOptions;
use crate::policies::files;
use crate::policies::list::ClusterPolicies;
use crate::policy::compile::Policy;
use crate::policy::grace::ControllerUsers;
use crate::policy::policy_set::PolicySet;
use crate::policy::scope::{Scope, Selection};
use crate::policy::text::count;
use crate::policy::vap::groups::{groups, mutated_groups, mutating_groups};
use crate::policy::vap::{self, OLDEST_KUBERNETES, Options, STATIC, mutating};

/// The first part of every object's name.
const PREFIX: &str = "podgate";

#[derive(Args, Debug)]
#[command(
    after_help = "The objects judge in the API server itself, without podgate: what they deny, and what they say, is what podgate's
webhook denies and says. They need Kubernetes 1.33 or newer. Policies that cover the same namespaces are one object, or two
where denySeverity makes some violations warnings. The mode enforce becomes Deny, warn Warn, and audit Audit.

With --mutate, the API server also adds to pods what the policies' mutate adds, and judges a template with what its pods
will get. That needs Kubernetes 1.36. Without it, mutate is not done.

What the API server cannot judge is printed to stderr, and stands in the annotation devops.stochastic.io/losses. Rules of
a running pod's status (maxRestartCount, forbidPendingDuration) are no loss: they never deny.

Exit codes: 1 with --strict, if anything is lost; 2 where a file cannot be used; 3 where the cluster cannot be read.

Examples:
  podgate policy to-vap policies/ | kubectl apply -f -
  podgate policy to-vap --bundle restricted --mode enforce
  podgate policy to-vap                                     # the cluster's policies
  podgate policy to-vap policies/ --mutate
  podgate policy to-vap policies/ --strict --static > /etc/kubernetes/admission/podgate.yaml"
)]
pub(crate) struct ToVapArgs {
    /// A policy file, a folder (read recursively), or - for stdin [default: the cluster's policies]
    #[arg(value_name = "FILE|DIR|-", conflicts_with = "bundle")]
    policies: Vec<PathBuf>,
    /// A built-in bundle, as a policy for the namespace of -n or for all namespaces
    #[arg(long, value_name = "NAME", value_parser = bundle_parser())]
    bundle: Option<BundleName>,
    /// The mode of --bundle
    #[arg(long, value_enum, default_value_t, requires = "bundle")]
    mode: ModeArg,
    /// The namespace of a DevOpsPolicy without one [default: it covers all];
    /// without policies, the only namespace whose policies are read [default: all]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Fail, and print no object, if the API server cannot judge all that podgate judges
    #[arg(long)]
    strict: bool,
    /// Also print mutating policies, which add to pods what the policies' mutate adds; they need Kubernetes 1.36
    #[arg(long)]
    mutate: bool,
    /// Name the objects as an API server must find them in its folder of static manifests (KEP-5793)
    #[arg(long = "static")]
    r#static: bool,
    /// A user of Kubernetes' controllers, for graceUntil, as of podgate serve; may be repeated
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    controller_user: Vec<String>,
    #[command(flatten)]
    protected: ProtectedArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl ToVapArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut left_out = Vec::new();
        let policies = if let Some(bundle) = self.bundle {
            vec![Arc::new(self.of_bundle(bundle)?)]
        } else if self.policies.is_empty() {
            let read = block_on(self.of_cluster())?;
            diagnostics::report_notes(&[], &read.faults);
            diagnostics::require_complete("list of policies", &read.faults)?;
            let unusable = read.unusable.iter().map(|it| format!("{}: {}", it.name, it.error));
            left_out.extend(unusable);
            read.policies
        } else {
            let options =
                ParseOptions { namespace: self.namespace.as_deref(), ..ParseOptions::default() };
            let read = files::read(&self.policies, options)?;
            read.into_iter().map(|it| it.document.policy).collect()
        };
        self.print(policies, left_out)
    }

    fn of_bundle(&self, bundle: BundleName) -> Result<Policy, Failure> {
        let all = || Scope::Cluster(Selection::default());
        let scope = self.namespace.clone().map_or_else(all, Scope::Namespace);
        let spec = DevOpsPolicySpec {
            bundle: Some(bundle),
            enforcement_mode: Some(self.mode.into()),
            ..DevOpsPolicySpec::default()
        };
        Policy::compile(scope, bundle.as_str().to_owned(), &spec)
            .map_err(|error| Failure::Input(error.to_string()))
    }

    async fn of_cluster(&self) -> Result<ClusterPolicies, Failure> {
        let cluster = clusters::connect(&self.cluster.target()).await?;
        let namespace = self.namespace.iter().map(String::as_str);
        Ok(ClusterPolicies::read(&cluster, self.namespace.is_none(), namespace).await?)
    }

    /// Prints the objects of these policies, and what they lack.
    fn print(&self, policies: Vec<Arc<Policy>>, mut lost: Vec<String>) -> Result<(), Failure> {
        // A set has the policies in the order in which messages show them.
        let set = PolicySet::new(policies, Arc::default());
        let protected = self.protected.list();
        let controllers = ControllerUsers::with(self.controller_user.clone());
        let suffix = if self.r#static { STATIC } else { "" };
        let options = Options {
            prefix: PREFIX,
            suffix,
            protected: &protected,
            controllers: &controllers,
            removals_if: None,
            passed: None,
            ending: None,
        };
        let oldest = if self.mutate { mutating::OLDEST_KUBERNETES } else { OLDEST_KUBERNETES };
        let mut objects = Vec::new();
        if self.mutate {
            for group in mutating_groups(set.policies(), &protected) {
                let compiled = mutating::compile(&group, &options);
                objects.extend(compiled.into_iter().flat_map(|it| [it.policy, it.binding]));
            }
        }
        let sort = if self.mutate { mutated_groups } else { groups };
        for group in sort(set.policies(), &protected) {
            let compiled = vap::compile(&group, &options);
            objects.extend(compiled.objects.into_iter().flat_map(|it| [it.policy, it.binding]));
            lost.extend(compiled.losses.iter().map(ToString::to_string));
        }
        // A policy may be in several groups.
        lost.sort();
        lost.dedup();
        for loss in &lost {
            eprintln!("podgate: {loss}");
        }
        if self.strict && !lost.is_empty() {
            let lost = count(lost.len() as u64, "part");
            let message = format!(
                "{lost} of the policies cannot be judged by the API server, as above; without --strict, the rest is printed"
            );
            return Err(Failure::Findings(message));
        }
        if objects.is_empty() {
            eprintln!("podgate: no policy has a rule that the API server can judge");
            return Ok(());
        }
        let documents: Result<Vec<_>, _> = objects.iter().map(output::to_yaml).collect();
        let text = documents?.join("---\n");
        output::print(&format!(
            "# Made by podgate policy to-vap, for Kubernetes {oldest} or newer.\n{text}"
        ))
    }
}
