//! The right to write. Whoever leads holds it for a time, and every write of podgate asks it before it is sent: a
//! process that was stopped and wakes finds that its time is over, and writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Why nothing was written, or what the API server said.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("this podgate does not lead, so it writes nothing")]
    NotLeading,
    #[error(transparent)]
    Api(#[from] kube::Error),
}

impl WriteError {
    /// The HTTP status with which the API server refused, if it did.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }
}

/// A claim that ends by itself unless it is extended. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// The nanosecond since boot at which it ends; 0 where there is none.
    until: Arc<AtomicU64>,
}

impl Claim {
    /// A person's own, who needs no Lease to write.
    pub fn by_hand() -> Self {
        Self { until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Whether it holds now.
    pub fn holds(&self) -> bool {
        nanoseconds(since_boot()) < self.until.load(Ordering::Acquire)
    }

    /// Makes it hold until so long after boot.
    pub fn extend(&self, until: Duration) {
        self.until.store(nanoseconds(until), Ordering::Release);
    }

    /// Ends it at once.
    pub fn give_up(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Sends a write, unless the claim is over.
    ///
    /// # Errors
    /// The claim is over and nothing was sent, or the API server refused.
    pub async fn write<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        // A future sends nothing before it is polled, and it is polled right after this.
        if !self.holds() {
            return Err(WriteError::NotLeading);
        }
        Ok(call.await?)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The time since boot, suspended time too: a machine that slept must notice that a lease ran out meanwhile.
#[cfg(target_os = "linux")]
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// The time since the first call. On this system it may not count the time in which the machine is suspended.
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
