//! Delivers to nowhere, at a known rate: the far end of every experiment.

use relay_engine::{BoxFuture, EmitError, Emitted, Emitter};
use relay_event::Event;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How far the schedule may lag behind before the lag is forgiven: wide enough for timers that fire a few
/// milliseconds late, too small for an idle spell to be caught up in a burst.
const CREDIT: Duration = Duration::from_millis(100);

/// An emitter that drops what it gets, at most so many payload bytes a second.
#[derive(Debug)]
pub struct Blackhole {
    bytes_per_second: Option<f64>,
    next: Mutex<Option<Instant>>,
}

impl Blackhole {
    /// With `None`, as fast as events come.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            bytes_per_second: bytes_per_second.map(|rate| rate.max(1) as f64),
            next: Mutex::default(),
        }
    }

    /// When a batch of so many bytes will have passed.
    fn reserve(&self, bytes: u64, rate: f64) -> Instant {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        let start = next.map_or(now, |next| next.max(earliest));
        let end = start + Duration::from_secs_f64(bytes as f64 / rate);
        *next = Some(end);
        end
    }
}

impl Emitter for Blackhole {
    fn kind(&self) -> &'static str {
        "blackhole"
    }

    fn emit<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<Emitted, EmitError>> {
        Box::pin(async move {
            if let Some(rate) = self.bytes_per_second {
                let bytes = events
                    .iter()
                    .map(|event| event.payload().len() as u64)
                    .sum();
                sleep_until(self.reserve(bytes, rate)).await;
            }
            Ok(Emitted::All)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn passes_bytes_at_its_rate_and_gives_no_credit_for_idling() {
        let blackhole = Blackhole::new(Some(1 << 20));
        let event = Event::builder("t")
            .payload(vec![0; 1 << 16])
            .build()
            .unwrap();
        let second = async || {
            let start = Instant::now();
            for _ in 0..16 {
                blackhole.emit(std::slice::from_ref(&event)).await.unwrap();
            }
            start.elapsed().as_millis()
        };
        assert_eq!(second().await, 1000);
        tokio::time::sleep(Duration::from_mins(1)).await;
        let after_idling = second().await;
        assert!((900..=1000).contains(&after_idling), "{after_idling}");
    }
}
