//! Records each panic of the process as it happens: the last word of one that ends it.

use std::{
    fmt::Write,
    panic::{self, PanicHookInfo},
    sync::{Arc, Weak},
    thread,
};

use crate::{
    event::{Event, EventKind, EventSeverity},
    header::RunState,
    panic_hook,
    recorder::{Recorder, Shared},
    text_line::Line,
};

/// Longest text that is looked at; more of it than an event keeps, because secrets are taken out.
const TEXT_BYTES: usize = 512;

impl Recorder {
    /// Records every panic of the process from now on, guarded or not, before the hook that is
    /// there now is called. Without an allocation of its own, so also when there is no memory left.
    ///
    /// A panic that ends the process is told from one that is caught: outside every guard on the
    /// main thread, or anywhere in a program built with `panic = "abort"`.
    pub fn watch_panics(&self) {
        let shared = Arc::downgrade(self.shared());
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note(&shared, info);
            previous(info);
        }));
    }
}

/// A panic in here would abort the process, so nothing that can fail is insisted on.
fn note(shared: &Weak<Shared>, info: &PanicHookInfo<'_>) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let guarded = panic_hook::is_guarded();
    let mut line = Line::<TEXT_BYTES>::new();
    let message = info.payload_as_str().unwrap_or("(no text)");
    let thread = thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let place = info.location();
    let (file, number) = place.map_or(("?", 0), |place| (place.file(), place.line()));
    // The place first: a long message must not push it out.
    let _ = write!(line, "thread {name} at {file}:{number}: {message}");
    let severity = if guarded {
        EventSeverity::Error
    } else {
        EventSeverity::Critical
    };
    let event = Event::new(EventKind::Panic).severity(severity);
    let values = [u64::from(guarded), u64::from(number)];
    shared.record(&event.values(&values).text(line.as_str()));
    let ends_the_process = cfg!(panic = "abort") || !guarded && name == "main";
    if ends_the_process {
        shared.enter(RunState::Panic, 0);
    }
}
