//! `cargo xtask bench ingest`: what a request costs `relay run`, in CPU time, beside a bare hyper
//! server that reads the body and answers 202; or beside itself without control, or without the
//! black box.
//!
//! Both get the same open-loop load, 1 KiB an event and 16 connections, in alternating rounds so
//! that a change of the machine's mood meets both. The server is pinned to one core and the load
//! to another. CPU time rather than throughput, because it does not depend on the generator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::server::{Server, free_address, pinned};
use crate::quantiles;
use crate::stress::artifact;
use crate::units::parse_duration;
use crate::{command, cpu, machine, packages, workspace};

/// What relay is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Against {
    /// A bare hyper server.
    BareHyper,
    /// Relay with `control.mode = off`.
    Uncontrolled,
    /// Relay with `blackbox.enabled = false`.
    Unrecorded,
}

/// The load's flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds of each server.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Length of a round.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    duration: Duration,
    /// What relay is held against.
    #[arg(long, value_enum, default_value_t = Against::BareHyper)]
    against: Against,
    /// Requests per second; must stay below what either server can do on one core.
    #[arg(long, default_value_t = 12_000)]
    rate: u32,
}

/// What a round gave.
#[derive(Debug, Clone, Copy)]
struct Round {
    cpu_us_per_request: f64,
    p99_us: u64,
}

struct Programs {
    relay: PathBuf,
    bare: PathBuf,
    out: PathBuf,
}

/// Measures, writes `target/bench/ingest.{json,md}`, and fails above the allowed ratio.
pub(super) fn run(args: &Args) -> Result<()> {
    packages::ensure(&[packages::BENCH])?;
    let programs = build()?;
    let (mut relay, mut other) = (Vec::new(), Vec::new());
    let against = args.against.name();
    for round in 1..=args.rounds {
        let server = args.against.start(&programs)?;
        other.push(measure(args, &programs, &server)?);
        drop(server);
        relay.push(measure(args, &programs, &relay_run(&programs, "")?)?);
        let [ours, theirs] = [&relay, &other].map(|all| all[all.len() - 1].cpu_us_per_request);
        println!("round {round}: relay {ours:.2} µs/request, {against} {theirs:.2} µs/request");
    }
    let [ours, theirs] = [&relay, &other].map(|all| median(all));
    let (ratio, ratio_max) = (ours / theirs, args.against.ratio_max());
    println!("median: relay {ours:.2} µs, {against} {theirs:.2} µs, ratio {ratio:.3}");
    write(&programs.out, args, [&relay, &other], ratio)?;
    if ratio > ratio_max {
        bail!("relay takes {ratio:.3} times the CPU of {against}, allowed {ratio_max}");
    }
    Ok(())
}

/// Both are built alike, and as the stress runs build the node, so that nothing is compiled twice.
fn build() -> Result<Programs> {
    let out = workspace::target().join("bench");
    std::fs::create_dir_all(&out)?;
    Ok(Programs {
        relay: artifact::build("relay-node", "relay")?,
        bare: artifact::build("relay-bench", "bare_hyper")?,
        out,
    })
}

fn bare_hyper(programs: &Programs) -> Result<Server> {
    let address = free_address()?;
    let mut command = pinned(0, &programs.bare);
    command.arg(address.to_string());
    Server::start(command, address, &programs.out.join("bare_hyper.log"))
}

fn relay_run(programs: &Programs, more: &str) -> Result<Server> {
    let (address, admin) = (free_address()?, free_address()?);
    let config = programs.out.join("relay.toml");
    let text = format!(
        "[runtime]\nworkers = 1\n\n[admin]\nlisten = \"{admin}\"\n\n\
         [adapters.http]\nkind = \"http\"\nlisten = \"{address}\"\n\n\
         [emitters.sink]\nkind = \"blackhole\"\n\n{more}"
    );
    std::fs::write(&config, text)?;
    let mut command = pinned(0, &programs.relay);
    command.args(["run", "--config"]).arg(&config);
    Server::start(command, address, &programs.out.join("relay.log"))
}

fn measure(args: &Args, programs: &Programs, server: &Server) -> Result<Round> {
    // Warm: connections, caches and the allocator's arenas are not what is measured.
    load(args, programs, server, Duration::from_secs(1))?;
    let before = cpu::used(server.pid())?;
    let account = load(args, programs, server, args.duration)?;
    let used = cpu::used(server.pid())?.saturating_sub(before);
    let count = |field: &str| {
        account[field]
            .as_u64()
            .with_context(|| format!("no {field}"))
    };
    let (sent, accepted) = (count("sent")?, count("accepted")?);
    if accepted != sent || sent == 0 {
        bail!("{accepted} of {sent} requests were accepted; lower --rate: {account}");
    }
    let p99_us = account["accepted_latency"]["p99_us"]
        .as_u64()
        .context("no p99_us")?;
    Ok(Round {
        cpu_us_per_request: used.as_secs_f64() * 1e6 / accepted as f64,
        p99_us,
    })
}

fn load(args: &Args, programs: &Programs, server: &Server, duration: Duration) -> Result<Value> {
    let text = command::output(
        pinned(1, &programs.relay)
            .args([
                "load",
                "--connections",
                "16",
                "--size",
                "1KiB",
                "--json",
                "-",
            ])
            .args(["--to", &format!("http://{}", server.address)])
            .args(["--rate", &format!("{}/s", args.rate)])
            .args(["--for", &format!("{}ms", duration.as_millis())]),
    )?;
    serde_json::from_str(&text).context("the load's account")
}

fn write(out: &Path, args: &Args, rounds: [&[Round]; 2], ratio: f64) -> Result<()> {
    let [relay, other] = rounds;
    let against = args.against.name();
    let list = |rounds: &[Round]| -> Vec<Value> {
        let json = |round: &Round| json!({ "cpu_us_per_request": round.cpu_us_per_request, "p99_us": round.p99_us });
        rounds.iter().map(json).collect()
    };
    let facts = machine::facts();
    let report = json!({
        "facts": facts.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>(),
        "requests_per_second": args.rate,
        "relay": list(relay),
        "against": against,
        "other": list(other),
        "ratio": ratio,
        "ratio_max": args.against.ratio_max(),
    });
    let name = args.against.file();
    let json = serde_json::to_vec_pretty(&report)?;
    std::fs::write(out.join(format!("{name}.json")), json)?;
    std::fs::write(
        out.join(format!("{name}.md")),
        markdown(args, rounds, ratio),
    )?;
    Ok(())
}

fn markdown(args: &Args, [relay, other]: [&[Round]; 2], ratio: f64) -> String {
    let against = args.against.name();
    let mut lines = vec![format!("# Ingest on one core, beside {against}")];
    lines.push(String::new());
    lines.extend(
        machine::facts()
            .iter()
            .map(|(name, value)| format!("- {name}: {value}")),
    );
    lines.push(format!(
        "- load: {} requests/s of 1 KiB, 16 connections\n",
        args.rate
    ));
    lines.push("| round | relay µs | other µs | relay p99 µs | other p99 µs |".to_owned());
    lines.push("|---|---|---|---|---|".to_owned());
    let rounds = relay.iter().zip(other).zip(1..);
    lines.extend(rounds.map(|((ours, theirs), round)| {
        let [ours_us, theirs_us] = [ours, theirs].map(|one| one.cpu_us_per_request);
        let (ours_p99, theirs_p99) = (ours.p99_us, theirs.p99_us);
        format!("| {round} | {ours_us:.2} | {theirs_us:.2} | {ours_p99} | {theirs_p99} |")
    }));
    lines.push(format!(
        "\nRatio of the medians: **{ratio:.3}** (allowed {}).\n",
        args.against.ratio_max()
    ));
    lines.join("\n")
}

fn median(rounds: &[Round]) -> f64 {
    let all = rounds.iter().map(|round| round.cpu_us_per_request);
    quantiles::median(&mut all.collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

// === impl Against ===

impl Against {
    /// Processor time of relay as a multiple.
    const fn ratio_max(self) -> f64 {
        match self {
            Self::BareHyper => 1.18,
            Self::Uncontrolled | Self::Unrecorded => 1.01,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::BareHyper => "a bare hyper server",
            Self::Uncontrolled => "relay without control",
            Self::Unrecorded => "relay without the black box",
        }
    }

    const fn file(self) -> &'static str {
        match self {
            Self::BareHyper => "ingest",
            Self::Uncontrolled => "ingest-uncontrolled",
            Self::Unrecorded => "ingest-unrecorded",
        }
    }

    fn start(self, programs: &Programs) -> Result<Server> {
        match self {
            Self::BareHyper => bare_hyper(programs),
            Self::Uncontrolled => relay_run(programs, "[control]\nmode = \"off\"\n"),
            Self::Unrecorded => relay_run(programs, "[blackbox]\nenabled = false\n"),
        }
    }
}

// === impl Args ===

impl Default for Args {
    fn default() -> Self {
        Self {
            rounds: 5,
            duration: Duration::from_secs(5),
            against: Against::BareHyper,
            rate: 12_000,
        }
    }
}
