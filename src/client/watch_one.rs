//! Watches one object by its name. It needs only the rights to `get` and `watch` that name; it never lists.

use std::fmt::Debug;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{Api, WatchEvent, WatchParams};
use kube::runtime::utils::Backoff;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::backoff::Doubling;

/// A watch that lasted longer than this resets the backoff.
const LASTED: Duration = Duration::from_secs(5);

/// The last known state of an object.
#[derive(Clone, Debug, Default)]
pub enum ObjectState<K> {
    /// It has not been read yet.
    #[default]
    Unknown,
    /// There is no object of the name.
    Absent,
    Present(K),
}

/// Sends each state of an object until it is dropped. While the API server is unreachable, the last state stays.
pub async fn follow<K>(api: Api<K>, name: &str, state: watch::Sender<ObjectState<K>>)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut backoff = Doubling::default();
    loop {
        let began = Instant::now();
        if let Err(error) = once(&api, name, &state).await {
            tracing::warn!(name, %error, "cannot watch an object; it is tried again");
        }
        if began.elapsed() > LASTED {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next().unwrap_or(LASTED)).await;
    }
}

/// Reads the object, then follows its changes until the watch ends.
async fn once<K>(
    api: &Api<K>,
    name: &str,
    state: &watch::Sender<ObjectState<K>>,
) -> Result<(), kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let found = api.get_opt(name).await?;
    // Without a version, the watch starts with the present objects, so an object created after the read is not missed.
    let version = found.as_ref().and_then(ResourceExt::resource_version).unwrap_or_default();
    state.send_replace(found.map_or(ObjectState::Absent, ObjectState::Present));
    let by_name = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(api.watch(&by_name, &version).await?);
    while let Some(event) = events.next().await {
        match event? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                state.send_replace(ObjectState::Present(object));
            }
            WatchEvent::Deleted(_) => {
                state.send_replace(ObjectState::Absent);
            }
            WatchEvent::Bookmark(_) => {}
            // The resource version is too old; the next round reads a new one.
            WatchEvent::Error(status) if status.code == 410 => return Ok(()),
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
        }
    }
    Ok(())
}
