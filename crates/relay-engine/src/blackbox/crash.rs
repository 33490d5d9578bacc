//! Crash reports: of panics that a guard caught, and of memory that became critical.

use crate::health::HealthRegistry;
use relay_event::{Code, Component, ErrorBus, ErrorEvent, Severity};
use relay_forensics::{CrashOutcome, CrashReporter, PanicGuard, Panicked, Recorder};
use relay_sense::{Root, process};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Writes reports once it knows what belongs into them; without a folder it writes none.
#[derive(Debug, Clone)]
pub(crate) struct CrashReports(Option<Arc<Place>>);

#[derive(Debug)]
struct Place {
    folder: PathBuf,
    recorder: Recorder,
    reporter: OnceLock<CrashReporter>,
    /// Zero for none.
    cpu_profile: Duration,
}

/// What a panic is told to.
pub(crate) struct Panics {
    pub(crate) errors: ErrorBus,
    pub(crate) reports: CrashReports,
}

// === impl CrashReports ===

impl CrashReports {
    pub(super) fn new(folder: Option<PathBuf>, recorder: &Recorder, cpu_profile: Duration) -> Self {
        Self(folder.map(|folder| {
            Arc::new(Place {
                folder,
                recorder: recorder.clone(),
                reporter: OnceLock::new(),
                cpu_profile,
            })
        }))
    }

    /// What a report contains beside the panic, its stack, the threads and the end of the recording.
    pub(crate) fn describe(&self, root: &Root, health: &HealthRegistry) {
        let Some(place) = &self.0 else {
            return;
        };
        let (root, health) = (root.clone(), health.clone());
        let reporter = CrashReporter::new(&place.folder)
            .recorder(place.recorder.clone())
            .section("components", move || {
                let mut text = String::new();
                for (component, health) in health.all() {
                    let _ = writeln!(text, "{component}: {health}");
                }
                text
            })
            .section("memory in detail", move || process::detail(&root));
        let reporter = with_heap_profile(with_cpu_profile(reporter, place.cpu_profile));
        // Once for each engine.
        let _ = place.reporter.set(reporter);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Writes a report about something that is no panic, at most one a minute.
    pub(crate) fn dump(&self, component: &str, reason: &str, errors: &ErrorBus) {
        self.write(errors, |reporter| reporter.dump(component, reason));
    }

    fn panicked(&self, panicked: &Panicked, errors: &ErrorBus) {
        self.write(errors, |reporter| reporter.panicked(panicked));
    }

    /// A report that fails is told, and that is all.
    fn write(&self, errors: &ErrorBus, report: impl FnOnce(&CrashReporter) -> CrashOutcome) {
        let Some(reporter) = self.0.as_ref().and_then(|place| place.reporter.get()) else {
            return;
        };
        match report(reporter) {
            CrashOutcome::Written(path) => {
                tracing::info!(target: "relay::blackbox", "crash report: {}", path.display());
            }
            CrashOutcome::Suppressed(_) => {}
            CrashOutcome::Failed(error) => {
                let event = ErrorEvent::new(Code::BlackboxFail, Severity::Error, Component::Engine);
                errors.publish(event.detail(format!("no crash report: {}", crate::chain(&error))));
            }
        }
    }
}

// === impl Panics ===

impl Panics {
    /// Reports each panic of a guarded task or thread as one error event, then in a file.
    pub(crate) fn guard(self) -> PanicGuard {
        PanicGuard::new(move |panicked: &Panicked| {
            let component = panicked.component.parse().unwrap_or(Component::Engine);
            let event = ErrorEvent::new(Code::Panic, Severity::Critical, component);
            let event = event.recoverable(false).detail(panicked.to_string());
            self.errors.publish(event);
            self.reports.panicked(panicked, &self.errors);
        })
    }
}

/// With a CPU profile of so long beside each report; without one when it is zero.
#[cfg(feature = "profile")]
fn with_cpu_profile(reporter: CrashReporter, duration: Duration) -> CrashReporter {
    if duration.is_zero() {
        return reporter;
    }
    let profile = relay_forensics::profile::CpuProfile {
        duration,
        ..Default::default()
    };
    reporter.attachment("cpu.pb", profile.max_bytes, move || {
        profile
            .take()
            .inspect_err(|error| tracing::warn!("no CPU profile: {error}"))
            .ok()
    })
}

#[cfg(not(feature = "profile"))]
fn with_cpu_profile(reporter: CrashReporter, _: Duration) -> CrashReporter {
    reporter
}

/// The largest profile of the heap that is kept; one with a thousand stacks has some hundred KiB.
#[cfg(feature = "heap-profile")]
const HEAP_PROFILE_BYTES_MAX: usize = 8 << 20;

/// With a profile of the heap beside each report, where jemalloc was told to take stacks.
#[cfg(feature = "heap-profile")]
fn with_heap_profile(reporter: CrashReporter) -> CrashReporter {
    use relay_sense::alloc::Jemalloc;

    if !Jemalloc::is_profiling() {
        return reporter;
    }
    reporter.attachment("heap", HEAP_PROFILE_BYTES_MAX, || {
        Jemalloc::heap_profile(HEAP_PROFILE_BYTES_MAX)
            .inspect_err(|error| tracing::warn!("no heap profile: {error}"))
            .ok()
    })
}

#[cfg(not(feature = "heap-profile"))]
fn with_heap_profile(reporter: CrashReporter) -> CrashReporter {
    reporter
}
