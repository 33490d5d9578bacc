//! Sampling beside a run: one thread a probe, a bounded series, the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

/// The longest series a probe keeps: 50 minutes at 10 ms.
const SAMPLES_MAX: usize = 300_000;

/// A value and when it was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct At<T> {
    /// Wall clock in milliseconds, the clock that all parts of a run share.
    pub(super) unix_ms: f64,
    pub(super) value: T,
}

/// A running probe.
#[derive(Debug)]
pub(super) struct Probe<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<At<T>>>,
}

impl<T: Send + 'static> Probe<T> {
    /// Reads every `period` until stopped; `None` from `read` leaves a gap.
    pub(super) fn start(
        period: Duration,
        mut read: impl FnMut() -> Option<T> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut series = Vec::new();
            let mut due = Instant::now();
            // Relaxed: a flag alone, nothing is read through it.
            while !stopped.load(Ordering::Relaxed) && series.len() < SAMPLES_MAX {
                let unix_ms = unix_ms();
                series.extend(read().map(|value| At { unix_ms, value }));
                due = (due + period).max(Instant::now());
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            series
        });
        Self { stop, thread }
    }

    /// Stops and returns what was read.
    pub(super) fn finish(self) -> Result<Vec<At<T>>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("a probe panicked"))
    }
}

pub(super) fn unix_ms() -> f64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_secs_f64() * 1000.0
}
