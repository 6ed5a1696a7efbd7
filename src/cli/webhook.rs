//! `podgate webhook serve`, `podgate webhook config` and `podgate webhook delete`

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use k8s_openapi::api::admissionregistration::v1::MatchCondition;
use serde_json::{Value, json};

use super::args::ClusterArgs;
use super::certificates::condition;
use super::failure::{Failure, block_on};
use super::output;
use super::serve::WebhookServeArgs;
use crate::admission::registration::{Endpoint, FailurePolicy, Registration};
use crate::client::dry_run::DryRun;
use crate::clusters;
use crate::install::break_glass::{self, Removal};
use crate::policy::vap::floor::LABEL;

#[derive(Subcommand)]
pub(super) enum WebhookCommand {
    /// Answer AdmissionReviews, without audit and writes.
    Serve(WebhookServeArgs),
    /// Print the webhook configurations.
    Config(ConfigArgs),
    /// Break glass: stop the API server's calls to podgate at once.
    Delete(DeleteArgs),
}

impl WebhookCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(args) => args.run(),
            Self::Config(args) => args.run(),
            Self::Delete(args) => block_on(delete(args)),
        }
    }
}

#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("endpoint").required(true),
    after_help = "The chart writes the same configurations. Without --ca-file, they have no caBundle.

Examples:
  podgate webhook config --service podgate-system/podgate
  podgate webhook config --url https://127.0.0.1:8443 --ca-file certs/ca.crt | kubectl apply -f -"
)]
pub(super) struct ConfigArgs {
    /// The Service that the API server calls
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", group = "endpoint", value_parser = service)]
    service: Option<Endpoint>,
    /// The address that the API server calls
    #[arg(long, value_name = "https://HOST[:PORT]", group = "endpoint", value_parser = url)]
    url: Option<Endpoint>,
    /// The certificate authority that signed podgate's certificate, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// What the API server does with a request that podgate does not answer
    #[arg(long, value_enum, default_value_t)]
    failure_policy: FailurePolicyArg,
    /// A namespace that is never judged, beside kube-system,
    /// kube-node-lease, kube-public and the Service's own; may be repeated
    #[arg(long, value_name = "NAME")]
    protected_namespace: Vec<String>,
    /// A match condition of the webhooks for workloads; may be repeated
    #[arg(long, value_name = "NAME=EXPRESSION", value_parser = condition)]
    match_condition: Vec<MatchCondition>,
    /// The namespace of the Lease podgate-alive, by which podgate checks that the
    /// API server calls it [default: the Service's namespace; with --url, none]
    #[arg(long, value_name = "NAME")]
    lease_namespace: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum FailurePolicyArg {
    /// Admit the request
    #[default]
    #[value(name = "Ignore")]
    Ignore,
    /// Refuse the request
    #[value(name = "Fail")]
    Fail,
}

#[derive(Args, Debug)]
#[command(
    after_help = "No request is judged until the configurations exist again. Restore them with helm upgrade, with
podgate webhook config --service NAMESPACE/NAME | kubectl apply -f -, or with podgate serve --register.
Where podgate keeps a floor, its bindings are deleted too, and stay away until its policies are deleted:
kubectl delete validatingadmissionpolicies -l devops.stochastic.io/floor=RELEASE

Examples:
  podgate webhook delete
  podgate webhook delete --dry-run"
)]
pub(super) struct DeleteArgs {
    /// Only print what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl ConfigArgs {
    fn run(self) -> Result<(), Failure> {
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).map_err(|error| {
                Failure::Input(format!("cannot read {}: {error}; check --ca-file", path.display()))
            })
        };
        let ca_pem = self.ca_file.map(read).transpose()?;
        if ca_pem.as_ref().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(Failure::Input(
                "--ca-file has no certificate in PEM; give it the authority's ca.crt".to_owned(),
            ));
        }
        let Some(endpoint) = self.service.or(self.url) else {
            return Err(Failure::Input("give --service or --url".to_owned()));
        };
        let of_service = match &endpoint {
            Endpoint::Service { namespace, .. } => Some(namespace.clone()),
            Endpoint::Url(_) => None,
        };
        let registration = Registration {
            endpoint,
            ca_pem,
            failure_policy: match self.failure_policy {
                FailurePolicyArg::Ignore => FailurePolicy::Ignore,
                FailurePolicyArg::Fail => FailurePolicy::Fail,
            },
            protected_namespaces: self.protected_namespace,
            match_conditions: self.match_condition,
            lease_namespace: self.lease_namespace.or(of_service),
            labels: json!({"app.kubernetes.io/name": "podgate"}),
        };
        for configuration in [registration.mutating(), registration.validating()] {
            output::print(&format!("---\n{}", yaml(&configuration)?))?;
        }
        Ok(())
    }
}

fn yaml(value: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(value)
        .map_err(|error| Failure::Input(format!("cannot write the configuration: {error}")))
}

/// Parses `NAMESPACE/NAME[:PORT]`; the port is 443 by default.
fn service(text: &str) -> Result<Endpoint, String> {
    let form = "write it as NAMESPACE/NAME or NAMESPACE/NAME:PORT";
    let (path, port) = match text.split_once(':') {
        Some((path, port)) => (path, port.parse().map_err(|_| form.to_owned())?),
        None => (text, 443),
    };
    match path.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') && port != 0 =>
        {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            Ok(Endpoint::Service { namespace, name, port })
        }
        _ => Err(form.to_owned()),
    }
}

/// Parses `https://HOST[:PORT]`, without a path: podgate adds its own.
fn url(text: &str) -> Result<Endpoint, String> {
    let form = "write it as https://HOST or https://HOST:PORT";
    let uri = text.parse::<axum::http::Uri>().map_err(|_| form.to_owned())?;
    let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
    match uri.authority() {
        Some(authority) if plain && uri.scheme_str() == Some("https") => {
            Ok(Endpoint::Url(format!("https://{authority}")))
        }
        _ => Err(form.to_owned()),
    }
}

async fn delete(args: DeleteArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let dry_run = if args.dry_run { DryRun::Yes } else { DryRun::No };
    let removals = break_glass::delete(&cluster, dry_run).await?;
    let suffix = if args.dry_run { " (dry run)" } else { "" };
    let (mut shared, mut floor_left) = (Vec::new(), None);
    for removal in &removals {
        match removal {
            Removal::Deleted(label) => output::print(&format!("{label} deleted{suffix}\n"))?,
            Removal::Shared(label) => shared.push(label.as_str()),
            Removal::FloorLeft(why) => floor_left = Some(why),
        }
    }
    if removals.iter().all(|it| matches!(it, Removal::FloorLeft(_))) {
        eprintln!("podgate: no webhook configuration calls podgate; there is nothing to delete");
    } else if !args.dry_run && floor_left.is_none() {
        eprintln!(
            "podgate: no request is judged any more; restore with: helm upgrade, or podgate webhook config --service NAMESPACE/NAME | kubectl apply -f -"
        );
    }
    if let Some(why) = floor_left {
        return Err(Failure::Cluster(format!(
            "a floor may judge half a minute later, because its bindings cannot be deleted: {why}; somebody who may should \
             run: kubectl delete validatingadmissionpolicybindings -l {LABEL}"
        )));
    }
    if shared.is_empty() {
        return Ok(());
    }
    Err(Failure::Cluster(format!(
        "{} has webhooks that are not podgate's and was not deleted; remove podgate's with kubectl edit",
        shared.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_namespace_a_name_and_perhaps_a_port() {
        let named = |port| {
            let (namespace, name) = ("podgate-system".to_owned(), "podgate".to_owned());
            Ok(Endpoint::Service { namespace, name, port })
        };
        assert_eq!(service("podgate-system/podgate"), named(443));
        assert_eq!(service("podgate-system/podgate:8443"), named(8443));
        for bad in ["", "podgate", "/podgate", "a/", "a/b/c", "a/b:0", "a/b:http", "a/b:70000"] {
            assert!(service(bad).is_err_and(|why| why.starts_with("write it as")), "{bad}");
        }
    }

    #[test]
    fn a_url_is_the_servers_and_the_paths_are_podgates() {
        let at = |it: &str| Ok(Endpoint::Url(it.to_owned()));
        assert_eq!(url("https://127.0.0.1:8443"), at("https://127.0.0.1:8443"));
        assert_eq!(url("https://[::1]:8443/"), at("https://[::1]:8443"));
        for bad in
            ["", "127.0.0.1:8443", "http://a", "https://a/validate", "https://a?b", "https://"]
        {
            assert!(url(bad).is_err_and(|why| why.starts_with("write it as")), "{bad}");
        }
    }
}
