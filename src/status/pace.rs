//! The paces of the writes of policies' statuses.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::client::pace::Pace;
use crate::policy::key::PolicyKey;

/// The pace of each policy, and the policies whose next write waits.
#[derive(Default)]
pub(super) struct Paces {
    of: BTreeMap<PolicyKey, Pace>,
    waiting: BTreeMap<PolicyKey, Instant>,
}

impl Paces {
    /// Whether a changed status is to be written now. If not, [`Self::due`] names it later.
    pub fn may_write(&mut self, key: &PolicyKey, now: Instant) -> bool {
        let next = self.of.get(key).map(|it| it.next()).filter(|next| *next > now);
        if let Some(next) = next {
            self.waiting.insert(key.clone(), next);
        }
        next.is_none()
    }

    pub fn written(&mut self, key: &PolicyKey, now: Instant) {
        let before = self.of.get(key).copied();
        self.of.insert(key.clone(), Pace::written(before, now));
        self.waiting.remove(key);
    }

    /// The policies whose wait is over.
    pub fn due(&mut self, now: Instant) -> Vec<PolicyKey> {
        self.waiting.extract_if(.., |_, at| *at <= now).map(|(key, _)| key).collect()
    }

    /// Waits for the end of the next wait; for ever if none waits.
    pub async fn next_due(&self) {
        match self.waiting.values().min() {
            Some(at) => tokio::time::sleep_until((*at).into()).await,
            None => std::future::pending().await,
        }
    }

    pub fn forget(&mut self, key: &PolicyKey) {
        self.of.remove(key);
        self.waiting.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(name: &str) -> PolicyKey {
        PolicyKey { namespace: None, name: name.to_owned() }
    }

    #[test]
    fn a_policy_waits_for_its_own_last_write_alone_and_is_named_when_the_wait_is_over() {
        let (now, mut paces) = (Instant::now(), Paces::default());
        paces.written(&key("a"), now);
        assert!(!paces.may_write(&key("a"), now) && paces.may_write(&key("b"), now));
        assert_eq!(paces.due(now), []);
        let later = now + Duration::from_secs(1);
        assert_eq!((paces.due(later), paces.due(later)), (vec![key("a")], vec![]));
        assert!(paces.may_write(&key("a"), later));
    }

    #[test]
    fn what_was_written_meanwhile_or_is_gone_is_not_named() {
        let (now, mut paces) = (Instant::now(), Paces::default());
        let later = now + Duration::from_mins(1);
        for end in [
            |it: &mut Paces, at| it.written(&key("a"), at),
            |it: &mut Paces, _| it.forget(&key("a")),
        ] {
            paces.written(&key("a"), now);
            assert!(!paces.may_write(&key("a"), now));
            end(&mut paces, now);
            assert_eq!(paces.due(later), []);
        }
        assert!(paces.may_write(&key("a"), now));
    }
}
