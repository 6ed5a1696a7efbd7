//! A bounded amount of something that requests hold: places, or bytes.
//!
//! A part is reserved for known callers. Of the rest, an address that is not known may hold as much as it leaves free:
//! alone at most half, one of two a third, so there is always something left for the next. (Network switches share
//! their buffers like this: Choudhury and Hahne, Dynamic queue length thresholds, 1998.)

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::callers::Caller;

pub(super) struct Pool {
    all: usize,
    /// The part that is reserved for known callers.
    reserved: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    known: usize,
    unknown: usize,
    /// The amounts of unknown callers, by network and, for IPv6, by address too.
    by: HashMap<IpAddr, usize>,
}

impl Pool {
    pub fn new(all: usize, reserved: usize) -> Arc<Self> {
        Arc::new(Self { all, reserved, held: Mutex::default() })
    }

    /// The share of a request, empty at first.
    pub fn share(self: &Arc<Self>, caller: Caller) -> Share {
        Share { pool: Arc::clone(self), caller, amount: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // A panic leaves no update half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, caller: Caller, amount: usize) -> bool {
        let mut held = self.lock();
        let free = self.all - held.known - held.unknown;
        if caller.known {
            if amount > free {
                return false;
            }
            held.known += amount;
            return true;
        }
        let free = free.min((self.all - self.reserved).saturating_sub(held.unknown));
        let (address, network) = (caller.address, caller.network());
        let of = |it: IpAddr| held.by.get(&it).copied().unwrap_or(0);
        // Within a network, the rule for networks applies to its addresses.
        let within = address == network || of(address) + of(network) + amount <= free;
        if of(network) + amount > free || !within {
            return false;
        }
        held.unknown += amount;
        *held.by.entry(network).or_default() += amount;
        if address != network {
            *held.by.entry(address).or_default() += amount;
        }
        true
    }

    fn give_back(&self, caller: Caller, amount: usize) {
        let mut held = self.lock();
        if caller.known {
            held.known -= amount;
            return;
        }
        held.unknown -= amount;
        let (address, network) = (caller.address, caller.network());
        for it in [Some(network), (address != network).then_some(address)].into_iter().flatten() {
            if let Some(own) = held.by.get_mut(&it) {
                *own -= amount;
                if *own == 0 {
                    held.by.remove(&it);
                }
            }
        }
    }
}

/// The amount that a request holds. Dropping the share gives it back.
pub(super) struct Share {
    pool: Arc<Pool>,
    caller: Caller,
    amount: usize,
}

impl Share {
    /// Takes this much more; false, and nothing taken, if the caller may not hold it.
    #[must_use]
    pub fn take(&mut self, amount: usize) -> bool {
        let taken = amount == 0 || self.pool.take(self.caller, amount);
        if taken {
            self.amount += amount;
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.pool.give_back(self.caller, self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn caller(address: &str, known: bool) -> Caller {
        Caller { address: address.parse().unwrap(), known }
    }

    /// Takes as much as the caller may hold, one by one.
    fn fill(pool: &Arc<Pool>, caller: Caller) -> Share {
        let mut share = pool.share(caller);
        while share.take(1) {}
        share
    }

    #[test]
    fn an_address_may_hold_what_it_leaves_free_and_the_next_always_finds_some() {
        let pool = Pool::new(120, 20);
        let flood = fill(&pool, caller("10.0.0.1", false));
        assert_eq!(flood.amount, 50);
        let next = fill(&pool, caller("10.0.0.2", false));
        assert_eq!(next.amount, 25);
        drop(flood);
        assert_eq!(fill(&pool, caller("10.0.0.1", false)).amount, 38);
        drop(next);
        assert_eq!(fill(&pool, caller("10.0.0.1", false)).amount, 50, "room comes back");
        assert!(pool.lock().by.is_empty());
    }

    #[test]
    fn a_known_caller_may_hold_all_and_its_own_part_whoever_is_there() {
        let pool = Pool::new(120, 20);
        let floods: Vec<_> =
            (0..100).map(|it| fill(&pool, caller(&format!("10.0.1.{it}"), false))).collect();
        let taken: usize = floods.iter().map(|it| it.amount).sum();
        assert!(taken > 90 && taken <= 100, "{taken}");
        let known = fill(&pool, caller("10.0.0.9", true));
        assert_eq!(known.amount, 120 - taken);
        drop((floods, known));
        assert_eq!(fill(&pool, caller("10.0.0.9", true)).amount, 120);
    }

    #[test]
    fn an_ipv6_network_shares_what_it_may_hold_and_an_address_of_it_leaves_some() {
        let pool = Pool::new(120, 20);
        let one = fill(&pool, caller("fd00::1", false));
        let beside = fill(&pool, caller("fd00::2", false));
        assert!(one.amount > 0 && beside.amount > 0 && one.amount + beside.amount <= 50);
        let many: Vec<_> =
            (3..100).map(|it| fill(&pool, caller(&format!("fd00::{it}"), false))).collect();
        assert!(many.iter().map(|it| it.amount).sum::<usize>() + one.amount + beside.amount <= 50);
        assert!(fill(&pool, caller("10.0.0.1", false)).amount >= 25);
    }

    proptest! {
        #[test]
        fn no_more_is_held_than_there_is_and_all_of_it_comes_back(
            takes in prop::collection::vec((0..6_u8, any::<bool>(), 0..40_usize), 0..200)
        ) {
            let pool = Pool::new(100, 30);
            let mut shares = Vec::new();
            for (host, known, amount) in takes {
                let mut share = pool.share(caller(&format!("fd00:0:0:{}::{host}", host % 2), known));
                let taken = share.take(amount);
                prop_assert_eq!(taken && amount > 0, share.amount > 0);
                shares.push(share);
                let held = pool.lock();
                prop_assert!(held.unknown <= 70 && held.known + held.unknown <= 100);
                drop(held);
                if shares.len() > 8 {
                    shares.remove(usize::from(host));
                }
            }
            drop(shares);
            let held = pool.lock();
            prop_assert_eq!((held.known, held.unknown, held.by.len()), (0, 0, 0));
        }
    }
}
