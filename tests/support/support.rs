//! Shared code of the end-to-end suites: a real control plane, the real binary, and assertions about them. A test of a
//! new behaviour is ten lines:
//!
//! ```ignore
//! let shop = cluster.namespace("shop");
//! shop.policy("baseline", json!({"enforcementMode": "enforce", "forbidLatestTag": true}));
//! shop.accepts(&workload(Kind::Pod, pod("nginx:1.29")));
//! shop.rejects(&workload(Kind::Pod, pod("nginx"))).because(&["spec.containers[0].image"]);
//! ```
#![allow(dead_code, unused_imports, unused_macros, reason = "each home uses its own part")]

pub mod action;
pub mod audit;
pub mod binary;
pub mod cluster;
pub mod control_plane;
pub mod credentials;
pub mod etcd;
pub mod flood;
pub mod foreign;
pub mod kubectl;
pub mod load;
pub mod manifests;
pub mod mixed;
pub mod pipeline;
pub mod ports;
pub mod proxy;
pub mod ran;
pub mod raw;
pub mod registered;
pub mod review;
pub mod role;
pub mod samples;
pub mod stub_api;
pub mod suite;
pub mod wire;

use std::time::{Duration, Instant};

/// Far above the duration of any step, also on a busy machine, so that only a hang exceeds it.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// The shortest and the longest time between two polls.
const SOON: Duration = Duration::from_millis(20);
const SELDOM: Duration = Duration::from_millis(200);

/// Polls until there is an answer; returns it with the duration.
///
/// # Panics
/// After [`PATIENCE`], with the awaited thing and the last error.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Result<T, String>) -> (T, Duration) {
    eventually_within(PATIENCE, what, ask)
}

/// The same with its own timeout, for slow operations.
///
/// # Panics
/// After that timeout.
pub fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> Result<T, String>,
) -> (T, Duration) {
    let started = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return (answer, started.elapsed()),
            Err(reason) if started.elapsed() > patience => {
                panic!("waited {patience:?} for {what}: {reason}")
            }
            // A long wait asks seldom: many trials wait side by side, and what they wait for needs the machine too.
            Err(_) => std::thread::sleep((started.elapsed() / 20).clamp(SOON, SELDOM)),
        }
    }
}
