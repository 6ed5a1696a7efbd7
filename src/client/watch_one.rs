//! Follows one object by its name, with no more than the rights to `get` and `watch` it by that name: nothing is listed.

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

/// A watch that lasted so long was none that fails at once.
const LASTED: Duration = Duration::from_secs(5);

/// What is known of an object.
#[derive(Clone, Debug, Default)]
pub enum Seen<K> {
    /// It was not seen yet.
    #[default]
    Unknown,
    /// There is none of the name.
    Absent,
    Present(K),
}

/// Tells what becomes of an object, until it is dropped. While the API server is away, what was seen last stays.
pub async fn follow<K>(api: Api<K>, name: &str, seen: watch::Sender<Seen<K>>)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut backoff = Doubling::default();
    loop {
        let began = Instant::now();
        if let Err(error) = once(&api, name, &seen).await {
            tracing::warn!(name, %error, "cannot follow an object; it is tried again");
        }
        if began.elapsed() > LASTED {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next().unwrap_or(LASTED)).await;
    }
}

/// Looks once, and goes on from there for as long as the watch lasts.
async fn once<K>(api: &Api<K>, name: &str, seen: &watch::Sender<Seen<K>>) -> Result<(), kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let found = api.get_opt(name).await?;
    // Without a version, a watch begins with what there is: what was made after the look is not missed.
    let version = found.as_ref().and_then(ResourceExt::resource_version).unwrap_or_default();
    seen.send_replace(found.map_or(Seen::Absent, Seen::Present));
    let by_name = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(api.watch(&by_name, &version).await?);
    while let Some(event) = events.next().await {
        match event? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                seen.send_replace(Seen::Present(object));
            }
            WatchEvent::Deleted(_) => {
                seen.send_replace(Seen::Absent);
            }
            WatchEvent::Bookmark(_) => {}
            // The version is too old: the next look starts from a new one.
            WatchEvent::Error(status) if status.code == 410 => return Ok(()),
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
        }
    }
    Ok(())
}
