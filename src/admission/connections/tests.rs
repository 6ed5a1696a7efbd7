use std::net::Ipv4Addr;
use std::pin::pin;

use super::*;
use crate::metrics::Metrics;

const CAPACITY: Capacity = Capacity { all: 8, reserved: 2 };

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn connections(callers: &Callers) -> Connections {
    Connections::new(CAPACITY, callers.clone(), Metrics::new().unwrap().connections)
}

fn spacious(callers: &Callers) -> Connections {
    let metrics = Metrics::new().unwrap().connections;
    Connections::new(Capacity::default(), callers.clone(), metrics)
}

/// So many connections of an address, the first of which is the oldest.
fn enter(connections: &Connections, from: &str, count: u64) -> Vec<Slot> {
    let now = Instant::now();
    let nth = |number| connections.admit(address(from), now + Duration::from_millis(number));
    (0..count).map(|number| nth(number).unwrap()).collect()
}

/// Whether each was evicted.
fn gone(slots: &[Slot]) -> Vec<bool> {
    slots.iter().map(|slot| !slot.connections.lock().open.contains_key(&slot.id)).collect()
}

fn holds(connections: &Connections, from: &str) -> usize {
    connections.lock().open_of(Client { address: address(from), anonymous: false })
}

#[test]
fn nobody_at_one_address_keeps_somebody_at_another_from_connecting() {
    let connections = connections(&Callers::default());
    let flood = enter(&connections, "10.0.0.1", 100);
    assert_eq!(holds(&connections, "10.0.0.1"), 6, "the rest is reserved");
    let victims = enter(&connections, "10.0.0.2", 2);
    assert_eq!((holds(&connections, "10.0.0.1"), holds(&connections, "10.0.0.2")), (4, 2));
    let more = enter(&connections, "10.0.0.1", 100);
    assert_eq!(gone(&victims), [false, false], "it goes on at the cost of the flood alone");
    assert_eq!(holds(&connections, "10.0.0.1"), 4);
    drop((flood, more, victims));
    assert!(connections.lock().clients.is_empty() && connections.lock().networks.is_empty());
}

#[test]
fn of_one_address_an_idle_connection_goes_before_a_busy_one_and_the_oldest_first() {
    let connections = connections(&Callers::default());
    let slots = enter(&connections, "10.0.0.1", 6);
    let now = Instant::now() + Duration::from_secs(1);
    slots[0].set_stage(Stage::Busy, now);
    slots[1].set_stage(Stage::Idle, now);
    let newcomer = enter(&connections, "10.0.0.2", 1);
    assert_eq!(gone(&slots), [false, false, true, false, false, false]);
    drop(newcomer);
}

#[tokio::test]
async fn whoever_has_to_go_is_told() {
    let connections = connections(&Callers::default());
    let slots = enter(&connections, "10.0.0.1", 6);
    let _newcomer = enter(&connections, "10.0.0.2", 1);
    slots[0].evicted().await;
}

#[test]
fn a_known_caller_has_room_whoever_is_there_and_is_never_told_to_go_for_others() {
    let callers = Callers::default();
    let connections = connections(&callers);
    let flood = enter(&connections, "10.0.0.1", 6);
    callers.proved(address("10.0.0.9"), Instant::now());
    let known = enter(&connections, "10.0.0.9", 2);
    assert_eq!(gone(&flood), [false; 6], "it has room of its own");
    let more = enter(&connections, "10.0.0.9", 6);
    assert_eq!(gone(&flood), [true; 6], "and takes what others have when it needs it");
    assert!(connections.admit(address("10.0.0.1"), Instant::now()).is_none());
    assert_eq!((gone(&known), gone(&more)), (vec![false; 2], vec![false; 6]));
    let last = enter(&connections, "10.0.0.9", 1);
    assert_eq!(gone(&known), [true, false], "only for another one of a known caller");
    drop(last);
}

#[test]
fn an_address_that_shows_no_certificate_is_not_known() {
    let callers = Callers::default();
    callers.proved(address("10.0.0.9"), Instant::now());
    let connections = connections(&callers);
    let slots = enter(&connections, "10.0.0.9", 6);
    for slot in &slots {
        slot.mark_anonymous();
    }
    let newcomer = enter(&connections, "10.0.0.2", 1);
    assert_eq!(gone(&slots), [true, false, false, false, false, false]);
    drop((slots, newcomer));
    assert!(connections.lock().clients.is_empty());
}

#[test]
fn an_ipv6_network_shares_its_room_and_inside_of_it_who_holds_least_is_spared() {
    let connections = connections(&Callers::default());
    let mut flood = Vec::new();
    for number in 0..20 {
        flood.extend(enter(&connections, &format!("fd00::1:{number:x}"), 1));
    }
    let elsewhere = enter(&connections, "fd00:0:0:1::1", 3);
    let flood_again = enter(&connections, "fd00::2", 10);
    assert_eq!(gone(&elsewhere), [false; 3]);
    let beside = enter(&connections, "fd00::3", 1);
    let more = enter(&connections, "fd00::2", 10);
    assert_eq!(gone(&beside), [false], "an address of the same network that holds one");
    drop((flood_again, more));
}

#[test]
fn what_a_connection_does_has_its_own_end() {
    let connections = connections(&Callers::default());
    let slots = enter(&connections, "10.0.0.1", 1);
    let now = Instant::now() + Duration::from_mins(1);
    let slot = &slots[0];
    let (end, why) = slot.timeout();
    assert!(end < now && why == Some(Ended::NoRequest));
    slot.set_stage(Stage::Busy, now);
    assert_eq!(slot.timeout().1, None);
    slot.set_stage(Stage::Idle, now);
    let (end, why) = slot.timeout();
    assert!(end > now + Duration::from_secs(90), "an API server keeps one for 90 s");
    assert_eq!(why, Some(Ended::Idle));
}

#[tokio::test]
async fn handshakes_of_an_address_wait_for_each_other_and_for_nobody_elses() {
    let callers = Callers::default();
    let connections = spacious(&callers);
    // Known callers take no turns, which handshakes that are polled by hand would not give back.
    callers.proved(address("10.0.0.1"), Instant::now());
    let slots = enter(&connections, "10.0.0.1", 40);
    let hanging = |slot| Box::pin(Slot::handshake(slot, std::future::pending::<()>()));
    let mut under_way: Vec<_> = slots[..MAX_HANDSHAKES].iter().map(hanging).collect();
    for handshake in &mut under_way {
        assert!(futures::poll!(handshake).is_pending());
    }
    let mut last = pin!(slots[MAX_HANDSHAKES].handshake(async {}));
    assert!(futures::poll!(&mut last).is_pending());
    enter(&connections, "10.0.0.2", 1)[0].handshake(async {}).await;
    under_way.pop();
    last.await;
}

#[tokio::test]
async fn a_known_caller_makes_its_handshake_before_those_of_many_addresses_that_came_first() {
    let callers = Callers::default();
    let connections = spacious(&callers);
    let done = Arc::<AtomicU64>::default();
    let shake_hands = |address: IpAddr| {
        let slot = connections.admit(address, Instant::now()).unwrap();
        let done = Arc::clone(&done);
        tokio::spawn(async move { slot.handshake(async { done.fetch_add(1, Relaxed) }).await })
    };
    let flood: Vec<_> = (0..500).map(|it| shake_hands(Ipv4Addr::from(it).into())).collect();
    callers.proved(address("10.0.0.9"), Instant::now());
    let before_it = shake_hands(address("10.0.0.9")).await.unwrap();
    assert!(before_it < 10, "{before_it} of the others");
    for handshake in flood {
        handshake.await.unwrap();
    }
}
