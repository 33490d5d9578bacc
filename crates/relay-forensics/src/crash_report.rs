//! A file for each crash: what panicked and where, what every thread is called, and what the black
//! box had seen just before.
//!
//! At most one a minute is written, because what crashes once tends to crash in a loop, and how many
//! were held back stands in the next one. It is written under another name and renamed when it is
//! whole. Writing it never panics and never reports itself: a report that fails is answered with the
//! reason, and that is all.

use std::{
    fmt::{self, Write},
    io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    clock, identity,
    panic_guard::{Panicked, dispose},
    place::{self, Place, PlaceError},
    recorder::Recorder,
    scrub,
    time::{Utc, compact},
    view,
};

/// Between two reports.
const INTERVAL: Duration = Duration::from_mins(1);

/// How many reports are kept.
const KEEP_COUNT: usize = 20;

/// The longest part of a report, such as a backtrace.
const PART_BYTES_MAX: usize = 64 << 10;

/// What the name of a report ends with.
const ENDING: &str = ".crash.txt";

/// Events and snapshots of the recording that stand in a report.
const TAIL_RECORDS: usize = 50;

type Section = (String, Box<dyn Fn() -> String + Send + Sync>);
type Attachment = (String, usize, Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>);

/// Writes crash reports into a folder.
///
/// ```
/// use relay_forensics::{CrashOutcome, CrashReporter, PanicGuard};
///
/// # let folder = tempfile::tempdir()?;
/// let reporter = CrashReporter::new(folder.path())
///     .section("memory", || "slow details, only looked at now".to_owned());
/// let guard = PanicGuard::new(move |panicked| match reporter.panicked(panicked) {
///     CrashOutcome::Written(path) => eprintln!("{panicked}; see {}", path.display()),
///     CrashOutcome::Suppressed(count) => eprintln!("{panicked}; {count} without a report"),
///     CrashOutcome::Failed(error) => eprintln!("{panicked}; no report: {error}"),
/// });
/// let caught: Result<(), _> = guard.wrap_thread("worker", || panic!("out of ideas"))();
/// assert!(caught.is_err());
/// assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct CrashReporter {
    folder: PathBuf,
    interval: Duration,
    recorder: Option<Recorder>,
    sections: Vec<Section>,
    attachments: Vec<Arc<Attachment>>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    at: Option<Instant>,
    suppressed: u64,
    written: u64,
}

/// What became of a report.
#[derive(Debug)]
pub enum CrashOutcome {
    /// It is there.
    Written(PathBuf),
    /// One was written less than a minute ago; so many were held back since.
    Suppressed(u64),
    /// It could not be written.
    Failed(CrashReportError),
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrashReportError {
    /// The folder cannot be used.
    #[error("the folder of crash reports: {0}")]
    Place(#[from] PlaceError),
    /// The file cannot be written.
    #[error("the crash report: {0}")]
    Write(#[from] io::Error),
}

// === impl CrashReporter ===

impl CrashReporter {
    /// Writes into `folder`, which is made with mode 0700 when it is missing.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            interval: INTERVAL,
            recorder: None,
            sections: Vec::new(),
            attachments: Vec::new(),
            last: Mutex::default(),
        }
    }

    /// Another time between two reports than a minute.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Puts the end of this recording into each report, and notes in the recording how many reports
    /// were held back.
    #[must_use]
    pub fn recorder(mut self, recorder: Recorder) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Adds a part that is put together when a report is written, such as a detailed look at
    /// memory. Secrets are taken out of it, and at most 64 KiB are kept.
    #[must_use]
    pub fn section(
        mut self,
        title: &str,
        text: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.sections.push((title.to_owned(), Box::new(text)));
        self
    }

    /// Adds a file beside each report, of at most `bytes_max`, such as a profile of the CPU
    /// (feature `profile`) or the heap. Nothing is written when it is `None` or larger. It is made
    /// once the report is there, in a thread of its own: a profile takes seconds, and whoever reports
    /// has better things to do.
    #[must_use]
    pub fn attachment(
        mut self,
        ending: &str,
        bytes_max: usize,
        bytes: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let ending = place::sanitised(ending);
        self.attachments
            .push(Arc::new((ending, bytes_max, Box::new(bytes))));
        self
    }

    /// Reports a panic.
    pub fn panicked(&self, panicked: &Panicked) -> CrashOutcome {
        let backtrace = panicked.backtrace.as_ref().map(ToString::to_string);
        self.report(Instant::now(), &panicked.component, &panicked.to_string(), backtrace)
    }

    /// Reports anything else that is worth a report, such as memory in emergency.
    pub fn dump(&self, component: &str, reason: &str) -> CrashOutcome {
        self.report(Instant::now(), component, reason, None)
    }

    fn report(
        &self,
        now: Instant,
        component: &str,
        what: &str,
        backtrace: Option<String>,
    ) -> CrashOutcome {
        let (suppressed, number) = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let soon = |at: Instant| now.saturating_duration_since(at) < self.interval;
            if last.at.is_some_and(soon) {
                last.suppressed += 1;
                self.note_suppressed(last.suppressed);
                return CrashOutcome::Suppressed(last.suppressed);
            }
            last.at = Some(now);
            last.written += 1;
            (std::mem::take(&mut last.suppressed), last.written)
        };
        let text = self.text(component, what, backtrace, suppressed);
        let time = compact(clock::real_ns());
        let component = place::sanitised(component);
        let stem = format!("{component}-{time}-{}-{number}", std::process::id());
        self.write(&stem, &text).map_or_else(CrashOutcome::Failed, CrashOutcome::Written)
    }

    fn note_suppressed(&self, count: u64) {
        if let Some(recorder) = &self.recorder {
            let event = crate::Event::new(crate::EventKind::Suppressed);
            recorder.record(&event.values(&[count]).label("crash reports"));
        }
    }

    fn write(&self, stem: &str, text: &str) -> Result<PathBuf, CrashReportError> {
        let place = Place::open(&self.folder)?;
        let name = format!("{stem}{ENDING}");
        place.write(&name, text.as_bytes())?;
        prune(&place)?;
        if !self.attachments.is_empty() {
            let (folder, stem) = (self.folder.clone(), stem.to_owned());
            let attachments = self.attachments.clone();
            // Where there is no thread to be had there is no profile either.
            let _ = thread::Builder::new()
                .name("relay-attach".to_owned())
                .spawn(move || attach(&folder, &stem, &attachments));
        }
        Ok(place.path_of(name))
    }

    fn text(
        &self,
        component: &str,
        what: &str,
        backtrace: Option<String>,
        suppressed: u64,
    ) -> String {
        let mut text = String::new();
        let _ = self.put(&mut text, component, what, suppressed);
        let stack = || backtrace.unwrap_or_else(|| "not captured".into());
        part(&mut text, "backtrace", stack);
        part(&mut text, "threads", || identity::thread_names().join("\n"));
        for (title, section) in &self.sections {
            part(&mut text, title, section);
        }
        if let Some(recorder) = &self.recorder {
            part(&mut text, "recording", || {
                let recording = recorder.read();
                view::tail_text(&recording, TAIL_RECORDS)
            });
        }
        text
    }

    fn put(
        &self,
        text: &mut String,
        component: &str,
        what: &str,
        suppressed: u64,
    ) -> fmt::Result {
        let what = scrub::scrubbed(what, PART_BYTES_MAX);
        writeln!(text, "relay crash report\n\n{what}\n")?;
        writeln!(text, "time        {}", Utc(clock::real_ns()))?;
        writeln!(text, "component   {}", scrub::scrubbed(component, 256))?;
        let thread = thread::current();
        writeln!(text, "thread      {}", thread.name().unwrap_or("unnamed"))?;
        writeln!(text, "process     {}", std::process::id())?;
        if let Some(recorder) = &self.recorder {
            let header = &recorder.shared().header;
            writeln!(text, "build       {}", header.build)?;
            writeln!(text, "config      {:016x}", header.config_hash)?;
            if let Some(path) = recorder.path() {
                writeln!(text, "recording   {}", path.display())?;
            }
        }
        writeln!(text, "held back   {suppressed} reports since the last one")
    }
}

impl fmt::Debug for CrashReporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashReporter")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// A part that panics is a line that says so.
fn part(text: &mut String, title: &str, body: impl FnOnce() -> String) {
    let body = panic::catch_unwind(AssertUnwindSafe(body));
    let body = body.unwrap_or_else(|payload| {
        dispose(payload);
        "(it panicked)".into()
    });
    let _ = writeln!(text, "\n== {title}");
    let mut left = PART_BYTES_MAX;
    for line in body.lines() {
        let line = scrub::scrubbed(line, left.min(4096));
        left = left.saturating_sub(line.len() + 1);
        let _ = writeln!(text, "{line}");
        if left == 0 {
            let _ = writeln!(text, "(cut)");
            break;
        }
    }
}

/// Oldest first, with what lies beside them.
fn prune(place: &Place) -> io::Result<()> {
    let mut reports: Vec<(String, String)> = place
        .list(ENDING)?
        .into_iter()
        .filter_map(|(name, _)| {
            let name = name.into_string().ok()?;
            let stem = name.strip_suffix(ENDING)?.to_owned();
            // component-TIME-pid-number: sorted by time.
            let time = stem.rsplit('-').nth(2)?.to_owned();
            Some((time, stem))
        })
        .collect();
    reports.sort();
    let too_many = reports.len().saturating_sub(KEEP_COUNT);
    for (_, stem) in reports.iter().take(too_many) {
        for (name, _) in place.list("")? {
            let beside = name.to_str().is_some_and(|name| {
                name.strip_prefix(stem.as_str()).is_some_and(|rest| rest.starts_with('.'))
            });
            if beside {
                place.remove(&name)?;
            }
        }
    }
    Ok(())
}

/// Writes what belongs beside a report; nobody waits for it, so nobody is told when it fails.
fn attach(folder: &Path, stem: &str, attachments: &[Arc<Attachment>]) {
    for attachment in attachments {
        let (ending, bytes_max, bytes) = &**attachment;
        let bytes = panic::catch_unwind(AssertUnwindSafe(bytes)).unwrap_or_else(|payload| {
            dispose(payload);
            None
        });
        if let Some(bytes) = bytes.filter(|bytes| bytes.len() <= *bytes_max)
            && let Ok(place) = Place::open(folder)
        {
            let _ = place.write(&format!("{stem}.{ending}"), &bytes);
        }
    }
}

#[cfg(test)]
mod tests;
