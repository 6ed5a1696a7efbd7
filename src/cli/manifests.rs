//! The flags that `scan` and `fix` share: the manifests and the policies.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::args::{ProtectedArgs, bundle_parser};
use super::failure::Failure;
use crate::api::{BundleName, DevOpsPolicySpec};
use crate::inputs::{self, Found};
use crate::policies::files;
use crate::policy::bundles;
use crate::policy::compile::Policy;
use crate::policy::scope::{Scope, Selection};

#[derive(Args, Debug)]
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
    /// The namespace of objects without one; without this flag, every policy judges them
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    #[command(flatten)]
    pub protected: ProtectedArgs,
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

    /// The policies to judge by: those of the flags, else the default checks.
    pub(super) fn policies(&self) -> Result<Vec<Arc<Policy>>, Failure> {
        let mut policies = given(&self.policy, self.bundle)?;
        if policies.is_empty() {
            policies.push(everywhere(bundles::DEFAULT_CHECKS, &bundles::default_checks())?);
        }
        Ok(policies)
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
