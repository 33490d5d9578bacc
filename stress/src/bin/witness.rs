//! A witness inside a memory limit: it does what it is told on standard input, and says on standard output, one JSON
//! line an order, what this crate senses. Whoever made the limit compares (`cargo xtask stress live`).
//!
//! | order | does | answers |
//! |---|---|---|
//! | `detect` | [`relay_sense::detect`] | limits, their source, notes |
//! | `sample` | one look | usage, limit, headroom, events |
//! | `survey` | the same, once all of it is younger than the order, within a second or so | the same |
//! | `refresh` | looks until the sampler says that the group has changed, and finds the new one | `{"refreshed":true}` |
//! | `hold BYTES` | allocates and touches that much, for good | `{"held_bytes":…}` in all |
//! | `write PATH BYTES` | writes a file of that size | `{"written_bytes":…}` |
//! | `await BYTES` | waits for the watch until the limit is that | `{"waiting":true}` at once, then `{"seen_ns":…}` |
//! | `hog` | starts a second process that allocates until it is killed, and waits for the watch | `{"killed_by":…,"told":…}` |
//! | `pressure` | [`Pressure::availability`] and one reading | scope, path, reason, total |
//! | `trigger` | [`Trigger::register`] at the own group | `{"registered":PATH}` or `{"error":…,"errno":…}` |

#![expect(clippy::print_stdout, reason = "the answers go to standard output")]

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use relay_sense::{
    Bound, CpuQuota, Pressure, Root, Sampler, Scope, StallKind, Trigger, detect, wait,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

/// How often the sampler is asked when its watch says nothing.
const NET: Duration = Duration::from_secs(1);

/// Whoever gave the order has given up by then.
const PATIENCE: Duration = Duration::from_secs(20);

const MIB: usize = 1 << 20;

fn main() -> Result<(), Failure> {
    if std::env::args().nth(1).as_deref() == Some("hog") {
        return hog();
    }
    let mut witness = Witness {
        sampler: Sampler::new(&Root::system())?,
        held: Vec::new(),
    };
    for order in io::stdin().lock().lines() {
        let order = order?;
        let answer = witness
            .obey(&order)
            .unwrap_or_else(|error| failed(error.as_ref()));
        say(&answer)?;
    }
    Ok(())
}

struct Witness {
    sampler: Sampler,
    /// Bounded by the limit that this process is in.
    held: Vec<Vec<u8>>,
}

// === impl Witness ===

impl Witness {
    fn obey(&mut self, order: &str) -> Result<Value, Failure> {
        let words: Vec<_> = order.split(' ').collect();
        match words[..] {
            ["detect"] => detected(),
            ["sample"] => Ok(self.sample()),
            ["survey"] => self.survey(),
            ["refresh"] => self.refresh(),
            ["hold", bytes] => {
                self.held.push(touched(bytes.parse()?));
                let held: usize = self.held.iter().map(Vec::len).sum();
                Ok(json!({ "held_bytes": held }))
            }
            ["write", path, bytes] => write(path, bytes.parse()?),
            ["await", bytes] => self.wait_for(Bound::Bytes(bytes.parse()?)),
            ["hog"] => self.hog(),
            ["pressure"] => Ok(pressure()),
            ["trigger"] => trigger(),
            _ => Err(format!("no such order: {order}").into()),
        }
    }

    fn sample(&mut self) -> Value {
        let sample = self.sampler.sample(Instant::now());
        json!({
            "own_group": sample.scope == Scope::Group,
            "current_bytes": sample.current_bytes,
            "working_set_bytes": sample.working_set_bytes,
            "unreclaimable_bytes": sample.unreclaimable_bytes,
            "resident_bytes": sample.resident_bytes,
            "limit_bytes": bound(sample.limit_bytes),
            "soft_limit_bytes": sample.soft_limit_bytes,
            "headroom_bytes": sample.headroom_bytes,
            "swap_limit_bytes": bound(sample.swap_limit_bytes),
            "oom_kills": sample.events.oom_kill,
            "oom_group_kills": sample.events.oom_group_kill,
            "high": sample.events.high,
            "max": sample.events.max,
            "moved": sample.moved,
        })
    }

    fn survey(&mut self) -> Result<Value, Failure> {
        let start = Instant::now();
        while self
            .sampler
            .sample(Instant::now())
            .surveyed_at
            .is_none_or(|at| at < start)
        {
            if start.elapsed() > PATIENCE {
                return Err("the counters were not read".into());
            }
            std::thread::sleep(NET / 20);
        }
        Ok(self.sample())
    }

    fn wait_for(&mut self, limit: Bound) -> Result<Value, Failure> {
        say(&json!({ "waiting": true }))?;
        let start = Instant::now();
        while self.sampler.sample(Instant::now()).limit_bytes != limit {
            if start.elapsed() > PATIENCE {
                return Err("the limit was not seen".into());
            }
            wait(self.sampler.watch(), None, None, Some(NET))?;
        }
        let now = clock_gettime(ClockId::Monotonic);
        Ok(json!({ "seen_ns": now.tv_sec * 1_000_000_000 + now.tv_nsec }))
    }

    /// The sampler looks once a second whether it was moved, and looks around at most as often.
    fn refresh(&mut self) -> Result<Value, Failure> {
        let start = Instant::now();
        while !self.sampler.sample(Instant::now()).moved {
            if start.elapsed() > PATIENCE {
                return Err("the move was not seen".into());
            }
            std::thread::sleep(NET / 20);
        }
        let lost = self.sampler.sample(Instant::now());
        let refreshed = self.sampler.refresh(Instant::now())?;
        Ok(json!({ "refreshed": refreshed, "headroom_before": lost.headroom_bytes }))
    }

    fn hog(&mut self) -> Result<Value, Failure> {
        // What happened before is not of interest.
        self.sampler.sample(Instant::now());
        let mut hog = Command::new("/proc/self/exe").arg("hog").spawn()?;
        let mut told = false;
        let status = loop {
            wait(self.sampler.watch(), None, None, Some(NET / 20))?;
            told |= self.sampler.sample(Instant::now()).changed.events;
            if let Some(status) = hog.try_wait()? {
                break status;
            }
        };
        Ok(json!({ "killed_by": status.signal(), "told": told }))
    }
}

fn pressure() -> Value {
    let mut pressure = Pressure::open(&Root::system());
    let total_us = pressure
        .read(Instant::now())
        .and_then(|sample| sample.psi.some)
        .map(|some| some.total.as_micros() as u64);
    let found = pressure.availability();
    json!({
        "available": found.available,
        "scope": found.scope.map(|scope| format!("{scope:?}").to_lowercase()),
        "path": found.path,
        "reason": found.reason,
        "total_us": total_us,
    })
}

/// 150 ms of stall within 2 s: the one window that needs no capability.
fn trigger() -> Result<Value, Failure> {
    let (stall, window) = (Duration::from_millis(150), Duration::from_secs(2));
    let trigger = Trigger::register(&Root::system(), StallKind::Some, stall, window)?;
    Ok(json!({ "registered": trigger.path() }))
}

fn detected() -> Result<Value, Failure> {
    let detection = detect(&Root::system(), None)?;
    let memory = detection.memory.as_ref().map(|memory| {
        json!({
            "limit_bytes": memory.bytes,
            "soft_limit_bytes": detection.soft.as_ref().map(|soft| soft.bytes),
            "source": memory.source.to_string(),
            "path": memory.path,
            "ancestors_hidden": detection.ancestors_hidden,
        })
    });
    let quota = match detection.cpu.quota {
        CpuQuota::Cpus(cpus) => json!(cpus),
        other => json!(format!("{other:?}").to_lowercase()),
    };
    let cpu = json!({ "quota": quota, "worker_threads": detection.cpu.worker_threads() });
    Ok(json!({ "memory": memory, "cpu": cpu, "notes": detection.notes }))
}

fn bound(bound: Bound) -> Value {
    match bound {
        Bound::Bytes(bytes) => json!(bytes),
        Bound::Unlimited => json!("unlimited"),
        Bound::Unknown => json!("unknown"),
    }
}

fn touched(bytes: usize) -> Vec<u8> {
    let mut block = Vec::with_capacity(bytes);
    // Not zero: zeroed memory may come from the kernel untouched, and untouched memory is not charged.
    block.resize(bytes, 1);
    block
}

fn write(path: &str, bytes: usize) -> Result<Value, Failure> {
    let mut file = File::create(path)?;
    let block = touched(MIB);
    let mut left = bytes;
    while left > 0 {
        let part = left.min(MIB);
        file.write_all(&block[..part])?;
        left -= part;
    }
    // Dirty pages cannot be given back before they are written.
    file.sync_all()?;
    Ok(json!({ "written_bytes": bytes }))
}

fn hog() -> Result<(), Failure> {
    let mut held = Vec::new();
    for _ in 0..16 * 1024 {
        held.push(touched(MIB));
    }
    Err(format!("still alive with {} MiB", held.len()).into())
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Value {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let errno = causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
    json!({ "error": error.to_string(), "errno": errno })
}

fn say(answer: &Value) -> io::Result<()> {
    println!("{answer}");
    io::stdout().flush()
}
