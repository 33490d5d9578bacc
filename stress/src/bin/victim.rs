//! A program that records itself with the black box and then allocates without mercy, until something kills it.
//!
//! ```text
//! victim --folder DIR [--rate MIB_PER_S] [--prefill MIB] [--churn] [--ticks] [--siblings N] [--sync MS]
//! ```
//!
//! | flag | does |
//! |---|---|
//! | `--folder DIR` | where the recording lies |
//! | `--rate N` | allocates and touches N MiB/s, 0 for as fast as pages fault; without it the program idles |
//! | `--prefill N` | so many MiB first, at full speed |
//! | `--churn` | records back to back in place of by the clock, for a kill at any moment |
//! | `--ticks` | prints `tick NANOSECONDS` (monotonic) each 20 ms, so that whoever cuts the power knows when |
//! | `--sync MS` | how often the recording is written to the disk, 0 for never |
//! | `--siblings N` | so many idle processes beside it, which a kill of the whole group ends too |
//!
//! It prints `ready` once it records. The recorder is a thread of its own, as in the engine: its stack is locked, it looks
//! at the level each millisecond and records by the pace of the danger. Each snapshot carries its number twice, in two
//! ways (`events.published` n, `events.delivered` 3n + 7), so that a reader can tell a record that was mixed from two.

#![expect(clippy::print_stdout, reason = "whoever started it waits for a line")]

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use relay_forensics::cadence::{Cadence, Due, Pace};
use relay_forensics::standard::Standard;
use relay_forensics::{
    Event, EventKind, EventSeverity, Limits, NO_LIMIT, Opened, Options, Recorder, Schema, Snapshot,
    SnapshotWriter,
};
use relay_sense::{
    Binding, Bound, Detection, LimitSource, Pressure, PressureSample, Root, Sample, Sampler,
    detect, lock_stack,
};
use rustix::time::{ClockId, clock_gettime};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often the recorder looks at the level.
const TICK: Duration = Duration::from_millis(1);

/// Never more than 5 ms apart while memory climbs, and 2 ms near the end.
const CADENCE: Cadence = Cadence {
    idle: Duration::from_millis(100),
    alert: Duration::from_millis(5),
    danger: Duration::from_millis(2),
};

/// Over how many looks the slope is taken.
const SLOPE_LOOKS: usize = 20;

/// Slower growth is none: it would take hours to the limit.
const SLOPE_MIN: f64 = 1024.0 * 1024.0;

/// Siblings that nobody ends are gone by then.
const SIBLING_LIFE: Duration = Duration::from_mins(2);

const CHURN_BYTES: u64 = 256 << 10;
const STACK_BYTES: usize = 256 << 10;
const STEP_BYTES: usize = 64 << 10;
const PAGE_BYTES: usize = 4 << 10;

#[derive(Default)]
struct Args {
    folder: PathBuf,
    rate: Option<u64>,
    prefill: u64,
    churn: bool,
    ticks: bool,
    siblings: u32,
    sync: Option<u64>,
}

/// What the recorder holds.
struct Diary {
    sampler: Sampler,
    pressure: Pressure,
    snapshots: SnapshotWriter,
    recorder: Recorder,
    fields: Standard,
    /// Levels between the own group and the one that limits it; 0 is the own.
    depth: u8,
    pace: Pace,
    looks: VecDeque<(Instant, u64)>,
    number: u64,
}

fn main() -> Result<(), Failure> {
    if std::env::args().nth(1).as_deref() == Some("sibling") {
        thread::sleep(SIBLING_LIFE);
        return Ok(());
    }
    let args = Args::parse()?;
    let _siblings = siblings(args.siblings)?;
    let detection = detect(&Root::system(), None)?;
    let mut sampler = Sampler::new(&Root::system())?;
    let first = sampler.sample(Instant::now());
    let mut schema = Schema::new();
    let fields = Standard::declare(&mut schema)?;
    let mut options = Options::new("victim").folder(&args.folder).schema(schema);
    if let Some(sync) = args.sync {
        options = options.sync(Duration::from_millis(sync));
    }
    if args.churn {
        // It is made anew for each kill.
        options = options.size_bytes(CHURN_BYTES);
    }
    let opened = options
        .limits(limits(&detection, &first))
        .build(env!("CARGO_PKG_VERSION"))
        .open();
    let Opened {
        recorder,
        snapshots,
        warnings,
        ..
    } = opened;
    for warning in &warnings {
        println!("warning: {warning}");
    }
    recorder.watch_panics();
    let mut diary = Diary {
        sampler,
        pressure: Pressure::open(&Root::system()),
        snapshots,
        recorder,
        fields,
        depth: depth(&detection),
        pace: Pace::new(CADENCE),
        looks: VecDeque::with_capacity(SLOPE_LOOKS + 1),
        number: 0,
    };
    diary.snapshot(&first);
    say("ready")?;
    let churn = args.churn;
    let keep = move || {
        if let Err(error) = lock_stack() {
            println!("warning: the recorder's stack is not locked: {error}");
        }
        if churn { diary.churn() } else { diary.keep() }
    };
    let writer = thread::Builder::new()
        .name("diary".into())
        .stack_size(STACK_BYTES);
    writer.spawn(keep)?;
    if let Some(rate) = args.rate {
        let mut held = Vec::new();
        grow(&mut held, 0, args.prefill << 20);
        grow(&mut held, rate, u64::MAX);
    }
    loop {
        if args.ticks {
            say(&format!("tick {}", monotonic_ns()))?;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Idle processes in the same groups; they end with this one only if the kernel ends them.
fn siblings(count: u32) -> io::Result<Vec<Child>> {
    let start = |_| {
        Command::new("/proc/self/exe")
            .arg("sibling")
            .stdout(Stdio::null())
            .spawn()
    };
    (0..count).map(start).collect()
}

/// Allocates and touches, step by step, at `rate` MiB/s or as fast as pages fault.
fn grow(held: &mut Vec<Vec<u8>>, rate: u64, bytes: u64) {
    let start = Instant::now();
    let mut grown = 0;
    while grown < bytes {
        let mut block = vec![0_u8; STEP_BYTES];
        for page in block.chunks_mut(PAGE_BYTES) {
            page[0] = 1;
        }
        held.push(std::hint::black_box(block));
        grown += STEP_BYTES as u64;
        if let Some(nanos) = ((grown * 1_000_000_000) >> 20).checked_div(rate) {
            let due = start + Duration::from_nanos(nanos);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}

fn limits(detection: &Detection, first: &Sample) -> Limits {
    let own = own_limit(detection);
    Limits {
        limit_bytes: Some(own.unwrap_or(NO_LIMIT)),
        high_bytes: first.soft_limit_bytes,
        source: detection
            .memory
            .as_ref()
            .map_or_else(String::new, |memory| memory.source.to_string()),
        cgroup_version: match detection.memory.as_ref().map(|memory| memory.source) {
            Some(LimitSource::CgroupV1) => 1,
            Some(LimitSource::CgroupV2) => 2,
            _ => 0,
        },
        oom_kills: first.events.oom_kill,
    }
}

/// The limit in force, when it is the own group's.
fn own_limit(detection: &Detection) -> Option<u64> {
    let memory = detection.memory.as_ref()?;
    (depth(detection) == 0).then_some(memory.bytes)
}

/// How many levels above the own group the limit stands, as far as paths tell.
fn depth(detection: &Detection) -> u8 {
    let limit = detection.memory.as_ref();
    let limit = limit.and_then(|memory| memory.path.as_ref());
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_memory = |line: &&str| line.contains(":memory:") || line.starts_with("0::");
    let own = own.lines().find(of_memory).unwrap_or_default();
    let own = own.rsplit(':').next().unwrap_or_default();
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).count();
    let above = |limit: &PathBuf| {
        // Whatever it is mounted at, the path of the level ends as the own one begins.
        let limit = limit.to_string_lossy().into_owned();
        let ancestors = std::path::Path::new(own).ancestors();
        let mut levels = ancestors.map(|level| level.to_string_lossy().into_owned());
        let level = levels.find(|level| limit.ends_with(level.as_str()))?;
        Some(parts(own) - parts(&level))
    };
    limit.and_then(above).unwrap_or(0).min(254) as u8
}

fn monotonic_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn say(line: &str) -> io::Result<()> {
    println!("{line}");
    io::stdout().flush()
}

// === impl Diary ===

impl Diary {
    /// Looks each tick, and records when it is due.
    fn keep(&mut self) {
        let mut next = Instant::now();
        loop {
            let now = Instant::now();
            let level = self.sampler.level(now);
            let share = level.binding.and_then(|binding| binding.used_share());
            let left = self.time_to_limit(now, level.binding);
            let since = Duration::from_nanos(monotonic_ns() as u64);
            if let Some(due) = self.pace.due(since, share, left) {
                self.threshold(due, level.binding);
                let sample = self.sampler.sample(now);
                self.snapshots.expect_in(CADENCE.period(share, left));
                self.snapshot(&sample);
            }
            next = (next + TICK).max(now);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Snapshots and events as fast as they go.
    fn churn(&mut self) {
        let sample = self.sampler.sample(Instant::now());
        loop {
            self.snapshot(&sample);
            let event = Event::new(EventKind::Other(1000)).values(&[7, !7]);
            self.recorder
                .record(&event.text("token=c4naRy back to back"));
        }
    }

    fn time_to_limit(&mut self, now: Instant, binding: Option<Binding>) -> Option<Duration> {
        let binding = binding?;
        self.looks.push_back((now, binding.unreclaimable_bytes));
        if self.looks.len() > SLOPE_LOOKS {
            self.looks.pop_front();
        }
        let (at, before) = *self.looks.front()?;
        let seconds = now.saturating_duration_since(at).as_secs_f64();
        let slope = (binding.unreclaimable_bytes as f64 - before as f64) / seconds;
        (slope.is_finite() && slope >= SLOPE_MIN)
            .then(|| Duration::from_secs_f64(binding.headroom_bytes() as f64 / slope))
    }

    fn threshold(&self, due: Due, binding: Option<Binding>) {
        let (Due::Above(percent) | Due::Below(percent)) = due else {
            return;
        };
        let Some(binding) = binding.filter(|_| self.depth == 0) else {
            return;
        };
        let (used, limit) = (binding.unreclaimable_bytes, binding.limit_bytes);
        let event = Event::new(EventKind::Threshold).severity(EventSeverity::Warning);
        self.recorder
            .record(&event.values(&[percent.into(), used, limit]));
    }

    fn snapshot(&mut self, sample: &Sample) {
        self.number += 1;
        let (fields, number, depth) = (&self.fields, self.number, self.depth);
        let pressure = self.pressure.read(sample.at);
        self.snapshots.record(|s| {
            memory(s, fields, sample, depth);
            waiting(s, fields, pressure.as_ref());
            s.set(fields.published, number);
            s.set(fields.delivered, number * 3 + 7);
        });
    }
}

fn memory(s: &mut Snapshot<'_>, fields: &Standard, sample: &Sample, depth: u8) {
    match sample.limit_bytes {
        // The limit of a level above is no limit of the own group's.
        Bound::Bytes(bytes) if depth == 0 => s.set(fields.memory_limit, bytes),
        Bound::Bytes(_) | Bound::Unlimited => s.set(fields.memory_limit, NO_LIMIT),
        Bound::Unknown => {}
    }
    s.set_known(fields.memory_usage, sample.current_bytes);
    s.set_known(fields.memory_working_set, sample.working_set_bytes);
    s.set_known(fields.memory_unreclaimable, sample.unreclaimable_bytes);
    s.set_known(fields.memory_anon, sample.anon_bytes);
    s.set_known(fields.memory_file, sample.file_bytes);
    s.set_known(fields.memory_shmem, sample.shmem_bytes);
    s.set_known(fields.memory_kernel, sample.kernel_bytes);
    if let Some(binding) = sample.binding {
        s.set(fields.binding_usage, binding.unreclaimable_bytes);
        s.set(fields.binding_limit, binding.limit_bytes);
        s.set(fields.binding_depth, depth);
    }
    let count = |count: Option<u64>| count.and_then(|count| u32::try_from(count).ok());
    s.set_known(fields.oom, count(sample.events.oom));
    s.set_known(fields.oom_kill, count(sample.events.oom_kill));
    s.set_known(fields.limit_hits, count(sample.events.max));
}

fn waiting(s: &mut Snapshot<'_>, fields: &Standard, pressure: Option<&PressureSample>) {
    let Some(psi) = pressure.map(|pressure| pressure.psi) else {
        return;
    };
    let micros = |stall: relay_sense::Stall| stall.total.as_micros() as u64;
    s.set_known(fields.psi_memory_some, psi.some.map(micros));
    s.set_known(fields.psi_memory_full, psi.full.map(micros));
}

// === impl Args ===

impl Args {
    fn parse() -> Result<Self, Failure> {
        let mut args = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or(format!("{flag} needs a value"));
            match flag.as_str() {
                "--folder" => args.folder = value()?.into(),
                "--rate" => args.rate = Some(value()?.parse()?),
                "--prefill" => args.prefill = value()?.parse()?,
                "--siblings" => args.siblings = value()?.parse()?,
                "--sync" => args.sync = Some(value()?.parse()?),
                "--churn" => args.churn = true,
                "--ticks" => args.ticks = true,
                other => return Err(format!("no such flag: {other}").into()),
            }
        }
        Ok(args)
    }
}
