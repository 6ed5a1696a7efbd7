//! A queue that is fair by key: however many of a key wait, the next key waits for a few of them and not for all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns, some at a time.
pub(super) struct FairQueue<K> {
    all: Arc<Semaphore>,
    /// The most of a key that have a turn or are next; the others of the key wait for them.
    of_each: usize,
    /// One for each key that has a turn or waits for one.
    keys: Mutex<HashMap<K, Weak<Semaphore>>>,
}

/// A turn, until it is dropped.
pub(super) struct FairTurn {
    _of_key: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

impl<K: Eq + Hash> FairQueue<K> {
    /// A queue of turns, `at_a_time` of all keys together.
    pub fn new(at_a_time: usize, of_each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_a_time)), of_each, keys: Mutex::default() }
    }

    /// A turn that is free while nobody waits, whatever its key has.
    pub fn free_turn(&self) -> Option<FairTurn> {
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(FairTurn { _of_key: None, _of_all: of_all })
    }

    /// Waits for a turn. `None` only if a semaphore was closed, which nothing does.
    pub async fn turn(&self, key: K) -> Option<FairTurn> {
        let of_key = self.turns_of(key).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(FairTurn { _of_key: Some(of_key), _of_all: of_all })
    }

    fn turns_of(&self, key: K) -> Arc<Semaphore> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = keys.get(&key).and_then(Weak::upgrade) {
            return turns;
        }
        keys.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(self.of_each));
        keys.insert(key, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_key_has_one_turn_and_the_next_key_comes_before_its_second() {
        let turns = FairQueue::new(1, 1);
        let first = turns.turn("a").await;
        let mut second = Box::pin(turns.turn("a"));
        let mut third = Box::pin(turns.turn("a"));
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        let mut other = Box::pin(turns.turn("b"));
        assert!(poll!(&mut other).is_pending());
        drop(first);
        assert!(poll!(&mut second).is_pending());
        let other = other.await;
        drop(other);
        drop(second.await);
        drop(third.await);
        drop(turns.turn("c").await);
        assert_eq!(turns.keys.lock().unwrap().len(), 1, "who is done is forgotten");
    }

    #[tokio::test]
    async fn a_turn_is_free_only_while_nobody_waits() {
        let turns = FairQueue::new(1, 1);
        let free = turns.free_turn();
        assert!(free.is_some() && turns.free_turn().is_none());
        let mut waits = Box::pin(turns.turn("a"));
        assert!(poll!(&mut waits).is_pending());
        drop(free);
        assert!(turns.free_turn().is_none(), "it goes to who waits");
        drop(waits.await);
        assert!(turns.free_turn().is_some());
    }
}
