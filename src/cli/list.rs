//! `podgate list pods`

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;

use super::age::age;
use super::args::{ClusterArgs, NamespaceArgs};
use super::columns::{self, TableCell};
use super::failure::{Failure, block_on};
use super::output;
use crate::clusters;
use crate::policy::object::Object;
use crate::policy::owner;
use crate::policy::pod_status::PodStatus;
use crate::policy::subject::Subject;
use crate::policy::text::clip;
use crate::policy::workload::Kind;

#[derive(Debug, Subcommand)]
pub(super) enum ListCommand {
    /// List pods with the workload that owns each.
    #[command(visible_alias = "pod")]
    Pods(PodsArgs),
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  podgate list pods                     # of the context's namespace
  podgate list pods -A -o wide
  podgate list pods -n shop -l app=cart -o json")]
pub(super) struct PodsArgs {
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Only pods that this label selector matches, such as app=cart,tier!=test
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: PodsFormat,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum PodsFormat {
    #[default]
    Table,
    /// The table with restarts and age
    Wide,
    /// A list of objects
    Json,
    /// The same as YAML
    Yaml,
    /// pod/NAME
    Name,
}

/// A pod as it is listed. The JSON names are a contract.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedPod {
    namespace: String,
    name: String,
    phase: String,
    /// Null where the pod is bound to no node.
    node: Option<String>,
    /// KIND/NAME of the workload, or of the pod itself if nothing controls it.
    owner: String,
    /// The sum over all containers, init containers included.
    restarts: u64,
    created: Option<String>,
    #[serde(skip)]
    age_seconds: u64,
}

impl ListCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Pods(args) => block_on(pods(args)),
        }
    }
}

async fn pods(args: PodsArgs) -> Result<(), Failure> {
    let cluster = clusters::connect(&args.cluster.target()).await?;
    let namespace = args.namespace.one(cluster.client.default_namespace());
    let now = Timestamp::now();
    let mut pods = Vec::new();
    cluster
        .list::<Pod>(namespace.as_deref(), args.selector.as_deref(), |pod| {
            pods.push(listed(pod, now));
        })
        .await
        .map_err(|error| match error {
            kube::Error::Api(status) if status.code == 400 => {
                Failure::Input(format!("{}; check --selector", status.message))
            }
            other => cluster.explain(other).into(),
        })?;
    let pods = pods.into_iter().collect::<Result<Vec<_>, _>>()?;
    match args.output {
        PodsFormat::Json => output::json(&pods),
        PodsFormat::Yaml => output::yaml(&pods),
        _ if pods.is_empty() => {
            match namespace {
                Some(namespace) => eprintln!("No resources found in {namespace} namespace."),
                None => eprintln!("No resources found"),
            }
            Ok(())
        }
        PodsFormat::Name => {
            let names: Vec<_> = pods.iter().map(|pod| format!("pod/{}\n", pod.name)).collect();
            output::print(&names.concat())
        }
        PodsFormat::Table => output::print(&table(&pods)),
        PodsFormat::Wide => output::print(&wide(&pods)),
    }
}

fn listed(json: &str, now: Timestamp) -> Result<ListedPod, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::Cluster(format!("the API server answers with a pod that cannot be read: {error}"))
    };
    let object: Object = serde_json::from_str(json).map_err(|error| unreadable(&error))?;
    let status: PodStatus = serde_json::from_str(json).map_err(|error| unreadable(&error))?;
    let subject = Subject::of(Kind::Pod, &object).map_err(|error| unreadable(&error))?;
    let owner = owner::workload(&subject);
    let running = status.running(now);
    Ok(ListedPod {
        namespace: subject.namespace.unwrap_or_default().to_owned(),
        name: subject.metadata.map(|metadata| metadata.name.to_string()).unwrap_or_default(),
        phase: status.phase().to_owned(),
        node: Some(status.node()).filter(|node| !node.is_empty()).map(str::to_owned),
        owner: format!("{}/{}", owner.kind, owner.name),
        restarts: running.restarts.iter().map(|it| u64::from(it.count)).sum(),
        created: status.created().map(|created| created.to_string()),
        age_seconds: running.age_seconds,
    })
}

/// The cells of both tables.
fn cells(pod: &ListedPod) -> Vec<TableCell> {
    let node = pod.node.as_deref().unwrap_or_default();
    vec![
        TableCell::new(&pod.namespace),
        TableCell::new(&pod.name),
        TableCell::or_none(&clip(&pod.phase)),
        TableCell::or_none(node),
        TableCell::new(&clip(&pod.owner)),
    ]
}

fn table(pods: &[ListedPod]) -> String {
    let rows = pods.iter().map(cells).collect();
    columns::table(&["NAMESPACE", "NAME", "PHASE", "NODE", "OWNER"], rows)
}

fn wide(pods: &[ListedPod]) -> String {
    let row = |pod: &ListedPod| {
        let mut cells = cells(pod);
        cells.push(TableCell::new(&pod.restarts.to_string()));
        cells.push(TableCell::new(&age(pod.age_seconds)));
        cells
    };
    let headings = ["NAMESPACE", "NAME", "PHASE", "NODE", "OWNER", "RESTARTS", "AGE"];
    columns::table(&headings, pods.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:10:00Z";

    fn read(json: &str) -> ListedPod {
        listed(json, NOW.parse().unwrap()).unwrap()
    }

    fn cart() -> ListedPod {
        read(
            r#"{
            "metadata": {
                "name": "cart-5d4-x", "namespace": "shop", "labels": {"pod-template-hash": "5d4"},
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-5d4", "controller": true}]
            },
            "spec": {"nodeName": "n1", "containers": [{"name": "web"}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "web", "restartCount": 2}],
                       "initContainerStatuses": [{"name": "init", "restartCount": 1}]}
        }"#,
        )
    }

    fn bare(name: &str) -> ListedPod {
        read(&format!(
            r#"{{"metadata": {{"name": "{name}", "namespace": "shop"}}, "spec": {{"containers": [{{}}]}}}}"#
        ))
    }

    #[test]
    fn the_tables_show_the_owner_and_what_is_not_known_as_none() {
        insta::assert_snapshot!(table(&[cart(), bare("debug")]), @r"
        NAMESPACE   NAME         PHASE     NODE     OWNER
        shop        cart-5d4-x   Running   n1       Deployment/cart
        shop        debug        <none>    <none>   Pod/debug
        ");
        insta::assert_snapshot!(wide(&[cart()]), @r"
        NAMESPACE   NAME         PHASE     NODE   OWNER             RESTARTS   AGE
        shop        cart-5d4-x   Running   n1     Deployment/cart   3          10m
        ");
    }

    #[test]
    fn an_owners_name_cannot_write_to_the_terminal() {
        let json = r#"{"metadata": {"name": "a", "ownerReferences": [
            {"kind": "X", "name": "a\u001b[31m", "controller": true}]}, "spec": {"containers": [{}]}}"#;
        assert!(table(&[read(json)]).ends_with("X/a\\u{1b}[31m\n"));
    }

    #[test]
    fn the_json_has_these_fields_and_a_pod_that_is_none_is_an_error() {
        insta::assert_snapshot!(serde_json::to_string(&cart()).unwrap(), @r#"{"namespace":"shop","name":"cart-5d4-x","phase":"Running","node":"n1","owner":"Deployment/cart","restarts":3,"created":"2026-01-01T00:00:00Z"}"#);
        for json in ["[]", r#"{"spec": {}}"#] {
            assert!(listed(json, NOW.parse().unwrap()).is_err());
        }
    }
}
