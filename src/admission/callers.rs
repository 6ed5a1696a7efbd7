//! Known callers: the addresses that are proved to be API servers, since one of podgate's nonces came from them within
//! a minute. Known callers have reserved room; all others share the rest.
//!
//! The clock is a parameter. IPv4 addresses in IPv6 notation are treated as IPv4.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long an address is known after a nonce came from it: six periods of the beat.
const KNOWN_FOR: Duration = Duration::from_mins(1);
/// The most addresses that are remembered; a cluster has a handful of API servers.
const MAX_CALLERS: usize = 256;

/// The peer address of a request's connection, which the server puts into the extensions of each request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PeerAddress(pub IpAddr);

/// The client certificate of a request's connection, which the server puts into the extensions of each request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ClientCertificate {
    /// Without `--client-ca` the server asks for none.
    NotAsked,
    Missing,
    Verified,
}

/// The sender of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub address: IpAddr,
    /// Whether it is proved to be an API server, and so has reserved room.
    pub known: bool,
}

impl Caller {
    /// The network whose addresses share room while they are not known.
    pub fn network(&self) -> IpAddr {
        network(self.address)
    }
}

/// An IPv4 address itself; the /64 network of an IPv6 address, since a host usually has all addresses of its /64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// The known addresses. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Callers(Arc<Mutex<HashMap<IpAddr, Instant>>>);

impl Callers {
    /// Records that a valid nonce came from this address.
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

    /// Whether a valid nonce came from this address within the last minute.
    pub fn is_known(&self, address: IpAddr, now: Instant) -> bool {
        self.lock().get(&address.to_canonical()).is_some_and(|since| is_fresh(*since, now))
    }

    /// All known addresses.
    pub fn known(&self, now: Instant) -> Vec<IpAddr> {
        let proved = self.lock();
        let fresh = proved.iter().filter(|(_, since)| is_fresh(**since, now));
        fresh.map(|(address, _)| *address).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        // A panic leaves no update of the map half done.
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
        assert!(!callers.is_known(one, start));
        callers.proved(one, start);
        callers.clone().proved(one, after(10));
        assert!(callers.is_known(one, after(69)) && !callers.is_known(other, after(69)));
        assert_eq!((callers.known(after(69)), callers.known(after(70))), (vec![one], vec![]));
        assert!(!callers.is_known(one, after(70)));
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
