//! A program that allocates without mercy and lives: it frees everything when it is told that its limit is near.
//!
//! ```text
//! rescue --mode byte-clock --rate 100 [--cycles 20] [--cap-s 40] [--percent 95] [--interval 65536] [--dir CGROUP_DIR]
//! ```
//!
//! Run it in a container or control group with a memory limit. `--rate` is in MiB/s, 0 for as fast as pages fault.
//! Modes, each another way of being told: `byte-clock` (the allocating thread looks each 64 KiB), `poll-1ms` and
//! `poll-50ms` (a thread looks at the level), `psi` (a trigger, or the totals each 50 ms where none may be set), `events`
//! (the kernel's count of failed charges: poll(2) on `memory.events`, or `memory.failcnt` each millisecond).
//! A cycle fills memory until the signal, by half of the limit at least, and frees it. One line of JSON at the end; whoever
//! is killed prints none, and its last `cycle` line on standard error tells how far it came.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use std::alloc::System;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use relay_sense::alloc::Counting;

#[global_allocator]
static ALLOCATOR: Counting<System> = Counting::new(System);

const STEP_BYTES: usize = 64 << 10;
const PAGE_BYTES: usize = 4 << 10;

/// The signal: free everything.
static FREE: AtomicBool = AtomicBool::new(false);
/// The highest level that was seen.
static LEVEL_MAX: AtomicU64 = AtomicU64::new(0);

struct Args {
    mode: String,
    rate: u64,
    cycles: u32,
    cap: Duration,
    percent: u64,
    interval: u64,
    dir: Option<PathBuf>,
}

/// The files of the control group.
struct Group {
    dir: PathBuf,
    is_v2: bool,
}

fn main() {
    let args = Args::parse();
    let group = Group::find(args.dir.clone());
    let limit = group.limit();
    let bound = limit / 100 * args.percent;
    let how = watch(&args, &group, bound);
    let start = Instant::now();
    let mut cycles = 0;
    let mut blocks: Vec<Vec<u8>> = Vec::with_capacity(limit as usize / STEP_BYTES * 2);
    while cycles < args.cycles && start.elapsed() < args.cap {
        let held = fill(&mut blocks, args.rate, start + args.cap);
        blocks.clear();
        // A signal that was raised by what is free by now counts for nothing.
        FREE.store(false, Relaxed);
        if held >= limit / 2 {
            cycles += 1;
            eprintln!("cycle {cycles}: freed {} KiB", held >> 10);
        }
    }
    ALLOCATOR.heap().clear_clock().unwrap();
    println!(
        "{{\"mode\":\"{}\",\"how\":\"{how}\",\"rate_mib_per_s\":{},\"cycles\":{cycles},\"killed\":false,\
         \"seconds\":{:.3},\"limit_bytes\":{limit},\"level_max_percent\":{:.1}}}",
        args.mode,
        args.rate,
        start.elapsed().as_secs_f64(),
        LEVEL_MAX.load(Relaxed) as f64 * 100.0 / limit as f64,
    );
}

/// Allocates and touches, step by step, until told to free or out of time; the bytes it came to.
fn fill(blocks: &mut Vec<Vec<u8>>, rate_mib: u64, end: Instant) -> u64 {
    let (start, mut held) = (Instant::now(), 0);
    while !FREE.load(Relaxed) {
        let mut block = vec![0_u8; STEP_BYTES];
        for page in block.chunks_mut(PAGE_BYTES) {
            page[0] = 1;
        }
        blocks.push(std::hint::black_box(block));
        held += STEP_BYTES as u64;
        let now = Instant::now();
        if now >= end {
            break;
        }
        if let Some(nanos) = ((held * 1_000_000_000) >> 20).checked_div(rate_mib) {
            thread::sleep((start + Duration::from_nanos(nanos)).saturating_duration_since(now));
        }
    }
    held
}

/// Starts whatever raises the signal, and says how it does.
fn watch(args: &Args, group: &Group, bound: u64) -> String {
    match args.mode.as_str() {
        "byte-clock" => {
            let usage = group.usage();
            let hook = move |_: &_| look(&usage, bound);
            ALLOCATOR.heap().set_clock(args.interval, hook).unwrap();
            format!("level each {} bytes allocated", args.interval)
        }
        "poll-1ms" => poll_level(group, bound, Duration::from_millis(1)),
        "poll-50ms" => poll_level(group, bound, Duration::from_millis(50)),
        "psi" => psi(group),
        "events" => events(group),
        mode => panic!("mode {mode}: byte-clock, poll-1ms, poll-50ms, psi or events"),
    }
}

fn look(usage: &File, bound: u64) {
    let level = number(usage);
    LEVEL_MAX.fetch_max(level, Relaxed);
    if level >= bound {
        FREE.store(true, Relaxed);
    }
}

fn poll_level(group: &Group, bound: u64, period: Duration) -> String {
    let usage = group.usage();
    every(period, move || look(&usage, bound));
    format!("level each {period:?}")
}

fn every(period: Duration, mut action: impl FnMut() + Send + 'static) {
    thread::spawn(move || {
        loop {
            action();
            thread::sleep(period);
        }
    });
}

fn events(group: &Group) -> String {
    if !group.is_v2 {
        let failures = File::open(group.dir.join("memory.failcnt")).unwrap();
        let mut last = number(&failures);
        every(Duration::from_millis(1), move || {
            let now = number(&failures);
            signal_if(now != last);
            last = now;
        });
        return "memory.failcnt each 1ms".into();
    }
    let events = File::open(group.dir.join("memory.events")).unwrap();
    let mut last = field(&events, "max ");
    thread::spawn(move || {
        loop {
            wait(&events);
            let now = field(&events, "max ");
            signal_if(now != last);
            last = now;
        }
    });
    "poll(2) on memory.events, max".into()
}

fn psi(group: &Group) -> String {
    let own = group.dir.join("memory.pressure");
    let path = if own.exists() {
        own
    } else {
        PathBuf::from("/proc/pressure/memory")
    };
    // The quickest trigger there is, then the one that needs no privilege.
    for trigger in ["some 1000 500000", "some 20000 2000000"] {
        let Ok(file) = File::options().read(true).write(true).open(&path) else {
            break;
        };
        if file.write_at(trigger.as_bytes(), 0).is_ok() {
            thread::spawn(move || {
                loop {
                    wait(&file);
                    signal_if(true);
                }
            });
            return format!("trigger {trigger} on {}", path.display());
        }
    }
    let pressure = File::open(&path).unwrap();
    let mut last = field(&pressure, "total=");
    every(Duration::from_millis(50), move || {
        let now = field(&pressure, "total=");
        signal_if(now != last);
        last = now;
    });
    format!("totals of {} each 50ms", path.display())
}

fn signal_if(due: bool) {
    if due {
        FREE.store(true, Relaxed);
    }
}

/// Waits for the kernel to say that the file has changed.
fn wait(file: &File) {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut fds = [PollFd::new(file, PollFlags::PRI)];
    // An interrupted wait is a wait that ended early.
    let _ = poll(&mut fds, None);
}

fn number(file: &File) -> u64 {
    let mut text = [0; 32];
    let length = file.read_at(&mut text, 0).unwrap_or(0);
    digits(&text[..length])
}

/// The number after the first `key`.
fn field(file: &File, key: &str) -> u64 {
    let mut text = [0; 512];
    let length = file.read_at(&mut text, 0).unwrap_or(0);
    let text = &text[..length];
    let at = text
        .windows(key.len())
        .position(|part| part == key.as_bytes());
    at.map_or(0, |at| digits(&text[at + key.len()..]))
}

fn digits(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

// === impl Group ===

impl Group {
    /// The own group, where it is usually mounted, outside and inside of a container.
    fn find(dir: Option<PathBuf>) -> Self {
        let membership = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let lines = || membership.lines().map(|line| line.splitn(3, ':'));
        let mut dirs: Vec<PathBuf> = dir.into_iter().collect();
        for mut parts in lines() {
            let (_, controllers, path) = (parts.next(), parts.next(), parts.next().unwrap_or(""));
            let mount = match controllers.unwrap_or("") {
                "" => "/sys/fs/cgroup",
                list if list.split(',').any(|one| one == "memory") => "/sys/fs/cgroup/memory",
                _ => continue,
            };
            dirs.push(Path::new(mount).join(path.trim_start_matches('/')));
            dirs.push(mount.into());
        }
        let found = dirs.into_iter().find_map(|dir| {
            let is_v2 = dir.join("memory.current").exists();
            (is_v2 || dir.join("memory.usage_in_bytes").exists()).then_some(Self { dir, is_v2 })
        });
        found.expect("a control group with a memory limit; or name its folder with --dir")
    }

    fn usage(&self) -> File {
        let name = if self.is_v2 {
            "memory.current"
        } else {
            "memory.usage_in_bytes"
        };
        File::open(self.dir.join(name)).unwrap()
    }

    fn limit(&self) -> u64 {
        let name = if self.is_v2 {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        let limit = number(&File::open(self.dir.join(name)).unwrap());
        assert!(
            (1 << 20..1 << 40).contains(&limit),
            "{}: no limit is set there",
            self.dir.display()
        );
        limit
    }
}

// === impl Args ===

impl Args {
    fn parse() -> Self {
        let mut args = Self {
            mode: "byte-clock".into(),
            rate: 0,
            cycles: 20,
            cap: Duration::from_secs(40),
            percent: 95,
            interval: STEP_BYTES as u64,
            dir: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(key) = words.next() {
            let value = words.next().expect("a value after each flag");
            match key.as_str() {
                "--mode" => args.mode = value,
                "--rate" => args.rate = value.parse().unwrap(),
                "--cycles" => args.cycles = value.parse().unwrap(),
                "--cap-s" => args.cap = Duration::from_secs(value.parse().unwrap()),
                "--percent" => args.percent = value.parse().unwrap(),
                "--interval" => args.interval = value.parse().unwrap(),
                "--dir" => args.dir = Some(value.into()),
                _ => panic!("{key}: unknown"),
            }
        }
        args
    }
}
