//! The Lease `podgate-alive`: the fields that the beat reads and writes. Pure, except for the look-up of its owner.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::Api;
use kube::{Client, ResourceExt};

use crate::nonce::{ANNOTATION, LEASE};

/// The manager of these writes in `managedFields`.
pub(super) const FIELD_MANAGER: &str = "podgate-beat";
/// The age up to which `renewTime` is not written again, so that one of several replicas writes it.
const NEW: Duration = Duration::from_secs(8);
/// `leaseDurationSeconds`: after it, `renewTime` counts as stale.
const LASTS_SECONDS: i32 = 30;

/// The Lease as the API server returned it.
#[derive(Clone, Debug, Default)]
pub(super) struct AliveLease(pub Lease);

impl AliveLease {
    pub fn renew_time(&self) -> Option<Timestamp> {
        Some(self.0.spec.as_ref()?.renew_time.as_ref()?.0)
    }

    /// Whether it was renewed so recently that it need not be renewed now.
    pub fn is_new(&self, now: Timestamp) -> bool {
        let age = self.renew_time().map(|renewed| now.duration_since(renewed));
        age.and_then(|age| Duration::try_from(age).ok()).is_some_and(|age| age < NEW)
    }

    pub fn has_owner(&self) -> bool {
        !self.0.owner_references().is_empty()
    }

    /// The Lease with another `renewTime`; a new Lease where none existed.
    pub fn renewed(previous: Option<Self>, time: Timestamp, owner: Option<Owner>) -> Self {
        let mut lease = previous.unwrap_or_default().0;
        let metadata = &mut lease.metadata;
        metadata.name = Some(LEASE.to_owned());
        if metadata.resource_version.is_none() {
            let labels = [
                ("app.kubernetes.io/name", "podgate"),
                ("app.kubernetes.io/managed-by", "podgate"),
            ];
            let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
            metadata.labels = Some(BTreeMap::from(labels));
        }
        if let Some(Owner(owner)) = owner {
            metadata.owner_references = Some(vec![owner]);
        }
        // A nonce that somebody put there would have podgate's own writes refused.
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove(ANNOTATION);
        }
        // The API server maintains managedFields itself.
        metadata.managed_fields = None;
        let spec = lease.spec.take().unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            renew_time: Some(MicroTime(time)),
            lease_duration_seconds: Some(LASTS_SECONDS),
            ..spec
        });
        Self(lease)
    }

    /// The Lease with a nonce, for a dry run.
    pub fn with_nonce(self, nonce: String) -> Self {
        let Lease { metadata, spec } = self.0;
        let mut annotations = metadata.annotations.unwrap_or_default();
        annotations.insert(ANNOTATION.to_owned(), nonce);
        let metadata = ObjectMeta { annotations: Some(annotations), ..metadata };
        Self(Lease { metadata, spec })
    }

    /// When the API server accepted podgate's write, by its own clock, in whole seconds (`managedFields`).
    pub fn stamp(&self) -> Option<Timestamp> {
        let entries = self.0.metadata.managed_fields.iter().flatten();
        let own = entries.filter(|it| it.manager.as_deref() == Some(FIELD_MANAGER));
        own.filter_map(|it| it.time.as_ref().map(|time| time.0)).max()
    }
}

/// The Deployment that owns the Lease, so that the Lease is garbage-collected with it.
pub(super) struct Owner(OwnerReference);

impl Owner {
    /// `None` where the Deployment does not exist, is being deleted, or cannot be read.
    pub async fn find(client: &Client, namespace: &str, name: &str) -> Option<Self> {
        let api = Api::<Deployment>::namespaced(client.clone(), namespace);
        let metadata = api.get_metadata_opt(name).await.ok().flatten()?.metadata;
        if metadata.deletion_timestamp.is_some() {
            return None;
        }
        Some(Self(OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
            uid: metadata.uid?,
            ..OwnerReference::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn one_of_several_replicas_writes_and_a_time_that_has_not_come_is_written_over() {
        let lease = AliveLease::renewed(None, at(0), None);
        for (seconds, new) in [(0, true), (7, true), (8, false), (3600, false), (-1, false)] {
            assert_eq!(lease.is_new(at(seconds)), new, "{seconds}");
        }
        assert!(!AliveLease::default().is_new(at(0)));
    }

    #[test]
    fn what_others_wrote_into_it_stays_but_for_what_podgate_writes() {
        let found = json!({
            "metadata": {
                "name": LEASE, "resourceVersion": "7", "labels": {"a": "b"},
                "annotations": {"c": "d", ANNOTATION: "not podgate's"},
                "managedFields": [{"manager": "kubectl", "operation": "Update", "time": "2099-01-01T00:00:00Z"}],
            },
            "spec": {"holderIdentity": "x", "renewTime": "2020-01-01T00:00:00.000000Z"},
        });
        let found = AliveLease(serde_json::from_value(found).unwrap());
        assert_eq!(found.stamp(), None, "others may write any time there");
        let renewed = json!(AliveLease::renewed(Some(found), at(0), None).0);
        assert_eq!(
            renewed["metadata"],
            json!({"name": LEASE, "resourceVersion": "7", "labels": {"a": "b"}, "annotations": {"c": "d"}})
        );
        assert_eq!(
            renewed["spec"],
            json!({
                "holderIdentity": "x", "leaseDurationSeconds": 30, "renewTime": "2027-01-15T08:00:00.000000Z",
            })
        );
    }

    #[test]
    fn the_stamp_is_that_of_ones_own_write() {
        let answer = json!({"metadata": {"managedFields": [
            {"manager": "kubectl", "time": "2099-01-01T00:00:00Z"},
            {"manager": FIELD_MANAGER, "time": "2027-01-15T08:00:00Z"},
        ]}});
        let answer = AliveLease(serde_json::from_value(answer).unwrap());
        assert_eq!(answer.stamp(), Some(at(0)));
    }
}
