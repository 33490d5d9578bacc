//! The termination page, shared by the pulse, which refreshes it, and by whoever ends the engine.

use relay_forensics::TerminationPage;
use relay_forensics::termination_page::Status;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The page, and what was on it last.
#[derive(Debug)]
pub(crate) struct Page(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    page: TerminationPage,
    /// When, and the usage then: growth is told between two refreshes.
    last: Option<(Duration, f64)>,
}

/// What the page says beside the status: of the queues, and where more is to be found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) is_draining: bool,
    pub(super) usage_bytes: Option<u64>,
    pub(super) limit_bytes: Option<u64>,
    pub(super) level: &'a str,
    pub(super) reason: &'a str,
    pub(super) scale: f64,
    pub(super) top: Option<(&'a str, u64)>,
    pub(super) queued_events: u64,
    pub(super) ledger_used_bytes: u64,
    pub(super) ledger_bytes: u64,
    pub(super) time_to_limit: Option<Duration>,
    pub(super) recording: Option<&'a Path>,
}

impl Page {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let page = TerminationPage::open(path)?;
        Ok(Self(Mutex::new(Inner { page, last: None })))
    }

    /// Refreshes it, ten times a second at most. Skipped while somebody else has the page; allocates nothing.
    pub(super) fn show(&self, since: Duration, standing: &Standing<'_>) {
        let Some(mut inner) = crate::try_lock(&self.0) else {
            return;
        };
        let usage = standing.usage_bytes.map(|bytes| bytes as f64);
        let slope = usage.zip(inner.last).and_then(|(usage, (at, before))| {
            let seconds = since.saturating_sub(at).as_secs_f64();
            (seconds > 0.0).then(|| (usage - before) / seconds)
        });
        let status = Status {
            state: if standing.is_draining {
                "DRAINING"
            } else {
                "RUNNING"
            },
            real_ns: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_nanos() as u64),
            usage_bytes: usage,
            limit_bytes: standing.limit_bytes.map(|bytes| bytes as f64),
            slope,
            level: standing.level,
            scale: Some(standing.scale as f32),
            top: standing.top.map(|(name, bytes)| (name, bytes as f64)),
        };
        let is_shown = inner.page.update(|text| {
            writeln!(text, "{status}")?;
            writeln!(
                text,
                "queued {} events; ledger {} of {} bytes; rate: {}",
                standing.queued_events,
                standing.ledger_used_bytes,
                standing.ledger_bytes,
                standing.reason
            )?;
            if let Some(left) = standing.time_to_limit {
                writeln!(
                    text,
                    "at this growth the limit is met in {:.1} s",
                    left.as_secs_f64()
                )?;
            }
            match standing.recording {
                Some(path) => write!(text, "more: relay blackbox why {}", path.display()),
                None => Ok(()),
            }
        });
        if is_shown {
            inner.last = usage.map(|usage| (since, usage));
        }
    }

    pub(crate) fn finish(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.page.finish("relay: clean exit");
    }
}
