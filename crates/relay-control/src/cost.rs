//! What an accounted byte really costs, and how large the ledger may be for it.
//!
//! **Problem.** The ledger counts payload and a known overhead; the kernel counts pages. Allocator
//! slack, batches and buffers lie between the two. A ledger that is right in accounted bytes and
//! wrong by a factor of two in resident ones is no bound at all.
//!
//! **Equation.**
//!
//! ```text
//! base   = unreclaimable memory while the ledger is nearly empty
//! cost   = average of (unreclaimable − base) ÷ ledger_used, from 1 to 8
//! ledger = min(share · limit, (ceiling · limit − base) ÷ cost), at least max(1 MiB, 1 % of limit)
//! ```
//!
//! **When it learns.** Only while the ledger holds 5 % of the limit (at least 2 MiB), and only
//! near its highest fill of late: while a queue empties, the allocator keeps pages, and a quotient
//! of many kept pages and few used bytes would shrink the ledger for no reason. A rising cost is
//! believed within a second, a falling one within half a minute.
//!
//! **Base** falls at once and rises slowly, for the same reason. Until the ledger has been seen
//! nearly empty, base is what the cost leaves over; and since an accounted byte costs at least one
//! resident byte, base is never above `unreclaimable − ledger_used`.
//!
//! The size moves only when it would change by more than 5 %, so that queues are not resized at
//! every tick.

use std::time::Duration;

use crate::{
    error::{InvalidConfig, require},
    ewma::weight,
    memory::Memory,
};

const MIB: u64 = 1 << 20;
const COST_MAX: f64 = 8.0;
const RISE: Duration = Duration::from_secs(1);
const FALL: Duration = Duration::from_secs(30);
/// How long a high fill is remembered, and how slowly a base rises: longer than allocators keep
/// pages by default (jemalloc's decay time is 10 s).
const MEMORY: Duration = Duration::from_mins(1);
const NEAR_PEAK: f64 = 0.95;
const NEARLY_EMPTY: f64 = 0.01;
const HYSTERESIS: f64 = 0.05;

/// Constants of the ledger's size.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerConfig {
    /// Largest share of the limit, in accounted bytes.
    pub share: f64,
    /// Share of the limit, in resident bytes, that a full ledger may bring memory to.
    pub ceiling: f64,
    /// Resident bytes for each accounted byte, before anything is learnt.
    pub initial_cost: f64,
    /// The size where no limit is known: a queue is bounded all the same.
    pub unlimited_bytes: u64,
}

/// The learnt cost factor and the ledger size that follows from it.
///
/// ```
/// use relay_control::{Ledger, LedgerConfig, Memory};
/// use std::time::Duration;
///
/// let mut ledger = Ledger::try_new(LedgerConfig::default())?;
/// let memory = |mib: u64| Memory { unreclaimable_bytes: mib << 20, limit_bytes: 100 << 20, soft_limit_bytes: None };
/// ledger.step(&memory(10), 0, Duration::ZERO);
/// for second in 1..20 {
///     ledger.step(&memory(10 + 60), 20 << 20, Duration::from_secs(second));
/// }
/// assert!((ledger.cost_factor() - 3.0).abs() < 0.01, "60 resident for 20 accounted");
/// assert!(ledger.bytes() < 27 << 20, "(85 − 10) ÷ 3 = 25 MiB, within 5 %");
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ledger {
    config: LedgerConfig,
    cost: f64,
    base_bytes: Option<f64>,
    peak_used_bytes: f64,
    bytes: u64,
    at: Duration,
}

/// From how many accounted bytes on the ledger is a cause of memory pressure, and not lost in what
/// the process holds anyway: 5 % of the limit, at least 2 MiB.
pub(crate) fn meaningful_bytes(limit_bytes: u64) -> u64 {
    (limit_bytes / 20).max(2 * MIB)
}

// === impl LedgerConfig ===

impl LedgerConfig {
    fn check(&self) -> Result<(), InvalidConfig> {
        for (field, value) in [
            ("ledger.share", self.share),
            ("ledger.ceiling", self.ceiling),
        ] {
            require(
                value > 0.0 && value <= 1.0,
                field,
                &value,
                "must be above 0 and at most 1",
            )?;
        }
        require(
            (1.0..=COST_MAX).contains(&self.initial_cost),
            "ledger.initial_cost",
            &self.initial_cost,
            "must be from 1 to 8",
        )?;
        require(
            self.unlimited_bytes >= MIB,
            "ledger.unlimited_bytes",
            &self.unlimited_bytes,
            "must be at least 1048576 (1 MiB)",
        )
    }
}

impl Default for LedgerConfig {
    /// Half of the limit, no higher than 0.85 in resident bytes, cost 2 until learnt, and 256 MiB
    /// without a limit. Too high a first cost queues a little less for some seconds; too low a one
    /// lets the first burst through the ceiling.
    fn default() -> Self {
        Self {
            share: 0.5,
            ceiling: 0.85,
            initial_cost: 2.0,
            unlimited_bytes: 256 * MIB,
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// A ledger of `unlimited_bytes`, until the first reading says what the limit is.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless `share` and `ceiling` are above 0 and at most 1, the initial cost
    /// is from 1 to 8, and `unlimited_bytes` is at least 1 MiB.
    pub fn try_new(config: LedgerConfig) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            cost: config.initial_cost,
            base_bytes: None,
            peak_used_bytes: 0.0,
            bytes: config.unlimited_bytes,
            at: Duration::ZERO,
            config,
        })
    }

    /// Learns from one reading and the accounted bytes in use at the same time.
    pub fn step(&mut self, memory: &Memory, used_bytes: u64, now: Duration) {
        let elapsed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        self.learn_base(memory, used_bytes as f64, elapsed);
        self.learn_cost(memory, used_bytes, elapsed);
        self.resize(memory);
    }

    /// Nothing limits this process: the size goes to `unlimited_bytes`.
    pub fn release(&mut self) {
        self.bytes = self.config.unlimited_bytes;
    }

    /// Resident bytes for each accounted byte, from 1 to 8.
    pub fn cost_factor(&self) -> f64 {
        self.cost
    }

    /// How many accounted bytes the ledger may hold.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn learn_base(&mut self, memory: &Memory, used: f64, elapsed: Duration) {
        let resident = memory.unreclaimable_bytes as f64;
        let mut base = self
            .base_bytes
            .unwrap_or_else(|| (resident - self.cost * used).max(0.0));
        if used <= NEARLY_EMPTY * memory.steering_limit_bytes() as f64 && resident > base {
            base += weight(elapsed, MEMORY) * (resident - base);
        }
        self.base_bytes = Some(base.min((resident - used).max(0.0)));
    }

    fn learn_cost(&mut self, memory: &Memory, used_bytes: u64, elapsed: Duration) {
        let used = used_bytes as f64;
        self.peak_used_bytes -= weight(elapsed, MEMORY) * self.peak_used_bytes;
        self.peak_used_bytes = self.peak_used_bytes.max(used);
        let meaningful = used_bytes >= meaningful_bytes(memory.steering_limit_bytes());
        if !meaningful || used < NEAR_PEAK * self.peak_used_bytes {
            return;
        }
        let above_base = memory.unreclaimable_bytes as f64 - self.base_bytes.unwrap_or(0.0);
        let sample = (above_base / used).clamp(1.0, COST_MAX);
        let time_constant = if sample > self.cost { RISE } else { FALL };
        self.cost += weight(elapsed, time_constant) * (sample - self.cost);
    }

    fn resize(&mut self, memory: &Memory) {
        let limit_bytes = memory.steering_limit_bytes();
        let limit = limit_bytes as f64;
        let share = self.config.share * limit;
        let base = self.base_bytes.unwrap_or(0.0);
        let affordable = (self.config.ceiling * limit - base) / self.cost;
        let least = (limit_bytes / 100).max(MIB);
        let wanted = (share.min(affordable).max(0.0) as u64).max(least);
        if wanted.abs_diff(self.bytes) as f64 > HYSTERESIS * self.bytes as f64 {
            self.bytes = wanted;
        }
    }
}

#[cfg(test)]
mod tests;
