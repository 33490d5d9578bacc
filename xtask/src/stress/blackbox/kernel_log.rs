//! The kernel's own word on a kill: when, whom, and for whose limit.
//!
//! For each kill the kernel logs `oom-kill:constraint=…,oom_memcg=G,task_memcg=T,…,pid=P` and, right after the signal was
//! sent, `…Killed process P`. The time of the second is the time of death as exactly as it is to be had from outside:
//! afterwards the process only gives its memory back, which takes longer the more it has. Lines are stamped with a clock
//! of their own; a line that is written here and read back tells how far it is from `CLOCK_MONOTONIC`.
//!
//! Format of a record: kernel, `ABI/testing/dev-kmsg`.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};
use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};

/// A record is at most this long.
const RECORD_BYTES: usize = 8 << 10;

/// The log from the moment it was opened.
#[derive(Debug)]
pub(super) struct KernelLog {
    file: File,
    /// Monotonic time less the log's own.
    offset_ns: i64,
}

/// One kill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kill {
    /// On the monotonic clock.
    pub(super) at_ns: i64,
    /// As the kernel's first namespace counts.
    pub(super) pid: u32,
    /// The group whose limit it was.
    pub(super) limit_group: String,
    /// The group of the process that was killed.
    pub(super) task_group: String,
}

// === impl KernelLog ===

impl KernelLog {
    /// # Errors
    ///
    /// When the log cannot be read or written: that takes root, and a kernel that lets root.
    pub(super) fn open() -> Result<Self> {
        let open = File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open("/dev/kmsg");
        let mut file = open.context("/dev/kmsg, which the kernel tells of kills in")?;
        file.seek(SeekFrom::End(0))?;
        let mut log = Self { file, offset_ns: 0 };
        log.offset_ns = log.compare()?;
        Ok(log)
    }

    /// How far its clock is from ours.
    fn compare(&mut self) -> Result<i64> {
        let mark = format!("relay-stress: {}", std::process::id());
        let before = monotonic_ns();
        self.file.write_all(format!("<7>{mark}\n").as_bytes())?;
        let after = monotonic_ns();
        let lines = self.rest()?;
        let mut marks = lines.iter().filter(|(_, text)| text.contains(&mark));
        let (at_ns, _) = marks
            .next_back()
            .context("the kernel's log keeps no mark")?;
        Ok(before.midpoint(after) - at_ns)
    }

    /// The kills since it was asked last whose task was in a group that ends so.
    pub(super) fn kills(&mut self, group: &str) -> Result<Vec<Kill>> {
        let mut kills = kills(&self.rest()?);
        kills.retain(|kill| kill.task_group.ends_with(group));
        for kill in &mut kills {
            kill.at_ns += self.offset_ns;
        }
        Ok(kills)
    }

    /// Time and text of every record not read yet.
    fn rest(&mut self) -> Result<Vec<(i64, String)>> {
        let mut lines = Vec::new();
        let mut buffer = [0; RECORD_BYTES];
        loop {
            match self.file.read(&mut buffer) {
                Ok(length) => lines.extend(parse(&String::from_utf8_lossy(&buffer[..length]))),
                // Older records were overwritten; the next read goes on with what is there.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(lines),
                Err(error) => return Err(error).context("/dev/kmsg"),
            }
        }
    }
}

/// `PRIORITY,NUMBER,MICROSECONDS,FLAGS;TEXT`, and lines that belong to it.
fn parse(record: &str) -> Option<(i64, String)> {
    let (head, text) = record.lines().next()?.split_once(';')?;
    let micros: i64 = head.split(',').nth(2)?.parse().ok()?;
    Some((micros * 1000, text.to_owned()))
}

/// A process may be told of twice: as the chosen one, and as a task of a group that dies as a whole.
fn kills(lines: &[(i64, String)]) -> Vec<Kill> {
    let mut kills: Vec<Kill> = Vec::new();
    let mut chosen: Option<(String, String)> = None;
    for (at_ns, text) in lines {
        if let Some(rest) = text.strip_prefix("oom-kill:") {
            let field = |name: &str| {
                let mut fields = rest.split(',');
                let found = fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
                found.unwrap_or_default().to_owned()
            };
            chosen = Some((field("oom_memcg"), field("task_memcg")));
        }
        let Some((_, killed)) = text.split_once("Killed process ") else {
            continue;
        };
        let pid = killed.split(' ').next().and_then(|pid| pid.parse().ok());
        if let (Some((limit_group, task_group)), Some(pid)) = (chosen.clone(), pid) {
            kills.push(Kill {
                at_ns: *at_ns,
                pid,
                limit_group,
                task_group,
            });
        }
    }
    kills
}

/// Nanoseconds on the clock that recordings use.
pub(super) fn monotonic_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "6,812,5140900,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,\
        mems_allowed=0,oom_memcg=/relay-stress/a,task_memcg=/relay-stress/a/leaf,task=victim,pid=77,uid=0\n \
        SUBSYSTEM=x\n";

    #[test]
    fn a_kill_is_told_with_its_time_and_groups() {
        let mut lines: Vec<_> = parse(RECORD).into_iter().collect();
        let killed = "3,813,5141002,-;Memory cgroup out of memory: Killed process 77 (victim) total-vm:1kB\n";
        lines.extend(parse(killed));
        let expected = Kill {
            at_ns: 5_141_002_000,
            pid: 77,
            limit_group: "/relay-stress/a".into(),
            task_group: "/relay-stress/a/leaf".into(),
        };
        assert_eq!(kills(&lines), [expected]);
    }

    #[test]
    fn other_lines_are_no_kills() {
        for record in [
            "",
            "6,1,x,-;y",
            "6,1,5,-;oom_reaper: reaped process 77 (victim)",
        ] {
            assert!(kills(&parse(record).into_iter().collect::<Vec<_>>()).is_empty());
        }
    }
}
