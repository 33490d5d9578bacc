//! The limits that the process itself carries.
//!
//! Read from `/proc/self/limits` and not by `getrlimit`, so that a folder can hold them. The soft
//! value counts, since that is what allocations fail at. Both count address space, of which a
//! process has more than it uses, so they are reached before the figures of the kernel's accounts
//! say so. What is held against them is therefore read apart: `size` and `data` of `statm`. Source: `getrlimit(2)`,
//! `proc_pid_limits(5)`, `proc_pid_statm(5)`.

use crate::resident::{ProcessMemory, Resident};
use crate::{Bound, Root, file, text};

/// The two that bound memory: the name people know, and the kernel's line.
const LINES: [(&str, &[u8]); 2] = [
    ("RLIMIT_AS", b"Max address space "),
    ("RLIMIT_DATA", b"Max data size "),
];

/// Both limits as they were at the start: a process changes its own seldom, and others need privilege.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProcessLimits {
    address_space: Option<u64>,
    data: Option<u64>,
}

/// Both limits, and the memory of the process where it can be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessLook {
    limits: ProcessLimits,
    memory: Option<ProcessMemory>,
}

/// What counts against a limit of the process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) used_bytes: u64,
    pub(crate) resident_bytes: u64,
}

// === impl ProcessLimits ===

impl ProcessLimits {
    pub(crate) fn read(root: &Root) -> Self {
        let mut read = Self::default();
        for (name, bytes) in limits(root) {
            if name == LINES[0].0 {
                read.address_space = Some(bytes);
            } else {
                read.data = Some(bytes);
            }
        }
        read
    }

    /// Reads what counts against them; nothing where none is set.
    pub(crate) fn look(self, resident: &Resident) -> ProcessLook {
        let is_set = self.address_space.is_some() || self.data.is_some();
        ProcessLook {
            limits: self,
            memory: is_set.then(|| resident.memory().ok()).flatten(),
        }
    }
}

// === impl ProcessLook ===

impl ProcessLook {
    /// Each limit that is set, in bytes, and what the kernel holds against it, where that is known.
    pub(crate) fn held(self) -> impl Iterator<Item = (u64, Option<Held>)> {
        let held = |limit: Option<u64>, used: fn(ProcessMemory) -> u64| {
            let held = self.memory.map(|memory| Held {
                used_bytes: used(memory),
                resident_bytes: memory.resident,
            });
            Some((limit?, held))
        };
        let address_space = held(self.limits.address_space, |memory| memory.size);
        let data = held(self.limits.data, |memory| memory.data);
        [address_space, data].into_iter().flatten()
    }
}

/// The limits that are set, in bytes.
pub(crate) fn limits(root: &Root) -> impl Iterator<Item = (&'static str, u64)> {
    let read = |path| file::read_whole(&root.path(path)).unwrap_or_default();
    let text = root.has_files().then(|| read("/proc/self/limits"));
    let text = text.unwrap_or_default();
    LINES
        .into_iter()
        .filter_map(move |(name, line)| Some((name, soft_bytes(&text, line)?)))
}

/// The first value of the line that begins so, unless it is `unlimited`.
pub(crate) fn soft_bytes(text: &[u8], name: &[u8]) -> Option<u64> {
    let line = text
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(name))?;
    let soft = line.trim_ascii().split(u8::is_ascii_whitespace).next()?;
    Bound::from_kernel(text::number(soft)?).bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"\
Limit                     Soft Limit           Hard Limit           Units     \n\
Max cpu time              unlimited            unlimited            seconds   \n\
Max data size             8388608              unlimited            bytes     \n\
Max resident set          1                    1                    bytes     \n\
Max address space         unlimited            1073741824           bytes     \n";

    #[test]
    fn the_soft_value_counts() {
        assert_eq!(soft_bytes(TEXT, LINES[1].1), Some(8 << 20));
        assert_eq!(soft_bytes(TEXT, LINES[0].1), None, "unlimited");
        assert_eq!(soft_bytes(b"", LINES[0].1), None);
    }

    #[test]
    fn the_running_system_has_such_a_file() {
        let text = file::read_whole(&Root::system().path("/proc/self/limits")).unwrap();
        for (_, line) in LINES {
            assert!(
                text.split(|byte| *byte == b'\n')
                    .any(|found| found.starts_with(line))
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in any::<Vec<u8>>()) {
            let _ = soft_bytes(&[LINES[0].1, &text[..]].concat(), LINES[0].1);
        }
    }
}
