//! What takes events out.

use crate::adapter::BoxFuture;
use crate::breaker::default_breaker;
use crate::congestion::DEFENCE_EVENTS;
use crate::elastic::PoolBounds;
use relay_control::{Backoff, BackoffConfig, BreakerConfig, BufferConfig, InvalidConfig, Jitter};
use relay_event::{Delivery, EarlyDrop, Event, Filter, Outcome};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Takes events out. The engine's manager collects batches, retries with back-off, and keeps the account.
///
/// Everything an emitter needs to send a batch should be set aside when it starts: what frees memory must never wait
/// for memory.
pub trait Emitter: Send + Sync + 'static {
    /// What sort it is, such as `file`.
    fn kind(&self) -> &'static str;

    /// The most batches that may be under way at once: room for them is set aside at start. How many there really are
    /// is up to [`EmitterOptions::workers`]. With more than one, order between batches is not kept.
    fn concurrency(&self) -> usize {
        1
    }

    /// Gets ready, for example opens its file; the engine starts only if every emitter did.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from working at all, in words for the person who starts the program.
    fn start(&mut self) -> BoxFuture<'_, Result<(), EmitError>> {
        Box::pin(async { Ok(()) })
    }

    /// Delivers a batch.
    ///
    /// # Errors
    ///
    /// When nothing of it was delivered; the error says whether another attempt is worth while.
    fn emit<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<Emitted, EmitError>>;

    /// Finishes, for example flushes; called once after the last batch.
    ///
    /// # Errors
    ///
    /// When something that was reported as delivered may be lost.
    fn close(&self) -> BoxFuture<'_, Result<(), EmitError>> {
        Box::pin(async { Ok(()) })
    }
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emitted {
    /// All of it was delivered.
    All,
    /// One outcome for each event, in order.
    Each(Vec<Outcome>),
}

/// A batch could not be delivered.
#[derive(Debug)]
pub struct EmitError {
    text: String,
    retry: bool,
    after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl EmitError {
    /// Another attempt is worth while.
    pub fn retry(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            retry: true,
            after: None,
            source: None,
        }
    }

    /// No attempt will ever succeed: the batch is given up.
    pub fn reject(text: impl Into<String>) -> Self {
        Self {
            retry: false,
            ..Self::retry(text)
        }
    }

    /// Says when the next attempt is welcome.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }

    /// Keeps what caused it.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether another attempt is worth while.
    pub fn is_retry(&self) -> bool {
        self.retry
    }

    /// When the next attempt is welcome, if the target said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.after
    }
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        let mut source = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl Error for EmitError {}

/// How an emitter is fed.
#[derive(Debug, Clone)]
#[must_use]
pub struct EmitterOptions {
    pub(crate) filter: Filter,
    pub(crate) delivery: Delivery,
    pub(crate) queue_events: usize,
    pub(crate) queue_bytes: Option<u64>,
    pub(crate) queue_min: usize,
    pub(crate) elastic: Option<BufferConfig>,
    pub(crate) batch_events: usize,
    pub(crate) batch_bytes: u64,
    pub(crate) linger: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) breaker: Option<BreakerConfig>,
    pub(crate) workers_min: Option<usize>,
}

/// When a batch that could not be delivered is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// After so many attempts the batch is given up; `None` tries until it succeeds, and the bounded queue in front
    /// turns senders away meanwhile.
    pub attempts: Option<u32>,
    /// The first wait; each further one is twice as long.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: None,
            initial: Duration::from_millis(200),
            max: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// The law behind it: each wait twice as long as the one before, up to a third longer or shorter, so that many
    /// senders that failed together do not come back together.
    ///
    /// # Errors
    ///
    /// When `initial` is zero, or above `max`.
    pub(crate) fn backoff(&self) -> Result<Backoff, InvalidConfig> {
        Backoff::try_new(BackoffConfig {
            initial: self.initial,
            factor: 2.0,
            min: self.initial / 2,
            max: self.max,
            jitter: Jitter::Proportional(1.0 / 3.0),
            reset_after: self.max,
        })
    }
}

impl Default for EmitterOptions {
    /// Every event, reliably; at most 65,536 wait; batches of at most 512 events and 256 KiB, collected for 5 ms.
    fn default() -> Self {
        Self {
            filter: Filter::all(),
            delivery: Delivery::Reliable,
            queue_events: 65_536,
            queue_bytes: None,
            queue_min: DEFENCE_EVENTS,
            elastic: None,
            batch_events: 512,
            batch_bytes: 256 << 10,
            linger: Duration::from_millis(5),
            retry: RetryPolicy::default(),
            breaker: Some(default_breaker()),
            workers_min: None,
        }
    }
}

impl EmitterOptions {
    /// Only events that match.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Reliable or sheddable.
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// How many events, and how many accounted bytes, may wait; `None` leaves the bytes to the ledger.
    pub fn queue(mut self, events: usize, bytes: Option<u64>) -> Self {
        (self.queue_events, self.queue_bytes) = (events, bytes);
        self
    }

    /// How many events may always wait, also while memory is critical and queues are made smaller; 8 by default.
    pub fn queue_min(mut self, events: usize) -> Self {
        self.queue_min = events;
        self
    }

    /// A queue whose size moves with the load: as many events as the law finds right, between a least and a most, instead of
    /// a fixed number. Room for the most is set aside at the start. Use it where a queue that stands is worse than one that
    /// is small, and leave it where bursts come faster than a step each 30 s follows.
    pub fn elastic_queue(mut self, size: BufferConfig) -> Self {
        self.elastic = Some(size);
        self
    }

    pub(crate) fn early_drop(&self) -> Option<Arc<dyn EarlyDrop>> {
        match &self.delivery {
            Delivery::Reliable => None,
            Delivery::Sheddable { early_drop, .. } => early_drop.clone(),
        }
    }

    /// The largest batch, and how long an incomplete one may collect.
    pub fn batch(mut self, events: usize, bytes: u64, linger: Duration) -> Self {
        (self.batch_events, self.batch_bytes, self.linger) = (events, bytes, linger);
        self
    }

    /// When to try again.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// When to stop trying for a while: [`default_breaker`] unless set otherwise, never with `None`. While the breaker
    /// is open nothing is tried and nothing more is taken from the queue: a reliable one turns senders away when it is
    /// full, a sheddable one sheds. A batch that the target rejects counts neither as failure nor as success.
    pub fn breaker(mut self, breaker: Option<BreakerConfig>) -> Self {
        self.breaker = breaker;
        self
    }

    /// The fewest batches under way that the engine may go down to, when memory is short or there is little to do; the
    /// most are [`Emitter::concurrency`], which is also where it begins. Without it there are always as many.
    pub fn workers(mut self, min: usize) -> Self {
        self.workers_min = Some(min);
        self
    }

    pub(crate) fn bounds(&self, emitter: &dyn Emitter) -> PoolBounds {
        let most = emitter.concurrency().max(1);
        PoolBounds::new(self.workers_min.unwrap_or(most).min(most), most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_spread_around_it() {
        let waits = |chance| {
            let mut backoff = RetryPolicy::default().backoff().unwrap();
            [(); 8].map(|()| backoff.fail(chance).as_millis())
        };
        let doubled = [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        assert_eq!(waits(0.5), doubled);
        for (short, plain) in waits(0.0).into_iter().zip(doubled) {
            assert!(
                (plain * 2 / 3 - 1..plain).contains(&short),
                "{short} for {plain}"
            );
        }
        assert_eq!(waits(1.0)[7], 10_000, "never above the cap");
        let policy = RetryPolicy {
            initial: Duration::ZERO,
            ..RetryPolicy::default()
        };
        assert_eq!(policy.backoff().unwrap_err().field, "backoff.min");
    }

    #[test]
    fn an_error_tells_its_whole_story() {
        let cause = std::io::Error::other("disk on fire");
        let error = EmitError::retry("cannot write events.ndjson").source(cause);
        assert_eq!(
            error.to_string(),
            "cannot write events.ndjson: disk on fire"
        );
        assert!(error.is_retry());
    }
}
