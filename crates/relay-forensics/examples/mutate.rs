//! Damaged and forged recordings by the thousand, each read and shown in every way.
//!
//! `mutate COUNT [SEED]` takes recordings with some of everything in them, changes a few bytes to a few hundred, mends the
//! checksums of most so that what is forged gets past them, and shows the rest of the crate what is left. It fails when a
//! view panics, has a control character or a script in it, takes more than a second of processor time, or when the
//! process grew beyond 64 MiB. One line at the end says how many there were, and of what.
//!
//! Unlike a fuzzer it needs no instrumented build; the fuzz target `recording` looks for what chance does not find.
//! `cargo run --release -p relay-forensics --example mutate -- 1000000`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io;
use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use relay_forensics::standard::Standard;
use relay_forensics::view::{self, Window};
use relay_forensics::{
    Event, EventKind, EventSeverity, Here, Limits, Options, Recording, Schema, Unit,
};
use rustix::time::{ClockId, clock_gettime};

/// What a file may take to be shown in every way.
const TIME_MAX: Duration = Duration::from_secs(1);

/// What the process may grow to, recordings to begin with included.
const MEMORY_MAX: u64 = 64 << 20;

/// The format, written out once more: a program that forges files must not ask the one that reads them.
const CHECKSUM_AT: usize = 3520;
const SECTIONS_AT: usize = 512;
const HEADER_BYTES: usize = 4096;

/// Numbers at which code tends to go wrong.
const ODD: [u64; 16] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 63,
    (1 << 63) - 1,
    u64::MAX - 1,
    u64::MAX,
    // Floats: not a number, infinite, the largest, and one too small to be normal.
    0x7ff8_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0x7f7f_ffff_7f7f_ffff,
    0x0000_0001_0000_0001,
];

/// What became of all of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Files that were shown.
    pub(crate) files: u64,
    /// Those that were recordings, as far as the reader is concerned.
    pub(crate) read: u64,
    /// Records in them that passed for whole.
    pub(crate) records: u64,
    /// The longest that one took, in processor time.
    pub(crate) slowest: Duration,
    /// The longest page, in bytes.
    pub(crate) page_bytes_max: usize,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = || arguments.next().map(|word| word.parse::<u64>());
    let usage = "usage: mutate COUNT [SEED]";
    let count = number().expect(usage).expect(usage);
    let seed = number().map_or(1, |seed| seed.expect(usage));
    let summary = run(count, seed);
    let memory = memory_bytes_max().unwrap();
    println!(
        "{} files, {} of them read, {} records; slowest {:.1} ms, longest page {} KiB, {:.1} MiB of memory at most",
        summary.files,
        summary.read,
        summary.records,
        summary.slowest.as_secs_f64() * 1e3,
        summary.page_bytes_max >> 10,
        memory as f64 / f64::from(1 << 20),
    );
    assert!(memory <= MEMORY_MAX, "grew to {memory} bytes");
}

/// Shows `count` files; panics, naming the seed of the file, at the first that does harm.
pub(crate) fn run(count: u64, seed: u64) -> Summary {
    let bases = [
        story(64 << 10, 12),
        strangers(64 << 10, 12),
        story(64 << 10, 128),
        story(256 << 10, 512),
    ];
    let mut summary = Summary::default();
    for number in 0..count {
        let mut rng = Rng::with_seed(seed.wrapping_mul(1 << 32) + number);
        // Most have few records: what goes wrong does not take many.
        let base = match rng.u8(..64) {
            0 => &bases[3],
            1..4 => &bases[2],
            4..24 => &bases[1],
            _ => &bases[0],
        };
        let mut bytes = base.clone();
        mutate(&mut bytes, &mut rng);
        let before = processor_time();
        let shown = std::panic::catch_unwind(|| show(&bytes));
        let (read, records, page) =
            shown.unwrap_or_else(|_| panic!("file {number} of seed {seed} does harm"));
        let took = processor_time().saturating_sub(before);
        assert!(
            took <= TIME_MAX,
            "file {number} of seed {seed} takes {took:?}"
        );
        summary.files += 1;
        summary.read += u64::from(read);
        summary.records += records;
        summary.slowest = summary.slowest.max(took);
        summary.page_bytes_max = summary.page_bytes_max.max(page);
    }
    summary
}

/// Whether it was a recording, how many records it had, and how long its page is.
fn show(bytes: &[u8]) -> (bool, u64, usize) {
    let Ok(recording) = Recording::parse(bytes) else {
        return (false, 0, 0);
    };
    let text = view::why(&recording, Here::Elsewhere) + &view::show(&recording, Window::default());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    let page = view::html(&recording, Window::default(), Here::SameMachine);
    assert!(page.ends_with("</html>\n") && !page.contains("<script") && !page.contains("NaN"));
    let window = Window::default();
    view::json(&recording, window, Here::Elsewhere, &mut io::sink()).unwrap();
    view::csv(&recording, window, &mut io::sink()).unwrap();
    let _ = view::verify(&recording);
    let records = recording.census().iter().map(|census| census.valid as u64);
    (true, records.sum(), page.len())
}

// === Mutation ===

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let sections = sections(bytes);
    let times = 1 << rng.u32(0..8);
    for _ in 0..times {
        once(bytes, &sections, rng);
    }
    if rng.u8(..8) < 7 && bytes.len() >= HEADER_BYTES {
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        put(bytes, CHECKSUM_AT, &checksum.to_le_bytes());
    }
    if rng.u8(..4) < 3 {
        for (range, slot_bytes) in &sections {
            for slot in range.clone().step_by(*slot_bytes) {
                mend(bytes, slot..slot + slot_bytes);
            }
        }
    }
    if rng.u8(..16) == 0 {
        let length = rng.usize(..=bytes.len());
        bytes.truncate(length);
    }
}

/// Changes something: anywhere, in the header, or in a slot that is in use.
fn once(bytes: &mut [u8], sections: &[(Range<usize>, usize)], rng: &mut Rng) {
    let at = match rng.u8(..4) {
        0 => rng.usize(..bytes.len()),
        1 => rng.usize(..HEADER_BYTES),
        _ => {
            let (range, _) = &sections[rng.usize(..sections.len())];
            rng.usize(range.clone())
        }
    };
    let odd = ODD[rng.usize(..ODD.len())].to_le_bytes();
    match rng.u8(..7) {
        0 => bytes[at] ^= 1 << rng.u8(..8),
        1 => bytes[at] = rng.u8(..),
        2 => put(bytes, at & !1, &odd[..2]),
        3 => put(bytes, at & !3, &odd[..4]),
        4 => put(bytes, at & !7, &odd),
        5 => {
            let length = rng.usize(1..=64).min(bytes.len() - at);
            let fill = [0, 0xff, b'<', b'"', b'&', 0xc3][rng.usize(..6)];
            bytes[at..at + length].fill(fill);
        }
        _ => {
            let length = rng.usize(1..=512).min(bytes.len() - at);
            let from = rng.usize(..=bytes.len() - length);
            bytes.copy_within(from..from + length, at);
        }
    }
}

/// Writes as much as there is room for.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    let end = (at + value.len()).min(bytes.len());
    bytes[at..end].copy_from_slice(&value[..end - at]);
}

/// Where each section lies and how long its slots are, in a recording that nobody has changed yet.
fn sections(bytes: &[u8]) -> Vec<(Range<usize>, usize)> {
    let word = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
    let entry = |index: usize| {
        let at = SECTIONS_AT + index * 16;
        let (offset, slot_bytes, slots) = (word(at + 4), word(at + 8), word(at + 12));
        (offset..offset + slots * slot_bytes, slot_bytes)
    };
    (0..4).map(entry).collect()
}

/// Gives a slot the checksum of what is in it, so that it passes for whole.
fn mend(bytes: &mut [u8], slot: Range<usize>) {
    let slot = &mut bytes[slot];
    let seq = u64::from_le_bytes(*slot.first_chunk().unwrap());
    let length = usize::from(u16::from_le_bytes([slot[30], slot[31]]));
    if seq == 0 || length > slot.len() - 40 {
        return;
    }
    let checksum = crc32c::crc32c_append(seq as u32 ^ (seq >> 32) as u32, &slot[8..32 + length]);
    let tail = slot.len() - 8;
    slot[tail..tail + 4].copy_from_slice(&checksum.to_le_bytes());
    slot[tail + 4..].copy_from_slice(&(!(seq as u32)).to_le_bytes());
}

// === Recordings to begin with ===

/// Every standard field, events of every kind, names and texts.
fn story(size: u64, records: u64) -> Vec<u8> {
    let mut schema = Schema::new();
    let fields = Standard::declare(&mut schema).unwrap();
    recorded(size, records, schema, |opened, n| {
        let name = opened.recorder.name(&format!("queue:{}", n % 7));
        opened.snapshots.record(|s| {
            s.set(fields.memory_limit, 64 << 20);
            s.set(fields.memory_usage, n << 16);
            s.set(fields.memory_unreclaimable, n << 16);
            s.set(fields.level, (n % 5) as u8);
            s.set(fields.scale, 0.5);
            s.set(fields.accepted, n * 100);
            s.set(fields.psi_memory_some, n * 1000);
            s.set(fields.publish_p99, 1.5);
            for index in 0..5 {
                s.set_at(fields.holder_name, index, name);
                s.set_at(fields.holder_bytes, index, n << 10);
            }
            s.set_at(fields.emitter_name, 0, name);
        });
    })
}

/// Only fields that no view knows by name.
fn strangers(size: u64, records: u64) -> Vec<u8> {
    let mut schema = Schema::new();
    let count = schema.field::<u64>("orders.open", Unit::Count).unwrap();
    let many = schema.array::<f32>("shard.load", Unit::Ratio, 40).unwrap();
    recorded(size, records, schema, |opened, n| {
        opened.snapshots.record(|s| {
            s.set(count, n);
            for index in 0..40 {
                s.set_at(many, index, n as f32 / 7.0);
            }
        });
    })
}

fn recorded(
    size: u64,
    records: u64,
    schema: Schema,
    mut snapshot: impl FnMut(&mut relay_forensics::Opened, u64),
) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        limit_bytes: Some(64 << 20),
        source: "/sys/fs/cgroup/memory.max".into(),
        ..Limits::default()
    };
    let options = Options::new("forged").folder(folder.path()).schema(schema);
    let mut opened = options.size_bytes(size).limits(limits).build("1.0").open();
    let recorder = opened.recorder.clone();
    let kinds = [
        EventKind::Threshold,
        EventKind::Level,
        EventKind::Governor,
        EventKind::Decision,
        EventKind::Drop,
        EventKind::Panic,
        EventKind::ClockJump,
        EventKind::Error,
    ];
    for n in 0..records {
        snapshot(&mut opened, n);
        let event = Event::new(kinds[n as usize % kinds.len()]);
        let event = event
            .severity(EventSeverity::Error)
            .values(&[n, n << 20, 64 << 20]);
        recorder.record(
            &event
                .component(recorder.name("emitter:a"))
                .text("it was refused"),
        );
    }
    std::fs::read(recorder.path().expect("a folder of its own")).unwrap()
}

// === What it costs ===

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most that this process ever had in memory.
fn memory_bytes_max() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}
