//! Log lines that strangers can cause: a few a second, and how many were left out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many lines there may be in a second.
const LINES: u64 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Bounds the lines of one kind.
#[derive(Default)]
pub(super) struct Seldom(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    since: Option<Instant>,
    lines: u64,
    left_out: u64,
}

impl Seldom {
    /// Whether there may be a line now; then how many were left out before it.
    pub fn line(&self, now: Instant) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = counted.since.is_none_or(|it| now.saturating_duration_since(it) >= SECOND);
        if over {
            (counted.since, counted.lines) = (Some(now), 0);
        }
        if counted.lines >= LINES {
            counted.left_out += 1;
            return None;
        }
        counted.lines += 1;
        Some(std::mem::take(&mut counted.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_cut_and_counted() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let lines = (0..1000).filter(|_| seldom.line(start) == Some(0)).count();
        assert_eq!(lines, 10);
        assert_eq!(seldom.line(start + SECOND), Some(990));
        assert_eq!(seldom.line(start + SECOND), Some(0));
    }
}
