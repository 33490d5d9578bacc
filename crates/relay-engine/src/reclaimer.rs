//! The second thread of an engine: what takes long or allocates, and so is not the pulse's.
//!
//! It purges the allocator when the pulse asks for it, finds the groups of the process anew when they have changed, reads
//! what only the black box wants to know, and writes a report when memory became critical.

use crate::blackbox::{CrashReports, Vitals};
use crate::pulse::View;
use crate::sentry::Sentry;
use relay_event::{Code, Component, ErrorBus, ErrorEvent, Severity};
use relay_sense::alloc::{self, Effort, Reclaim, Reclaimed};
use relay_sense::{Bound, Process, Root, Sampler};
use std::mem;
use std::sync::atomic::{AtomicU8, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

const PURGE: u8 = 1;
const REFRESH: u8 = 2;
const STOP: u8 = 4;
const VITALS: u8 = 8;
const DUMP: u8 = 16;

/// The groups are looked for again at most so often: it opens a few dozen files.
const REFRESH_PERIOD: Duration = Duration::from_secs(1);

/// A report copies the recording and makes text of its end: with less room than so many times its size there is none, or
/// it would be the end that it tells of.
const DUMP_ROOM: u64 = 8;

/// What the pulse asks of the reclaimer, and gets from it. Asking neither waits nor allocates.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    asked: AtomicU8,
    thread: OnceLock<Thread>,
    fresh: Mutex<Fresh>,
}

/// A sampler of the present groups, or, once it was collected, the one it replaced: closing its files takes
/// milliseconds, so that is left to the reclaimer.
#[derive(Debug, Default)]
struct Fresh {
    sampler: Option<Box<Sampler>>,
    is_new: bool,
}

pub(crate) struct Reclaimer {
    pub(crate) desk: Arc<Desk>,
    pub(crate) sentry: Arc<Sentry>,
    pub(crate) errors: ErrorBus,
    pub(crate) root: Root,
    pub(crate) fixed_limit: Bound,
    pub(crate) view: Arc<View>,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) reports: CrashReports,
    /// Size of the recording.
    pub(crate) recording_bytes: u64,
}

// === impl Desk ===

impl Desk {
    /// Unused memory should be given back.
    pub(crate) fn ask_purge(&self) {
        self.ask(PURGE);
    }

    /// The groups of the process have changed.
    pub(crate) fn ask_refresh(&self) {
        self.ask(REFRESH);
    }

    /// What the recorder wants to know should be read.
    pub(crate) fn ask_vitals(&self) {
        self.ask(VITALS);
    }

    /// Memory became critical.
    pub(crate) fn ask_dump(&self) {
        self.ask(DUMP);
    }

    pub(crate) fn stop(&self) {
        self.ask(STOP);
    }

    fn ask(&self, what: u8) {
        let asked = self.asked.fetch_or(what, AcqRel);
        if asked & what == 0
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Swaps `sampler` for one of the present groups, if there is one.
    pub(crate) fn collect(&self, sampler: &mut Sampler) {
        if let Some(mut fresh) = crate::try_lock(&self.fresh)
            && fresh.is_new
            && let Some(new) = fresh.sampler.as_mut()
        {
            mem::swap(sampler, new);
            fresh.is_new = false;
        }
    }
}

// === impl Reclaimer ===

impl Reclaimer {
    /// Runs until it is told to stop.
    pub(crate) fn run(self) {
        let _ = self.desk.thread.set(thread::current());
        let mut allocators = alloc::Reclaimer::new(&self.root);
        let mut process = Process::open(&self.root);
        loop {
            let asked = self.desk.asked.swap(0, AcqRel);
            if asked & STOP != 0 {
                // Put back, for whoever asks whether it was asked.
                self.desk.asked.fetch_or(STOP, Release);
                return;
            }
            if asked & PURGE != 0
                && let Reclaim::Done(done) = allocators.reclaim(&Effort::default())
            {
                self.report(&done);
            }
            if asked & VITALS != 0 {
                self.vitals
                    .read(&mut process, &mut allocators, &self.errors);
            }
            if asked & DUMP != 0 {
                self.dump();
            }
            if asked & REFRESH != 0 {
                self.refresh();
                thread::park_timeout(REFRESH_PERIOD);
            }
            if self.desk.asked.load(Acquire) == 0 {
                thread::park();
            }
        }
    }

    fn refresh(&self) {
        let Ok(sampler) = Sampler::new(&self.root) else {
            return;
        };
        let sampler = match self.fixed_limit {
            Bound::Bytes(bytes) => sampler.with_configured(bytes.max(1)),
            Bound::Unlimited | Bound::Unknown => Ok(sampler),
        };
        let Ok(sampler) = sampler else {
            return;
        };
        self.sentry.use_gauge(sampler.gauge());
        let new = Fresh {
            sampler: Some(Box::new(sampler)),
            is_new: true,
        };
        let before = {
            let fresh = self.desk.fresh.lock();
            mem::replace(&mut *fresh.unwrap_or_else(PoisonError::into_inner), new)
        };
        drop(before);
        self.sentry.wake();
    }

    fn dump(&self) {
        let Some(last) = self.view.last().filter(|_| self.reports.is_on()) else {
            return;
        };
        let room = last.sample.headroom_bytes.unwrap_or(0);
        if room < self.recording_bytes.saturating_mul(DUMP_ROOM) {
            return;
        }
        let reason = format!(
            "memory is {}: {} bytes unreclaimable, {room} bytes left",
            last.decision.level,
            last.sample.unreclaimable_bytes.unwrap_or(0)
        );
        self.reports.dump("monitor:memory", &reason, &self.errors);
    }

    fn report(&self, done: &Reclaimed) {
        let event = ErrorEvent::new(
            Code::MemReclaim,
            Severity::Info,
            Component::monitor("memory"),
        );
        self.errors.publish(
            event
                .with("given_back_bytes", done.given_back().unwrap_or(0))
                .with("resident_bytes", done.resident_after.unwrap_or(0))
                .with("seconds", done.took.as_secs_f64())
                .with("complete", if done.is_complete { "yes" } else { "no" }),
        );
    }
}
