//! `[blackbox]`: what is recorded, and where it lies when the process is gone.

use std::path::PathBuf;
use std::time::Duration;

use relay_forensics::layout::{FILE_BYTES_MAX, FILE_BYTES_MIN};

use crate::config::kind::number::within;
use crate::config::kind::text::{Parsed, directory_path, file_path};
use crate::config::kind::{Auto, AutoOr, NoneOr, Switch};
use crate::config::reader::Section;
use crate::units::ByteSize;

/// Longest name of a recording: the name of the file, with date and process, fits into 255 bytes.
const INSTANCE_BYTES_MAX: usize = 64;

/// `[blackbox]`
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blackbox {
    /// Whether anything is recorded.
    pub enabled: bool,
    /// What tells nodes on one machine apart.
    pub instance: String,
    /// The folder; `Auto` takes the first of the usual ones that can be used.
    pub dir: Auto<PathBuf>,
    /// Size of the file; `Auto` is a 64th of the memory limit.
    pub size: Auto<ByteSize>,
    /// The longest time between two snapshots.
    pub interval: Duration,
    /// The same in danger.
    pub interval_min: Duration,
    /// How often the file is written to the disk; `None` leaves that to the kernel.
    pub sync: Option<Duration>,
    /// Where crash reports go; `Auto` is beside the recording, `None` writes none.
    pub crash_dir: Auto<Option<PathBuf>>,
    /// For how long the CPU is profiled after each crash report; needs the feature `profile`.
    pub cpu_profile: Option<Duration>,
    /// The page that says how things stand; `Auto` takes the container's if it has one, `None` writes none.
    pub termination_log: Auto<Option<PathBuf>>,
}

impl Blackbox {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let interval = s.read(
            "interval",
            &within(Duration::from_millis(10), Duration::from_mins(1)),
            Duration::from_secs(1),
            "longest time between two snapshots; near the limit they are closer",
        );
        Self {
            enabled: s.read("enabled", &Switch, true, "record what survives a kill"),
            instance: s.read(
                "instance",
                &instance(),
                "node".to_owned(),
                "what tells nodes on one machine apart; the file is relay-<instance>.fdr",
            ),
            dir: s.read(
                "dir",
                &AutoOr(directory_path()),
                Auto::Auto,
                "folder of the recording; auto takes /var/lib/relay/fdr, else /dev/shm/relay",
            ),
            size: s.read(
                "size",
                &AutoOr(within(
                    ByteSize::from_bytes(FILE_BYTES_MIN),
                    ByteSize::from_bytes(FILE_BYTES_MAX),
                )),
                Auto::Auto,
                "size of the file, at most 3 % of the memory limit; auto takes a 64th of it",
            ),
            interval,
            interval_min: s.read(
                "interval_min",
                &within(Duration::from_millis(1), Duration::from_mins(1)),
                interval.min(Duration::from_millis(10)),
                "time between two snapshots above 85 % of the limit or 2 s before it",
            ),
            sync: s.read(
                "sync",
                &NoneOr(within(Duration::from_millis(10), Duration::from_hours(1))),
                Some(Duration::from_secs(1)),
                "how often the file is written to the disk, for power loss",
            ),
            crash_dir: s.read(
                "crash_dir",
                &AutoOr(NoneOr(directory_path())),
                Auto::Auto,
                "folder of crash reports; auto takes the folder crash beside the recording",
            ),
            cpu_profile: s.read(
                "cpu_profile",
                &NoneOr(within(Duration::from_millis(100), Duration::from_secs(30))),
                None,
                "how long the CPU is profiled after a crash report; needs a relay built with the feature profile",
            ),
            termination_log: s.read(
                "termination_log",
                &AutoOr(NoneOr(file_path())),
                Auto::Auto,
                "page that says how things stand; auto takes /dev/termination-log if it is there",
            ),
        }
    }
}

const fn instance() -> Parsed<String> {
    Parsed {
        parse: |text| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
            match text.len() {
                0 => Err("must not be empty".to_owned()),
                1..=INSTANCE_BYTES_MAX if text.bytes().all(is_plain) => Ok(text.to_owned()),
                1..=INSTANCE_BYTES_MAX => Err("not a plain name".to_owned()),
                _ => Err(format!("longer than {INSTANCE_BYTES_MAX} bytes")),
            }
        },
        print: String::clone,
        allowed: "letters, digits, `_`, `-` and `.`, at most 64 of them",
    }
}
