//! Paces Events, so that a rollout with many violations does not overload the
//! API server. Refused pods come before violations. Changes that arrive while a topic waits are merged into it. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::note::{Gathered, Topic, TopicKind};

/// The Events written at once; then one in each interval.
const BURST: u32 = 50;
const INTERVAL: Duration = Duration::from_secs(1);
/// The time between two Events of the same topic.
const REST: Duration = Duration::from_secs(10);
/// The most Events that wait: ten minutes' worth at one in each interval.
const MAX_WAITING: usize = 600;

#[derive(Default)]
pub(super) struct Queue {
    /// Each with its place in the order of arrival.
    waiting: BTreeMap<Topic, (u64, Gathered)>,
    arrivals: u64,
    /// When the whole burst is available again.
    full: Option<Instant>,
    /// The topics that were written, and when each may be written again.
    rests: BTreeMap<Topic, Instant>,
    /// The changes dropped since [`Queue::take_dropped`].
    dropped: u64,
}

impl Queue {
    pub fn add(&mut self, topics: impl IntoIterator<Item = (Topic, Gathered)>) {
        for (topic, gathered) in topics {
            if let Some((_, waiting)) = self.waiting.get_mut(&topic) {
                waiting.merge(gathered);
            } else if self.waiting.len() < MAX_WAITING {
                self.waiting.insert(topic, (self.arrivals, gathered));
                self.arrivals += 1;
            } else {
                self.dropped += gathered.count();
            }
        }
    }

    /// Takes the longest-waiting Event that may be written now; of refused pods and of what nobody judged first: the
    /// former are an outage, the latter a hole.
    pub fn next(&mut self, now: Instant) -> Option<(Topic, Gathered)> {
        self.rests.retain(|_, until| now < *until);
        if self.burst_from().is_some_and(|from| now < from) {
            return None;
        }
        let ready = self.waiting.iter().filter(|(topic, _)| !self.rests.contains_key(*topic));
        let (topic, _) = ready
            .min_by_key(|(topic, (arrival, _))| (topic.kind < TopicKind::Refused, *arrival))?;
        let topic = topic.clone();
        let (_, gathered) = self.waiting.remove(&topic)?;
        self.full = Some(self.full.map_or(now, |full| full.max(now)) + INTERVAL);
        self.rests.insert(topic.clone(), now + REST);
        Some((topic, gathered))
    }

    /// When [`Queue::next`] returns an Event; in the past where it does now.
    pub fn due(&self) -> Option<Instant> {
        let rested = |topic: &Topic| self.rests.get(topic).copied();
        // `None` (now) orders before every time.
        let first = self.waiting.keys().map(rested).min()?;
        Some(first.max(self.burst_from()).unwrap_or_else(Instant::now))
    }

    /// When a part of the burst is available.
    fn burst_from(&self) -> Option<Instant> {
        self.full?.checked_sub(INTERVAL * (BURST - 1))
    }

    /// Takes the number of changes that were dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// The number of changes whose Events wait.
    pub fn waiting_changes(&self) -> u64 {
        self.waiting.values().map(|(_, gathered)| gathered.count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{policy, violation};
    use super::super::note::{About, gather};
    use super::*;
    use crate::policy::observed::testing::refused;
    use crate::policy::observed::{Change, Changed};

    /// The topic of a violation that began, for the workload only.
    fn began(name: &str) -> BTreeMap<Topic, Gathered> {
        let change = Change {
            policy: policy("baseline"),
            what: Changed::Opened(violation(name, "forbidLatestTag")),
        };
        let mut topics = gather(&[change]);
        topics.retain(|topic, _| matches!(topic.about, About::Workload(_)));
        topics
    }

    fn sent(queue: &mut Queue, now: Instant) -> Vec<String> {
        let next = std::iter::from_fn(|| queue.next(now));
        next.map(|(topic, it)| format!("{} ×{}", topic.about, it.count())).collect()
    }

    #[test]
    fn a_burst_comes_at_once_and_then_one_in_each_interval_in_the_order_of_arrival() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let burst = BURST as usize;
        for index in (0..burst + 4).rev() {
            queue.add(began(&format!("w{index}")));
        }
        assert_eq!(sent(&mut queue, now).len(), burst);
        assert_eq!(queue.due(), Some(now + INTERVAL));
        assert!(sent(&mut queue, now + INTERVAL.mul_f64(0.99)).is_empty());
        assert_eq!(sent(&mut queue, now + INTERVAL), ["Deployment shop/w3 ×1"]);
        assert_eq!(sent(&mut queue, now + INTERVAL * 3).len(), 2);
        assert_eq!(queue.due(), Some(now + INTERVAL * 4));
        let much_later = now + INTERVAL * 1000;
        for index in 0..2 * burst {
            queue.add(began(&format!("v{index}")));
        }
        assert_eq!(
            sent(&mut queue, much_later).len(),
            burst,
            "a rest saves up no more than a burst"
        );
    }

    #[test]
    fn an_object_rests_after_an_event_and_what_comes_meanwhile_is_one() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(began("cart"));
        assert_eq!(sent(&mut queue, now), ["Deployment shop/cart ×1"]);
        queue.add(began("cart"));
        queue.add(began("cart"));
        queue.add(began("web"));
        assert_eq!(sent(&mut queue, now), ["Deployment shop/web ×1"]);
        assert_eq!(queue.due(), Some(now + REST));
        assert_eq!(sent(&mut queue, now + REST), ["Deployment shop/cart ×2"]);
        assert_eq!(queue.due(), None);
    }

    #[test]
    fn refused_pods_do_not_wait_behind_violations() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for index in 0..3 {
            queue.add(began(&format!("w{index}")));
        }
        let what = Changed::Refused(refused("cart", (0, 4), &["forbidLatestTag"]));
        let mut topics = gather(&[Change { policy: policy("baseline"), what }]);
        topics.retain(|topic, _| matches!(topic.about, About::Workload(_)));
        queue.add(topics);
        assert_eq!(sent(&mut queue, now)[0], "Deployment shop/cart ×1");
    }

    #[test]
    fn what_finds_no_place_is_counted_and_what_waits_already_is_merged() {
        let mut queue = Queue::default();
        for index in 0..MAX_WAITING + 5 {
            queue.add(began(&format!("w{index}")));
        }
        queue.add(began("w0"));
        assert_eq!(queue.take_dropped(), 5);
        assert_eq!(queue.take_dropped(), 0);
        assert_eq!(queue.waiting_changes(), MAX_WAITING as u64 + 1);
    }
}
