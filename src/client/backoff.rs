//! The wait before a failed request is repeated.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// The first wait.
const MIN: Duration = Duration::from_millis(100);
/// The longest wait.
const MAX: Duration = Duration::from_secs(5);

/// Waits that double each time, from 100 ms to 5 s.
#[derive(Debug)]
pub struct Doubling(Duration);

impl Default for Doubling {
    fn default() -> Self {
        Self(MIN)
    }
}

impl Iterator for Doubling {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(MAX);
        Some(wait)
    }
}

impl Backoff for Doubling {
    fn reset(&mut self) {
        self.0 = MIN;
    }
}
