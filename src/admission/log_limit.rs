//! Bounds the log lines that unauthenticated callers can cause: a few a second, with the number of lines left out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most lines in a second.
const LINES: u64 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Bounds the lines of one kind.
#[derive(Default)]
pub(super) struct LogLimit(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    since: Option<Instant>,
    lines: u64,
    left_out: u64,
}

impl LogLimit {
    /// The number of lines that were left out before this one; `None` if this one must be left out too.
    pub fn next_line(&self, now: Instant) -> Option<u64> {
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
        let (limit, start) = (LogLimit::default(), Instant::now());
        let lines = (0..1000).filter(|_| limit.next_line(start) == Some(0)).count();
        assert_eq!(lines, 10);
        assert_eq!(limit.next_line(start + SECOND), Some(990));
        assert_eq!(limit.next_line(start + SECOND), Some(0));
    }
}
