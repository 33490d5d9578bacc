//! `cargo xtask stress`: a real node, a real container, a real memory limit, the real OOM killer.
//!
//! ```text
//! artifact ─▶ container (runc | docker | podman) ─▶ node in the container
//!                │                                 ▲        │ /state, 20 ms
//!                ├─ cgroup ─▶ sampler, 10 ms       │        ▼
//!                └─ wait status        `relay load` outside ─▶ measure ─▶ verdict ─▶ report
//! ```
//!
//! What the node says of itself is compared with what is seen from outside: the memory with the
//! cgroup's counters, the account with the load generator's.

mod account;
pub(crate) mod artifact;
mod ballast;
mod blackbox;
mod cgroup;
mod container;
mod end;
mod false_alarm;
mod idle;
mod live;
mod load;
mod measure;
mod node;
mod overload;
mod place;
mod probe;
mod ramp;
pub(crate) mod report;
mod rescue;
mod scenarios;
mod sink;
mod state;
mod told;
mod verdict;
mod vm;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use container::RuntimeKind;

/// A scenario and its flags.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// More load than the emitter drains, protection on and off: survival, goodput, refusals.
    Overload(overload::Args),
    /// Steps, mixed sizes, stalled sinks, limits that move, neighbours, file writing, cycles: a table of what may go wrong.
    Scenarios(scenarios::Args),
    /// Memory ramps up to the limit and back, and the governor is shown as it answers.
    Ramp(ramp::Args),
    /// 600 MiB through the file emitter in 256 MiB: page cache is not pressure.
    FalseAlarm(Common),
    /// What a node costs that does nothing.
    Idle(Common),
    /// What relay-sense says inside real limits, in containers here and in the guest with cgroup v2.
    Live(live::Args),
    /// A program that frees when it is told that its limit is near: which signal comes in time?
    Rescue(rescue::Args),
    /// Kills for memory, kills from outside, power cuts: what the black box says afterwards.
    Blackbox(blackbox::Args),
    /// The live checks in the guest alone: short for `live --on guest`.
    Guest,
}

/// A scenario, or the one that has a flag as its name too.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Args {
    /// The same as the scenario `guest`.
    #[arg(long)]
    guest: bool,
    #[command(subcommand)]
    scenario: Option<Scenario>,
}

/// Flags that every scenario has.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Common {
    /// What runs the container.
    #[arg(long, value_enum, default_value_t)]
    runtime: RuntimeKind,
    /// Where reports and run data go [default: target/stress/SCENARIO].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A statically linked `relay` to use instead of building one.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match args.scenario.as_ref().unwrap_or(&Scenario::Guest) {
        Scenario::Overload(args) => overload::run(args),
        Scenario::Scenarios(args) => scenarios::run(args),
        Scenario::Ramp(args) => ramp::run(args),
        Scenario::FalseAlarm(common) => false_alarm::run(common),
        Scenario::Idle(common) => idle::run(common),
        Scenario::Live(args) => live::run(args),
        Scenario::Rescue(args) => rescue::run(args),
        Scenario::Blackbox(args) => blackbox::run(args),
        Scenario::Guest => live::guest(),
    }
}

/// The short container test of `cargo xtask test`.
pub(crate) fn overload_quick() -> Result<()> {
    overload::run(&overload::Args::quick())
}

/// The whole table.
pub(crate) fn overload_full() -> Result<()> {
    overload::run(&overload::Args::full())
}

/// The scenarios that fit into a test run.
pub(crate) fn scenarios_quick() -> Result<()> {
    scenarios::run(&scenarios::Args::quick())
}

/// All of them.
pub(crate) fn scenarios_full() -> Result<()> {
    scenarios::run(&scenarios::Args::full())
}

/// The ramp, faster.
pub(crate) fn ramp_quick() -> Result<()> {
    ramp::run(&ramp::Args::quick())
}

pub(crate) fn false_alarm() -> Result<()> {
    false_alarm::run(&Common::default())
}

pub(crate) fn idle() -> Result<()> {
    idle::run(&Common::default())
}

/// The live checks in both places.
pub(crate) fn live() -> Result<()> {
    live::everywhere()
}

/// A few cells of the rescue table in both places.
pub(crate) fn rescue_quick() -> Result<()> {
    rescue::everywhere(true)
}

/// The whole rescue table in both places.
pub(crate) fn rescue_full() -> Result<()> {
    rescue::everywhere(false)
}

/// A dozen kills in both places, and a few from outside.
pub(crate) fn blackbox_quick() -> Result<()> {
    blackbox::everywhere(true)
}

/// More than a hundred kills in both places, five hundred from outside, twenty power cuts.
pub(crate) fn blackbox_full() -> Result<()> {
    blackbox::everywhere(false)
}

impl Common {
    fn out(&self, scenario: &str) -> PathBuf {
        let default = || crate::workspace::target().join("stress").join(scenario);
        self.out.clone().unwrap_or_else(default)
    }
}
