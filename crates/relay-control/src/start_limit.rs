//! The start limit: no more than so many starts in any stretch of so long.
//!
//! **Problem.** Something that dies at once and is started at once starts a thousand times a minute.
//! Counting by fixed windows lets twice the limit pass around their border.
//!
//! **Law.** An exact sliding window: the times of the last `burst` starts are kept, and another one
//! is allowed when the oldest of them is at least `interval` ago. So in every half-open stretch of
//! `interval` there are at most `burst` starts. Memory is `burst` times, whatever happens.
//!
//! | field | default | why |
//! |---|---|---|
//! | `burst` | 10 | |
//! | `warn` | 5 | half of it: time to look before it is refused |
//! | `interval` | 60 s | |
//!
//! **Source.** The names and the meaning are systemd's `StartLimitBurst=` and
//! `StartLimitIntervalSec=` (`systemd.unit(5)`), whose window is fixed; ours slides.

use std::{collections::VecDeque, time::Duration};

use crate::error::{InvalidConfig, require};

/// The largest burst that can be configured: each start is remembered.
pub const BURST_MAX: u32 = 10_000;

/// Constants of the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartLimitConfig {
    /// Most starts within an interval.
    pub burst: u32,
    /// More starts than this within an interval are worth a warning.
    pub warn: u32,
    /// Length of the window.
    pub interval: Duration,
}

/// A start that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Starts within the interval, this one included.
    pub recent: u32,
    /// These are more than `warn`.
    pub warn: bool,
}

/// A start that is not: the burst is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("start limit reached, the next start is allowed in {retry_after:?}")]
pub struct StartLimitReached {
    /// When the next start is allowed, from now.
    pub retry_after: Duration,
}

/// The limit and the starts it remembers.
///
/// ```
/// use relay_control::{StartLimit, StartLimitConfig};
/// use std::time::Duration;
///
/// let s = Duration::from_secs;
/// let mut limit = StartLimit::try_new(StartLimitConfig { burst: 2, warn: 1, interval: s(60) })?;
/// assert!(limit.try_start(s(0)).is_ok());
/// assert!(limit.try_start(s(50)).is_ok_and(|start| start.warn));
/// assert_eq!(limit.try_start(s(59)).unwrap_err().retry_after, s(1));
/// assert!(limit.try_start(s(60)).is_ok(), "the first one is a minute ago");
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct StartLimit {
    config: StartLimitConfig,
    starts: VecDeque<Duration>,
    override_once: bool,
}

// === impl StartLimitConfig ===

impl StartLimitConfig {
    fn check(&self) -> Result<(), InvalidConfig> {
        require(
            (1..=BURST_MAX).contains(&self.burst),
            "start_limit.burst",
            &self.burst,
            format_args!("must be from 1 to {BURST_MAX}"),
        )?;
        require(
            self.warn <= self.burst,
            "start_limit.warn",
            &self.warn,
            format_args!("must be at most start_limit.burst ({})", self.burst),
        )?;
        require(
            !self.interval.is_zero(),
            "start_limit.interval",
            &self.interval,
            "must be above zero",
        )
    }
}

impl Default for StartLimitConfig {
    fn default() -> Self {
        Self {
            burst: 10,
            warn: 5,
            interval: Duration::from_mins(1),
        }
    }
}

// === impl StartLimit ===

impl StartLimit {
    /// A limit without any start.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `1 ≤ burst ≤` [`BURST_MAX`], `warn ≤ burst` and the interval is
    /// above zero.
    pub fn try_new(config: StartLimitConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            starts: VecDeque::with_capacity(config.burst as usize + 1),
            override_once: false,
            config,
        })
    }

    /// Takes note of a start at `now`, if one is allowed.
    ///
    /// # Errors
    ///
    /// [`StartLimitReached`] when there were `burst` starts within the interval. Such a start is not
    /// taken note of.
    pub fn try_start(&mut self, now: Duration) -> Result<Start, StartLimitReached> {
        self.forget(now);
        let full = self.starts.len() >= self.config.burst as usize;
        if full && !std::mem::take(&mut self.override_once) {
            let oldest = self.starts.front().copied().unwrap_or(now);
            let retry_after = (oldest + self.config.interval).saturating_sub(now);
            return Err(StartLimitReached { retry_after });
        }
        if full {
            self.starts.pop_front();
        }
        // A clock that goes backwards must not put an early time behind a late one.
        self.starts
            .push_back(self.starts.back().map_or(now, |last| now.max(*last)));
        let recent = u32::try_from(self.starts.len()).unwrap_or(u32::MAX);
        Ok(Start {
            recent,
            warn: recent > self.config.warn,
        })
    }

    /// Starts within the interval before `now`.
    pub fn recent(&self, now: Duration) -> u32 {
        let recent = self
            .starts
            .iter()
            .filter(|start| self.is_recent(**start, now));
        u32::try_from(recent.count()).unwrap_or(u32::MAX)
    }

    /// Somebody decided: the next start is allowed, once, even if the limit is reached.
    pub fn override_once(&mut self) {
        self.override_once = true;
    }

    /// It has been stable: nothing is remembered.
    pub fn reset(&mut self) {
        self.starts.clear();
        self.override_once = false;
    }

    fn forget(&mut self, now: Duration) {
        while self
            .starts
            .front()
            .is_some_and(|start| !self.is_recent(*start, now))
        {
            self.starts.pop_front();
        }
    }

    fn is_recent(&self, start: Duration, now: Duration) -> bool {
        now.saturating_sub(start) < self.config.interval
    }
}

#[cfg(test)]
mod tests;
