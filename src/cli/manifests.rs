//! The flags that `scan` and `fix` share: the manifests, and what judges them. [`ManifestArgs::source`] is the way in.

mod live;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use self::live::{Judging, Live};
use super::args::{ClusterArgs, ProtectedArgs, bundle_parser};
use super::failure::Failure;
use crate::api::{BundleName, DevOpsPolicySpec};
use crate::inputs::{self, Found, Input};
use crate::policies::files;
use crate::policy::bundles;
use crate::policy::compile::Policy;
use crate::policy::protected::Protected;
use crate::policy::scope::{Scope, Selection};
use crate::scan::offline;

#[derive(Args, Debug)]
#[command(mut_arg("kubeconfig", |it| it.requires("live")), mut_arg("context", |it| it.requires("live")))]
pub(super) struct ManifestArgs {
    /// A manifest, a folder (read recursively), or - for stdin [default: the working directory]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The same as PATH, as in kubectl; may be repeated
    #[arg(short, long = "filename", value_name = "PATH")]
    file: Vec<PathBuf>,
    /// Files and folders in PATH that are not read, as a line of a .podgateignore file
    /// in the working directory; may be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// A policy file or a folder of them; may be repeated [default: the five default checks]
    #[arg(long, value_name = "FILE|DIR")]
    policy: Vec<PathBuf>,
    /// Judge by a built-in bundle; see: podgate policy bundles
    #[arg(long, value_name = "NAME", value_parser = bundle_parser())]
    bundle: Option<BundleName>,
    /// Judge by the policies in force in the current cluster, as the webhook does,
    /// as far as you may read them
    #[arg(long, conflicts_with_all = ["policy", "bundle"])]
    live: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The namespace of objects without one [default: with --live the context's,
    /// else none, so that every policy judges them]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    protected: ProtectedArgs,
}

/// Where the policies come from, and the namespace of objects without one.
pub(super) struct PolicySource {
    policies: Policies,
    protected: Protected,
    pub namespace: Option<String>,
}

enum Policies {
    Given(Vec<Arc<Policy>>),
    Live(Box<Live>),
}

impl ManifestArgs {
    /// The paths as they were given, for a report's title.
    pub(super) fn named(&self) -> String {
        let paths = self.paths.iter().chain(&self.file).map(|path| match path.to_str() {
            Some("-") => "stdin".to_owned(),
            _ => path.display().to_string(),
        });
        let paths: Vec<_> = paths.collect();
        match paths.as_slice() {
            [] => "the working directory".to_owned(),
            [first, others @ ..] if others.len() > 2 => {
                format!("{first} and {} more paths", others.len())
            }
            few => few.join(", "),
        }
    }

    /// The input files, what was passed over, and the faults of paths that cannot be read.
    pub(super) fn inputs(&self) -> Found {
        let paths: Vec<_> = self.paths.iter().chain(&self.file).cloned().collect();
        let paths = if paths.is_empty() { vec![PathBuf::from(".")] } else { paths };
        inputs::find_manifests(&paths, &self.exclude)
    }

    /// The policies to judge by: those of the cluster with `--live`, else those of the flags, else the default checks.
    pub(super) fn source(&self) -> Result<PolicySource, Failure> {
        let (protected, namespace) = (self.protected.list(), self.namespace.clone());
        if self.live {
            let live = Live::connect(&self.cluster)?;
            let namespace = namespace.unwrap_or_else(|| live.namespace().to_owned());
            let policies = Policies::Live(Box::new(live));
            return Ok(PolicySource { policies, protected, namespace: Some(namespace) });
        }
        let mut policies = given(&self.policy, self.bundle)?;
        if policies.is_empty() {
            policies.push(everywhere(bundles::DEFAULT_CHECKS, &bundles::default_checks())?);
        }
        Ok(PolicySource { policies: Policies::Given(policies), protected, namespace })
    }
}

impl PolicySource {
    /// The policies in force for an input.
    pub(super) fn judging(&self, inputs: &[Input]) -> Result<Judging, Failure> {
        let protected = self.protected.clone();
        match &self.policies {
            Policies::Live(live) => {
                live.read(inputs, self.namespace.as_deref().unwrap_or_default(), &protected)
            }
            Policies::Given(policies) => Ok(Judging {
                policies: offline::set(inputs, policies.clone(), protected),
                unread: Vec::new(),
                faults: Vec::new(),
            }),
        }
    }
}

/// The policies of files and folders, and that of a bundle.
pub(super) fn given(
    paths: &[PathBuf],
    bundle: Option<BundleName>,
) -> Result<Vec<Arc<Policy>>, Failure> {
    let mut policies = files::load(paths)?;
    if let Some(bundle) = bundle {
        policies.push(everywhere(bundle.as_str(), &bundles::spec(bundle))?);
    }
    Ok(policies)
}

fn everywhere(name: &str, spec: &DevOpsPolicySpec) -> Result<Arc<Policy>, Failure> {
    let policy = Policy::compile(Scope::Cluster(Selection::default()), name.to_owned(), spec);
    policy.map(Arc::new).map_err(|error| Failure::Input(error.to_string()))
}
