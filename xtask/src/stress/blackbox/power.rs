//! Power cuts: a guest that records to a disk and is ended by killing the emulator.
//!
//! The disk is an image of ext4 behind an emulated `NVMe` (the kernel has its driver built in), opened with
//! `cache=writeback`: what the guest's kernel handed to the disk before the cut is in the image, what it held back is gone
//! with its memory. So this tests what Relay can decide, when data is handed over; that a disk keeps what it
//! acknowledged is the disk's own promise. Afterwards the journal is replayed (`e2fsck`) as at a next start, and the
//! recording is read out of the image (`debugfs`), so nothing has to be mounted.
//!
//! The guest prints its monotonic clock each 20 ms; the last line that came out tells when the cut was.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use relay_forensics::{Cause, Here, Recording};
use serde::{Deserialize, Serialize};

use super::judge;
use crate::command;
use crate::stress::vm::{self, Machine};

const IMAGE_BYTES: u64 = 64 << 20;

/// The program records before the clock of a cut runs.
const START: Duration = Duration::from_mins(2);

/// What may be lost: a period of the sync, and the time that it takes.
const LOSS_MS: i64 = 1200;

/// What became of one cut.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cut {
    /// Whether the recording was synced each second, as by default.
    pub(super) synced: bool,
    /// Between the last record in the image and the cut.
    pub(super) loss_ms: Option<i64>,
    pub(super) torn: usize,
    pub(super) failure: Option<String>,
}

/// What is booted, where, and with what.
pub(super) struct Cuts<'a> {
    pub(super) out: &'a Path,
    pub(super) programs: &'a [PathBuf],
    pub(super) count: u32,
    /// Further ones without a sync, which have to lose more: else the others prove nothing.
    pub(super) controls: u32,
}

// === impl Cuts ===

impl Cuts<'_> {
    pub(super) fn run(&self) -> Result<Vec<Cut>> {
        let folder = self.out.join("power");
        std::fs::create_dir_all(&folder)?;
        let empty = folder.join("empty.img");
        make_image(&empty)?;
        let mut results = Vec::new();
        for (synced, cuts) in [(true, self.count), (false, self.controls)] {
            if cuts == 0 {
                continue;
            }
            let machine = self.machine(&folder, synced)?;
            for round in 0..cuts {
                let cut = self.cut(&machine, &empty, synced, round)?;
                println!("{}", cut.line());
                results.push(cut);
            }
        }
        std::fs::remove_file(empty)?;
        Ok(results)
    }

    fn machine(&self, folder: &Path, synced: bool) -> Result<Machine> {
        let sync = if synced { "1000" } else { "0" };
        // The second word is the command of the guest's init: this program is not called there.
        let words = ["victim", "--ticks", "--sync", sync, "--folder", "/data/fdr"];
        let arguments: Vec<_> = words.map(str::to_owned).to_vec();
        let guest = vm::Guest {
            folder,
            programs: self.programs,
            arguments: &arguments,
            psi: true,
            patience: START,
        };
        guest.build()
    }

    fn cut(&self, machine: &Machine, empty: &Path, synced: bool, round: u32) -> Result<Cut> {
        let image = empty.with_file_name("disk.img");
        std::fs::copy(empty, &image)?;
        // Between two and three seconds after the start, another part of the period each time. Without a sync the
        // kernel's own writing back must not come first, which it does after five seconds at the earliest.
        let part = u64::from(round) * 1000 / u64::from(self.count.max(1)) + 37;
        let after = Duration::from_millis(2000 + part % 1000);
        let said = machine.cut(&image, after, is_tick)?;
        let mut ticks = said.split('\n').filter_map(tick_ns);
        let cut_ns = ticks.next_back().context("the guest printed no time")?;
        let mut cut = Cut {
            synced,
            loss_ms: None,
            torn: 0,
            failure: None,
        };
        match read_back(&image) {
            Ok((recording, found)) => {
                let loss_ms = (cut_ns - found.last_ns) / 1_000_000;
                cut.loss_ms = Some(loss_ms);
                cut.torn = found.torn;
                let verdict = recording.verdict_at(Here::SameMachine);
                if verdict.cause != Cause::Reboot {
                    cut.failure = Some(format!("the verdict is: {verdict}"));
                } else if synced && loss_ms > LOSS_MS {
                    cut.failure = Some(format!("{loss_ms} ms lost, of {LOSS_MS} allowed"));
                } else if !synced && loss_ms <= LOSS_MS {
                    cut.failure = Some("nothing lost without a sync: the cut is none".to_owned());
                }
            }
            // What was never written cannot be read: without a sync that is what has to be expected.
            Err(_) if !synced => {}
            Err(error) => cut.failure = Some(format!("{error:#}")),
        }
        if cut.failure.is_none() {
            std::fs::remove_file(image)?;
        }
        Ok(cut)
    }
}

/// An empty ext4; made here once, because in the emulator it takes long.
fn make_image(path: &Path) -> Result<()> {
    std::fs::File::create(path)?.set_len(IMAGE_BYTES)?;
    let mut mkfs = Command::new("mkfs.ext4");
    // Nothing left to initialise in the background: it would hold up the first sync.
    mkfs.args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"]);
    command::output(mkfs.arg(path)).map(|_| ())
}

/// Replays the journal, then takes the file out.
fn read_back(image: &Path) -> Result<(Recording, judge::Found)> {
    let checked = Command::new("e2fsck")
        .args(["-f", "-y"])
        .arg(image)
        .output()
        .context("cannot start e2fsck")?;
    // 1: errors were corrected (`e2fsck(8)`); a replayed journal alone is 0.
    let code = checked.status.code().unwrap_or(-1);
    ensure!(code <= 1, "e2fsck ended with {code}");
    let file = image.with_extension("fdr");
    let mut debugfs = Command::new("debugfs");
    let request = format!("dump /fdr/relay-victim.fdr {}", file.display());
    command::output(debugfs.args(["-R", &request]).arg(image))?;
    let found = judge::recording(&file);
    std::fs::remove_file(&file).ok();
    found
}

fn is_tick(line: &str) -> bool {
    tick_ns(line).is_some()
}

fn tick_ns(line: &str) -> Option<i64> {
    // The last line may have been cut, too.
    let (word, number) = line.strip_suffix('\r')?.split_once(' ')?;
    (word == "tick").then(|| number.parse().ok())?
}

// === impl Cut ===

impl Cut {
    pub(super) fn line(&self) -> String {
        let loss = self
            .loss_ms
            .map_or("all of it".to_owned(), |ms| format!("{ms} ms"));
        let sync = if self.synced {
            "synced each second"
        } else {
            "not synced"
        };
        let failure = self
            .failure
            .as_ref()
            .map_or(String::new(), |what| format!(": {what}"));
        format!(
            "power cut, {sync}: {loss} lost, {} torn{failure}",
            self.torn
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_is_no_time() {
        assert_eq!(tick_ns("tick 123456\r"), Some(123_456));
        assert_eq!(tick_ns("tick 1234"), None);
        assert_eq!(tick_ns("ready\r"), None);
    }
}
