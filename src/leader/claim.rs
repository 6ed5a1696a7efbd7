//! The claim: the leader's right to write, which expires by itself. Every write checks it before it is sent: a process
//! that was suspended and wakes finds its claim expired, and writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("this podgate does not lead, so it writes nothing")]
    NotLeading,
    #[error(transparent)]
    Api(#[from] kube::Error),
}

impl WriteError {
    /// The HTTP status of the API server's refusal; `None` if it did not refuse.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }
}

/// A claim that expires unless it is extended. Clones share one claim.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// The expiry in nanoseconds since boot; 0 before the first term.
    until: Arc<AtomicU64>,
}

impl Claim {
    /// The claim of a command that a person runs, which needs no Lease: it never expires.
    pub fn by_hand() -> Self {
        Self { until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Whether the claim holds now.
    pub fn holds(&self) -> bool {
        nanoseconds(since_boot()) < self.until.load(Ordering::Acquire)
    }

    /// Extends the claim until a time since boot.
    pub fn extend(&self, until: Duration) {
        self.until.store(nanoseconds(until), Ordering::Release);
    }

    /// Ends the claim at once.
    pub fn give_up(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Sends a write, unless the claim has expired.
    ///
    /// # Errors
    /// The claim has expired and nothing was sent, or the API server refused.
    pub async fn write<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        // The future sends nothing until it is polled, right after this check.
        if !self.holds() {
            return Err(WriteError::NotLeading);
        }
        Ok(call.await?)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The time since boot, including suspended time: after a suspend, an expired Lease must be noticed.
#[cfg(target_os = "linux")]
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// The time since the first call. On this system it may exclude suspended time.
#[cfg(not(target_os = "linux"))]
pub fn since_boot() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_sent_without_a_claim_or_after_it() {
        let claim = Claim::default();
        let sent = || async { Ok(()) };
        assert!(matches!(claim.write(sent()).await, Err(WriteError::NotLeading)));
        claim.extend(since_boot() + Duration::from_mins(1));
        assert!(claim.clone().write(sent()).await.is_ok());
        claim.extend(since_boot());
        assert!(matches!(claim.write(sent()).await, Err(WriteError::NotLeading)));
        claim.extend(since_boot() + Duration::from_mins(1));
        claim.give_up();
        assert!(!claim.holds());
    }
}
