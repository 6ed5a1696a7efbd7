//! The reports that exist, the reports wanted, and when to write the difference. Pure.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::name;
use crate::api::{API_VERSION, Report};
use crate::client::pace::Pace;

/// The pause after a failed write: doubled each time, up to the longest.
const SHORTEST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct ReportKey {
    pub namespace: String,
    pub name: String,
}

#[derive(Debug, PartialEq)]
pub(super) enum ReportWrite {
    Apply(Box<Report>),
    Delete,
}

/// A write that is due.
#[derive(Debug)]
pub(super) struct PendingWrite {
    pub key: ReportKey,
    pub write: ReportWrite,
    /// The report's last known `resourceVersion`; `None` where it does not exist.
    pub version: Option<String>,
    tries: u32,
}

#[derive(Default)]
pub(super) struct ReportLedger {
    /// Randomly seeded, so that nobody can craft a report whose digest equals another's.
    hasher: RandomState,
    known: BTreeMap<ReportKey, KnownReport>,
    /// The existing reports that no update has named yet.
    unnamed: BTreeSet<ReportKey>,
    /// Each write, and when it is due.
    pending: BTreeMap<ReportKey, (PendingWrite, Instant)>,
    /// While the API server fails, the time before which nothing is sent.
    resting: Option<Instant>,
    /// The number of failures in a row.
    failures: u32,
}

struct KnownReport {
    digest: u64,
    version: Option<String>,
    /// `None` as long as only others wrote it.
    pace: Option<Pace>,
}

impl ReportLedger {
    /// Records an existing report.
    pub fn found(&mut self, report: &Report) {
        let ObjectMeta { namespace: Some(namespace), name: Some(name), .. } = &report.metadata
        else {
            return;
        };
        let key = ReportKey { namespace: namespace.clone(), name: name.clone() };
        self.unnamed.insert(key.clone());
        let version = report.metadata.resource_version.clone();
        self.known.insert(key, KnownReport { digest: self.digest(report), version, pace: None });
    }

    /// Requests a write; it replaces an earlier one of the same report. A report that keeps changing waits for its turn.
    pub fn want(&mut self, key: ReportKey, write: ReportWrite, now: Instant) {
        self.unnamed.remove(&key);
        let known = self.known.get(&key);
        let is_so = match (&write, known) {
            (ReportWrite::Apply(report), Some(known)) => known.digest == self.digest(report),
            (ReportWrite::Apply(_), None) => false,
            (ReportWrite::Delete, known) => known.is_none(),
        };
        if is_so {
            self.pending.remove(&key);
        } else {
            let version = known.and_then(|it| it.version.clone());
            let paced = known.and_then(|it| it.pace).filter(|_| write != ReportWrite::Delete);
            let due = paced.map_or(now, |it| it.next().max(now));
            let pending = PendingWrite { key: key.clone(), write, version, tries: 0 };
            self.pending.insert(key, (pending, due));
        }
    }

    /// Deletes the reports that no update has named: their policies or namespaces are gone.
    pub fn complete(&mut self, now: Instant) {
        for key in std::mem::take(&mut self.unnamed) {
            self.want(key, ReportWrite::Delete, now);
        }
    }

    /// Takes the first write that is due.
    pub fn next(&mut self, now: Instant) -> Option<PendingWrite> {
        if self.resting.is_some_and(|until| now < until) {
            return None;
        }
        let due = self.pending.iter().find(|(_, (_, due))| *due <= now);
        let key = due.map(|(key, _)| key.clone())?;
        self.pending.remove(&key).map(|(pending, _)| pending)
    }

    /// When [`ReportLedger::next`] returns a write.
    pub fn due(&self) -> Option<Instant> {
        let first = self.pending.values().map(|(_, due)| *due).min()?;
        Some(self.resting.map_or(first, |until| until.max(first)))
    }

    /// Records a successful write, and the report's new version.
    pub fn written(
        &mut self,
        PendingWrite { key, write, .. }: PendingWrite,
        version: Option<String>,
        now: Instant,
    ) {
        self.answered();
        match write {
            ReportWrite::Apply(report) => {
                let before = self.known.get(&key).and_then(|it| it.pace);
                let pace = Some(Pace::written(before, now));
                let known = KnownReport { digest: self.digest(&report), version, pace };
                self.known.insert(key, known);
            }
            ReportWrite::Delete => {
                self.known.remove(&key);
            }
        }
    }

    /// Drops a write whose namespace is gone.
    pub fn impossible(&mut self, PendingWrite { key, .. }: &PendingWrite) {
        self.answered();
        self.known.remove(key);
    }

    /// Reschedules a write that the API server refused.
    pub fn refused(&mut self, mut pending: PendingWrite, now: Instant) {
        self.answered();
        let due = now + rest(pending.tries);
        pending.tries += 1;
        self.pending.insert(pending.key.clone(), (pending, due));
    }

    /// Reschedules a write, and pauses all of them, where the API server fails.
    pub fn unavailable(&mut self, pending: PendingWrite, now: Instant) {
        self.resting = Some(now + rest(self.failures));
        self.failures += 1;
        self.pending.insert(pending.key.clone(), (pending, now));
    }

    fn answered(&mut self) {
        self.resting = None;
        self.failures = 0;
    }

    /// The digest of the parts of a report that podgate writes; additions by others do not change it.
    fn digest(&self, report: &Report) -> u64 {
        let Report { metadata, source, summary, results, .. } = report;
        let labels = metadata.labels.iter().flatten().filter(|(key, _)| name::is_ours(key));
        let owners = metadata.owner_references.iter().flatten();
        let owners = owners.filter(|it| it.api_version == API_VERSION);
        let ours =
            (labels.collect::<Vec<_>>(), owners.collect::<Vec<_>>(), source, summary, results);
        self.hasher.hash_one(serde_json::to_vec(&ours).unwrap_or_default())
    }
}

fn rest(tries: u32) -> Duration {
    SHORTEST_REST.saturating_mul(1 << tries.min(16)).min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::super::build;
    use super::super::tests::{observed, policy, violation};
    use super::*;

    fn report(name: &str, violations: usize) -> Report {
        let worst = vec![violation("cart", "forbidLatestTag"); violations];
        build::report(&observed(policy(name), worst))
    }

    fn key(name: &str) -> ReportKey {
        ReportKey { namespace: "shop".to_owned(), name: format!("podgate-dop-{name}") }
    }

    fn apply(report: Report) -> ReportWrite {
        ReportWrite::Apply(Box::new(report))
    }

    fn names(ledger: &mut ReportLedger, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| ledger.next(now)).map(|it| it.key.name).collect()
    }

    #[test]
    fn only_what_differs_is_written() {
        let (mut ledger, now) = (ReportLedger::default(), Instant::now());
        let mut known = report("a", 1);
        known.metadata.resource_version = Some("7".to_owned());
        known.metadata.labels.as_mut().unwrap().insert("team".to_owned(), "shop".to_owned());
        ledger.found(&known);
        ledger.want(key("a"), apply(report("a", 1)), now);
        assert!(ledger.next(now).is_none());
        ledger.want(key("b"), ReportWrite::Delete, now);
        assert!(ledger.next(now).is_none(), "what is not there need not be deleted");
        ledger.want(key("a"), apply(report("a", 2)), now);
        ledger.want(key("a"), apply(report("a", 1)), now);
        assert!(ledger.next(now).is_none(), "it is as it should be again");
        ledger.want(key("a"), apply(report("a", 2)), now);
        let pending = ledger.next(now).unwrap();
        assert_eq!(pending.version.as_deref(), Some("7"));
        ledger.written(pending, Some("8".to_owned()), now);
        ledger.want(key("a"), apply(report("a", 2)), now);
        assert!(ledger.next(now).is_none());
        ledger.want(key("a"), ReportWrite::Delete, now);
        let pending = ledger.next(now).unwrap();
        assert_eq!((&pending.write, pending.version.as_deref()), (&ReportWrite::Delete, Some("8")));
        ledger.written(pending, None, now);
        ledger.want(key("a"), ReportWrite::Delete, now);
        assert!(ledger.next(now).is_none());
    }

    #[test]
    fn a_report_that_keeps_changing_waits_and_the_end_of_a_report_does_not() {
        let (mut ledger, now) = (ReportLedger::default(), Instant::now());
        ledger.want(key("a"), apply(report("a", 1)), now);
        let first = ledger.next(now).unwrap();
        ledger.written(first, None, now);
        ledger.want(key("a"), apply(report("a", 2)), now);
        assert!(ledger.next(now).is_none());
        let later = ledger.due().unwrap();
        assert!(later > now);
        ledger.want(key("a"), apply(report("a", 1)), now);
        assert_eq!(ledger.due(), None, "it is as it was written");
        ledger.want(key("a"), apply(report("a", 3)), now);
        assert_eq!(ledger.next(later).unwrap().write, apply(report("a", 3)), "the newest");
        ledger.want(key("a"), ReportWrite::Delete, now);
        assert_eq!(ledger.next(now).unwrap().write, ReportWrite::Delete);
    }

    #[test]
    fn what_others_changed_in_ours_is_written_again() {
        let (mut ledger, now) = (ReportLedger::default(), Instant::now());
        let mut known = report("a", 1);
        known.results[0].message = Some("all is well".to_owned());
        ledger.found(&known);
        let mut known = report("b", 1);
        known.metadata.owner_references.as_mut().unwrap()[0].uid = "of a policy before".to_owned();
        ledger.found(&known);
        for name in ["b", "a"] {
            ledger.want(key(name), apply(report(name, 1)), now);
        }
        assert_eq!(names(&mut ledger, now), ["podgate-dop-a", "podgate-dop-b"]);
    }

    #[test]
    fn what_nobody_named_goes_when_everything_has_been_named() {
        let (mut ledger, now) = (ReportLedger::default(), Instant::now());
        for name in ["a", "b", "c"] {
            ledger.found(&report(name, 1));
        }
        ledger.want(key("b"), apply(report("b", 1)), now);
        assert!(ledger.next(now).is_none());
        ledger.complete(now);
        assert_eq!(names(&mut ledger, now), ["podgate-dop-a", "podgate-dop-c"]);
        ledger.complete(now);
        assert!(ledger.next(now).is_none());
    }

    #[test]
    fn a_report_that_is_refused_holds_up_no_other_and_is_tried_again() {
        let (mut ledger, start) = (ReportLedger::default(), Instant::now());
        ledger.want(key("a"), apply(report("a", 1)), start);
        ledger.want(key("b"), apply(report("b", 1)), start);
        let mut now = start;
        let mut rests = Vec::new();
        for _ in 0..8 {
            let pending = ledger.next(now).unwrap();
            assert_eq!(pending.key, key("a"));
            ledger.refused(pending, now);
            if now == start {
                assert_eq!(names(&mut ledger, now), ["podgate-dop-b"]);
            }
            rests.push((ledger.due().unwrap() - now).as_millis());
            now = ledger.due().unwrap();
        }
        assert_eq!(rests, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
        let pending = ledger.next(now).unwrap();
        ledger.refused(pending, now);
        ledger.want(key("a"), apply(report("a", 2)), now);
        assert_eq!(names(&mut ledger, now), ["podgate-dop-a"], "what is newer does not wait");
    }

    #[test]
    fn an_api_server_that_takes_nothing_is_left_alone() {
        let (mut ledger, now) = (ReportLedger::default(), Instant::now());
        for name in ["a", "b"] {
            ledger.want(key(name), apply(report(name, 1)), now);
        }
        let pending = ledger.next(now).unwrap();
        ledger.unavailable(pending, now);
        ledger.want(key("c"), apply(report("c", 1)), now);
        assert!(ledger.next(now).is_none());
        let later = ledger.due().unwrap();
        assert_eq!(later - now, SHORTEST_REST);
        let pending = ledger.next(later).unwrap();
        ledger.unavailable(pending, later);
        assert_eq!(ledger.due().unwrap() - later, SHORTEST_REST * 2);
        let later = ledger.due().unwrap();
        let pending = ledger.next(later).unwrap();
        ledger.written(pending, None, now);
        assert_eq!(names(&mut ledger, later), ["podgate-dop-b", "podgate-dop-c"]);
    }
}
