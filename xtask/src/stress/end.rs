//! How a node ended: what it returned or was killed by, and what the kernel counted.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Signal, kill_process};

use super::container::{self, Container, Exit};

/// The node's own drain deadline is 10 s by default; past this it hangs.
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);

/// The proof of how a run ended.
#[derive(Debug)]
pub(super) struct End {
    /// `None` when it hung after SIGTERM.
    pub(super) exit: Option<Exit>,
    /// When the node ended without having been asked to.
    pub(super) early_unix_ms: Option<f64>,
    /// The kernel's count for the container.
    pub(super) oom_kills: u64,
    pub(super) log: String,
}

// === impl End ===

impl End {
    /// It drained after SIGTERM and returned 0.
    pub(super) fn is_well(&self) -> bool {
        self.early_unix_ms.is_none() && self.exit == Some(Exit::Code(0))
    }

    /// The end in words.
    pub(super) fn death(&self) -> String {
        match self.exit {
            Some(Exit::Signal(_)) if self.oom_kills > 0 => "kernel OOM killer".to_owned(),
            Some(exit @ Exit::Signal(_)) => format!("{exit}, not the OOM killer"),
            Some(Exit::Code(0)) if self.is_well() => "alive, drained".to_owned(),
            Some(exit) => format!("by itself, {exit}"),
            None => "hung after SIGTERM".to_owned(),
        }
    }
}

/// Asks the node to drain and waits for its end; `None` when it does not come.
pub(super) fn stop(container: &mut dyn Container) -> Result<Option<Exit>> {
    if let Some(exit) = container.try_wait()? {
        return Ok(Some(exit));
    }
    kill_process(container.pid(), Signal::TERM).context("SIGTERM")?;
    container::wait(container, DRAIN_PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_named_by_its_proof() {
        let end = |exit, oom_kills, early| End {
            exit,
            early_unix_ms: early,
            oom_kills,
            log: String::new(),
        };
        let kill = Some(Exit::Signal(9));
        assert_eq!(end(kill, 1, Some(1.0)).death(), "kernel OOM killer");
        assert_eq!(
            end(kill, 0, Some(1.0)).death(),
            "signal 9, not the OOM killer"
        );
        assert_eq!(end(Some(Exit::Code(0)), 0, None).death(), "alive, drained");
        assert_eq!(
            end(Some(Exit::Code(0)), 0, Some(1.0)).death(),
            "by itself, exit 0"
        );
        assert_eq!(end(None, 0, None).death(), "hung after SIGTERM");
    }
}
