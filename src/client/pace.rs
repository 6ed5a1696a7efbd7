//! How often an object that keeps changing is written: at once after a quiet time, then less and less often, because each
//! write is one of etcd and an event for everybody who watches. The clock is a parameter.

use std::time::{Duration, Instant};

/// The time between the first two writes of an object that keeps changing, and the longest between two.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);

/// When an object was written, and how long its next write waits at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    written: Instant,
    gap: Duration,
}

impl Pace {
    /// The pace of an object that is written now. The gap doubles, unless it has been quiet for twice as long.
    pub fn written(before: Option<Self>, now: Instant) -> Self {
        let before = before.filter(|it| now < it.written + 2 * it.gap);
        let gap = before.map_or(SHORTEST, |it| (2 * it.gap).min(LONGEST));
        Self { written: now, gap }
    }

    /// The earliest time of the next write.
    pub fn next(self) -> Instant {
        self.written + self.gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The milliseconds at which an object is written that changes at these.
    fn writes(changes: impl Iterator<Item = u64>) -> Vec<u64> {
        let start = Instant::now();
        let (mut pace, mut writes): (Option<Pace>, Vec<u64>) = (None, Vec::new());
        let mut changes = changes.peekable();
        let mut differs = false;
        for millis in 0..100_000 {
            let now = start + Duration::from_millis(millis);
            differs |= changes.next_if_eq(&millis).is_some();
            if differs && pace.is_none_or(|it| it.next() <= now) {
                pace = Some(Pace::written(pace, now));
                writes.push(millis);
                differs = false;
            }
        }
        writes
    }

    #[test]
    fn what_keeps_changing_is_written_less_and_less_often() {
        let writes = writes((0..100_000).step_by(500));
        assert_eq!(writes[..7], [0, 500, 1500, 3500, 7500, 15_500, 23_500]);
        assert_eq!(writes.len(), 16);
    }

    #[test]
    fn after_a_quiet_time_a_change_is_written_at_once_and_the_last_of_several_is_never_lost() {
        assert_eq!(writes([0, 10_000, 20_000].into_iter()), [0, 10_000, 20_000]);
        assert_eq!(writes([0, 100, 200, 300].into_iter()), [0, 500]);
        assert_eq!(writes([0, 500, 1000, 20_000].into_iter()), [0, 500, 1500, 20_000]);
    }
}
