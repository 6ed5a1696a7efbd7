//! What is in force in some namespaces of a cluster, as far as the user may read it: for manifests that are to be applied
//! there.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::list::{ClusterPolicies, Unusable};
use super::namespaces;
use crate::clusters::{Cluster, ClusterError};
use crate::findings::Fault;
use crate::policy::compile::Policy;
use crate::policy::policy_set::{NamespaceMetadata, Namespaces};

/// What is in force. Whatever could not be read is a fault: without it, the verdicts may not be those of the webhook.
#[derive(Default)]
pub struct InForce {
    pub policies: Vec<Arc<Policy>>,
    /// The namespaces as they will be once the input is applied.
    pub namespaces: Namespaces,
    pub faults: Vec<Fault>,
}

/// Reads what is in force in these namespaces. `declared` are the namespaces that the input itself creates or changes.
///
/// # Errors
/// The API server does not answer, or does not know the user. A refused list is a fault in the result.
pub async fn read(
    cluster: &Cluster,
    names: &BTreeSet<String>,
    declared: Namespaces,
) -> Result<InForce, ClusterError> {
    let each = names.iter().map(String::as_str);
    let found = ClusterPolicies::read(cluster, names.len() > 1, each).await?;
    let mut in_force =
        InForce { policies: found.policies, faults: found.faults, ..InForce::default() };
    for Unusable { name, error, in_force: instead } in found.unusable {
        // Admission does the same, but the podgate of the cluster may be able to compile it.
        let message = format!(
            "its newest version cannot be used, so what podgate would put in force instead judges: {error}"
        );
        in_force.faults.push(Fault::cluster(&name, message));
        in_force.policies.extend(instead);
    }
    in_force.read_namespaces(cluster, names, declared).await?;
    Ok(in_force)
}

impl InForce {
    async fn read_namespaces(
        &mut self,
        cluster: &Cluster,
        names: &BTreeSet<String>,
        mut declared: Namespaces,
    ) -> Result<(), ClusterError> {
        let mut all = None;
        if names.len() > 1 {
            match namespaces::all(cluster).await {
                Ok(found) => all = Some(found),
                Err(error) if is_forbidden(&error) => {}
                Err(error) => return Err(cluster.explain(error)),
            }
        }
        for name in names {
            let live = match &mut all {
                Some(all) => Ok(all.remove(name)),
                None => namespaces::one(cluster, name).await,
            };
            match (live, declared.remove(name)) {
                (Ok(Some(live)), given) => {
                    self.namespaces.insert(name.clone(), applied(live, given));
                }
                (Ok(None), Some(given)) => drop(self.namespaces.insert(name.clone(), given)),
                (Ok(None), None) => self.faults.push(Fault::input(
                    name.clone(),
                    "there is no such namespace in the cluster or in the input, so the API server refuses what is \
                              in it; create it first, or choose another with -n",
                )),
                (Err(error), _) if is_forbidden(&error) => self.unread(name),
                (Err(error), _) => return Err(cluster.explain(error)),
            }
        }
        Ok(())
    }

    /// The labels of a namespace cannot be read. Without them, every selector is taken to match it.
    fn unread(&mut self, name: &str) {
        let readers = self.policies.iter().filter(|it| it.reads_namespaces());
        let readers: Vec<_> = readers.map(|it| it.label.as_str()).collect();
        if let Some(first) = readers.first() {
            let more = match readers.len() {
                1 => String::new(),
                all => format!(" and {} more", all - 1),
            };
            let message = format!(
                "its labels cannot be read, which policy {first}{more} goes by; that needs get on the namespace (the role view has it)"
            );
            self.faults.push(Fault::cluster(name, message));
        }
    }
}

/// A namespace after a manifest of it is applied: what the manifest does not name stays.
fn applied(mut live: NamespaceMetadata, given: Option<NamespaceMetadata>) -> NamespaceMetadata {
    let NamespaceMetadata { labels, annotations, .. } = given.unwrap_or_default();
    live.labels.extend(labels);
    live.annotations.extend(annotations);
    live
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}
