//! Publishing at a pace that gives way: for senders inside the process, who can wait instead of being refused.

use crate::actuate::Pace;
use relay_event::{Bus, Event, PublishError, Published};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The pace is looked at again at least so often, so that whoever waits long notices when it may go on sooner.
const PATIENCE: Duration = Duration::from_secs(1);

/// Publishes on the external bus, at most one event each `interval`, and less often while the engine asks for less.
///
/// Between two events it waits `interval ÷ share`, where the share is the smaller of the gate's scale and of 1 ÷ the
/// back-off factor. The factor rises by a fifth with each look while a queue is above 80 % or memory above 85 %, up to 10,
/// and falls by a tenth while both are low again. So a publisher of one event each 10 ms sends one each 12 ms after the
/// first step, and one each 100 ms at most.
///
/// Each publisher waits on its own: it holds no lock meanwhile, and others are not held up. Without its turn's delay it
/// waits for room as [`Bus::publish`] does.
///
/// ```
/// use relay_engine::Engine;
/// use relay_event::Event;
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let engine = Engine::builder().start().await?;
/// let mut ticks = engine.paced(Duration::from_millis(1));
/// for _ in 0..3 {
///     ticks.publish(Event::builder("tick").build()?).await?;
/// }
/// # engine.shutdown(Duration::from_secs(1)).await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PacedPublisher {
    bus: Bus,
    pace: Arc<Pace>,
    interval: Duration,
    last: Option<Instant>,
}

impl PacedPublisher {
    pub(crate) fn new(bus: Bus, pace: Arc<Pace>, interval: Duration) -> Self {
        Self {
            bus,
            pace,
            interval,
            last: None,
        }
    }

    /// What it waits between two events now; `None` while nothing may be sent at all.
    pub fn delay(&self) -> Option<Duration> {
        let seconds = self.interval.as_secs_f64() / self.pace.share();
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Waits for its turn, then for room, and publishes.
    ///
    /// # Errors
    ///
    /// When the bus is closed; the event comes back.
    ///
    /// # Cancel safety
    ///
    /// Cancelling publishes nothing, and the next call waits no longer for it.
    pub async fn publish(&mut self, event: Event) -> Result<Published, PublishError> {
        let asked = Instant::now();
        while let Some(until) = self.turn() {
            tokio::time::sleep_until(until).await;
        }
        let waited = asked.elapsed();
        let published = self.bus.publish(event).await;
        self.last = Some(Instant::now());
        self.pace.note(published.is_ok(), waited);
        published
    }

    /// Until when to wait before looking again; `None` when it is its turn.
    fn turn(&self) -> Option<Instant> {
        let now = Instant::now();
        let due = match self.delay() {
            Some(delay) => self.last? + delay,
            None => now + PATIENCE,
        };
        (due > now).then(|| due.min(now + PATIENCE))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use relay_event::SubscribeOptions;

    const BASE: Duration = Duration::from_millis(100);

    fn publisher() -> (PacedPublisher, Arc<Pace>) {
        let pace = Arc::new(Pace::default());
        let publisher = PacedPublisher::new(Bus::new("external"), Arc::clone(&pace), BASE);
        (publisher, pace)
    }

    fn event() -> Event {
        Event::builder("t").build().unwrap()
    }

    /// The time from one event to the next.
    async fn gap(publisher: &mut PacedPublisher) -> Duration {
        publisher.publish(event()).await.unwrap();
        let first = Instant::now();
        publisher.publish(event()).await.unwrap();
        first.elapsed()
    }

    /// S07, S08: 1.2 times the delay is 1.2 times, and the smaller share counts.
    #[tokio::test(start_paused = true)]
    async fn the_delay_is_the_interval_by_the_share() {
        let (mut publisher, pace) = publisher();
        assert_eq!(gap(&mut publisher).await, BASE);
        pace.set(1.0 / 1.2);
        assert_eq!(gap(&mut publisher).await, BASE.mul_f64(1.2));
        pace.set(0.1);
        assert_eq!(gap(&mut publisher).await, 10 * BASE);
        let account = pace.account();
        assert_eq!((account.0, account.1), (6, 0));
        assert!(account.2 > 1.0, "{account:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_long_notices_that_the_pace_is_free_again() {
        let (mut publisher, pace) = publisher();
        publisher.publish(event()).await.unwrap();
        pace.set(0.0);
        assert_eq!(publisher.delay(), None);
        let waits = tokio::spawn(async move { publisher.publish(event()).await });
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(!waits.is_finished(), "nothing may be sent at all");
        pace.set(1.0);
        tokio::time::sleep(PATIENCE).await;
        waits.await.unwrap().unwrap();
    }

    /// S10: one that waits for its turn holds nothing that another needs.
    #[tokio::test(start_paused = true)]
    async fn others_are_not_held_up_and_cancelling_publishes_nothing() {
        let (mut slow, pace) = publisher();
        let bus = slow.bus.clone();
        let mut queue = bus.subscribe(SubscribeOptions::new("q")).unwrap();
        slow.publish(event()).await.unwrap();
        pace.set(1e-6);
        let waits = tokio::time::timeout(Duration::from_secs(5), slow.publish(event()));
        let others = async {
            for _ in 0..100 {
                bus.publish(event()).await.unwrap();
            }
        };
        let (waits, ()) = tokio::join!(waits, others);
        assert!(waits.is_err(), "cancelled while it waited for its turn");
        assert_eq!(std::iter::from_fn(|| queue.try_recv()).count(), 101);
    }
}
