//! The black box of an engine: what it records, where that lies, and how the run before ended.
//!
//! The pulse writes the snapshots ([`tape`]). What happens is recorded where it is reported, on the very thread that
//! publishes the error event ([`journal`]): a transition is in the file before anybody else hears of it, so it survives
//! also when the process is killed a millisecond later. What takes long (descriptors, threads, the allocator's own
//! figures) is read by the reclaimer ([`vitals`]), and crash reports are written by whoever panicked or by the reclaimer
//! ([`crash`]).

mod crash;
mod journal;
mod lag;
mod line;
mod moment;
mod page;
mod tape;
mod vitals;

pub(crate) use crash::{CrashReports, Panics};
pub(crate) use journal::Journal;
pub(crate) use lag::Lag;
pub(crate) use moment::{Moment, Queues};
pub(crate) use page::Page;
pub(crate) use tape::Tape;
pub(crate) use vitals::Vitals;

use relay_event::{Code, Component, ErrorBus, ErrorEvent, Severity};
use relay_forensics::cadence::Cadence;
use relay_forensics::{
    Cause, DEFAULT_FOLDER, FALLBACK_FOLDER, Limits, Options, PreviousRun, Recorder, Schema,
    SchemaError, standard::Standard,
};
use relay_sense::{Detection, LimitSource};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How the black box of an engine is made. The default records into memory; [`in_folder`](Self::in_folder) and
/// [`in_default_folders`](Self::in_default_folders) record into a file that survives a kill.
///
/// ```
/// use relay_engine::{BlackboxConfig, CrashFolder};
/// use std::time::Duration;
///
/// let mut blackbox = BlackboxConfig::in_folder("shop", "/var/lib/shop/fdr");
/// blackbox.sync = Duration::ZERO;
/// blackbox.crash_reports = CrashFolder::Beside;
/// let engine = relay_engine::Engine::builder().with_blackbox(blackbox);
/// # let _ = engine;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BlackboxConfig {
    /// Whether anything is recorded at all.
    pub enabled: bool,
    /// The name that tells processes on one machine apart; the file is `relay-<instance>.fdr`.
    pub instance: String,
    /// The first of these folders that can be used; none at all records into memory.
    pub folders: Vec<PathBuf>,
    /// About how many bytes it has; `None` is a 64th of the memory limit. At most 3 % of that, and 8 MiB.
    pub size_bytes: Option<u64>,
    /// How often a snapshot is taken, by danger.
    pub cadence: Cadence,
    /// How often the file is written to the disk, for power loss; zero for never.
    pub sync: Duration,
    /// A page of text about how things stand, for whoever asks why the container ended.
    pub termination_page: Option<PathBuf>,
    /// Where crash reports go.
    pub crash_reports: CrashFolder,
    /// For how long the CPU is profiled after each crash report, into a file beside it that pprof reads; zero for never.
    /// Without the feature `profile` there is none, and a warning at the start.
    pub cpu_profile: Duration,
    /// Version and revision of the program.
    pub build: String,
    /// A hash of the configuration, so that two runs can be told apart.
    pub config_hash: u64,
}

/// Where crash reports go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CrashFolder {
    /// None are written.
    #[default]
    None,
    /// Into the folder `crash` beside the recording; none are written while that is in memory.
    Beside,
    /// Into this folder.
    At(PathBuf),
}

/// The parts of an open black box that are shared.
#[derive(Debug)]
pub(crate) struct Blackbox {
    pub(crate) recorder: Recorder,
    pub(crate) journal: Arc<Journal>,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) page: Option<Arc<Page>>,
    pub(crate) crash: CrashReports,
    /// Without its records, which would be as long again as the recording.
    pub(crate) previous: Option<PreviousRun>,
    enabled: bool,
}

/// What there is to tell at the start, once somebody listens.
#[derive(Debug)]
pub(crate) struct News {
    warnings: Vec<String>,
    previous: Option<PreviousRun>,
}

// === impl BlackboxConfig ===

impl Default for BlackboxConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            instance: "engine".into(),
            folders: Vec::new(),
            size_bytes: None,
            cadence: Cadence::default(),
            sync: Duration::from_secs(1),
            termination_page: None,
            crash_reports: CrashFolder::None,
            cpu_profile: Duration::ZERO,
            build: String::new(),
            config_hash: 0,
        }
    }
}

impl BlackboxConfig {
    /// A file in this folder, which is made when it is missing.
    pub fn in_folder(instance: &str, folder: impl Into<PathBuf>) -> Self {
        Self {
            instance: instance.into(),
            folders: vec![folder.into()],
            ..Self::default()
        }
    }

    /// A file in [`DEFAULT_FOLDER`], or failing that in [`FALLBACK_FOLDER`].
    pub fn in_default_folders(instance: &str) -> Self {
        Self {
            instance: instance.into(),
            folders: vec![DEFAULT_FOLDER.into(), FALLBACK_FOLDER.into()],
            ..Self::default()
        }
    }

    /// Nothing is recorded: for comparison of what recording costs.
    pub fn off() -> Self {
        Self {
            enabled: false,
            ..Self::default()
        }
    }

    /// Opens it; what cannot be had is a warning to be told, and the recording goes into memory.
    ///
    /// # Errors
    ///
    /// When the fields do not fit into a snapshot.
    pub(crate) fn open(
        &self,
        detection: &Detection,
        oom_kills: Option<u64>,
    ) -> Result<(Blackbox, Tape, News), SchemaError> {
        let mut schema = Schema::new();
        let fields = Standard::declare(&mut schema)?;
        let options = Options::new(&self.instance)
            .schema(schema)
            .sync(self.sync)
            .build(&self.build)
            .config_hash(self.config_hash)
            .limits(limits(detection, oom_kills));
        let options = match (self.enabled, self.size_bytes) {
            // There is no smaller one.
            (false, _) => options.folders([]).size_bytes(0),
            (true, None) => options.folders(self.folders.clone()),
            (true, Some(bytes)) => options.folders(self.folders.clone()).size_bytes(bytes),
        };
        let opened = options.open();
        let is_meant = self.folders.is_empty() || !self.enabled;
        let mut warnings: Vec<String> = if is_meant {
            Vec::new()
        } else {
            opened.warnings.iter().map(ToString::to_string).collect()
        };
        if !self.cpu_profile.is_zero() && !cfg!(feature = "profile") {
            warnings.push("no CPU profiles: built without the feature `profile`".to_owned());
        }
        let page = self.termination_page.as_ref().filter(|_| self.enabled);
        let page = page.and_then(|path| match Page::open(path) {
            Ok(page) => Some(Arc::new(page)),
            Err(error) => {
                warnings.push(format!(
                    "no termination page at {}: {error}",
                    path.display()
                ));
                None
            }
        });
        let previous = opened.previous.map(|mut previous| {
            previous.recording = None;
            previous
        });
        let recorder = opened.recorder;
        let vitals = Arc::<Vitals>::default();
        let journal = Arc::new(Journal::new(recorder.clone()));
        let tape = Tape::new(
            self.enabled.then_some(self.cadence),
            (opened.snapshots, fields),
            Arc::clone(&journal),
            Arc::clone(&vitals),
            page.clone(),
        );
        let blackbox = Blackbox {
            crash: CrashReports::new(self.crash_folder(&recorder), &recorder, self.cpu_profile),
            recorder,
            journal,
            vitals,
            page,
            previous: previous.clone(),
            enabled: self.enabled,
        };
        Ok((blackbox, tape, News { warnings, previous }))
    }

    fn crash_folder(&self, recorder: &Recorder) -> Option<PathBuf> {
        let folder = match &self.crash_reports {
            CrashFolder::None => None,
            CrashFolder::Beside => recorder.path()?.parent().map(|beside| beside.join("crash")),
            CrashFolder::At(folder) => Some(folder.clone()),
        };
        folder.filter(|_| self.enabled)
    }
}

// === impl Blackbox ===

impl Blackbox {
    /// Records what is published on `errors` from now on.
    pub(crate) fn tap(&self, errors: &ErrorBus) {
        if !self.enabled {
            return;
        }
        // Weak: a bus that outlives its engine must not keep the file locked.
        let journal = Arc::downgrade(&self.journal);
        errors.tap(move |event: &ErrorEvent| {
            if let Some(journal) = journal.upgrade() {
                journal.see(event);
            }
        });
    }

    /// The process takes nothing new and has so long for what it has.
    pub(crate) fn drain_started(&self, grace: Duration) {
        self.recorder.drain_started(Some(grace));
    }

    /// The process ends as intended, unless a panic ends it just now.
    pub(crate) fn finish(&self) {
        if std::thread::panicking() {
            return;
        }
        if let Err(error) = self.recorder.finish() {
            tracing::warn!(target: "relay::blackbox", "the end is not on the disk: {error}");
        }
        if let Some(page) = &self.page {
            page.finish();
        }
    }
}

// === impl News ===

impl News {
    pub(crate) fn tell(self, errors: &ErrorBus) {
        for warning in self.warnings {
            let event = ErrorEvent::new(Code::BlackboxFail, Severity::Warning, Component::Engine);
            errors.publish(event.detail(warning));
        }
        let Some(previous) = self.previous else {
            return;
        };
        if previous.verdict.cause == Cause::Clean {
            tracing::info!(target: "relay::blackbox", "{previous}");
            return;
        }
        // A line each: a log escapes what would break one.
        for line in previous.to_string().lines() {
            tracing::warn!(target: "relay::blackbox", "{line}");
        }
        let event = ErrorEvent::new(Code::PreviousExit, Severity::Error, Component::Engine);
        let event = event.with("reason", previous.reason());
        errors.publish(match &previous.path {
            Some(path) => event.detail(format!("see relay blackbox why {}", path.display())),
            None => event,
        });
    }
}

/// The limits that the header names.
fn limits(detection: &Detection, oom_kills: Option<u64>) -> Limits {
    let memory = detection.memory.as_ref();
    let source = memory.map(|memory| match &memory.path {
        Some(path) => path.display().to_string(),
        None => memory.source.to_string(),
    });
    Limits {
        limit_bytes: memory.map(|memory| memory.bytes),
        high_bytes: detection.soft.as_ref().map(|soft| soft.bytes),
        source: source.unwrap_or_default(),
        cgroup_version: memory.map_or(0, |memory| version(memory.source)),
        oom_kills,
    }
}

fn version(source: LimitSource) -> u32 {
    match source {
        LimitSource::CgroupV1 => 1,
        LimitSource::CgroupV2 => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
