//! Reads every object of a kind in some namespaces.

use std::collections::BTreeMap;

use crate::client::list::Pages;
use crate::client::resource;
use crate::clusters::{Cluster, ClusterError};
use crate::policy::policy_set::Namespaces;
use crate::policy::workload::Kind;

/// The namespaces to analyze.
#[derive(Default)]
pub(super) struct ResolvedExtent {
    pub names: Vec<String>,
    pub metadata: Namespaces,
    /// Whether these are all namespaces, so that one list can read the objects of all.
    pub everywhere: bool,
    /// Why only one namespace is analyzed although all were requested.
    pub note: Option<String>,
}

/// Whether a list could be read.
enum Listed {
    Complete,
    /// The user lacks the permission, and none of the objects was read; the API server's message.
    Forbidden(String),
}

/// The namespaces in which the user may not list a kind, with the API server's messages.
pub(super) type Unread = BTreeMap<String, String>;

/// Calls `each` with the JSON of every object: with one list if all namespaces are wanted and the user may list them
/// at once, else with one for each namespace.
///
/// # Errors
/// The API server does not answer, or fails.
pub(super) async fn read(
    cluster: &Cluster,
    wanted: &ResolvedExtent,
    kind: Kind,
    mut each: impl FnMut(&str),
) -> Result<Unread, ClusterError> {
    let mut unread = Unread::new();
    if wanted.everywhere && matches!(list(cluster, kind, None, &mut each).await?, Listed::Complete)
    {
        return Ok(unread);
    }
    for name in &wanted.names {
        if let Listed::Forbidden(message) = list(cluster, kind, Some(name), &mut each).await? {
            unread.insert(name.clone(), message);
        }
    }
    Ok(unread)
}

/// `cannot be read in lab and 2 more namespaces`; `None` if everything was read.
pub(super) fn unread_in(unread: &Unread) -> Option<String> {
    let more = match unread.len() {
        0 | 1 => String::new(),
        2 => " and 1 more namespace".to_owned(),
        all => format!(" and {} more namespaces", all - 1),
    };
    unread.keys().next().map(|name| format!("cannot be read in {name}{more}"))
}

async fn list(
    cluster: &Cluster,
    kind: Kind,
    namespace: Option<&str>,
    each: &mut impl FnMut(&str),
) -> Result<Listed, ClusterError> {
    let mut pages = Pages::of_resource(&cluster.client, &resource::of(kind), namespace);
    let mut begun = false;
    loop {
        match pages.next().await {
            Ok(Some(page)) => {
                for json in page.objects() {
                    begun = true;
                    each(json);
                }
            }
            Ok(None) => return Ok(Listed::Complete),
            Err(kube::Error::Api(status)) if status.code == 403 && !begun => {
                return Ok(Listed::Forbidden(status.message));
            }
            Err(error) => return Err(cluster.explain(error)),
        }
    }
}
