//! A process that records and then ends in one way or another, and a loop that kills it.
//!
//! `flight record FOLDER loop|clean|exit|panic|thread-panic|double-panic|drop-panic|abort|overflow|SIGNAL`
//! records into FOLDER, says `ready`, and ends like that. A SIGNAL is a number; it sends it to itself.
//!
//! `flight kill N FOLDER` starts `record … loop` N times, kills it with SIGKILL at a random moment
//! while it writes back to back, reads what is left, and fails when anything is not as it must be.
//! `cargo run --release -p relay-forensics --features signals --example flight -- kill 500 /var/tmp/flight`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use relay_forensics::{
    Cause, Event, EventKind, Options, PanicGuard, Recording, Schema, standard::Standard,
};
use rustix::{
    process::{Pid, Signal, kill_process},
    time::{ClockId, clock_gettime},
};

const USAGE: &str = "usage: flight record FOLDER HOW | flight kill N FOLDER";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["record", folder, how] => record(Path::new(folder), how),
        ["kill", times, folder] => return kill(times.parse().expect(USAGE), Path::new(folder)),
        _ => {
            println!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn record(folder: &Path, how: &str) {
    let mut schema = Schema::new();
    let fields = Standard::declare(&mut schema).unwrap();
    let options = Options::new("flight").folder(folder).schema(schema);
    let mut opened = options.size_bytes(256 << 10).open();
    for warning in &opened.warnings {
        println!("warning: {warning}");
    }
    let recorder = opened.recorder.clone();
    recorder.watch_panics();
    let _signals = recorder.watch_fatal_signals().unwrap();
    let mut number = 0_u64;
    let mut snapshot = move || {
        number += 1;
        opened.snapshots.record(|s| {
            s.set(fields.memory_limit, 64 << 20);
            s.set(fields.memory_usage, 20 << 20);
            s.set(fields.published, number);
            s.set(fields.delivered, number * 3 + 7);
        });
    };
    snapshot();
    println!("ready");
    std::io::stdout().flush().unwrap();
    match how {
        "loop" => loop {
            snapshot();
            let event = Event::new(EventKind::Other(1000)).values(&[7, !7]);
            recorder.record(&event.text("token=c4naRy back to back"));
        },
        "clean" => recorder.finish().unwrap(),
        "exit" => std::process::exit(3),
        "panic" => panic!("lost on the main thread, password=c4naRy"),
        "thread-panic" => {
            let guard = PanicGuard::new(|_| {});
            let body = guard.wrap_thread("worker", || panic!("caught, and the process lives on"));
            let caught: Result<(), _> = thread::spawn(body).join().unwrap();
            assert!(caught.is_err());
            recorder.finish().unwrap();
        }
        "double-panic" => {
            let _panics = PanicsInDrop;
            panic!("the first");
        }
        "drop-panic" => drop(PanicsInDrop),
        "abort" => std::process::abort(),
        "overflow" => {
            println!("{}", overflow(1));
        }
        "term" => loop {
            snapshot();
            thread::sleep(Duration::from_millis(5));
        },
        signal => {
            let signal = Signal::from_named_raw(signal.parse().expect(USAGE)).expect(USAGE);
            // The standard library lets the first SIGSEGV or SIGBUS pass that is no fault.
            for _ in 0..2 {
                kill_process(rustix::process::getpid(), signal).unwrap();
                thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

#[expect(unconditional_recursion, reason = "it is to overflow the stack")]
fn overflow(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 64]);
    overflow(depth + 1) + block[(depth % 64) as usize]
}

fn kill(times: u32, folder: &Path) -> ExitCode {
    let (mut gaps_us, mut torn, mut wrong) = (Vec::new(), 0, 0);
    for round in 0..times {
        let left_us = one_kill(folder, round);
        let mut recording = Recording::open(folder.join("relay-flight.fdr")).unwrap();
        match check(&mut recording) {
            Ok(found) => torn += found,
            Err(what) => {
                println!("round {round}: {what}");
                wrong += 1;
            }
        }
        let killed_us = left_us.saturating_sub(recording.last_ns().0 / 1000);
        gaps_us.push(killed_us);
    }
    gaps_us.sort_unstable();
    let at = |share: f64| gaps_us[((gaps_us.len() - 1) as f64 * share) as usize];
    println!(
        "{times} kills: {wrong} wrong, {torn} torn slots; last record before the kill: median {} us, p90 {} us, \
         max {} us",
        at(0.5),
        at(0.9),
        at(1.0)
    );
    ExitCode::from(u8::from(wrong > 0))
}

/// The time of the kill on the monotonic clock, in microseconds.
fn one_kill(folder: &Path, round: u32) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("record")
        .arg(folder)
        .arg("loop")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while lines.next().unwrap().unwrap() != "ready" {}
    // Spread over a few laps of the ring, differently each time.
    let pause = Duration::from_micros(u64::from(round.wrapping_mul(2_654_435_761) % 15_000));
    let until = Instant::now() + pause;
    while Instant::now() < until {
        thread::sleep(Duration::from_micros(50));
    }
    let now = clock_gettime(ClockId::Monotonic);
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::KILL).unwrap();
    child.wait().unwrap();
    now.tv_sec.cast_unsigned() * 1_000_000 + now.tv_nsec.cast_unsigned() / 1000
}

/// How many slots are torn, or what is not as it must be.
fn check(recording: &mut Recording) -> Result<usize, String> {
    let cause = recording.verdict().cause;
    if cause != Cause::Killed {
        return Err(format!("the verdict is {cause:?}"));
    }
    let mut torn = 0;
    for census in recording.census() {
        torn += census.torn;
        // The one that was being written when the signal came, and no other number is missing.
        if census.torn > 1 || census.gaps > 0 || census.missing > 0 {
            return Err(format!("{census:?}"));
        }
    }
    for one in recording.snapshots() {
        let published = one.get("events.published", 0);
        let delivered = one.get("events.delivered", 0);
        let pair = (published, delivered);
        let relay_forensics::FieldValue::Integer(number) = pair.0 else {
            return Err(format!("{pair:?}"));
        };
        if pair.1 != relay_forensics::FieldValue::Integer(number * 3 + 7) {
            return Err(format!("mixed: {pair:?}"));
        }
    }
    let own = |event: &&relay_forensics::EventRecord| event.kind == EventKind::Other(1000);
    for event in recording.events().iter().filter(own) {
        if event.values[..2] != [7, !7] || event.text != "token=[hidden] back to back" {
            return Err(format!("mixed: {event:?}"));
        }
    }
    Ok(torn)
}
