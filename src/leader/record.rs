//! What a Lease says, and what follows from it; pure: the times are handed in.
//!
//! The time that another process wrote into a Lease is never compared with a clock of this machine: the two may be
//! hours apart. What counts is when the record was last *seen* to change.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// What bounds the duration that a record names: a nonsense one must neither let two lead nor keep all from leading.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);

/// What a candidate may do about a Lease.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Take,
    /// Another holds it until then (since boot), unless it is seen to change before.
    Wait {
        holder: String,
        until: Duration,
    },
}

/// What a candidate has seen of a Lease.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// As it was when it was looked at last; `None` where there was none.
    spec: Option<LeaseSpec>,
    /// The last holder that was seen and did not release it, and until when it may lead.
    held: Option<(String, Duration)>,
}

impl Observed {
    /// Judges what was just read, for the process of this identity. `duration` holds where the record names none;
    /// `now` (since boot) is after the answer came, so that no holder's time is counted from too early.
    pub fn judge(
        &mut self,
        spec: Option<&LeaseSpec>,
        identity: &str,
        duration: Duration,
        now: Duration,
    ) -> Verdict {
        // The record, not the resourceVersion: a label that a tool sets again and again is no sign of a holder's life.
        if self.spec.as_ref() != spec {
            self.spec = spec.cloned();
            if let Some(holder) = spec.and_then(holder) {
                let lasts = spec.and_then(named_duration).unwrap_or(duration);
                self.held = Some((holder.to_owned(), now.saturating_add(lasts)));
            } else if spec.is_some_and(|it| it.renew_time.is_some()) {
                // A holder that releases it leaves its times behind.
                self.held = None;
            }
            // Otherwise it was deleted or put in anew, as a chart has it, and its holder may not know that yet.
        }
        match &self.held {
            Some((holder, until)) if holder != identity && now < *until => {
                Verdict::Wait { holder: holder.clone(), until: *until }
            }
            _ => Verdict::Take,
        }
    }
}

/// Who holds it, by what the record says.
pub(super) fn holder(spec: &LeaseSpec) -> Option<&str> {
    spec.holder_identity.as_deref().filter(|it| !it.is_empty())
}

fn named_duration(spec: &LeaseSpec) -> Option<Duration> {
    let seconds = spec.lease_duration_seconds?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).clamp(SHORTEST, LONGEST))
}

/// The record with which a term begins.
pub(super) fn taken(
    previous: Option<&LeaseSpec>,
    identity: &str,
    duration: Duration,
    now: Timestamp,
) -> LeaseSpec {
    let transitions = previous.and_then(|it| it.lease_transitions);
    let same = previous.and_then(holder) == Some(identity);
    let transitions = transitions.map_or(0, |it| if same { it } else { it.saturating_add(1) });
    // Rounded up: others may wait longer than needed, not shorter.
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(i32::try_from(whole.max(1)).unwrap_or(i32::MAX)),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions),
        ..previous.cloned().unwrap_or_default()
    }
}

/// The record of a holder that leads on. Where it is not in the record any more, it takes it anew.
pub(super) fn renewed(
    previous: Option<&LeaseSpec>,
    identity: &str,
    duration: Duration,
    now: Timestamp,
) -> LeaseSpec {
    match previous {
        Some(spec) if holder(spec) == Some(identity) => {
            LeaseSpec { renew_time: Some(MicroTime(now)), ..spec.clone() }
        }
        _ => taken(previous, identity, duration, now),
    }
}

/// The record that a holder leaves behind at its end.
pub(super) fn released(previous: &LeaseSpec, now: Timestamp) -> LeaseSpec {
    LeaseSpec { holder_identity: None, renew_time: Some(MicroTime(now)), ..previous.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "own";
    const DURATION: Duration = Duration::from_secs(15);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    /// A record of another holder, whose clock shows so many seconds.
    fn of_another(clock: i64) -> LeaseSpec {
        taken(None, "other", DURATION, Timestamp::from_second(clock).unwrap())
    }

    fn judge(observed: &mut Observed, spec: Option<&LeaseSpec>, now: Duration) -> Verdict {
        observed.judge(spec, OWN, DURATION, now)
    }

    fn until(seconds: u64) -> Verdict {
        Verdict::Wait { holder: "other".to_owned(), until: at(seconds) }
    }

    #[test]
    fn what_the_holders_clock_shows_changes_nothing() {
        let now = Timestamp::now().as_second();
        for clock in [now - 3600, now, now + 3600] {
            let mut observed = Observed::default();
            let spec = of_another(clock);
            assert_eq!(judge(&mut observed, Some(&spec), at(0)), until(15), "{clock}");
            assert_eq!(judge(&mut observed, Some(&spec), at(14)), until(15), "{clock}");
            assert_eq!(judge(&mut observed, Some(&spec), at(15)), Verdict::Take, "{clock}");
        }
    }

    #[test]
    fn each_change_that_is_seen_counts_from_when_it_is_seen() {
        let mut observed = Observed::default();
        for second in 0..10 {
            // A clock that is set back between two renewals, too.
            let spec = of_another(5000 - i64::try_from(second).unwrap());
            let seen = second * 14;
            assert_eq!(judge(&mut observed, Some(&spec), at(seen)), until(seen + 15));
        }
    }

    #[test]
    fn time_that_the_machine_slept_counts() {
        let mut observed = Observed::default();
        let spec = of_another(0);
        judge(&mut observed, Some(&spec), at(0));
        let woken = at(0) + Duration::from_hours(8);
        assert_eq!(judge(&mut observed, Some(&spec), woken), Verdict::Take);
        // Had the holder renewed it meanwhile, that would be seen now.
        let mut observed = Observed::default();
        judge(&mut observed, Some(&spec), at(0));
        let renewed = of_another(1);
        let verdict = judge(&mut observed, Some(&renewed), woken);
        assert!(matches!(verdict, Verdict::Wait { until, .. } if until == woken + DURATION));
    }

    #[test]
    fn the_duration_is_the_records_own_within_bounds() {
        for (named, lasts) in
            [(Some(4), 4), (None, 15), (Some(0), 1), (Some(-7), 1), (Some(i32::MAX), 3600)]
        {
            let spec = LeaseSpec { lease_duration_seconds: named, ..of_another(0) };
            assert_eq!(judge(&mut Observed::default(), Some(&spec), at(0)), until(lasts));
        }
    }

    #[test]
    fn nobody_waits_for_a_lease_that_is_absent_empty_or_released() {
        let empty = LeaseSpec { holder_identity: Some(String::new()), ..of_another(0) };
        for spec in [None, Some(LeaseSpec::default()), Some(empty)] {
            assert_eq!(judge(&mut Observed::default(), spec.as_ref(), at(0)), Verdict::Take);
        }
        let mut observed = Observed::default();
        let held = of_another(0);
        assert_eq!(judge(&mut observed, Some(&held), at(0)), until(15));
        let released = released(&held, Timestamp::from_second(1).unwrap());
        assert_eq!(judge(&mut observed, Some(&released), at(1)), Verdict::Take);
    }

    #[test]
    fn a_holder_whose_lease_is_deleted_or_put_in_anew_is_waited_for() {
        for wiped in [None, Some(LeaseSpec::default())] {
            let mut observed = Observed::default();
            judge(&mut observed, Some(&of_another(0)), at(0));
            assert_eq!(judge(&mut observed, wiped.as_ref(), at(3)), until(15));
            assert_eq!(judge(&mut observed, wiped.as_ref(), at(15)), Verdict::Take);
        }
    }

    #[test]
    fn ones_own_lease_is_taken_at_once() {
        let spec = taken(None, OWN, DURATION, Timestamp::UNIX_EPOCH);
        assert_eq!(judge(&mut Observed::default(), Some(&spec), at(0)), Verdict::Take);
    }

    #[test]
    fn terms_are_counted_between_holders_and_renewals_keep_when_one_began() {
        let time = |second| Timestamp::from_second(second).unwrap();
        let first = taken(None, "a", DURATION, time(1));
        assert_eq!((first.lease_transitions, first.lease_duration_seconds), (Some(0), Some(15)));
        let renewed_ = renewed(Some(&first), "a", DURATION, time(3));
        assert_eq!(renewed_, LeaseSpec { renew_time: Some(MicroTime(time(3))), ..first.clone() });
        let left = released(&renewed_, time(4));
        assert_eq!(holder(&left), None);
        let second = taken(Some(&left), "b", DURATION, time(5));
        assert_eq!((holder(&second), second.lease_transitions), (Some("b"), Some(1)));
        assert_eq!(second.acquire_time, Some(MicroTime(time(5))));
        let again = taken(Some(&second), "b", DURATION, time(9));
        assert_eq!((again.lease_transitions, again.acquire_time.unwrap().0), (Some(1), time(9)));
        // One that was wiped while it was held.
        let anew = renewed(Some(&LeaseSpec::default()), "b", DURATION, time(9));
        assert_eq!(anew, taken(None, "b", DURATION, time(9)));
    }

    #[test]
    fn a_part_of_a_second_is_rounded_up() {
        let spec = taken(None, OWN, Duration::from_millis(1500), Timestamp::UNIX_EPOCH);
        assert_eq!(spec.lease_duration_seconds, Some(2));
    }
}
