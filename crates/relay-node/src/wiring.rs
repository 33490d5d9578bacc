//! From configuration to engine: each configured part becomes a part of the builder.

mod adapters;
mod blackbox;
mod breaker;

pub use blackbox::blackbox;

use crate::config::{
    Config, Control, Delivery, Emitter, FileTarget, Fsync, HttpFormat, HttpTarget, Law, Mode,
    Overflow, Psi, Subscription, Target,
};
use crate::emitters::{self, Blackhole, FileConfig, FileSink, LineEmitter, StdoutSink};
use crate::units::{ByteRate, ByteSize};
use relay_control::{
    AimdConfig, ArbiterConfig, BufferConfig, ControlConfig, DrainConfig, LadderConfig,
    LedgerConfig, PoolConfig, PressureAlarmConfig, Red, RedConfig,
};
use relay_engine::{EmitterOptions, Engine, EngineBuilder, RedEarlyDrop, RetryPolicy, StallConfig};
use relay_event::{ErrorBus, Filter, PatternError, TopicError};
use relay_http::{BatchFormat, HttpEmitter, HttpEmitterConfig};
use relay_sense::{Detection, LimitSource, Root};
use std::sync::Arc;

/// A blackhole of a known rate takes batches worth this much time, so that what it drains is seen as a steady flow.
const BLACKHOLE_BATCHES_PER_SECOND: u64 = 20;

/// A value that passed the checks of the configuration was refused by the part it is for.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// A pattern of an emitter.
    #[error("emitters.{id}: {source}")]
    Pattern {
        /// The emitter.
        id: String,
        /// Why.
        #[source]
        source: PatternError,
    },
    /// The topic of an adapter.
    #[error("adapters.{id}.topic: {source}")]
    Topic {
        /// The adapter.
        id: String,
        /// Why.
        #[source]
        source: TopicError,
    },
    /// The early-drop curve.
    #[error("control.red: {0}")]
    Red(relay_control::InvalidConfig),
    /// An HTTP server or emitter.
    #[error("{part}: {source}")]
    Http {
        /// Which.
        part: String,
        /// Why.
        #[source]
        source: relay_http::InvalidConfig,
    },
}

/// An engine as configured, not started yet.
///
/// # Errors
///
/// When a part refuses its configuration.
pub fn engine(
    config: &Config,
    root: Root,
    detection: &Detection,
) -> Result<EngineBuilder, WiringError> {
    let mut builder = Engine::builder()
        .with_root(root)
        .with_mode(mode(config.control.mode))
        .with_control(control(&config.control, cpus(detection)))
        .with_interval(config.control.interval)
        .with_idle_interval(config.control.idle_interval)
        .with_arbiter(arbiter(&config.control))
        .with_detection(detection.clone())
        .with_stall_monitor(stall_monitor(&config.psi))
        .with_pool_sizing(PoolConfig {
            target_lag: config.pools.target_lag,
            ..PoolConfig::default()
        })
        .with_max_queue_delay(Some(config.control.max_queue_delay))
        .with_source_fairness(config.control.source_fairness)
        .with_drain(config.shutdown.deadline)
        .with_errors(ErrorBus::with(config.errors.buffer, config.errors.fold));
    let configured = config.memory.limit.fixed().map(ByteSize::bytes);
    // What the groups set, the engine reads itself; what else was detected, it has to be told.
    let limits = [configured, detection.fixed_limit.bytes()];
    if let Some(limit) = limits.into_iter().flatten().min() {
        builder = builder.with_memory_limit(limit);
    }
    if let Some(limit) = soft_limit(config, detection) {
        builder = builder.with_soft_limit(limit);
    }
    builder = adapters::add(builder, config, detection)?;
    for (id, emitter) in &config.emitters {
        let options = options(id, emitter, &config.control)?;
        builder = match &emitter.target {
            Target::File(file) => {
                let buffer = emitter.subscription.batch_bytes.bytes() as usize;
                builder.with_emitter(
                    id.as_str(),
                    LineEmitter::new(FileSink::new(file_config(file)), buffer),
                    options,
                )
            }
            Target::Stdout => {
                let buffer = emitter.subscription.batch_bytes.bytes() as usize;
                builder.with_emitter(id.as_str(), LineEmitter::new(StdoutSink, buffer), options)
            }
            Target::Blackhole { rate } => {
                let rate = rate.map(ByteRate::bytes_per_second);
                builder.with_emitter(id.as_str(), Blackhole::new(rate), options)
            }
            Target::Http(http) => {
                let emitter = HttpEmitter::try_new(http_emitter(
                    http,
                    emitter.subscription.batch_bytes.bytes(),
                ));
                let emitter = emitter.map_err(|source| WiringError::Http {
                    part: format!("emitters.{id}"),
                    source,
                })?;
                let options = options.retry(retry(http)).workers(http.in_flight_min);
                builder.with_emitter(id.as_str(), emitter, options)
            }
        };
    }
    Ok(builder)
}

/// The soft limit that no group sets, in bytes: the smaller of configuration and environment.
pub(crate) fn soft_limit(config: &Config, detection: &Detection) -> Option<u64> {
    let configured = config.memory.soft_limit.map(ByteSize::bytes);
    let soft = detection.soft.as_ref();
    let by_environment = soft.filter(|soft| soft.source == LimitSource::Env);
    let limits = [configured, by_environment.map(|soft| soft.bytes)];
    limits.into_iter().flatten().min()
}

/// The levels above the threshold keep their distance from it and stay below one.
fn stall_monitor(psi: &Psi) -> StallConfig {
    let default = PressureAlarmConfig::default();
    let threshold = psi.threshold.get();
    StallConfig {
        enabled: psi.enabled,
        interval: psi.poll_interval,
        alarm: PressureAlarmConfig {
            threshold,
            relief: threshold * default.relief / default.threshold,
            sustain: psi.sustain,
            ..default
        },
    }
}

fn mode(mode: Mode) -> relay_engine::Mode {
    match mode {
        Mode::Enforce => relay_engine::Mode::Enforce,
        Mode::Observe => relay_engine::Mode::Observe,
        Mode::Off => relay_engine::Mode::Off,
    }
}

/// How many processors may charge memory ahead.
pub(crate) fn cpus(detection: &Detection) -> u32 {
    let cpus = detection.cpu.affinity_cpus;
    cpus.map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX))
}

pub(crate) fn control(control: &Control, cpus: u32) -> ControlConfig {
    ControlConfig {
        law: match control.law {
            Law::Drain => relay_control::Law::Drain,
            Law::Aimd => relay_control::Law::Aimd,
            Law::None => relay_control::Law::None,
        },
        ladder: LadderConfig {
            warning: control.ladder.warning.get(),
            error: control.ladder.error.get(),
            critical: control.ladder.critical.get(),
            emergency: control.ladder.emergency.get(),
            relief: control.ladder.relief.get(),
            cpus,
        },
        aimd: AimdConfig {
            enter: control.aimd.enter.get(),
            exit: control.aimd.exit.get(),
            critical: control.ladder.critical.get(),
            increase: control.aimd.increase.get(),
            decrease_factor: control.aimd.decrease_factor.get(),
            floor: control.aimd.floor.get(),
            lowest_floor: control.aimd.lowest_floor.get(),
            cooldown: control.aimd.cooldown,
        },
        drain: DrainConfig {
            setpoint: control.drain.setpoint.get(),
            ..DrainConfig::default()
        },
        ledger: LedgerConfig {
            share: control.ledger_share.get(),
            ..LedgerConfig::default()
        },
        ..ControlConfig::default()
    }
}

/// What follows from the two times keeps its distance from them.
pub(crate) fn arbiter(control: &Control) -> ArbiterConfig {
    let usual = ArbiterConfig::default();
    let arbiter = &control.arbiter;
    ArbiterConfig {
        interval: arbiter.interval,
        cooldown: arbiter.cooldown,
        actions_per_loop: arbiter.max_actions,
        shrink_wait: usual.shrink_wait.max(arbiter.cooldown),
        expiry: usual.expiry.max(3 * arbiter.interval),
        ..usual
    }
}

/// The queue of an emitter, if its size moves.
pub(crate) fn queue_size(queue: &Subscription, control: &Control) -> Option<BufferConfig> {
    let usual = BufferConfig::default();
    let critical = control.ladder.critical.get();
    queue.queue_start.map(|start| BufferConfig {
        min: queue.queue_min,
        start,
        max: queue.queue_events,
        growth_below: usual.growth_below * (critical / usual.shrink_from).min(1.0),
        shrink_from: critical,
        ..usual
    })
}

fn options(id: &str, emitter: &Emitter, control: &Control) -> Result<EmitterOptions, WiringError> {
    let subscription = &emitter.subscription;
    let pattern = |source| WiringError::Pattern {
        id: id.to_string(),
        source,
    };
    let mut filter =
        Filter::topics(subscription.topics.iter().map(String::as_str)).map_err(pattern)?;
    for source in &subscription.sources {
        filter = filter.source(source).map_err(pattern)?;
    }
    let delivery = match subscription.delivery {
        Delivery::Reliable => relay_event::Delivery::Reliable,
        Delivery::Sheddable(overflow) => relay_event::Delivery::Sheddable {
            overflow: match overflow {
                Overflow::DropNewest => relay_event::Overflow::DropNewest,
                Overflow::DropOldest => relay_event::Overflow::DropOldest,
            },
            early_drop: Some(Arc::new(RedEarlyDrop::new(red(control)?))),
        },
    };
    let batch_bytes = match emitter.target {
        Target::Blackhole { rate: Some(rate) } => (rate.bytes_per_second()
            / BLACKHOLE_BATCHES_PER_SECOND)
            .clamp(1, subscription.batch_bytes.bytes()),
        _ => subscription.batch_bytes.bytes(),
    };
    let mut options = EmitterOptions::default();
    if let Some(size) = queue_size(subscription, control) {
        options = options.elastic_queue(size);
    }
    Ok(options
        .queue_min(subscription.queue_min)
        .filter(filter)
        .breaker(breaker::config(&emitter.breaker))
        .delivery(delivery)
        .queue(
            subscription.queue_events,
            subscription.queue_bytes.fixed().map(ByteSize::bytes),
        )
        .batch(subscription.batch_events, batch_bytes, subscription.linger))
}

fn red(control: &Control) -> Result<Red, WiringError> {
    let config = RedConfig {
        min_threshold: control.red.min_threshold.get(),
        max_threshold: control.red.max_threshold.get(),
        max_probability: control.red.max_probability.get(),
        // Control is never dropped early.
        class_weights: [
            control.red.low_weight,
            control.red.normal_weight,
            control.red.high_weight,
            0.0,
        ],
        ..RedConfig::default()
    };
    Red::try_new(config).map_err(WiringError::Red)
}

fn file_config(file: &FileTarget) -> FileConfig {
    FileConfig {
        path: file.path.clone(),
        fsync: match file.fsync {
            Fsync::Never => emitters::Fsync::Never,
            Fsync::Batch => emitters::Fsync::Batch,
            Fsync::Interval(period) => emitters::Fsync::Every(period),
        },
        rotate_bytes: file.rotate.bytes(),
        keep: file.keep,
    }
}

fn http_emitter(http: &HttpTarget, batch_bytes: u64) -> HttpEmitterConfig {
    HttpEmitterConfig {
        timeout: http.timeout,
        in_flight: http.in_flight,
        headers: http.headers.clone(),
        format: match http.format {
            HttpFormat::Batch => BatchFormat::Batch,
            HttpFormat::Ndjson => BatchFormat::Lines,
        },
        // Bytes that are no text are a third longer in JSON, and attributes come on top.
        max_request_bytes: (batch_bytes.saturating_mul(2) as usize).clamp(4 << 10, 1 << 30),
        ..HttpEmitterConfig::new(http.url.uri().to_string())
    }
}

fn retry(http: &HttpTarget) -> RetryPolicy {
    RetryPolicy {
        attempts: http.attempts,
        initial: http.backoff_initial,
        max: http.backoff_max,
    }
}

#[cfg(test)]
mod tests;
