//! CPU time of a process as the scheduler counts it.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Pid;

/// What all living threads of a process have run so far. `schedstat` counts nanoseconds, where
/// `stat` counts ticks of 10 ms.
pub(crate) fn used(pid: Pid) -> Result<Duration> {
    sum(pid, 0)
}

/// What all of them have waited for a processor so far; a wait counts when it is over.
pub(crate) fn waited(pid: Pid) -> Result<Duration> {
    sum(pid, 1)
}

fn sum(pid: Pid, field: usize) -> Result<Duration> {
    let folder = format!("/proc/{}/task", pid.as_raw_nonzero());
    let mut nanos = 0;
    for task in std::fs::read_dir(&folder).with_context(|| folder.clone())? {
        let path = task?.path().join("schedstat");
        // A thread may end between the listing and the reading.
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let text = text.split_ascii_whitespace().nth(field).unwrap_or_default();
        nanos += text
            .parse::<u64>()
            .with_context(|| path.display().to_string())?;
    }
    Ok(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_busy_thread_is_seen() {
        let me = rustix::process::getpid();
        let before = used(me).unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        assert!(used(me).unwrap() > before + Duration::from_millis(5));
    }
}
