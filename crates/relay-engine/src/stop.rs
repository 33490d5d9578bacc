//! Telling tasks to stop: set once, seen by all.

use std::time::Duration;
use tokio::sync::watch;

/// The side that stops.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<bool>);

/// The side that is stopped. Cloning gives another observer.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    pub(crate) fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// One that is never stopped and one that already is, for tests and for use without an engine.
    pub fn fixed(stopped: bool) -> Self {
        Self(watch::channel(stopped).1)
    }

    /// Whether it is time to stop.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is time to stop. A [`fixed`](Self::fixed) one that is not stopped waits for ever.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing.
    pub async fn stopped(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Sleeps, but not beyond the time to stop; whether it slept to the end.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::time::timeout(duration, self.stopped())
            .await
            .is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stops_all_and_cuts_sleep_short() {
        let (stopper, stop) = Stopper::new();
        assert!(stop.sleep(Duration::from_secs(5)).await);
        let sleeper = tokio::spawn({
            let stop = stop.clone();
            async move { stop.sleep(Duration::from_hours(1)).await }
        });
        tokio::task::yield_now().await;
        stopper.stop();
        assert!(!sleeper.await.unwrap());
        assert!(stop.is_stopped());
        stop.stopped().await;
    }
}
