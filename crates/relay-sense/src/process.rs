//! What the kernel says of this process beside its memory: for a flight recorder, not for control.

use std::fmt::Write;
use std::fs;

use crate::file::{HeldFile, read_whole};
use crate::{Root, sys, text};

/// Room for `/proc/self/stat`, whose longest part is a name of 15 bytes.
const STAT_BYTES: usize = 1 << 10;

/// Room for `/proc/meminfo` up to the line that is asked for, the third.
const MEMINFO_BYTES: usize = 4 << 10;

/// Files of a [`detail`] that are longer are cut.
const DETAIL_BYTES_MAX: usize = 8 << 10;

/// Numbers of one process at one moment; `None` where the kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessSample {
    /// Threads.
    pub threads: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// How many may be open.
    pub descriptors_limit: Option<u64>,
    /// Page faults that had to read from a disk, ever.
    pub major_faults: Option<u64>,
    /// Processor time used, in clock ticks of 10 ms (`USER_HZ`, which Linux fixes at 100).
    pub cpu_ticks: Option<u64>,
    /// What the whole machine could still give, in bytes (`MemAvailable`).
    pub host_available_bytes: Option<u64>,
}

/// Reads them from held descriptors. Some 20 µs, most of it for counting descriptors, which also allocates: not for a
/// control loop.
///
/// ```
/// use relay_sense::{Process, Root};
///
/// let mut process = Process::open(&Root::system());
/// assert!(process.sample().threads >= Some(1));
/// ```
#[derive(Debug)]
pub struct Process {
    stat: Option<HeldFile>,
    meminfo: Option<HeldFile>,
    descriptors: Option<std::path::PathBuf>,
}

impl Process {
    /// Opens what is there.
    pub fn open(root: &Root) -> Self {
        let open = |path| {
            let open = || HeldFile::open(&root.path(path)).ok();
            root.has_files().then(open).flatten()
        };
        Self {
            stat: open("/proc/self/stat"),
            meminfo: open("/proc/meminfo"),
            descriptors: root.has_files().then(|| root.path("/proc/self/fd")),
        }
    }

    /// Looks once.
    pub fn sample(&mut self) -> ProcessSample {
        let stat = self.stat.as_ref().and_then(|stat| {
            let mut buffer = [0; STAT_BYTES];
            Some(Stat::parse(stat.read(&mut buffer).ok()?))
        });
        let stat = stat.unwrap_or_default();
        let entries = self.descriptors.as_ref();
        let entries = entries.and_then(|folder| fs::read_dir(folder).ok());
        ProcessSample {
            threads: stat.threads,
            // One of them is that of the listing itself.
            descriptors: entries.map(|entries| (entries.count() as u64).saturating_sub(1)),
            descriptors_limit: sys::descriptors_limit(),
            major_faults: stat.major_faults,
            cpu_ticks: stat.cpu_ticks,
            host_available_bytes: self.host_available(),
        }
    }

    fn host_available(&self) -> Option<u64> {
        let mut buffer = [0; MEMINFO_BYTES];
        available_bytes(self.meminfo.as_ref()?.read(&mut buffer).ok()?)
    }
}

/// A slow and detailed look at the memory of this process, as text for a crash report: its mappings summed up and its
/// status. It takes the lock of the address space for up to some milliseconds.
pub fn detail(root: &Root) -> String {
    let mut text = String::new();
    for path in ["/proc/self/smaps_rollup", "/proc/self/status"] {
        let file = root.path(path);
        let _ = writeln!(text, "{}", file.display());
        match read_whole(&file) {
            Ok(bytes) => {
                let shown = &bytes[..bytes.len().min(DETAIL_BYTES_MAX)];
                let _ = writeln!(text, "{}", String::from_utf8_lossy(shown).trim_end());
            }
            Err(error) => {
                let _ = writeln!(text, "not readable: {error}");
            }
        }
    }
    text
}

/// The fields of `/proc/self/stat` that are asked for, by their numbers in `proc_pid_stat(5)`.
#[derive(Debug, Default, PartialEq)]
struct Stat {
    major_faults: Option<u64>,
    cpu_ticks: Option<u64>,
    threads: Option<u64>,
}

impl Stat {
    fn parse(stat: &[u8]) -> Self {
        // The name is in brackets and may contain any.
        let after = stat.iter().rposition(|byte| *byte == b')').map(|at| at + 1);
        let rest = stat.get(after.unwrap_or(stat.len())..).unwrap_or_default();
        let fields = rest
            .trim_ascii()
            .split(|byte| *byte == b' ')
            .map(text::number);
        // The first behind the name is field 3.
        let field = |number: usize| fields.clone().nth(number - 3).flatten();
        Self {
            major_faults: field(12),
            cpu_ticks: field(14)
                .zip(field(15))
                .map(|(user, system)| user.saturating_add(system)),
            threads: field(20),
        }
    }
}

fn available_bytes(meminfo: &[u8]) -> Option<u64> {
    let line = text::lines(meminfo).find_map(|line| line.strip_prefix(b"MemAvailable:"))?;
    let kibibytes = line.trim_ascii().strip_suffix(b"kB")?;
    text::number(kibibytes.trim_ascii())?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_hides_no_field() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194560 10 0 3 0 50 20 0 0 20 0 9 0 4711 1 2";
        let expected = Stat {
            major_faults: Some(3),
            cpu_ticks: Some(70),
            threads: Some(9),
        };
        assert_eq!(Stat::parse(stat), expected);
        assert_eq!(Stat::parse(b"7 (a"), Stat::default());
    }

    #[cfg(all(target_os = "linux", not(relay_portable)))]
    #[test]
    fn this_process_is_seen_and_a_new_descriptor_and_thread_are_counted() {
        let mut process = Process::open(&Root::system());
        let before = process.sample();
        let files: Vec<_> = (0..64)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        let after = process.sample();
        // Other tests open and close a few at the same time.
        assert!(after.descriptors.unwrap() + 16 > before.descriptors.unwrap() + files.len() as u64);
        assert!(after.threads >= Some(1) && after.cpu_ticks.is_some());
        assert!(after.host_available_bytes > Some(1 << 20));
        assert!(after.major_faults.is_some() && after.descriptors_limit >= after.descriptors);
        assert!(detail(&Root::system()).contains("Rss:"));
    }

    #[test]
    fn a_machine_without_these_files_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let sample = Process::open(&root).sample();
        let known = ProcessSample {
            descriptors_limit: sample.descriptors_limit,
            ..ProcessSample::default()
        };
        assert_eq!(sample, known);
        assert!(detail(&root).contains("not readable"));
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in any::<Vec<u8>>()) {
            Stat::parse(&text);
            Stat::parse(&[b"1 (x) ", &text[..]].concat());
            let _ = available_bytes(&[b"MemAvailable:", &text[..]].concat());
        }
    }
}
