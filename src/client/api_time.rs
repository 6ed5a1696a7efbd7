//! The time of the API servers, so that the clock of podgate's own machine decides nothing about the beat.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// The time that an API server told last, and when it did. Clones share it.
#[derive(Clone, Default)]
pub struct ApiTime(Arc<Mutex<Option<(Timestamp, Instant)>>>);

impl ApiTime {
    /// Learns the time from the header `Date` of an answer that has just come; a malformed one is ignored.
    pub fn learn(&self, date: &str, at: Instant) {
        if let Ok(time) = DateTimeParser::new().parse_timestamp(date) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((time, at));
        }
    }

    /// The API server's time at an instant, behind its clock by at most a second and the answer's travel time. `None`
    /// before the first answer.
    pub fn at(&self, instant: Instant) -> Option<Timestamp> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (time, at) = known?;
        let passed = SignedDuration::try_from(instant.saturating_duration_since(at)).ok()?;
        time.checked_add(passed).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_goes_on_from_the_newest_answer() {
        let (time, now) = (ApiTime::default(), Instant::now());
        assert_eq!(time.at(now), None);
        time.clone().learn("Fri, 15 Jan 2027 08:00:00 GMT", now);
        time.learn("soon", now);
        let at = |after| time.at(now + Duration::from_secs(after)).unwrap().to_string();
        assert_eq!(at(0), "2027-01-15T08:00:00Z");
        assert_eq!(at(90), "2027-01-15T08:01:30Z");
        time.learn("Fri, 15 Jan 2027 07:00:00 GMT", now + Duration::from_secs(10));
        assert_eq!(at(11), "2027-01-15T07:00:01Z");
    }
}
