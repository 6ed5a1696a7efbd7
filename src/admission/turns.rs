//! Work that is done by turns: of many futures one at a time is in the queue of the runtime, which knows no priorities,
//! so that everything else waits there for one of them and not for all.

use std::future::poll_fn;
use std::mem::replace;
use std::pin::pin;
use std::task::Poll;

use tokio::sync::Semaphore;

/// Futures that take turns.
pub(super) struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

impl Turns {
    /// Runs a future. Whenever it can go on, it waits for its turn, in order, and goes to the end of the runtime's
    /// queue, where it is polled once.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            // It is never closed.
            let turn = self.0.acquire().await;
            requeued().await;
            let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
            drop(turn);
            match polled {
                Poll::Ready(output) => return output,
                Poll::Pending => woken().await,
            }
        }
    }
}

/// Puts the task at the end of the runtime's queue.
async fn requeued() {
    poll_fn(|context| {
        context.waker().wake_by_ref();
        Poll::Ready(())
    })
    .await;
    woken().await;
}

/// Waits until the task is polled again, for whatever reason.
async fn woken() {
    let mut again = false;
    poll_fn(|_| if replace(&mut again, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn others_wait_for_one_of_them_however_many_are_ready() {
        let (turns, done) = (Arc::<Turns>::default(), Arc::<AtomicUsize>::default());
        let work = (0..1000).map(|_| {
            let (turns, done) = (Arc::clone(&turns), Arc::clone(&done));
            tokio::spawn(async move {
                turns.run(async { done.fetch_add(1, Ordering::Relaxed) }).await;
            })
        });
        let work: Vec<_> = work.collect();
        let other = tokio::spawn(async move {
            // Each now waits for its turn, but the first.
            requeued().await;
            let before = done.load(Ordering::Relaxed);
            for round in 1..=10 {
                requeued().await;
                let now = done.load(Ordering::Relaxed);
                assert!(now - before <= round, "{} in {round} rounds", now - before);
            }
        });
        other.await.unwrap();
        for it in work {
            it.await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_that_waits_or_is_given_up_holds_up_nobody() {
        let turns = Turns::default();
        let (send, receive) = oneshot::channel();
        let mut waits = Box::pin(turns.run(receive));
        // Its turn, and the wait that follows.
        assert!(futures::poll!(&mut waits).is_pending());
        let mut given_up = Box::pin(turns.run(std::future::pending::<()>()));
        assert!(futures::poll!(&mut given_up).is_pending(), "it waits for its turn");
        assert!(futures::poll!(&mut waits).is_pending());
        assert!(futures::poll!(&mut given_up).is_pending(), "it has its turn");
        drop(given_up);
        assert_eq!(turns.run(async { 1 }).await, 1);
        send.send(2).unwrap();
        assert_eq!(waits.await, Ok(2));
    }
}
