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
//! | ladder | [`Ladder`] | one word for how near the limit is, with hysteresis |
//! | drain matching | [`DrainMatch`] | admitting what goes out again |
//! | AIMD | [`Aimd`] | admitting less when only memory is known |
//! | RED | [`Red`] | dropping a few events early |
//! | ledger | [`Ledger`] | how many bytes may be queued, by what they really cost |
//! | average | [`Ewma`] | a moving average over uneven time |
//! | all of them | [`Controller`] | one decision a tick |
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
mod config;
pub mod controller;
pub mod cost;
mod decision;
pub mod drain_match;
mod drain_meter;
mod error;
pub mod ewma;
pub mod ladder;
mod level;
mod memory;
pub mod red;
mod slope;

pub use crate::{
    aimd::{Aimd, AimdConfig, Governor, GovernorState},
    config::ControlConfig,
    controller::Controller,
    cost::{Ledger, LedgerConfig},
    decision::{Decision, Input, Law, Reason},
    drain_match::{DrainConfig, DrainMatch, Situation},
    error::InvalidConfig,
    ewma::Ewma,
    ladder::{Ladder, LadderConfig},
    level::Level,
    memory::{Memory, Reading},
    red::{CLASSES, Red, RedConfig},
};
