//! Who is connected, and who has to go where there is no room for another.
//!
//! Known callers have a part of the room to themselves. Of the rest an address that is not known holds no more than
//! others leave it: when all is taken, a connection of the address that holds most ends, an idle one if it has any. So
//! nobody at one address can keep somebody at another from connecting.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::callers::{Callers, network};
use crate::metrics::{ConnectionMetrics, Ended};

/// How many TLS handshakes an address may have under way; more wait.
const MAX_HANDSHAKES: usize = 32;
/// How long a connection may take until its first request is there. Later ones come from somebody who has shown that
/// it is no idler, and may take [`IDLE_TIMEOUT`].
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be idle. Above the 90 seconds for which the API
/// server keeps one: it does not retry a POST, so if this side hangs up first
/// a user may see an error.
const IDLE_TIMEOUT: Duration = Duration::from_secs(100);

/// How many connections are served at once.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// All, at least twice the reserved ones.
    pub all: usize,
    /// Those of them that only known callers may have.
    pub reserved: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { all: 1024, reserved: 256 }
    }
}

/// The connections of a listener. Clones are one and the same.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    capacity: Capacity,
    callers: Callers,
    metrics: ConnectionMetrics,
    began: Instant,
    table: Mutex<Table>,
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Owner {
    address: IpAddr,
    /// It was asked for a certificate and has shown none: it is never known, wherever it comes from.
    anonymous: bool,
}

#[derive(Default)]
struct Table {
    last: u64,
    open: HashMap<u64, (Owner, Arc<Open>)>,
    owners: HashMap<Owner, Owned>,
    networks: HashMap<IpAddr, usize>,
}

/// What an owner has.
struct Owned {
    open: usize,
    handshakes: Arc<Semaphore>,
}

/// What a connection does, and since when.
struct Open {
    /// Milliseconds since the listener began, four times, and a [`Stage`].
    state: AtomicU64,
    end: Notify,
}

/// What a connection does now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// It has not asked anything yet.
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
        let (began, table) = (Instant::now(), Mutex::default());
        Self(Arc::new(Shared { capacity, callers, metrics, began, table }))
    }

    /// Lets a connection in, for which another one may have to go; `None` if known callers have all the room.
    pub(super) fn enter(&self, address: IpAddr, now: Instant) -> Option<Seat> {
        let owner = Owner { address: address.to_canonical(), anonymous: false };
        let known = self.0.callers.known(now);
        let of_known = known.iter().map(|address| Owner { address: *address, anonymous: false });
        let mut table = self.lock();
        let open = table.open.len();
        let unknown = open - of_known.map(|it| table.open_of(it)).sum::<usize>();
        let Capacity { all, reserved } = self.0.capacity;
        let is_known = known.contains(&owner.address);
        if open >= all || (!is_known && unknown >= all - reserved) {
            let victim = table.victim(Some(owner), &known).or_else(|| {
                // Only then may one that is known have to go, and only for another one.
                is_known.then(|| table.victim(Some(owner), &[])).flatten()
            })?;
            table.end(victim);
            self.ended(Ended::Crowded);
        }
        table.last += 1;
        let (id, state) = (table.last, AtomicU64::new(self.state(Stage::New, now)));
        let open = Arc::new(Open { state, end: Notify::new() });
        table.open.insert(id, (owner, Arc::clone(&open)));
        let handshakes = table.add(owner);
        Some(Seat { connections: self.clone(), id, open, handshakes })
    }

    /// Ends a connection of whoever is not known and holds most, so that there is a file for another.
    pub(super) fn end_one(&self, now: Instant) {
        let known = self.0.callers.known(now);
        let mut table = self.lock();
        if let Some(victim) = table.victim(None, &known) {
            table.end(victim);
            self.ended(Ended::Crowded);
        }
    }

    pub(super) fn ended(&self, because: Ended) {
        self.0.metrics.ended(because);
    }

    fn state(&self, stage: Stage, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.0.began).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX >> 2) << 2 | stage as u64
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing in there panics half-way.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn open_of(&self, owner: Owner) -> usize {
        self.owners.get(&owner).map_or(0, |it| it.open)
    }

    fn add(&mut self, owner: Owner) -> Arc<Semaphore> {
        *self.networks.entry(network(owner.address)).or_default() += 1;
        let fresh = || Owned { open: 0, handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)) };
        let held = self.owners.entry(owner).or_insert_with(fresh);
        held.open += 1;
        Arc::clone(&held.handshakes)
    }

    fn take_away(&mut self, owner: Owner) {
        let network = network(owner.address);
        if let Some(open) = self.networks.get_mut(&network) {
            *open -= 1;
            if *open == 0 {
                self.networks.remove(&network);
            }
        }
        if let Some(owned) = self.owners.get_mut(&owner) {
            owned.open -= 1;
            if owned.open == 0 {
                self.owners.remove(&owner);
            }
        }
    }

    /// Which connection goes for a newcomer's: of whoever holds most, those that are spared aside; one that is not busy if
    /// there is any, the oldest first.
    fn victim(&self, newcomer: Option<Owner>, spared: &[IpAddr]) -> Option<u64> {
        let more = |same: bool| usize::from(same);
        let holds = |owner: &Owner, owned: &Owned| {
            let net = network(owner.address);
            let joins = newcomer.is_some_and(|it| network(it.address) == net);
            let of_network = self.networks.get(&net).copied().unwrap_or(0) + more(joins);
            (of_network, owned.open + more(newcomer == Some(*owner)))
        };
        let others =
            self.owners.iter().filter(|(it, _)| it.anonymous || !spared.contains(&it.address));
        let most = others.clone().map(|(owner, owned)| holds(owner, owned)).max()?;
        let others = others.filter(|(owner, owned)| holds(owner, owned) == most);
        let others: HashSet<_> = others.map(|(owner, _)| owner).collect();
        let theirs = self.open.iter().filter(|(_, (owner, _))| others.contains(owner));
        let (id, _) = theirs.min_by_key(|(id, (_, open))| {
            let state = open.state.load(Ordering::Relaxed);
            (state & 3 == Stage::Busy as u64, state >> 2, **id)
        })?;
        Some(*id)
    }

    fn end(&mut self, id: u64) {
        if let Some((owner, open)) = self.open.remove(&id) {
            self.take_away(owner);
            open.end.notify_one();
        }
    }
}

/// A connection's place; it is free again when this is dropped.
pub(super) struct Seat {
    connections: Connections,
    id: u64,
    open: Arc<Open>,
    handshakes: Arc<Semaphore>,
}

impl Seat {
    /// Comes when somebody else needs the place.
    pub async fn is_needed(&self) {
        self.open.end.notified().await;
    }

    /// Whoever is at the other end was asked for a certificate and has shown none.
    pub fn is_anonymous(&self) {
        let mut table = self.connections.lock();
        let Some((owner, _)) = table.open.get_mut(&self.id) else { return };
        let before = *owner;
        owner.anonymous = true;
        let after = *owner;
        table.take_away(before);
        table.add(after);
    }

    /// Waits until the address may have another handshake under way, which it has until this is dropped.
    pub async fn handshake(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.handshakes).acquire_owned().await.ok()
    }

    /// What the connection does from now on; says whether it did something else in the same millisecond.
    pub fn is(&self, stage: Stage, now: Instant) -> bool {
        let packed = self.connections.state(stage, now);
        self.open.state.swap(packed, Ordering::Relaxed) >> 2 == packed >> 2
    }

    /// Until when it may do what it does, if that has an end, and why it ends then.
    pub fn limit(&self) -> (Instant, Option<Ended>) {
        let state = self.open.state.load(Ordering::Relaxed);
        let since = self.connections.0.began + Duration::from_millis(state >> 2);
        match Stage::ALL.into_iter().find(|it| *it as u64 == state & 3) {
            Some(Stage::New) => (since + FIRST_REQUEST_TIMEOUT, Some(Ended::NoRequest)),
            Some(Stage::Idle) => (since + IDLE_TIMEOUT, Some(Ended::Idle)),
            // What is answered has limits of its own.
            _ => (since + IDLE_TIMEOUT, None),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        if let Some((owner, _)) = table.open.remove(&self.id) {
            table.take_away(owner);
        }
    }
}

#[cfg(test)]
mod tests;
