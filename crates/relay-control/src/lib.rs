//! The control laws of Relay: what to admit, how much to queue, when to shed, when to stop.
//!
//! **The problem.** A service in a memory limit that takes whatever arrives is killed by its own
//! queue. Refusing at a threshold is too late, too hard, or both; the laws here decide how much to
//! admit before that, and let go at once when the load does.
//!
//! **Pure.** No clock, no dice, no I/O, no threads, no async: time is a [`Duration`] argument and
//! chance a number from 0 to 1. A law is a struct with a checked configuration and a
//! `step(input, now)` that neither allocates nor blocks. The same code runs on a real-time thread,
//! in a simulation of a week, and in a test of a millisecond.
//!
//! | law | struct | for |
//! |---|---|---|
//! | *how near* | | |
//! | ladder | [`Ladder`] | one word for how near the limit is, with hysteresis |
//! | forecast | [`Forecast`] | how long until the first of several limits is met |
//! | stall alarm | [`PressureAlarm`] | pressure stall information that stays high |
//! | latch-up | [`LatchUp`] | a gate that stays shut for memory nobody uses |
//! | *how much* | | |
//! | drain matching | [`DrainMatch`] | admitting what goes out again |
//! | AIMD | [`Aimd`] | admitting less when only memory is known |
//! | RED | [`Red`], [`DropSpread`] | dropping a few events early, evenly |
//! | ledger | [`Ledger`] | how many bytes may be queued, by what they really cost |
//! | throttle | [`Throttle`] | slowing a publisher that can wait |
//! | all of these | [`Controller`] | one decision a tick |
//! | *how large* | | |
//! | buffer sizer | [`BufferSize`] | how many events a subscription may queue |
//! | pool sizer | [`PoolSize`] | how many workers run side by side |
//! | arbiter | [`Arbiter`] | which of the slow actuators moves next |
//! | *how often* | | |
//! | pace | [`Pace`] | how long to wait until the next look |
//! | back-off | [`Backoff`] | how long to wait before trying again |
//! | start limit | [`StartLimit`] | how many starts in how long |
//! | breaker | [`Breaker`] | not calling what keeps failing |
//! | average | [`Ewma`] | a moving average over uneven time |
//!
//! Everything is at the root of the crate; the modules hold each law's equation, constants and
//! sources.
//!
//! # Example
//!
//! ```
//! use relay_control::{ControlConfig, Controller, Input, Level, Memory, Reading};
//! use std::time::Duration;
//!
//! let mut controller = Controller::try_new(ControlConfig::default())?;
//! let tick = Duration::from_millis(50);
//! let mut admitted = None;
//! for n in 1..=40_u32 {
//!     // In a service: read the kernel, the queue, and the clock.
//!     let input = Input {
//!         memory: Reading::Known(Memory {
//!             unreclaimable_bytes: 42 << 20,
//!             limit_bytes: 64 << 20,
//!             soft_limit_bytes: None,
//!         }),
//!         ledger_used_bytes: 21 << 20,
//!         live_bytes: None,
//!         delivered_bytes: u64::from(n) * 50_000,
//!         backlog: true,
//!     };
//!     let decision = controller.step(&input, tick * n);
//!     assert_eq!(decision.level, Level::Normal);
//!     admitted = decision.admitted_bytes_per_second();
//! }
//! // One point above the setpoint of 65 %: a little less than the drain of 1 MB/s.
//! assert!((900_000.0..1_000_000.0).contains(&admitted.unwrap()));
//! # Ok::<(), relay_control::InvalidConfig>(())
//! ```
//!
//! # When not to use it
//!
//! To limit requests by a fixed quota, a token bucket is simpler. To find the right concurrency of
//! a remote service, laws on latency fit better. These laws assume that what is admitted is
//! accounted in bytes and that something drains it.
//!
//! [`Duration`]: std::time::Duration

#![forbid(unsafe_code)]

pub mod aimd;
pub mod arbiter;
pub mod backoff;
pub mod breaker;
pub mod buffer_size;
mod config;
pub mod controller;
pub mod cost;
mod decision;
pub mod drain_match;
mod drain_meter;
mod error;
pub mod ewma;
pub mod forecast;
pub mod ladder;
pub mod latch_up;
mod level;
mod memory;
pub mod pace;
pub mod pool_size;
pub mod pressure_alarm;
pub mod red;
mod slope;
pub mod start_limit;
pub mod throttle;

pub use crate::{
    aimd::{Aimd, AimdConfig, Governor, GovernorState},
    arbiter::{
        Action, Arbiter, ArbiterConfig, Defence, LoadReading, POOLS_MAX, Plan, SUBSCRIPTIONS_MAX,
    },
    backoff::{Backoff, BackoffConfig, Jitter},
    breaker::{
        Breaker, BreakerConfig, BreakerPermit, BreakerRefusal, BreakerState, Outcome, Transition,
        Trip, Window,
    },
    buffer_size::{BufferConfig, BufferInput, BufferSize, Resize, ResizeReason},
    config::ControlConfig,
    controller::Controller,
    cost::{Ledger, LedgerConfig},
    decision::{Decision, Input, Law, Reason},
    drain_match::{DrainConfig, DrainMatch, Situation},
    error::InvalidConfig,
    ewma::Ewma,
    forecast::{Forecast, ForecastConfig, Headroom, LEVELS_MAX, Outlook},
    ladder::{Ladder, LadderConfig},
    latch_up::{LatchUp, LatchUpConfig, LatchUpInput, LatchUpState},
    level::Level,
    memory::{Memory, Reading},
    pace::{Pace, PaceConfig, PaceInput},
    pool_size::{Measure, PoolConfig, PoolDecision, PoolInput, PoolSize, ScaleReason},
    pressure_alarm::{PressureAlarm, PressureAlarmConfig, PressureAlert, PressureDecision},
    red::{CLASSES, DropSpread, Red, RedConfig},
    start_limit::{Start, StartLimit, StartLimitConfig, StartLimitReached},
    throttle::{Throttle, ThrottleConfig},
};
