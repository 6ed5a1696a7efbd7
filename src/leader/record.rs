//! The Lease's spec: who holds it, whether a candidate may take it, and the spec of each write. Pure: the times are
//! parameters.
//!
//! A time that another process wrote is never compared with this machine's clock: the two may be hours apart. What
//! counts is when this process last *observed* a change of the spec, as in client-go's leader election.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// The bounds of `leaseDurationSeconds`: a wrong value must neither let two processes lead nor keep all from leading.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);

/// Whether a candidate may take the Lease.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum LeaseVerdict {
    Take,
    /// Another process holds the Lease until then (since boot), or longer if it is renewed.
    Wait {
        holder: String,
        until: Duration,
    },
}

/// The Lease as a candidate has observed it.
#[derive(Debug, Default)]
pub(super) struct ObservedLease {
    /// The spec of the last read; `None` where no Lease existed.
    spec: Option<LeaseSpec>,
    /// The last holder that did not release the Lease, and until when (since boot) it may lead.
    held: Option<(String, Duration)>,
}

impl ObservedLease {
    /// Records the spec that was just read, and decides for the process of this identity. `duration` applies where the
    /// spec has none. `now` (since boot) is taken after the answer came, so that a holder's time is not counted from
    /// too early.
    pub fn observe(
        &mut self,
        spec: Option<&LeaseSpec>,
        identity: &str,
        duration: Duration,
        now: Duration,
    ) -> LeaseVerdict {
        // The spec, not the resourceVersion: a tool that keeps setting a label does not prove that the holder lives.
        if self.spec.as_ref() != spec {
            self.spec = spec.cloned();
            if let Some(holder) = spec.and_then(holder) {
                let lasts = spec.and_then(named_duration).unwrap_or(duration);
                self.held = Some((holder.to_owned(), now.saturating_add(lasts)));
            } else if spec.is_some_and(|it| it.renew_time.is_some()) {
                // A holder that releases the Lease keeps its times.
                self.held = None;
            }
            // Otherwise the Lease was deleted, or created again by the chart, and its holder may not know that yet.
        }
        match &self.held {
            Some((holder, until)) if holder != identity && now < *until => {
                LeaseVerdict::Wait { holder: holder.clone(), until: *until }
            }
            _ => LeaseVerdict::Take,
        }
    }
}

/// The holder that the spec names.
pub(super) fn holder(spec: &LeaseSpec) -> Option<&str> {
    spec.holder_identity.as_deref().filter(|it| !it.is_empty())
}

fn named_duration(spec: &LeaseSpec) -> Option<Duration> {
    let seconds = spec.lease_duration_seconds?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).clamp(SHORTEST, LONGEST))
}

/// The spec that begins a term.
pub(super) fn taken(
    previous: Option<&LeaseSpec>,
    identity: &str,
    duration: Duration,
    now: Timestamp,
) -> LeaseSpec {
    let transitions = previous.and_then(|it| it.lease_transitions);
    let same = previous.and_then(holder) == Some(identity);
    let transitions = transitions.map_or(0, |it| if same { it } else { it.saturating_add(1) });
    // Rounded up: candidates may wait longer than needed, never shorter.
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

/// The spec that renews a term; where the holder is no longer in the spec, it takes the Lease again.
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

/// The spec that releases the Lease.
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

    fn judge(
        observed: &mut ObservedLease,
        spec: Option<&LeaseSpec>,
        now: Duration,
    ) -> LeaseVerdict {
        observed.observe(spec, OWN, DURATION, now)
    }

    fn until(seconds: u64) -> LeaseVerdict {
        LeaseVerdict::Wait { holder: "other".to_owned(), until: at(seconds) }
    }

    #[test]
    fn what_the_holders_clock_shows_changes_nothing() {
        let now = Timestamp::now().as_second();
        for clock in [now - 3600, now, now + 3600] {
            let mut observed = ObservedLease::default();
            let spec = of_another(clock);
            assert_eq!(judge(&mut observed, Some(&spec), at(0)), until(15), "{clock}");
            assert_eq!(judge(&mut observed, Some(&spec), at(14)), until(15), "{clock}");
            assert_eq!(judge(&mut observed, Some(&spec), at(15)), LeaseVerdict::Take, "{clock}");
        }
    }

    #[test]
    fn each_change_that_is_seen_counts_from_when_it_is_seen() {
        let mut observed = ObservedLease::default();
        for second in 0..10 {
            // A clock that is set back between two renewals, too.
            let spec = of_another(5000 - i64::try_from(second).unwrap());
            let seen = second * 14;
            assert_eq!(judge(&mut observed, Some(&spec), at(seen)), until(seen + 15));
        }
    }

    #[test]
    fn time_that_the_machine_slept_counts() {
        let mut observed = ObservedLease::default();
        let spec = of_another(0);
        judge(&mut observed, Some(&spec), at(0));
        let woken = at(0) + Duration::from_hours(8);
        assert_eq!(judge(&mut observed, Some(&spec), woken), LeaseVerdict::Take);
        // Had the holder renewed it meanwhile, that would be seen now.
        let mut observed = ObservedLease::default();
        judge(&mut observed, Some(&spec), at(0));
        let renewed = of_another(1);
        let verdict = judge(&mut observed, Some(&renewed), woken);
        assert!(matches!(verdict, LeaseVerdict::Wait { until, .. } if until == woken + DURATION));
    }

    #[test]
    fn the_duration_is_the_records_own_within_bounds() {
        for (named, lasts) in
            [(Some(4), 4), (None, 15), (Some(0), 1), (Some(-7), 1), (Some(i32::MAX), 3600)]
        {
            let spec = LeaseSpec { lease_duration_seconds: named, ..of_another(0) };
            assert_eq!(judge(&mut ObservedLease::default(), Some(&spec), at(0)), until(lasts));
        }
    }

    #[test]
    fn nobody_waits_for_a_lease_that_is_absent_empty_or_released() {
        let empty = LeaseSpec { holder_identity: Some(String::new()), ..of_another(0) };
        for spec in [None, Some(LeaseSpec::default()), Some(empty)] {
            assert_eq!(
                judge(&mut ObservedLease::default(), spec.as_ref(), at(0)),
                LeaseVerdict::Take
            );
        }
        let mut observed = ObservedLease::default();
        let held = of_another(0);
        assert_eq!(judge(&mut observed, Some(&held), at(0)), until(15));
        let released = released(&held, Timestamp::from_second(1).unwrap());
        assert_eq!(judge(&mut observed, Some(&released), at(1)), LeaseVerdict::Take);
    }

    #[test]
    fn a_holder_whose_lease_is_deleted_or_put_in_anew_is_waited_for() {
        for wiped in [None, Some(LeaseSpec::default())] {
            let mut observed = ObservedLease::default();
            judge(&mut observed, Some(&of_another(0)), at(0));
            assert_eq!(judge(&mut observed, wiped.as_ref(), at(3)), until(15));
            assert_eq!(judge(&mut observed, wiped.as_ref(), at(15)), LeaseVerdict::Take);
        }
    }

    #[test]
    fn ones_own_lease_is_taken_at_once() {
        let spec = taken(None, OWN, DURATION, Timestamp::UNIX_EPOCH);
        assert_eq!(judge(&mut ObservedLease::default(), Some(&spec), at(0)), LeaseVerdict::Take);
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
