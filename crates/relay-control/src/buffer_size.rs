//! The buffer sizer: how many events a subscription may queue.
//!
//! **Problem.** A small queue refuses bursts that memory has room for; a large one that nobody
//! needs hides a slow consumer and grows stale. And growing a queue under memory pressure is a way
//! to die.
//!
//! **Law.** One step of at most `grow` or `shrink` a decision:
//!
//! ```text
//! shrink   pressure ≥ shrink_from, or size above what its byte share affords
//! grow     fill > target_fill and pressure < growth_below    at most what the share affords
//! shrink   fill < low_fill
//!
//! up   = max(n + 1, ⌊grow · n⌋)         8, 12, 18, 27, 40, 60, 90, 135 … 1021, 1024
//! down = ⌊shrink · n⌋                   18, 13, 9, 8
//! affords = share_bytes ÷ average bytes of an event
//! ```
//!
//! Every size is clamped to `min ..= max`: a last step that would overshoot goes to the bound
//! instead of being refused. Unknown pressure allows no growth.
//!
//! | field | default | why |
//! |---|---|---|
//! | `min`, `start`, `max` | 8, 128, 1024 events | |
//! | `grow`, `shrink` | 1.5, 0.75 | two steps down undo a step up and a little more |
//! | `target_fill`, `low_fill` | 0.7, 0.3 | below RED's and the warning's 0.8, with a wide band between |
//! | `growth_below` | 0.75 | where the defensive actions end |
//! | `shrink_from` | 0.90 | the ladder's critical |
//!
//! One sizer serves one subscription. It is stateless in time: who calls it decides how often, see
//! [`Arbiter`](crate::Arbiter).
//!
//! **Source.** Geometric growth and decay as of dynamic arrays (Cormen et al., *Introduction to
//! Algorithms*, §17.4), whose thresholds are apart for the same reason: to do no work at the border.

use std::fmt;

use crate::error::{InvalidConfig, require};

/// Constants of the sizer.
#[derive(Debug, Clone, PartialEq)]
pub struct BufferConfig {
    /// Fewest events.
    pub min: usize,
    /// Events at first.
    pub start: usize,
    /// Most events.
    pub max: usize,
    /// What a step up multiplies with.
    pub grow: f64,
    /// What a step down multiplies with.
    pub shrink: f64,
    /// Fill above which the size is too small.
    pub target_fill: f64,
    /// Fill below which it is too large.
    pub low_fill: f64,
    /// Pressure below which growing is allowed.
    pub growth_below: f64,
    /// Pressure from which the size shrinks whatever the fill.
    pub shrink_from: f64,
}

/// What the sizer looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BufferInput {
    /// Events queued ÷ size.
    pub fill: f64,
    /// Memory pressure, `None` while unknown. Without any limit it is 0.
    pub pressure: Option<f64>,
    /// Average accounted bytes of an event (payload and overhead), `None` before the first.
    pub event_bytes: Option<f64>,
    /// Accounted bytes that this subscription may hold.
    pub share_bytes: u64,
}

/// Why a size changes. Displayed in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResizeReason {
    /// It is full, and there is memory.
    Saturated,
    /// Memory is critical.
    Pressure,
    /// It could hold more than its byte share.
    Share,
    /// It is hardly used.
    Unused,
}

/// A change of size, in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    /// The size before.
    pub from: usize,
    /// The size from now on.
    pub to: usize,
    /// Why.
    pub reason: ResizeReason,
}

/// The law and the present size.
///
/// ```
/// use relay_control::{BufferConfig, BufferInput, BufferSize};
///
/// let mut size = BufferSize::try_new(BufferConfig { start: 8, ..BufferConfig::default() })?;
/// let full = BufferInput { fill: 0.9, pressure: Some(0.4), event_bytes: Some(1024.0), share_bytes: 16 << 20 };
/// assert_eq!(size.step(&full).map(|resize| resize.to), Some(12));
/// let short_of_memory = BufferInput { pressure: Some(0.87), ..full };
/// assert_eq!(size.step(&short_of_memory), None);
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct BufferSize {
    config: BufferConfig,
    events: usize,
}

// === impl BufferConfig ===

impl BufferConfig {
    fn check(&self) -> Result<(), InvalidConfig> {
        let Self {
            min, start, max, ..
        } = *self;
        require(min > 0, "buffer.min", &min, "must be at least 1")?;
        require(
            (min..=max).contains(&start),
            "buffer.start",
            &start,
            format_args!("must be from buffer.min ({min}) to buffer.max ({max})"),
        )?;
        require(
            self.grow > 1.0 && self.grow <= 10.0,
            "buffer.grow",
            &self.grow,
            "must be above 1 and at most 10",
        )?;
        require(
            self.shrink > 0.0 && self.shrink < 1.0,
            "buffer.shrink",
            &self.shrink,
            "must be above 0 and below 1",
        )?;
        require(
            self.low_fill >= 0.0 && self.low_fill < self.target_fill,
            "buffer.low_fill",
            &self.low_fill,
            format_args!(
                "must be at least 0 and below buffer.target_fill ({})",
                self.target_fill
            ),
        )?;
        require(
            self.target_fill < 1.0,
            "buffer.target_fill",
            &self.target_fill,
            "must be below 1",
        )?;
        // After a step up the fill must not count as unused, or the size swings.
        require(
            self.low_fill * self.grow < self.target_fill,
            "buffer.grow",
            &self.grow,
            format_args!(
                "times buffer.low_fill ({}) must stay below buffer.target_fill ({})",
                self.low_fill, self.target_fill
            ),
        )?;
        require(
            self.growth_below > 0.0 && self.growth_below < self.shrink_from,
            "buffer.growth_below",
            &self.growth_below,
            format_args!(
                "must be above 0 and below buffer.shrink_from ({})",
                self.shrink_from
            ),
        )?;
        require(
            self.shrink_from <= 1.0,
            "buffer.shrink_from",
            &self.shrink_from,
            "must be at most 1",
        )
    }
}

impl Default for BufferConfig {
    fn default() -> Self {
        Self {
            min: 8,
            start: 128,
            max: 1024,
            grow: 1.5,
            shrink: 0.75,
            target_fill: 0.7,
            low_fill: 0.3,
            growth_below: 0.75,
            shrink_from: 0.90,
        }
    }
}

// === impl ResizeReason ===

impl ResizeReason {
    /// The name that [`Display`](fmt::Display) prints, as metric labels want it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Saturated => "saturated",
            Self::Pressure => "pressure",
            Self::Share => "share",
            Self::Unused => "unused",
        }
    }
}

impl fmt::Display for ResizeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl BufferSize ===

impl BufferSize {
    /// A sizer at its first size.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `1 ≤ min ≤ start ≤ max`, `1 < grow ≤ 10`, `0 < shrink < 1`,
    /// `0 ≤ low_fill < low_fill · grow < target_fill < 1` and
    /// `0 < growth_below < shrink_from ≤ 1`.
    pub fn try_new(config: BufferConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            events: config.start,
            config,
        })
    }

    /// Takes one look and answers the change, if there is one.
    pub fn step(&mut self, input: &BufferInput) -> Option<Resize> {
        let c = &self.config;
        let affords = affordable(input).clamp(c.min, c.max);
        let from = self.events;
        let (to, reason) = if input.pressure.is_some_and(|p| p >= c.shrink_from) {
            (self.down(), ResizeReason::Pressure)
        } else if from > affords {
            (self.down().max(affords), ResizeReason::Share)
        } else if input.fill > c.target_fill && input.pressure.is_some_and(|p| p < c.growth_below) {
            (self.up().min(affords), ResizeReason::Saturated)
        } else if input.fill < c.low_fill {
            (self.down(), ResizeReason::Unused)
        } else {
            return None;
        };
        self.events = to;
        (to != from).then_some(Resize { from, to, reason })
    }

    /// The present size in events.
    pub fn events(&self) -> usize {
        self.events
    }

    /// Can the size grow, as far as the bounds go?
    pub fn can_grow(&self) -> bool {
        self.events < self.config.max
    }

    /// Can the size shrink, as far as the bounds go?
    pub fn can_shrink(&self) -> bool {
        self.events > self.config.min
    }

    fn up(&self) -> usize {
        let grown = (self.events as f64 * self.config.grow) as usize;
        grown.max(self.events + 1).min(self.config.max)
    }

    fn down(&self) -> usize {
        let shrunk = (self.events as f64 * self.config.shrink) as usize;
        shrunk.max(self.config.min)
    }
}

/// Events that the byte share affords; without a known size of events, any number.
fn affordable(input: &BufferInput) -> usize {
    match input.event_bytes {
        Some(bytes) if bytes > 0.0 => (input.share_bytes as f64 / bytes) as usize,
        _ => usize::MAX,
    }
}

#[cfg(test)]
mod tests;
