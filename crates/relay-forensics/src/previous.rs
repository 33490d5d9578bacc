//! The run before this one: its recording is judged, and kept when it did not end well.

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, Read, Seek},
    path::{Path, PathBuf},
};

use crate::{
    clock,
    header::{AFTERMATH, AFTERMATH_OOM_KILLS, AFTERMATH_REAL, Aftermath, Limits},
    identity::Identity,
    place::{CRASH_ENDING, Place},
    reader::{FILE_BYTES_READ_MAX, Recording},
    sys, time,
    verdict::{Cause, Verdict},
};

/// How many recordings of runs that did not end well are kept.
pub const KEEP_COUNT: usize = 5;

/// How many bytes of them are kept.
pub const KEEP_BYTES: u64 = 64 << 20;

/// How the run before ended.
///
/// It displays as a block of lines for a log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PreviousRun {
    /// Why it ended.
    pub verdict: Verdict,
    /// Where its recording is kept; `None` when it ended clean and nothing is.
    pub path: Option<PathBuf>,
    /// The recording itself; `None` when it cannot be read.
    pub recording: Option<Recording>,
}

impl PreviousRun {
    /// The label of the metric, such as `oom`; see [`Cause::as_str`].
    pub fn reason(&self) -> &'static str {
        self.verdict.cause.as_str()
    }
}

impl fmt::Display for PreviousRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the previous run: {}", self.verdict)?;
        for evidence in &self.verdict.evidence {
            write!(f, "\n  - {evidence}")?;
        }
        if let Some(path) = &self.path {
            write!(f, "\n  relay blackbox show {}", path.display())?;
        }
        Ok(())
    }
}

/// Judges what lies under `name` and moves it out of the way. A clean one is left to be replaced.
pub(crate) fn set_aside(
    place: &Place,
    name: &str,
    old: &File,
    identity: &Identity,
    limits: &Limits,
) -> (PreviousRun, Option<io::Error>) {
    let mut recording = read(old).ok().and_then(|bytes| Recording::parse(&bytes).ok());
    if let Some(recording) = &mut recording {
        let aftermath = Aftermath {
            same_boot: recording.header().identity.boot_id == identity.boot_id,
            real_ns: clock::real_ns(),
            oom_kills: limits.oom_kills,
        };
        // For whoever reads it later on another machine; the verdict here does not need the file.
        let _ = stamp(old, &aftermath);
        recording.set_aftermath(aftermath);
    }
    let verdict = recording
        .as_ref()
        .map_or_else(Verdict::damaged, Recording::verdict);
    if verdict.cause == Cause::Clean {
        let run = PreviousRun {
            verdict,
            path: None,
            recording,
        };
        return (run, None);
    }
    let kept = kept_name(name, recording.as_ref());
    let renamed = place.rename(name, &kept);
    let run = PreviousRun {
        verdict,
        path: renamed.is_ok().then(|| place.path_of(&kept)),
        recording,
    };
    (run, renamed.err())
}

/// Deletes what is too much of this instance: oldest first, and never the newest.
pub(crate) fn prune(place: &Place, instance: &str) -> io::Result<()> {
    let prefix = format!("relay-{instance}-");
    let mut kept: Vec<(String, OsString, u64)> = place
        .list(CRASH_ENDING)?
        .into_iter()
        .filter_map(|(name, bytes)| {
            let rest = name.to_str()?.strip_prefix(&prefix)?;
            // An instance whose name begins with this one's has no date here.
            let date = rest.get(..16).filter(|date| is_date(date))?.to_owned();
            Some((date, name, bytes))
        })
        .collect();
    kept.sort();
    let mut bytes = 0;
    for (index, (_, name, size)) in kept.iter().rev().enumerate() {
        bytes += size;
        if index > 0 && (index >= KEEP_COUNT || bytes > KEEP_BYTES) {
            place.remove(name)?;
        }
    }
    Ok(())
}

/// How many recordings of earlier runs of this instance lie beside `path`.
pub(crate) fn kept_beside(path: &Path, instance: &str) -> usize {
    let prefix = format!("relay-{instance}-");
    let folder = path.parent().unwrap_or(Path::new("."));
    let found = crate::place::list(folder, CRASH_ENDING).unwrap_or_default();
    found
        .iter()
        .filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with(&prefix)))
        .count()
}

fn read(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(FILE_BYTES_READ_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn stamp(file: &File, aftermath: &Aftermath) -> io::Result<()> {
    let at = |offset: usize, value: u64| sys::write_all_at(file, &value.to_le_bytes(), offset as u64);
    at(AFTERMATH_REAL, aftermath.real_ns)?;
    at(AFTERMATH_OOM_KILLS, aftermath.oom_kills.unwrap_or(u64::MAX))?;
    at(AFTERMATH, if aftermath.same_boot { 1 } else { 2 })
}

/// `relay-shop.fdr` becomes `relay-shop-20260105T101112Z-1a2b3c4d-42.crash.fdr`: start, boot, pid.
fn kept_name(name: &str, recording: Option<&Recording>) -> String {
    let stem = name.strip_suffix(crate::place::ENDING).unwrap_or(name);
    let (started, boot, pid) = recording.map_or((clock::real_ns(), [0; 16], 0), |recording| {
        let header = recording.header();
        let boot = header.identity.boot_id.unwrap_or_default();
        (header.started.real_ns, boot, header.identity.pid)
    });
    let boot = format!("{:08x}", u32::from_be_bytes([boot[0], boot[1], boot[2], boot[3]]));
    let date = time::compact(started);
    format!("{stem}-{date}-{boot}-{pid}{CRASH_ENDING}")
}

/// `20260105T101112Z`.
fn is_date(text: &str) -> bool {
    text.bytes().enumerate().all(|(index, b)| match index {
        8 => b == b'T',
        15 => b == b'Z',
        _ => b.is_ascii_digit(),
    })
}
