//! The log of beats, and their verdict for the statuses of policies.

use std::mem::{Discriminant, discriminant};

use tokio::sync::watch;

use super::error::BeatError;
use crate::policy::called::Called;

/// The number of failures in a row after which they count and are logged: the Service lists a new replica a little after it is
/// ready.
pub(super) const FAILURES: u32 = 3;

/// Logs when the API servers begin or cease to call podgate, and publishes it.
pub(super) struct BeatLog {
    failures: u32,
    /// What was logged last: whether the API servers call podgate.
    calls: Option<bool>,
    called: watch::Sender<Called>,
    /// The kind of the failure that was published last. Of one kind, the texts may differ from beat to beat.
    published: Option<Discriminant<BeatError>>,
}

impl BeatLog {
    pub fn new(called: watch::Sender<Called>) -> Self {
        called.send_replace(Called::Undecided);
        Self { failures: 0, calls: None, called, published: None }
    }

    pub fn record(&mut self, beat: &Result<(), BeatError>) {
        match beat {
            Ok(()) => {
                self.failures = 0;
                self.publish_called();
                if self.calls.replace(true) != Some(true) {
                    tracing::info!("the API servers call podgate");
                }
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                match why {
                    // Nothing is known of API servers that do not answer.
                    BeatError::NoAnswer(_) => {}
                    // The API servers called; only the Lease has no owner.
                    BeatError::NoOwner(_) => self.publish_called(),
                    why if self.failures >= FAILURES => self.publish_not_called(why),
                    _ => {}
                }
                if self.failures >= FAILURES && self.calls.replace(false) != Some(false) {
                    tracing::warn!(%why, "podgate does not see that the API servers call it");
                }
            }
        }
    }

    fn publish_called(&mut self) {
        self.published = None;
        self.called.send_if_modified(|known| std::mem::replace(known, Called::Yes) != Called::Yes);
    }

    fn publish_not_called(&mut self, why: &BeatError) {
        if self.published.replace(discriminant(why)) != Some(discriminant(why)) {
            self.called.send_replace(Called::No(why.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_when_it_lasts_and_once() {
        let mut log = BeatLog::new(watch::Sender::default());
        let failed = || Err(BeatError::NoKey);
        for _ in 0..2 {
            log.record(&failed());
            assert_eq!(log.calls, None);
        }
        log.record(&failed());
        assert_eq!(log.calls, Some(false));
        log.record(&Ok(()));
        assert_eq!((log.calls, log.failures), (Some(true), 0));
    }

    #[test]
    fn the_verdict_changes_when_failures_last_and_an_api_server_that_is_down_says_nothing() {
        let (called, verdict) = watch::channel(Called::NoBeat);
        let mut log = BeatLog::new(called);
        let mut after = |beat: Result<(), BeatError>, times: u32| {
            for _ in 0..times {
                log.record(&beat);
            }
            match &*verdict.borrow() {
                Called::No(why) => format!("not called: {why}"),
                other => format!("{other:?}"),
            }
        };
        let silent = || Err(BeatError::NoAnswer("connection refused".to_owned()));
        let refused =
            |why: &str| Err(BeatError::Refused { route: "a".to_owned(), message: why.to_owned() });
        assert_eq!(after(silent(), 9), "Undecided");
        assert_eq!(after(Ok(()), 1), "Yes");
        assert_eq!(after(silent(), 9), "Yes");
        assert_eq!(after(Ok(()), 1), "Yes");
        assert_eq!(after(refused("one"), 2), "Yes");
        let first = "not called: the API server (a) refuses the beat: one";
        assert_eq!(after(refused("one"), 1), first);
        assert_eq!(after(refused("two"), 5), first, "a text that differs is not written again");
        let changed = after(Err(BeatError::Changed("no webhook".to_owned())), 1);
        assert!(changed.contains("not as they were rendered: no webhook"), "{changed}");
        assert_eq!(after(Err(BeatError::NoOwner("podgate".to_owned())), 1), "Yes");
    }
}
