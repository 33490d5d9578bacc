//! `relay blackbox`: what a dead process left, and why it died.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use relay_forensics::view::{self, Entry, Window};
use relay_forensics::{DEFAULT_FOLDER, FALLBACK_FOLDER, Here, ReadError, Recording};
use serde_json::json;

use crate::cli::{BlackboxArgs, BlackboxCommand, BlackboxFormat, BlackboxSource};
use crate::config::Environment;
use crate::exit;

/// Names the folder that a node of this environment records in.
const FOLDER_VARIABLE: &str = "RELAY_BLACKBOX__DIR";

/// How often a living recording is read again.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

/// Reads a recording and shows it: to `out` what it says, to `errors` why it cannot be read.
///
/// # Errors
///
/// When `out` or `errors` cannot be written.
pub fn execute(
    args: &BlackboxArgs,
    environment: &Environment,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let source = args.command.source();
    let live = matches!(args.command, BlackboxCommand::Follow { .. });
    let recording = match first(&places(source, environment), live) {
        Ok(recording) => recording,
        Err((path, error)) => {
            writeln!(errors, "error: {} {}", path.display(), told(&error))?;
            // A header that a crash of the machine damaged is an end that nobody can explain.
            let unknown = matches!(error, ReadError::Header) && args.command.is_why();
            return Ok(if unknown {
                exit::KILLED_OR_UNKNOWN
            } else {
                exit::FAILURE
            });
        }
    };
    let here = here(source);
    match &args.command {
        BlackboxCommand::Why { format, .. } => why(&recording, format, here, out, errors),
        BlackboxCommand::Show {
            format,
            tail,
            since,
            ..
        } => {
            let window = Window {
                tail: *tail,
                since: *since,
            };
            show(&recording, window, format, here, out, errors)
        }
        BlackboxCommand::Verify { json, .. } => verify(&recording, *json, out),
        BlackboxCommand::Follow { json, .. } => follow(recording, *json, out),
    }
}

/// Where to look: in what was named, else where a node would have recorded.
fn places(source: &BlackboxSource, environment: &Environment) -> Vec<PathBuf> {
    let named = source.path.clone();
    let named = named.or_else(|| environment.get(FOLDER_VARIABLE).map(PathBuf::from));
    match named {
        Some(path) => vec![path],
        None => [DEFAULT_FOLDER, FALLBACK_FOLDER].map(PathBuf::from).into(),
    }
}

/// The first that can be read; else why the first cannot.
fn first(places: &[PathBuf], live: bool) -> Result<Recording, (PathBuf, ReadError)> {
    let mut refused = None;
    for path in places {
        match read(path, live) {
            Ok(recording) => return Ok(recording),
            Err(error) => {
                refused.get_or_insert((path.clone(), error));
            }
        }
    }
    Err(refused.unwrap_or_else(|| (PathBuf::new(), ReadError::Header)))
}

fn read(path: &Path, live: bool) -> Result<Recording, ReadError> {
    if !path.is_dir() {
        Recording::open(path)
    } else if live {
        Recording::find_live(path)
    } else {
        Recording::find(path)
    }
}

fn told(error: &ReadError) -> String {
    match error {
        ReadError::Io(source) => format!("{error}: {source}"),
        error => error.to_string(),
    }
}

fn here(source: &BlackboxSource) -> Here {
    if source.elsewhere {
        Here::Elsewhere
    } else {
        Here::SameMachine
    }
}

fn why(
    recording: &Recording,
    format: &BlackboxFormat,
    here: Here,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let verdict = recording.verdict_at(here);
    if format.json {
        let answers = view::answers(recording, &verdict);
        let answers = answers
            .into_iter()
            .map(|one| (one.title.to_owned(), json!(one.lines)));
        let mut object = view::verdict_json(&verdict);
        object["answers"] = serde_json::Value::Object(answers.collect());
        writeln!(out, "{object}")?;
    } else if format.csv || format.html.is_some() {
        let code = show(recording, Window::default(), format, here, out, errors)?;
        if code != exit::SUCCESS {
            return Ok(code);
        }
    } else {
        write!(out, "{}", view::why(recording, here))?;
    }
    Ok(verdict.cause.exit_code())
}

fn show(
    recording: &Recording,
    window: Window,
    format: &BlackboxFormat,
    here: Here,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    if format.json {
        view::json(recording, window, here, out)?;
    } else if format.csv {
        view::csv(recording, window, out)?;
    } else if let Some(path) = &format.html {
        let page = view::html(recording, window, here);
        if path == Path::new("-") {
            write!(out, "{page}")?;
        } else if let Err(error) = write_page(path, &page) {
            writeln!(errors, "error: cannot write {}: {error}", path.display())?;
            return Ok(exit::FAILURE);
        }
    } else {
        write!(out, "{}", view::show(recording, window))?;
    }
    Ok(exit::SUCCESS)
}

fn write_page(path: &Path, page: &str) -> io::Result<()> {
    File::create(path)?.write_all(page.as_bytes())
}

fn verify(recording: &Recording, as_json: bool, out: &mut dyn Write) -> io::Result<u8> {
    let (text, whole) = view::verify(recording);
    if as_json {
        for census in recording.census() {
            writeln!(out, "{}", view::census_json(census))?;
        }
    } else {
        write!(out, "{text}")?;
    }
    Ok(if whole { exit::SUCCESS } else { exit::FAILURE })
}

/// Prints what is new until the process ends; a file that is gone ends it, too.
fn follow(first: Recording, as_json: bool, out: &mut dyn Write) -> io::Result<u8> {
    let started = first.header().started;
    let path = first.path().map(Path::to_owned);
    let mut seen = Seen::default();
    let mut recording = first;
    loop {
        for entry in view::timeline(&recording, Window::default()) {
            if seen.is_new(&entry) {
                if as_json {
                    writeln!(out, "{}", view::json_entry(&entry))?;
                } else {
                    writeln!(out, "{}", view::entry_line(&entry))?;
                }
            }
        }
        out.flush()?;
        let Some(path) = path.as_ref().filter(|_| recording.is_live()) else {
            return Ok(exit::SUCCESS);
        };
        thread::sleep(FOLLOW_PAUSE);
        recording = match Recording::open(path) {
            Ok(again) if again.header().started == started => again,
            _ => return Ok(exit::SUCCESS),
        };
    }
}

/// The highest numbers that were printed.
#[derive(Default)]
struct Seen {
    snapshot: u64,
    event: u64,
}

impl Seen {
    fn is_new(&mut self, entry: &Entry<'_>) -> bool {
        let (seen, seq) = match entry {
            // Coarse ones are copies with numbers of their own.
            Entry::Snapshot(snapshot) if snapshot.record.coarse => return false,
            Entry::Snapshot(snapshot) => (&mut self.snapshot, snapshot.record.seq),
            Entry::Event(event) => (&mut self.event, event.seq),
        };
        let new = seq > *seen;
        *seen = seq.max(*seen);
        new
    }
}
