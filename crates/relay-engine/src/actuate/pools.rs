//! The pools of an engine under the pool sizer: how busy each is, and one worker more or less.

use crate::congestion::Watch;
use crate::pool::{Pool, PoolReading, Pools};
use crate::pulse::Tick;
use relay_control::{
    Arbiter, LoadReading, POOLS_MAX, PoolConfig, PoolDecision, PoolInput, PoolSize, ScaleReason,
};
use relay_event::{Code, Component, ErrorBus, ErrorEvent, Severity, Signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Rates are measured over at least so long.
const WINDOW: Duration = Duration::from_secs(1);

/// What is measured of each pool, for whoever looks on: numbers as the bits of an `f64`, NaN while unknown.
#[derive(Debug, Default)]
pub(crate) struct Board {
    cells: [Cell; POOLS_MAX],
}

#[derive(Debug, Default)]
struct Cell {
    utilisation: AtomicU64,
    service_seconds: AtomicU64,
    error_ratio: AtomicU64,
}

/// The pools that are known, by the number that the arbiter calls them.
pub(crate) struct PoolTable {
    pools: Pools,
    config: PoolConfig,
    slots: Vec<Slot>,
    board: Arc<Board>,
}

struct Slot {
    pool: Arc<dyn Pool>,
    law: PoolSize,
    component: Component,
    /// The queue that feeds it, where one of the same name is known.
    queue: Option<usize>,
    meter: Meter,
    input: Option<PoolInput>,
    /// Workers before defensive mode.
    before: Option<usize>,
    is_idle: bool,
    is_saturated: bool,
}

/// Service time, arrivals and failures, from totals.
#[derive(Debug, Default)]
struct Meter {
    window: Option<(Instant, PoolReading)>,
    /// Workers × seconds at work since the window began.
    busy_seconds: f64,
    looked_at: Option<Instant>,
    service: Option<Duration>,
    arrival: Option<Duration>,
    error_ratio: f64,
}

// === impl Board ===

impl Board {
    /// Utilisation (1 is as busy as wanted), seconds for an event, and failed calls ÷ calls, of the pool of this number.
    pub(crate) fn of(&self, pool: usize) -> Option<(f64, f64, f64)> {
        let cell = self.cells.get(pool)?;
        let read = |value: &AtomicU64| f64::from_bits(value.load(Relaxed));
        Some((
            read(&cell.utilisation),
            read(&cell.service_seconds),
            read(&cell.error_ratio),
        ))
    }

    fn post(&self, pool: usize, utilisation: f64, meter: &Meter) {
        if let Some(cell) = self.cells.get(pool) {
            let service = meter.service.map_or(f64::NAN, |time| time.as_secs_f64());
            cell.utilisation.store(utilisation.to_bits(), Relaxed);
            cell.service_seconds.store(service.to_bits(), Relaxed);
            cell.error_ratio.store(meter.error_ratio.to_bits(), Relaxed);
        }
    }
}

// === impl PoolTable ===

impl PoolTable {
    pub(crate) fn new(pools: Pools, config: PoolConfig, board: Arc<Board>) -> Self {
        Self {
            pools,
            config,
            slots: Vec::with_capacity(POOLS_MAX),
            board,
        }
    }

    #[cfg(test)]
    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// Looks at every pool and tells the arbiter.
    pub(crate) fn read(
        &mut self,
        arbiter: &mut Arbiter,
        pressure: Option<f64>,
        queues: &[Watch],
        tick: &Tick,
    ) {
        self.meet(queues);
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let reading = slot.pool.reading();
            let fill = slot
                .queue
                .and_then(|queue| queues.get(queue))
                .map_or(0.0, |watch| watch.reading().occupancy);
            slot.meter.look(&reading, tick.now);
            slot.law.correct(reading.workers);
            let input = slot.meter.input(&reading, fill, pressure);
            let utilisation = slot.law.utilisation(&input);
            slot.input = Some(input);
            self.board.post(index, utilisation, &slot.meter);
            let load = LoadReading {
                load: utilisation,
                can_grow: reading.workers < reading.max
                    && slot.meter.error_ratio < self.config.errors_below,
                can_shrink: reading.workers > reading.min,
            };
            arbiter.note_pool(index, load, tick.since);
        }
    }

    /// Says which pools have become idle or saturated.
    pub(crate) fn tell(&mut self, tick: &Tick, errors: &ErrorBus) {
        for slot in &mut self.slots {
            if let Some(input) = &slot.input {
                let seen = slot.law.look(input, tick.since);
                slot.tell(&seen, tick, errors);
            }
        }
    }

    /// A worker more or less, if the law of the pool agrees.
    pub(crate) fn scale(&mut self, pool: usize, tick: &Tick, errors: &ErrorBus, enforces: bool) {
        if let Some(slot) = self.slots.get_mut(pool)
            && let Some(input) = slot.input
        {
            let decided = slot.law.step(&input, tick.since);
            slot.carry_out(&decided, tick, errors, enforces);
        }
    }

    /// Every pool gives up a worker.
    pub(crate) fn defend(&mut self, tick: &Tick, errors: &ErrorBus, enforces: bool) {
        for slot in &mut self.slots {
            let Some(input) = slot.input else { continue };
            slot.before.get_or_insert(slot.law.workers());
            let critical = PoolInput {
                pressure: Some(1.0),
                ..input
            };
            let decided = slot.law.step(&critical, tick.since);
            slot.carry_out(&decided, tick, errors, enforces);
        }
    }

    /// Every pool has the workers it had before defensive mode.
    pub(crate) fn restore(&mut self, tick: &Tick, errors: &ErrorBus, enforces: bool) {
        for slot in &mut self.slots {
            let Some(before) = slot.before.take() else {
                continue;
            };
            let from = slot.law.workers();
            if from < before {
                slot.law.correct(before);
                slot.set(
                    from,
                    slot.law.workers(),
                    "released",
                    (tick, errors),
                    enforces,
                );
            }
        }
    }

    /// Takes in the pools that were added since. Skips it while one is being added.
    fn meet(&mut self, queues: &[Watch]) {
        let Some(pools) = crate::try_lock(&self.pools) else {
            return;
        };
        let known = self.slots.len();
        for pool in pools.iter().take(POOLS_MAX).skip(known) {
            let reading = pool.reading();
            let config = PoolConfig {
                min: reading.min.max(1),
                max: reading.max.max(reading.min).max(1),
                ..self.config.clone()
            };
            // The configuration was checked at the start, and these bounds are in order.
            let Ok(mut law) = PoolSize::try_new(config) else {
                continue;
            };
            law.correct(reading.workers);
            self.slots.push(Slot {
                queue: queues.iter().position(|watch| watch.feeds(pool.id())),
                component: Component::Pool(Arc::from(pool.id())),
                pool: Arc::clone(pool),
                law,
                meter: Meter::default(),
                input: None,
                before: None,
                is_idle: false,
                is_saturated: false,
            });
        }
    }
}

// === impl Slot ===

impl Slot {
    fn carry_out(
        &mut self,
        decided: &PoolDecision,
        tick: &Tick,
        errors: &ErrorBus,
        enforces: bool,
    ) {
        if let Some(reason) = decided.reason {
            let (from, to) = (decided.previous, decided.workers);
            self.set(from, to, reason.as_str(), (tick, errors), enforces);
        }
    }

    fn set(
        &mut self,
        from: usize,
        to: usize,
        reason: &'static str,
        (tick, errors): (&Tick, &ErrorBus),
        enforces: bool,
    ) {
        let code = if to > from {
            Code::WorkerScaleUp
        } else {
            Code::WorkerScaleDown
        };
        let severity = if reason == ScaleReason::Pressure.as_str() {
            Severity::Warning
        } else {
            Severity::Info
        };
        let utilisation = self.input.map_or(0.0, |input| self.law.utilisation(&input));
        errors.publish(
            ErrorEvent::new(code, severity, self.component.clone())
                .with("from", from as u64)
                .with("to", to as u64)
                .with("reason", reason)
                .with("utilisation", utilisation)
                .with("decision", tick.number),
        );
        if enforces {
            self.pool.set_workers(to);
        }
    }

    fn tell(&mut self, seen: &PoolDecision, tick: &Tick, errors: &ErrorBus) {
        let event = |code, severity| ErrorEvent::new(code, severity, self.component.clone());
        if seen.idle && !self.is_idle {
            errors.publish(
                event(Code::WorkerIdle, Severity::Info)
                    .with("workers", seen.workers as u64)
                    .with("utilisation", seen.utilisation)
                    .with("decision", tick.number),
            );
        }
        if seen.saturated != self.is_saturated {
            let (severity, signal) = if seen.saturated {
                (Severity::Warning, Signal::Throttle)
            } else {
                (Severity::Info, Signal::Recovered)
            };
            let lag = seen.lag.unwrap_or_default();
            errors.publish(
                event(Code::WorkerSaturated, severity)
                    .signal(signal)
                    .with("workers", seen.workers as u64)
                    .with("lag_seconds", lag.as_secs_f64())
                    .with("decision", tick.number),
            );
        }
        (self.is_idle, self.is_saturated) = (seen.idle, seen.saturated);
    }
}

// === impl Meter ===

impl Meter {
    fn look(&mut self, reading: &PoolReading, now: Instant) {
        let since = self.looked_at.replace(now).unwrap_or(now);
        self.busy_seconds +=
            reading.busy as f64 * now.saturating_duration_since(since).as_secs_f64();
        let (began, first) = *self.window.get_or_insert((now, *reading));
        let took = now.saturating_duration_since(began);
        if took < WINDOW {
            return;
        }
        let done = reading.done.saturating_sub(first.done);
        let failed = reading.errors.saturating_sub(first.errors);
        let queued = reading.queue as i128 - first.queue as i128;
        let came = (i128::from(done) + queued).max(0) as f64;
        let each = |seconds: f64, events: f64| {
            (events > 0.0)
                .then(|| Duration::try_from_secs_f64(seconds / events).ok())
                .flatten()
        };
        // Little's law: workers at work = events a second × seconds for an event. What is not known anew stays.
        self.service = each(self.busy_seconds, done as f64).or(self.service);
        self.arrival = each(took.as_secs_f64(), came).or(self.arrival);
        if done + failed > 0 {
            self.error_ratio = failed as f64 / (done + failed) as f64;
        }
        self.window = Some((now, *reading));
        self.busy_seconds = 0.0;
    }

    fn input(&self, reading: &PoolReading, fill: f64, pressure: Option<f64>) -> PoolInput {
        PoolInput {
            queued: reading.queue as u64,
            service_time: self.service,
            inter_arrival_time: self.arrival,
            fill,
            error_rate: self.error_ratio,
            pressure,
        }
    }
}

#[cfg(test)]
mod tests;
