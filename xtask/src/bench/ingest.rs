//! `cargo xtask bench ingest`: what a request costs `relay run`, in CPU time, beside a bare hyper
//! server that reads the body and answers 202.
//!
//! Both get the same open-loop load, 1 KiB an event and 16 connections, in alternating rounds so
//! that a change of the machine's mood meets both. The server is pinned to one core and the load
//! to another. CPU time rather than throughput, because it does not depend on the generator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::server::{Server, free_address, pinned};
use crate::stress::artifact;
use crate::units::parse_duration;
use crate::{command, cpu, machine, packages, workspace};

/// CPU per request, relay's as a multiple of the bare server's.
const RATIO_MAX: f64 = 1.18;

/// The load's flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds of each server.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Length of a round.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    duration: Duration,
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
    let (mut relay, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        bare.push(measure(args, &programs, &bare_hyper(&programs)?)?);
        relay.push(measure(args, &programs, &relay_run(&programs)?)?);
        let [ours, theirs] = [&relay, &bare].map(|all| all[all.len() - 1].cpu_us_per_request);
        println!("round {round}: relay {ours:.2} µs/request, bare hyper {theirs:.2} µs/request");
    }
    let [ours, theirs] = [&relay, &bare].map(|all| median(all));
    let ratio = ours / theirs;
    println!("median: relay {ours:.2} µs, bare hyper {theirs:.2} µs, ratio {ratio:.3}");
    write(&programs.out, args, [&relay, &bare], ratio)?;
    if ratio > RATIO_MAX {
        bail!("relay takes {ratio:.3} times the CPU of a bare hyper server, allowed {RATIO_MAX}");
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

fn relay_run(programs: &Programs) -> Result<Server> {
    let (address, admin) = (free_address()?, free_address()?);
    let config = programs.out.join("relay.toml");
    let text = format!(
        "[runtime]\nworkers = 1\n\n[admin]\nlisten = \"{admin}\"\n\n\
         [adapters.http]\nkind = \"http\"\nlisten = \"{address}\"\n\n\
         [emitters.sink]\nkind = \"blackhole\"\n"
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
    let [relay, bare] = rounds;
    let list = |rounds: &[Round]| -> Vec<Value> {
        let json = |round: &Round| json!({ "cpu_us_per_request": round.cpu_us_per_request, "p99_us": round.p99_us });
        rounds.iter().map(json).collect()
    };
    let facts = machine::facts();
    let report = json!({
        "facts": facts.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>(),
        "requests_per_second": args.rate,
        "relay": list(relay),
        "bare_hyper": list(bare),
        "ratio": ratio,
        "ratio_max": RATIO_MAX,
    });
    std::fs::write(out.join("ingest.json"), serde_json::to_vec_pretty(&report)?)?;
    std::fs::write(out.join("ingest.md"), markdown(args, [relay, bare], ratio))?;
    Ok(())
}

fn markdown(args: &Args, [relay, bare]: [&[Round]; 2], ratio: f64) -> String {
    let mut lines = vec!["# Ingest on one core, beside a bare hyper server".to_owned()];
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
    lines.push("| round | relay µs | bare hyper µs | relay p99 µs | bare p99 µs |".to_owned());
    lines.push("|---|---|---|---|---|".to_owned());
    let rounds = relay.iter().zip(bare).zip(1..);
    lines.extend(rounds.map(|((ours, theirs), round)| {
        let [ours_us, theirs_us] = [ours, theirs].map(|one| one.cpu_us_per_request);
        let (ours_p99, theirs_p99) = (ours.p99_us, theirs.p99_us);
        format!("| {round} | {ours_us:.2} | {theirs_us:.2} | {ours_p99} | {theirs_p99} |")
    }));
    lines.push(format!(
        "\nRatio of the medians: **{ratio:.3}** (allowed {RATIO_MAX}).\n"
    ));
    lines.join("\n")
}

fn median(rounds: &[Round]) -> f64 {
    let mut all: Vec<f64> = rounds
        .iter()
        .map(|round| round.cpu_us_per_request)
        .collect();
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    if all.len() % 2 == 1 {
        all[middle]
    } else {
        f64::midpoint(all[middle - 1], all[middle])
    }
}

// === impl Args ===

impl Default for Args {
    fn default() -> Self {
        Self {
            rounds: 5,
            duration: Duration::from_secs(5),
            rate: 12_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_one_bad_round() {
        let round = |cpu_us_per_request| Round {
            cpu_us_per_request,
            p99_us: 0,
        };
        assert_eq!(median(&[round(10.0), round(99.0), round(11.0)]), 11.0);
        assert_eq!(median(&[round(10.0), round(12.0)]), 11.0);
    }
}
