//! A black box that survives the kill and says why in one sentence, and a guard around panics.
//!
//! **The problem.** A kill for memory is SIGKILL: no hook runs, the log stops seconds before, and
//! what is left is "exit 137". And a panic in a task is often seen by nobody.
//!
//! **What this does.** A service records a *snapshot* of its own fields now and then, and *events*
//! as they happen, into a file that is mapped and locked in memory. The kernel keeps it whatever
//! becomes of the process: a panic, an abort, `kill -9`, the OOM killer. The next start finds it and
//! says how the run before ended; `relay blackbox why` says it to a person.
//!
//! ```text
//!  pulse ──────── snapshots ─┐   ┌─ header: who, which limits, which fields, state
//!  any thread ─┐             ├──▶│  rings: fine, coarse, events, names      (mapped, locked)
//!  panic hook ─┼─ events ────┘   └──────────────┬───────────────────────────────────────────
//!  signal ─────┘                                │  the process dies; the file stays
//!                       next start, viewer ◀────┘  Recording ─▶ Verdict ─▶ text, JSON, HTML
//! ```
//!
//! | part | for |
//! |---|---|
//! | [`Options`], [`Recorder`], [`SnapshotWriter`] | recording: no allocation, no waiting, no system call |
//! | [`Recording`], [`Verdict`] | reading what the dead left, and judging it |
//! | [`view`] | one paragraph, tables, JSON, CSV, a page that opens from a mail |
//! | [`PanicGuard`], [`CrashReporter`] | threads and futures whose panics are caught, counted, reported |
//! | `fatal_signal` | SIGSEGV and its like: recorded, then as before (feature `signals`) |
//! | [`TerminationPage`] | what `kubectl describe pod` shows of a container that was killed |
//! | `profile` | a bounded CPU profile (feature `profile`) |
//!
//! # Example
//!
//! A service with fields of its own, and none of the rest of Relay:
//!
//! ```
//! use relay_forensics::{Event, EventKind, Options, Schema, Unit};
//!
//! # let temporary = tempfile::tempdir()?;
//! # let folder = temporary.path();
//! let mut schema = Schema::new();
//! let orders = schema.field::<u64>("orders.open", Unit::Count)?;
//! let usage = schema.field::<u64>("memory.usage", Unit::Bytes)?;
//!
//! let mut opened = Options::new("shop").folder(folder).schema(schema).open();
//! opened.snapshots.record(|fields| {
//!     fields.set(orders, 17);
//!     fields.set(usage, 48 << 20);
//! });
//! opened.recorder.record(&Event::new(EventKind::Error).text("db: password=hunter2 refused"));
//! drop(opened); // As if it were killed here: nothing says that it ended.
//!
//! let next = Options::new("shop").folder(folder).open();
//! let previous = next.previous.expect("a recording was there");
//! assert_eq!(previous.reason(), "killed");
//! let recording = previous.recording.expect("it can be read");
//! assert_eq!(recording.snapshots().last().unwrap().number("orders.open"), Some(17.0));
//! assert_eq!(recording.events()[1].text, "db: password=[hidden] refused");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When not to use it
//!
//! It is no log: it forgets by design, and a text has 160 bytes. It is no core dump: what was not
//! recorded cannot be asked. And its bytes count against the limit of the process, about 1.6 %.

#[cfg(target_endian = "big")]
compile_error!("a recording is written as it lies in memory, little-endian");

/// A model of the slot protocol needs nothing else, and loom's atomics cannot be mapped.
macro_rules! not_in_a_model {
    ($($item:item)*) => { $( #[cfg(not(relay_loom))] $item )* };
}

mod slot;
mod sync;

not_in_a_model! {
    pub mod cadence;
    mod clock;
    mod crash_report;
    mod event;
    #[cfg(all(feature = "signals", target_os = "linux", not(relay_portable)))]
    pub mod fatal_signal;
    mod header;
    mod identity;
    pub mod layout;
    mod options;
    pub mod panic_guard;
    mod panic_hook;
    mod panic_watch;
    mod persist;
    mod place;
    mod previous;
    #[cfg(feature = "profile")]
    pub mod profile;
    mod reader;
    mod recorder;
    mod region;
    pub mod schema;
    mod scrub;
    mod shape;
    mod snapshot;
    pub mod standard;
    mod sys;
    pub mod termination_page;
    mod text_line;
    mod time;
    mod unwinder;
    mod verdict;
    pub mod view;

    pub use crate::{
        clock::ClockTriple,
        crash_report::{CrashOutcome, CrashReportError, CrashReporter},
        event::{
            EVENT_TEXT_BYTES, EVENT_VALUES, Event, EventKind, EventRecord, EventSeverity,
        },
        header::{Aftermath, Header, Limits, RunState},
        identity::Identity,
        options::{DEFAULT_FOLDER, FALLBACK_FOLDER, Opened, Options, Warning},
        panic_guard::{Guarded, PanicGuard, Panicked},
        panic_hook::PanicLocation,
        place::PlaceError,
        previous::{KEEP_BYTES, KEEP_COUNT, PreviousRun},
        reader::{
            Census, FILE_BYTES_READ_MAX, FieldValue, ReadError, Recording, SnapshotRecord,
            SnapshotView, State,
        },
        recorder::Recorder,
        schema::{Array, Field, FieldInfo, NO_LIMIT, Name, Schema, SchemaError, Type, Unit},
        scrub::{HIDDEN, scrub, scrubbed},
        shape::Shape,
        snapshot::{Snapshot, SnapshotWriter},
        termination_page::TerminationPage,
        verdict::{Cause, Confidence, Here, Verdict},
    };
}
