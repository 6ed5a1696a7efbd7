//! Which reports there are, which there should be, and when to write what differs. Pure.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::name;
use crate::api::{API_VERSION, Report};

/// How long a failed write rests: doubled each time, up to the longest.
const SHORTEST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// A report's namespace and name.
pub(super) type Key = (String, String);

#[derive(Debug, PartialEq)]
pub(super) enum Write {
    Apply(Box<Report>),
    Delete,
}

/// A report that is not as it should be.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub key: Key,
    pub write: Write,
    /// The version that it was last seen in; `None` where it is not there.
    pub version: Option<String>,
    tries: u32,
}

#[derive(Default)]
pub(super) struct Ledger {
    /// Keyed at random, so that nobody can write a report that counts as equal to another.
    hasher: RandomState,
    there: BTreeMap<Key, There>,
    /// Those that were found and that nobody has named yet.
    unnamed: BTreeSet<Key>,
    unwritten: BTreeMap<Key, (Unwritten, Instant)>,
    /// Until when nothing is sent, since the API server takes nothing, and how often in a row it took nothing.
    resting: Option<Instant>,
    refusals: u32,
}

struct There {
    digest: u64,
    version: Option<String>,
}

impl Ledger {
    /// A report that the cluster holds.
    pub fn found(&mut self, report: &Report) {
        let ObjectMeta { namespace: Some(namespace), name: Some(name), .. } = &report.metadata
        else {
            return;
        };
        let key = (namespace.clone(), name.clone());
        self.unnamed.insert(key.clone());
        let version = report.metadata.resource_version.clone();
        self.there.insert(key, There { digest: self.digest(report), version });
    }

    /// What a report should be; what it should have been before is forgotten.
    pub fn want(&mut self, key: Key, write: Write, now: Instant) {
        self.unnamed.remove(&key);
        let there = self.there.get(&key);
        let is_so = match (&write, there) {
            (Write::Apply(report), Some(there)) => there.digest == self.digest(report),
            (Write::Apply(_), None) => false,
            (Write::Delete, there) => there.is_none(),
        };
        if is_so {
            self.unwritten.remove(&key);
        } else {
            let version = there.and_then(|it| it.version.clone());
            let unwritten = Unwritten { key: key.clone(), write, version, tries: 0 };
            self.unwritten.insert(key, (unwritten, now));
        }
    }

    /// Everything has been named: what has not is of policies and namespaces that are gone.
    pub fn complete(&mut self, now: Instant) {
        for key in std::mem::take(&mut self.unnamed) {
            self.want(key, Write::Delete, now);
        }
    }

    /// Takes out the first report that may be written now.
    pub fn next(&mut self, now: Instant) -> Option<Unwritten> {
        if self.resting.is_some_and(|until| now < until) {
            return None;
        }
        let due = self.unwritten.iter().find(|(_, (_, due))| *due <= now);
        let key = due.map(|(key, _)| key.clone())?;
        self.unwritten.remove(&key).map(|(unwritten, _)| unwritten)
    }

    /// When [`Ledger::next`] will have one.
    pub fn due(&self) -> Option<Instant> {
        let first = self.unwritten.values().map(|(_, due)| *due).min()?;
        Some(self.resting.map_or(first, |until| until.max(first)))
    }

    /// It was written, and is in this version now.
    pub fn written(&mut self, Unwritten { key, write, .. }: Unwritten, version: Option<String>) {
        self.answered();
        match write {
            Write::Apply(report) => {
                let there = There { digest: self.digest(&report), version };
                self.there.insert(key, there);
            }
            Write::Delete => {
                self.there.remove(&key);
            }
        }
    }

    /// It cannot be there: its namespace is gone.
    pub fn impossible(&mut self, Unwritten { key, .. }: &Unwritten) {
        self.answered();
        self.there.remove(key);
    }

    /// The API server took this one not.
    pub fn refused(&mut self, mut unwritten: Unwritten, now: Instant) {
        self.answered();
        let due = now + rest(unwritten.tries);
        unwritten.tries += 1;
        self.unwritten.insert(unwritten.key.clone(), (unwritten, due));
    }

    /// The API server takes nothing at the moment.
    pub fn unheard(&mut self, unwritten: Unwritten, now: Instant) {
        self.resting = Some(now + rest(self.refusals));
        self.refusals += 1;
        self.unwritten.insert(unwritten.key.clone(), (unwritten, now));
    }

    fn answered(&mut self) {
        self.resting = None;
        self.refusals = 0;
    }

    /// Of what podgate writes of a report, whatever others added to it.
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

    fn key(name: &str) -> Key {
        ("shop".to_owned(), format!("podgate-dop-{name}"))
    }

    fn apply(report: Report) -> Write {
        Write::Apply(Box::new(report))
    }

    fn names(ledger: &mut Ledger, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| ledger.next(now)).map(|it| it.key.1).collect()
    }

    #[test]
    fn only_what_differs_is_written() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let mut there = report("a", 1);
        there.metadata.resource_version = Some("7".to_owned());
        there.metadata.labels.as_mut().unwrap().insert("team".to_owned(), "shop".to_owned());
        ledger.found(&there);
        ledger.want(key("a"), apply(report("a", 1)), now);
        assert!(ledger.next(now).is_none());
        ledger.want(key("b"), Write::Delete, now);
        assert!(ledger.next(now).is_none(), "what is not there need not be deleted");
        ledger.want(key("a"), apply(report("a", 2)), now);
        ledger.want(key("a"), apply(report("a", 1)), now);
        assert!(ledger.next(now).is_none(), "it is as it should be again");
        ledger.want(key("a"), apply(report("a", 2)), now);
        let unwritten = ledger.next(now).unwrap();
        assert_eq!(unwritten.version.as_deref(), Some("7"));
        ledger.written(unwritten, Some("8".to_owned()));
        ledger.want(key("a"), apply(report("a", 2)), now);
        assert!(ledger.next(now).is_none());
        ledger.want(key("a"), Write::Delete, now);
        let unwritten = ledger.next(now).unwrap();
        assert_eq!((&unwritten.write, unwritten.version.as_deref()), (&Write::Delete, Some("8")));
        ledger.written(unwritten, None);
        ledger.want(key("a"), Write::Delete, now);
        assert!(ledger.next(now).is_none());
    }

    #[test]
    fn what_others_changed_in_ours_is_written_again() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let mut there = report("a", 1);
        there.results[0].message = Some("all is well".to_owned());
        ledger.found(&there);
        let mut there = report("b", 1);
        there.metadata.owner_references.as_mut().unwrap()[0].uid = "of a policy before".to_owned();
        ledger.found(&there);
        for name in ["b", "a"] {
            ledger.want(key(name), apply(report(name, 1)), now);
        }
        assert_eq!(names(&mut ledger, now), ["podgate-dop-a", "podgate-dop-b"]);
    }

    #[test]
    fn what_nobody_named_goes_when_everything_has_been_named() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
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
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        ledger.want(key("a"), apply(report("a", 1)), start);
        ledger.want(key("b"), apply(report("b", 1)), start);
        let mut now = start;
        let mut rests = Vec::new();
        for _ in 0..8 {
            let unwritten = ledger.next(now).unwrap();
            assert_eq!(unwritten.key, key("a"));
            ledger.refused(unwritten, now);
            if now == start {
                assert_eq!(names(&mut ledger, now), ["podgate-dop-b"]);
            }
            rests.push((ledger.due().unwrap() - now).as_millis());
            now = ledger.due().unwrap();
        }
        assert_eq!(rests, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
        let unwritten = ledger.next(now).unwrap();
        ledger.refused(unwritten, now);
        ledger.want(key("a"), apply(report("a", 2)), now);
        assert_eq!(names(&mut ledger, now), ["podgate-dop-a"], "what is newer does not wait");
    }

    #[test]
    fn an_api_server_that_takes_nothing_is_left_alone() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        for name in ["a", "b"] {
            ledger.want(key(name), apply(report(name, 1)), now);
        }
        let unwritten = ledger.next(now).unwrap();
        ledger.unheard(unwritten, now);
        ledger.want(key("c"), apply(report("c", 1)), now);
        assert!(ledger.next(now).is_none());
        let later = ledger.due().unwrap();
        assert_eq!(later - now, SHORTEST_REST);
        let unwritten = ledger.next(later).unwrap();
        ledger.unheard(unwritten, later);
        assert_eq!(ledger.due().unwrap() - later, SHORTEST_REST * 2);
        let later = ledger.due().unwrap();
        let unwritten = ledger.next(later).unwrap();
        ledger.written(unwritten, None);
        assert_eq!(names(&mut ledger, later), ["podgate-dop-b", "podgate-dop-c"]);
    }
}
