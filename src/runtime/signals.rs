//! Counts SIGTERM and SIGINT: the first begins the graceful shutdown, the second ends the process at once.

use tokio::sync::watch;

/// Starts counting.
pub(super) fn count() -> std::io::Result<watch::Receiver<u32>> {
    let (sender, receiver) = watch::channel(0);
    let mut next = listener()?;
    tokio::spawn(async move {
        loop {
            next.recv().await;
            sender.send_modify(|count| *count += 1);
        }
    });
    Ok(receiver)
}

/// Waits until this many signals have come.
pub(super) async fn reached(mut signals: watch::Receiver<u32>, count: u32) {
    if signals.wait_for(|signals| *signals >= count).await.is_err() {
        // The counter never ends before the process does.
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
struct Listener {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
fn listener() -> std::io::Result<Listener> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok(Listener {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    })
}

#[cfg(unix)]
impl Listener {
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(windows)]
fn listener() -> std::io::Result<tokio::signal::windows::CtrlC> {
    tokio::signal::windows::ctrl_c()
}
