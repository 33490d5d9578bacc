//! Who records: the facts that tell one run of a process from every other.
//!
//! These few files of `/proc` are read here, once and at start, because whoever reads a recording
//! needs the same boot id, and because this crate is of use without the rest of Relay.

use std::fs;

use crate::sys;

/// What a recording says about its process. [`Identity::of_this_process`] fills it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The kernel's id of this boot; `None` where it cannot be read.
    pub boot_id: Option<[u8; 16]>,
    /// Process id, as this process sees it.
    pub pid: u32,
    /// When the process started, in ticks since boot; tells reused process ids apart.
    pub start_ticks: u64,
    /// Host name, which is the id of a container or the name of a pod.
    pub host: String,
    /// Kernel release.
    pub kernel: String,
    /// Memory of the whole machine; `None` if unknown.
    pub host_memory_bytes: Option<u64>,
}

impl Identity {
    /// Reads what there is; what there is not stays unknown.
    pub fn of_this_process() -> Self {
        let (host, kernel) = sys::names();
        Self {
            boot_id: boot_id(),
            pid: std::process::id(),
            start_ticks: read("/proc/self/stat").and_then(|stat| start_ticks(&stat)).unwrap_or(0),
            host,
            kernel,
            host_memory_bytes: read("/proc/meminfo").and_then(|text| host_memory(&text)),
        }
    }
}

/// The id of this boot of this machine.
pub(crate) fn boot_id() -> Option<[u8; 16]> {
    parse_uuid(read("/proc/sys/kernel/random/boot_id")?.trim())
}

/// The names of all threads, for a crash report.
pub(crate) fn thread_names() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    let mut names: Vec<String> = tasks
        .flatten()
        .filter_map(|task| {
            let id = task.file_name().into_string().ok()?;
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            Some(format!("{id} {}", name.trim_end()))
        })
        .collect();
    names.sort_unstable();
    names
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != 16 || !rest.is_empty() {
        return None;
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}

/// Field 22 of `proc(5)`'s stat. The second field is a name in parentheses that may contain any.
fn start_ticks(stat: &str) -> Option<u64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn host_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_knows_itself() {
        let identity = Identity::of_this_process();
        assert!(identity.boot_id.is_some_and(|id| id != [0; 16]));
        assert_eq!(identity.pid, std::process::id());
        assert!(identity.start_ticks > 0);
        assert!(!identity.kernel.is_empty());
        assert!(identity.host_memory_bytes > Some(1 << 20));
        assert!(!thread_names().is_empty());
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_hides_no_field() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 9 9";
        assert_eq!(start_ticks(stat), Some(4711));
        assert_eq!(start_ticks("nothing"), None);
    }

    #[test]
    fn a_uuid_is_sixteen_bytes() {
        let id = parse_uuid("00112233-4455-6677-8899-aabbccddeeff").unwrap();
        assert_eq!((id[0], id[15]), (0x00, 0xff));
        for bad in ["", "00112233", "zz112233-4455-6677-8899-aabbccddeeff"] {
            assert_eq!(parse_uuid(bad), None);
        }
    }
}
