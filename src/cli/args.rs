//! Flags that several commands share.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::failure::Failure;
use super::output;
use crate::api::BundleName;
use crate::clusters::Target;
use crate::policy::protected::Protected;

/// Selects the cluster.
#[derive(Args, Debug)]
pub(super) struct ClusterArgs {
    /// The kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl ClusterArgs {
    pub(super) fn target(&self) -> Target {
        Target { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

/// Selects namespaces, with kubectl's flags.
#[derive(Args, Debug)]
pub(super) struct NamespaceArgs {
    /// The namespace [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

impl NamespaceArgs {
    /// The selected namespace; `None` for all of them. `default` is the context's.
    pub(super) fn one(&self, default: &str) -> Option<String> {
        (!self.all_namespaces).then(|| self.namespace.clone().unwrap_or_else(|| default.to_owned()))
    }
}

/// Where the report goes.
#[derive(Args, Debug)]
pub(super) struct OutputFileArgs {
    /// Write the report to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(super) output_file: Option<PathBuf>,
}

impl OutputFileArgs {
    pub(super) fn write(&self, text: &str) -> Result<(), Failure> {
        let Some(path) = &self.output_file else { return output::print(text) };
        fs::write(path, text)
            .map_err(|error| Failure::Cluster(format!("cannot write {}: {error}", path.display())))
    }
}

/// The namespaces that podgate never judges.
#[derive(Args, Debug)]
pub(super) struct ProtectedArgs {
    /// A namespace that is never judged, beside kube-system, kube-node-lease
    /// and kube-public (the chart's protectedNamespaces); may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) protected_namespace: Vec<String>,
}

impl ProtectedArgs {
    pub(super) fn list(&self) -> Protected {
        Protected::with(self.protected_namespace.iter().cloned())
    }
}

/// Parses the name of a built-in bundle.
pub(super) fn bundle_parser() -> impl TypedValueParser<Value = BundleName> {
    PossibleValuesParser::new(BundleName::ALL.map(BundleName::as_str)).try_map(|name| {
        let bundle = BundleName::ALL.into_iter().find(|bundle| bundle.as_str() == name);
        bundle.ok_or("there is no such bundle")
    })
}
