//! Part of `make test`: overload. podgate sheds with an answer, stays within its memory, and recovers.

use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::{Podgate, Standalone};
use crate::support::manifests::{pod, workload};
use crate::support::{eventually, review};

/// The most memory that podgate may use, in KiB (the design's `reliability.md`: 128 MiB).
const MAX_MEMORY: u64 = 128 * 1024;
const HEAD: &str = "host: podgate\r\ncontent-type: application/json\r\n";

type Stream = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// A podgate with this policy.
fn with(spec: &Value) -> Standalone {
    let policy = json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
        "metadata": {"name": "baseline"}, "spec": spec,
    });
    Standalone::with(&policy.to_string())
}

fn post(podgate: &Podgate, image: &str) -> (u16, String) {
    let review = review::create("shop", &workload(Kind::Pod, pod(image))).to_string();
    podgate.post("application/json", review.as_bytes())
}

fn enforcing() -> Standalone {
    with(&json!({"enforcementMode": "enforce", "forbidLatestTag": true}))
}

/// Opens this number of connections, ready to send a request.
fn connections(standalone: &Standalone, count: usize) -> Vec<Stream> {
    let connect = |_| {
        let mut stream = standalone.connect();
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        stream
    };
    (0..count).map(connect).collect()
}

#[test]
fn more_reviews_at_once_than_there_are_places_are_shed_with_a_clear_answer_and_room_comes_back() {
    let standalone = enforcing();
    let head = format!("POST /validate?timeout=30s HTTP/1.1\r\n{HEAD}content-length: 100\r\n\r\n");
    // Each announces a body and does not send it, so it holds a place for two seconds; on a busy machine some time out
    // before the last one connects.
    let (shed, _) = eventually("all places to be occupied", || {
        let mut holders = connections(&standalone, 300);
        for holder in &mut holders {
            holder.write_all(head.as_bytes()).unwrap();
            holder.flush().unwrap();
        }
        let mut raw = standalone.connect();
        write!(
            raw,
            "POST /mutate HTTP/1.1\r\n{HEAD}content-length: 2\r\nconnection: close\r\n\r\n{{}}"
        )
        .unwrap();
        raw.flush().unwrap();
        let mut answer = String::new();
        raw.read_to_string(&mut answer).unwrap();
        if answer.starts_with("HTTP/1.1 429") { Ok(answer) } else { Err(answer) }
    });
    assert!(shed.contains("retry-after: 1\r\n"), "{shed}");
    assert!(shed.contains("too many reviews at once"), "{shed}");
    for webhook in ["validate", "mutate"] {
        let series = format!(
            r#"podgate_admission_reviews_total{{decision="shed",kind="other",operation="other",webhook="{webhook}"}}"#
        );
        assert!(standalone.podgate.metric(&series).is_some_and(|it| it > 0.0), "{webhook}");
    }
    let overloaded = r#"podgate_admission_refusals_total{reason="Overloaded"}"#;
    assert!(standalone.podgate.metric(overloaded).is_some_and(|it| it > 0.0));
    let ((), _) = eventually("podgate to accept reviews again", || {
        let (status, answer) = post(&standalone.podgate, "nginx");
        if status == 200 && answer.contains("\"allowed\":false") { Ok(()) } else { Err(answer) }
    });
}

#[test]
fn five_hundred_idle_and_slow_clients_delay_nobody_and_are_disconnected() {
    let standalone = enforcing();
    let mut idlers = connections(&standalone, 500);
    let mut dripping = idlers.pop().unwrap();
    let mut dripping_body = idlers.pop().unwrap();
    write!(dripping, "POST /validate HTTP/1.1\r\nhost: pod").unwrap();
    write!(dripping_body, "POST /validate HTTP/1.1\r\n{HEAD}content-length: 1000000\r\n\r\n")
        .unwrap();
    std::thread::scope(|scope| {
        // One byte at a time, until the connection is closed.
        for mut client in [dripping, dripping_body] {
            scope.spawn(move || {
                eventually("the slow client to be disconnected", || {
                    std::thread::sleep(Duration::from_millis(100));
                    match client.write_all(b"a").and_then(|()| client.flush()) {
                        Ok(()) => Err("the connection is still open".to_owned()),
                        Err(_) => Ok(()),
                    }
                });
            });
        }
        assert!(post(&standalone.podgate, "nginx").1.contains("\"allowed\":false"));
        // podgate closes idle connections before this read times out.
        for mut idler in idlers {
            let mut rest = Vec::new();
            match idler.read_to_end(&mut rest) {
                Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => panic!("{error}"),
                _ => assert!(rest.is_empty(), "{rest:?}"),
            }
        }
    });
    assert!(post(&standalone.podgate, "nginx").1.contains("\"allowed\":false"));
    let ended = r#"podgate_connections_ended_total{reason="no_request"}"#;
    assert_eq!(standalone.podgate.metric(ended), Some(499.0));
    let slow = r#"podgate_admission_refusals_total{reason="TooSlow"}"#;
    assert_eq!(standalone.podgate.metric(slow), Some(1.0));
    let peak = standalone.podgate.peak_memory();
    println!("500 idle connections: {peak} KiB at the most");
    assert!(peak < MAX_MEMORY);
}

#[test]
fn a_review_that_exhausts_its_expression_budget_is_denied_with_that_reason() {
    let costly = |number: usize| {
        json!({
            "name": format!("costly-{number}"),
            "expression": "object.spec.containers.all(a, object.spec.containers.all(b, a.name + b.name + a.image + b.image != 'x'))",
            "message": "m",
        })
    };
    let validations: Vec<_> = (0..16).map(costly).collect();
    let spec = json!({"enforcementMode": "enforce", "validations": validations});
    let standalone = with(&spec);
    let containers: Vec<_> =
        (0..400).map(|index| json!({"name": format!("c{index}"), "image": "nginx"})).collect();
    let object = workload(Kind::Pod, json!({ "containers": containers }));
    let body = review::create("shop", &object).to_string();
    let (status, answer) = standalone.podgate.post("application/json", body.as_bytes());
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"allowed\":false"), "{answer}");
    assert!(answer.contains("could not be decided: "), "{answer}");
}

#[test]
fn a_flood_of_large_reviews_stays_within_its_memory_and_every_one_gets_an_answer() {
    let standalone = enforcing();
    // Twice the largest object of etcd.
    let mut object = workload(Kind::Pod, pod("nginx"));
    object["metadata"]["annotations"] = json!({"notes": "x".repeat(3 * 1024 * 1024)});
    let body = review::create("shop", &object).to_string();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let client = || {
            let podgate = &standalone.podgate;
            (0..5).map(|_| podgate.post("application/json", body.as_bytes()).0).collect::<Vec<_>>()
        };
        let clients: Vec<_> = (0..32).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let count = |status: u16| statuses.iter().filter(|it| **it == status).count();
    let peak = standalone.podgate.peak_memory();
    println!(
        "of {} large reviews {} judged, {} shed; {peak} KiB at the most",
        statuses.len(),
        count(200),
        count(429)
    );
    assert_eq!(count(200) + count(429), statuses.len(), "{statuses:?}");
    assert!(count(200) > 0 && count(429) > 0, "{statuses:?}");
    assert!(peak < MAX_MEMORY);
    assert!(
        post(&standalone.podgate, "nginx").1.contains("\"allowed\":false"),
        "podgate still answers"
    );
}
