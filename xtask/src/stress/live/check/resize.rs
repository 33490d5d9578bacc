//! A limit that changes while the process runs, in both directions.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};

use super::{MIB, Stage, kernel_number};
use crate::quantiles::median;
use crate::stress::cgroup::memory_folder;
use crate::stress::container::runc;
use crate::stress::live::group::{Group, PARENT, limit_file};
use crate::stress::live::witness::Witness;
use crate::stress::place::Place;

/// Up and down, and up and down again.
const LIMITS_MIB: [u64; 6] = [96, 48, 128, 64, 160, 56];

/// How long the witness has been waiting by then: it must not just begin, and a period of its own must not decide.
const PHASES_MS: [u64; 6] = [110, 120, 130, 140, 150, 160];

/// Each direction, in the median, where time is not emulated.
const SEEN_MS_MAX: f64 = 100.0;

pub(super) fn container(stage: &Stage) -> Result<String> {
    let name = "resize";
    let mut witness = stage.container(name, 64 * MIB)?;
    let file = memory_folder(&format!("{PARENT}/{name}")).join(limit_file());
    seen(stage, &mut witness, &file, |limit| {
        runc::resize(name, limit)
    })
}

pub(super) fn parent(stage: &Stage) -> Result<String> {
    let parent = Group::create("resized")?;
    let leaf = Group::create("resized/leaf")?;
    parent.set_limit(64 * MIB)?;
    let mut witness = stage.process(&leaf)?;
    let file = memory_folder(parent.path()).join(limit_file());
    seen(stage, &mut witness, &file, |limit| parent.set_limit(limit))
}

/// Changes the limit several times; the delay counts from when the file tells the new one.
fn seen(
    stage: &Stage,
    witness: &mut Witness,
    file: &Path,
    resize: impl Fn(u64) -> Result<()> + Sync,
) -> Result<String> {
    let (mut up, mut down, mut last) = (Vec::new(), Vec::new(), 64);
    for (limit_mib, phase_ms) in LIMITS_MIB.into_iter().zip(PHASES_MS) {
        let limit = limit_mib * MIB;
        witness.tell(&format!("await {limit}"))?;
        witness.answer()?;
        std::thread::sleep(Duration::from_millis(phase_ms));
        let changed_ns = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| changed_ns(file, limit));
            resize(limit)?;
            watcher.join().ok().context("the watcher of the limit")?
        })?;
        let seen = witness.answer()?;
        let seen_ns = seen["seen_ns"].as_i64().context("seen_ns")?;
        let delay_ms = (seen_ns - changed_ns) as f64 / 1e6;
        let direction = if limit_mib > last { &mut up } else { &mut down };
        direction.push(delay_ms.max(0.0));
        last = limit_mib;
    }
    let median = |delays: &mut [f64]| median(delays).context("no change was seen");
    let (up_ms, down_ms) = (median(&mut up)?, median(&mut down)?);
    // The guest's clock is the emulator's.
    let native = stage.place == Place::Here;
    ensure!(
        !native || up_ms.max(down_ms) <= SEEN_MS_MAX,
        "seen {up_ms:.0} ms after growing and {down_ms:.0} ms after shrinking, over {SEEN_MS_MAX} ms"
    );
    Ok(format!(
        "growth seen after {up_ms:.1} ms, shrinking after {down_ms:.1} ms (medians of 3)"
    ))
}

/// When the kernel's file began to tell this limit.
fn changed_ns(file: &Path, limit: u64) -> Result<i64> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while kernel_number(file, "")? != limit {
        ensure!(
            Instant::now() < deadline,
            "the limit did not become {limit}"
        );
        std::thread::sleep(Duration::from_micros(200));
    }
    let now = clock_gettime(ClockId::Monotonic);
    Ok(now.tv_sec * 1_000_000_000 + now.tv_nsec)
}
