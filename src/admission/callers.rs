//! Who is known to be an API server: an address from which a nonce of podgate's own came back within a minute. Such
//! callers have room of their own; everybody else shares what is left.
//!
//! The clock is a parameter. Addresses are compared as they are, IPv4 in IPv6 notation as IPv4.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long an address is known after a nonce came from it: six beats.
const KNOWN_FOR: Duration = Duration::from_mins(1);
/// The most addresses that are remembered; a cluster has a handful of API servers.
const MAX_CALLERS: usize = 256;

/// The address at the other end of a request's connection; the server puts it into the extensions of every request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerAddress(pub IpAddr);

/// Whether whoever is at the other end has shown a certificate that `--client-ca` vouches for; in the extensions of
/// every request, like [`PeerAddress`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Certificate {
    /// None is asked for.
    NotAsked,
    Missing,
    Verified,
}

/// Who sends a request, as far as room is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub address: IpAddr,
    /// Whether it has room of its own.
    pub known: bool,
}

impl Caller {
    /// The network that shares the room of an address which is not known.
    pub fn network(&self) -> IpAddr {
        network(self.address)
    }
}

/// An IPv4 address as it is; of an IPv6 address the first 64 bits, since whoever has one has all that begin like it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// The addresses that are known. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Callers(Arc<Mutex<HashMap<IpAddr, Instant>>>);

impl Callers {
    /// A valid nonce came from this address.
    pub fn proved(&self, address: IpAddr, now: Instant) {
        let mut proved = self.lock();
        proved.retain(|_, since| is_fresh(*since, now));
        if proved.len() >= MAX_CALLERS && !proved.contains_key(&address.to_canonical()) {
            let oldest =
                proved.iter().min_by_key(|(_, since)| **since).map(|(address, _)| *address);
            oldest.map(|it| proved.remove(&it));
        }
        proved.insert(address.to_canonical(), now);
    }

    /// Whether a valid nonce came from this address within a minute.
    pub fn is_known(&self, address: IpAddr, now: Instant) -> bool {
        self.lock().get(&address.to_canonical()).is_some_and(|since| is_fresh(*since, now))
    }

    /// All addresses that are known.
    pub fn known(&self, now: Instant) -> Vec<IpAddr> {
        let proved = self.lock();
        let fresh = proved.iter().filter(|(_, since)| is_fresh(**since, now));
        fresh.map(|(address, _)| *address).collect()
    }

    /// When a valid nonce came last, from whatever address; the last one is never forgotten.
    pub fn last_proved(&self) -> Option<Instant> {
        self.lock().values().max().copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        // Nothing in here can be half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < KNOWN_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_known_for_a_minute_after_its_last_nonce() {
        let (callers, start) = (Callers::default(), Instant::now());
        let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!callers.is_known(one, start) && callers.last_proved().is_none());
        callers.proved(one, start);
        callers.clone().proved(one, after(10));
        assert!(callers.is_known(one, after(69)) && !callers.is_known(other, after(69)));
        assert_eq!((callers.known(after(69)), callers.known(after(70))), (vec![one], vec![]));
        assert!(!callers.is_known(one, after(70)));
        assert_eq!(callers.last_proved(), Some(after(10)), "it is told how long ago that was");
    }

    #[test]
    fn an_address_is_the_same_in_either_notation_and_a_neighbour_is_not_known() {
        let (callers, now) = (Callers::default(), Instant::now());
        callers.proved(address("::ffff:10.0.0.1"), now);
        assert!(callers.is_known(address("10.0.0.1"), now));
        callers.proved(address("fd00::1"), now);
        assert!(!callers.is_known(address("fd00::2"), now));
        assert_eq!(callers.known(now).len(), 2);
    }

    #[test]
    fn an_ipv6_network_is_64_bits_and_an_ipv4_network_one_address() {
        assert_eq!(network(address("fd00::2:3:4:5")), network(address("fd00::9")));
        assert_ne!(network(address("fd00:0:0:1::9")), network(address("fd00::9")));
        assert_ne!(network(address("10.0.0.1")), network(address("10.0.0.2")));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest_stay() {
        let (callers, start) = (Callers::default(), Instant::now());
        let nth = |number: u32| IpAddr::from(std::net::Ipv4Addr::from(number));
        for number in 0..1000 {
            callers.proved(nth(number), start + Duration::from_millis(number.into()));
        }
        assert_eq!(callers.lock().len(), MAX_CALLERS);
        assert!(callers.is_known(nth(999), start + Duration::from_secs(2)));
        assert!(!callers.is_known(nth(0), start + Duration::from_secs(2)));
    }
}
