//! The pace of Events, so that a rollout that breaks everything does not bury the API server: what must wait is merged
//! with what comes meanwhile. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::note::{Gathered, Topic};

/// So many Events at once, then one in each interval.
const BURST: u32 = 50;
const INTERVAL: Duration = Duration::from_secs(1);
/// How long an object has no other Event of the same kind after one.
const REST: Duration = Duration::from_secs(10);
/// The most Events that wait: what comes after ten minutes is no news.
const MAX_WAITING: usize = 600;

#[derive(Default)]
pub(super) struct Queue {
    /// Each with its place in the order of arrival.
    waiting: BTreeMap<Topic, (u64, Gathered)>,
    arrivals: u64,
    /// When all that was spent of the burst has come back.
    full: Option<Instant>,
    /// What was told, and until when there is nothing more of it: of what began on an object, or of what went.
    rests: BTreeMap<Topic, Instant>,
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

    /// Takes out the Event that has waited longest of those that may be written now.
    pub fn next(&mut self, now: Instant) -> Option<(Topic, Gathered)> {
        self.rests.retain(|_, until| now < *until);
        if self.burst_from().is_some_and(|from| now < from) {
            return None;
        }
        let ready = self.waiting.iter().filter(|(topic, _)| !self.rests.contains_key(*topic));
        let (topic, _) = ready.min_by_key(|(_, (arrival, _))| *arrival)?;
        let topic = topic.clone();
        let (_, gathered) = self.waiting.remove(&topic)?;
        self.full = Some(self.full.map_or(now, |full| full.max(now)) + INTERVAL);
        self.rests.insert(topic.clone(), now + REST);
        Some((topic, gathered))
    }

    /// When [`Queue::next`] will have one; in the past where it has one already.
    pub fn due(&self) -> Option<Instant> {
        let rested = |topic: &Topic| self.rests.get(topic).copied();
        // `None` is now, which is before any time.
        let first = self.waiting.keys().map(rested).min()?;
        Some(first.max(self.burst_from()).unwrap_or_else(Instant::now))
    }

    /// From when on there is something left of the burst.
    fn burst_from(&self) -> Option<Instant> {
        self.full?.checked_sub(INTERVAL * (BURST - 1))
    }

    /// How many violations found no place since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// How many violations wait to be told.
    pub fn untold(&self) -> u64 {
        self.waiting.values().map(|(_, gathered)| gathered.count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{policy, violation};
    use super::super::note::{About, gather};
    use super::*;
    use crate::policy::observed::Change;

    /// A violation of a workload that began, told on the workload only.
    fn began(name: &str) -> BTreeMap<Topic, Gathered> {
        let change = Change {
            policy: policy("baseline"),
            violation: violation(name, "forbidLatestTag"),
            gone: false,
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
    fn what_finds_no_place_is_counted_and_what_waits_already_is_merged() {
        let mut queue = Queue::default();
        for index in 0..MAX_WAITING + 5 {
            queue.add(began(&format!("w{index}")));
        }
        queue.add(began("w0"));
        assert_eq!(queue.take_dropped(), 5);
        assert_eq!(queue.take_dropped(), 0);
        assert_eq!(queue.untold(), MAX_WAITING as u64 + 1);
    }
}
