//! What publishing costs, beside the crates that come nearest to a bus.
//!
//! ```text
//! cargo bench -p relay-bench --bench publish
//! cargo bench -p relay-bench --bench publish -- --workload W4 --peer relay --peer disruptor --rounds 101
//! cargo bench -p relay-bench --bench publish -- --json publish.json
//! cargo bench -p relay-bench --bench publish -- --instructions --workload W1
//! ```
//!
//! Every peer runs in every round of a workload, one after the other, so whatever else the machine does disturbs all
//! of them alike: read the ratios, times move with the machine. Not criterion, which finishes one peer before the
//! next begins; the cost of single calls is in `admit.rs`, with criterion.

#![allow(missing_docs, clippy::unwrap_used)]
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

mod instructions;
mod measure;
mod peers;
mod ready;
mod shapes;
mod suite;
mod table;
mod workloads;

use clap::Parser;
use std::path::PathBuf;

#[derive(Debug, Parser)]
struct Args {
    /// Only this workload and its variants (W4 is also W4-512); repeat it for more.
    #[arg(long)]
    workload: Vec<String>,
    /// Only peers with this in their name; ratios are then to the best rival among those.
    #[arg(long)]
    peer: Vec<String>,
    /// How often every peer runs.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Write everything measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Name the workloads and their peers, and measure nothing.
    #[arg(long)]
    list: bool,
    /// Count instructions instead of time, in the workloads of one thread; needs valgrind.
    #[arg(long)]
    instructions: bool,
    /// One case, `workload/peer`: what `--instructions` starts under valgrind.
    #[arg(long, hide = true)]
    case: Option<String>,
    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let mut suite = suite::Suite::default();
    peers::enrol(&mut suite);
    suite.keep(&args.workload, &args.peer);
    if let Some(case) = &args.case {
        suite.keep_case(case);
    }
    if args.list {
        for workload in &suite.workloads {
            let peers: Vec<_> = workload.entries.iter().map(|one| one.peer.name).collect();
            println!("{}: {}", workload.spec.id, peers.join(", "));
        }
        return;
    }
    let mut results = Vec::new();
    for workload in &suite.workloads {
        let result = if args.instructions {
            instructions::count(workload)
        } else {
            Some(workload.run(args.rounds))
        };
        if let Some(result) = result {
            println!("{}", table::markdown(&result));
            results.push(result);
        }
    }
    println!("{}", table::NOTES);
    if let Some(file) = &args.json {
        std::fs::write(file, table::json(&results)).unwrap();
    }
}
