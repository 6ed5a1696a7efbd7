//! `--live`: judges by what is in force in a cluster.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::super::args::ClusterArgs;
use super::super::failure::Failure;
use crate::clusters::{self, Cluster};
use crate::findings::Fault;
use crate::inputs::Input;
use crate::install::configurations;
use crate::policies::live;
use crate::policy::policy_set::PolicySet;
use crate::policy::protected::Protected;
use crate::scan::offline;

/// How long all requests together may take.
const LIMIT: Duration = Duration::from_mins(1);

/// What judges an input.
pub(in crate::cli) struct Judging {
    pub policies: PolicySet,
    /// Sentences on what was not read of the cluster, and does not make a verdict weaker.
    pub unread: Vec<String>,
    pub faults: Vec<Fault>,
}

/// A cluster, with the runtime on which its client works.
pub(super) struct Live {
    runtime: Runtime,
    cluster: Cluster,
}

impl Live {
    /// Sends no request.
    pub(super) fn connect(args: &ClusterArgs) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let cluster = runtime.block_on(clusters::connect(&args.target()))?;
        Ok(Self { runtime, cluster })
    }

    /// The context's namespace.
    pub(super) fn namespace(&self) -> &str {
        self.cluster.client.default_namespace()
    }

    /// Reads what is in force for an input. `namespace` is that of objects that name none.
    pub(super) fn read(
        &self,
        inputs: &[Input],
        namespace: &str,
        protected: &Protected,
    ) -> Result<Judging, Failure> {
        let names = offline::namespaces_of_workloads(inputs, namespace);
        let declared = offline::declared(inputs);
        let read = async {
            let found = live::read(&self.cluster, &names, declared).await?;
            let left_out = configurations::protected(&self.cluster).await;
            Ok::<_, clusters::ClusterError>((found, left_out))
        };
        // The timer must be made on the runtime.
        let read = self.runtime.block_on(async { timeout(LIMIT, read).await });
        let (found, left_out) = read.map_err(|_| no_answer())??;
        let mut unread = Vec::new();
        let left_out = match left_out {
            Ok(left_out) => left_out,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                unread.push(
                    "which namespaces the webhook leaves out cannot be read, so all are judged; that needs list on \
                     validatingwebhookconfigurations, or name them with --protected-namespace"
                        .to_owned(),
                );
                Protected::default()
            }
            Err(error) => return Err(self.cluster.explain(error).into()),
        };
        let protected =
            Protected::with([protected, &left_out].into_iter().flat_map(|it| it.names().to_vec()));
        let policies = PolicySet::new(found.policies, Arc::new(found.namespaces));
        Ok(Judging { policies: policies.protecting(protected), unread, faults: found.faults })
    }
}

fn no_answer() -> Failure {
    Failure::Cluster(format!(
        "the API server did not answer everything within {LIMIT:?}; scan fewer namespaces at once, or judge by files: \
         podgate policy export -A > policies.yaml, and --policy policies.yaml"
    ))
}
