//! The connections of a listener, and which one is evicted when there is no room for another.
//!
//! A part of the room is reserved for known callers. When the rest is taken, a connection of the network and address
//! that hold most is evicted, an idle one if there is any. So one address cannot keep another from connecting.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

use super::callers::{Callers, network};
use super::turns::Turns;
use crate::metrics::{ConnectionMetrics, Ended};

/// The most concurrent TLS handshakes of an address; further ones wait.
const MAX_HANDSHAKES: usize = 32;
/// The longest time until a connection's first request. Later requests may take [`IDLE_TIMEOUT`]: the client has shown
/// that it uses the connection.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest idle time of a connection. It is longer than the 90 seconds for which the API server keeps an idle one:
/// the API server does not retry a POST, so if this side closes first, a user may see an error.
const IDLE_TIMEOUT: Duration = Duration::from_secs(100);

/// The most connections that are served at once.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// All connections; at least twice the reserved ones.
    pub all: usize,
    /// Those that are reserved for known callers.
    pub reserved: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { all: 1024, reserved: 256 }
    }
}

/// The connections of a listener. Clones share them.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    capacity: Capacity,
    callers: Callers,
    metrics: ConnectionMetrics,
    began: Instant,
    /// Handshakes of callers that are not known: they cost most of what a connection costs.
    handshakes: Turns,
    table: Mutex<Table>,
}

/// The client of a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Client {
    address: IpAddr,
    /// It was asked for a certificate and has shown none: it is never a known caller, whatever its address.
    anonymous: bool,
}

#[derive(Default)]
struct Table {
    last: u64,
    open: HashMap<u64, Held>,
    clients: HashMap<Client, Arc<Holding>>,
    networks: HashMap<IpAddr, Arc<AtomicUsize>>,
}

/// A connection in the table. What its client and its network hold is at hand: a search for a victim looks at all.
struct Held {
    client: Client,
    holding: Arc<Holding>,
    open: Arc<Open>,
}

/// What a client holds.
struct Holding {
    open: AtomicUsize,
    /// The connections of its network.
    network: Arc<AtomicUsize>,
    handshakes: Semaphore,
}

/// An open connection.
struct Open {
    /// Its [`Stage`] in the lowest two bits, and above them since when, in milliseconds since the listener began.
    state: AtomicU64,
    evict: Notify,
}

/// The stage of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// Its first request has not come yet.
    New,
    /// It waits for its next request.
    Idle,
    /// A request is being answered.
    Busy,
}

impl Stage {
    const ALL: [Self; 3] = [Self::New, Self::Idle, Self::Busy];
}

impl Connections {
    pub fn new(capacity: Capacity, callers: Callers, metrics: ConnectionMetrics) -> Self {
        let (began, handshakes, table) = (Instant::now(), Turns::default(), Mutex::default());
        Self(Arc::new(Shared { capacity, callers, metrics, began, handshakes, table }))
    }

    /// Admits a connection, for which another one may be evicted; `None` if known callers hold all the room.
    pub(super) fn admit(&self, address: IpAddr, now: Instant) -> Option<Slot> {
        let client = Client { address: address.to_canonical(), anonymous: false };
        let known = self.0.callers.known(now);
        let of_known = known.iter().map(|address| Client { address: *address, anonymous: false });
        let mut table = self.lock();
        let open = table.open.len();
        let unknown = open - of_known.map(|it| table.open_of(it)).sum::<usize>();
        let Capacity { all, reserved } = self.0.capacity;
        let is_known = known.contains(&client.address);
        if open >= all || (!is_known && unknown >= all - reserved) {
            let victim = table.victim(Some(client), &known).or_else(|| {
                // A known caller's connection is evicted last, and only for another known caller.
                is_known.then(|| table.victim(Some(client), &[])).flatten()
            })?;
            table.evict(victim);
            self.count_ended(Ended::Crowded);
        }
        table.last += 1;
        let (id, state) = (table.last, AtomicU64::new(self.state(Stage::New, now)));
        let open = Arc::new(Open { state, evict: Notify::new() });
        let holding = table.add(client);
        let held = Held { client, holding: Arc::clone(&holding), open: Arc::clone(&open) };
        table.open.insert(id, held);
        Some(Slot { connections: self.clone(), id, open, is_known, holding })
    }

    /// Evicts a connection of the unknown client that holds most, so that a file descriptor becomes free.
    pub(super) fn evict_one(&self, now: Instant) {
        let known = self.0.callers.known(now);
        let mut table = self.lock();
        if let Some(victim) = table.victim(None, &known) {
            table.evict(victim);
            self.count_ended(Ended::Crowded);
        }
    }

    pub(super) fn count_ended(&self, reason: Ended) {
        self.0.metrics.ended(reason);
    }

    fn state(&self, stage: Stage, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.0.began).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX >> 2) << 2 | stage as u64
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A panic leaves no update of the table half done.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn open_of(&self, client: Client) -> usize {
        self.clients.get(&client).map_or(0, |it| it.open.load(Relaxed))
    }

    fn add(&mut self, client: Client) -> Arc<Holding> {
        let network = self.networks.entry(network(client.address)).or_default();
        network.fetch_add(1, Relaxed);
        let empty = || {
            let (network, handshakes) = (Arc::clone(network), Semaphore::new(MAX_HANDSHAKES));
            Arc::new(Holding { open: AtomicUsize::new(0), network, handshakes })
        };
        let holding = self.clients.entry(client).or_insert_with(empty);
        holding.open.fetch_add(1, Relaxed);
        Arc::clone(holding)
    }

    fn remove(&mut self, client: Client, holding: &Holding) {
        if holding.network.fetch_sub(1, Relaxed) == 1 {
            self.networks.remove(&network(client.address));
        }
        if holding.open.fetch_sub(1, Relaxed) == 1 {
            self.clients.remove(&client);
        }
    }

    /// The connection to evict for a newcomer: of the clients that hold most (the network's count first, then the
    /// client's own), except those at spared addresses; one that is not busy if there is any, the oldest first.
    fn victim(&self, newcomer: Option<Client>, spared: &[IpAddr]) -> Option<u64> {
        let joins = newcomer.map(|it| network(it.address));
        let rank = |id: u64, Held { client, holding, open }: &Held| {
            let joins = joins.is_some_and(|it| network(client.address) == it);
            let of_network = holding.network.load(Relaxed) + usize::from(joins);
            let own = holding.open.load(Relaxed) + usize::from(newcomer == Some(*client));
            let state = open.state.load(Relaxed);
            (of_network, own, Reverse((state & 3 == Stage::Busy as u64, state >> 2, id)))
        };
        let candidates = self
            .open
            .iter()
            .filter(|(_, it)| it.client.anonymous || !spared.contains(&it.client.address));
        candidates.max_by_key(|(id, held)| rank(**id, held)).map(|(id, _)| *id)
    }

    fn evict(&mut self, id: u64) {
        if let Some(held) = self.open.remove(&id) {
            self.remove(held.client, &held.holding);
            held.open.evict.notify_one();
        }
    }
}

/// A connection's slot. Dropping it frees the slot.
pub(super) struct Slot {
    connections: Connections,
    id: u64,
    open: Arc<Open>,
    /// Whether its caller was known when it connected.
    is_known: bool,
    holding: Arc<Holding>,
}

impl Slot {
    /// Resolves when the connection is evicted.
    pub async fn evicted(&self) {
        self.open.evict.notified().await;
    }

    /// Marks the client as anonymous: it was asked for a certificate and has shown none.
    pub fn mark_anonymous(&self) {
        let mut table = self.connections.lock();
        let Some(held) = table.open.remove(&self.id) else { return };
        table.remove(held.client, &held.holding);
        let client = Client { anonymous: true, ..held.client };
        let holding = table.add(client);
        table.open.insert(self.id, Held { client, holding, open: held.open });
    }

    /// Makes a handshake once the client may begin another one. Known callers do not wait for those of others.
    pub async fn handshake<F: Future>(&self, handshake: F) -> F::Output {
        // It is never closed.
        let _permit = self.holding.handshakes.acquire().await;
        if self.is_known {
            handshake.await
        } else {
            self.connections.0.handshakes.run(handshake).await
        }
    }

    /// Sets the connection's stage; returns whether the stage before began in the same millisecond.
    pub fn set_stage(&self, stage: Stage, now: Instant) -> bool {
        let packed = self.connections.state(stage, now);
        self.open.state.swap(packed, Relaxed) >> 2 == packed >> 2
    }

    /// When the stage times out, and why the connection then ends; `None` for a request, which has its own timeout.
    pub fn timeout(&self) -> (Instant, Option<Ended>) {
        let state = self.open.state.load(Relaxed);
        let since = self.connections.0.began + Duration::from_millis(state >> 2);
        match Stage::ALL.into_iter().find(|it| *it as u64 == state & 3) {
            Some(Stage::New) => (since + FIRST_REQUEST_TIMEOUT, Some(Ended::NoRequest)),
            Some(Stage::Idle) => (since + IDLE_TIMEOUT, Some(Ended::Idle)),
            _ => (since + IDLE_TIMEOUT, None),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        if let Some(held) = table.open.remove(&self.id) {
            table.remove(held.client, &held.holding);
        }
    }
}

#[cfg(test)]
mod tests;
