//! SIGHUP: the configuration is read again, what can change while the node runs is taken over, and the rest is named.

use std::fmt::Write;
use std::mem;

use relay_engine::{Observer, Tuning};
use relay_event::{Code, Component, ErrorEvent, Severity};
use relay_sense::Detection;

use crate::config::{Config, Entry, InvalidConfig, Loaded, Sources};
use crate::log::LevelHandle;
use crate::units::ByteSize;
use crate::wiring;

/// What takes effect without a restart; `*` stands for the id of an emitter.
const LIVE: [&str; 18] = [
    "memory.soft_limit",
    "control.law",
    "control.interval",
    "control.idle_interval",
    "control.max_queue_delay",
    "control.ledger_share",
    "control.preset",
    "control.ladder.*",
    "control.aimd.*",
    "control.drain.*",
    "control.arbiter.*",
    "control.queue.*",
    "log.level",
    "shutdown.deadline",
    "emitters.*.queue_events",
    "emitters.*.queue_start",
    "emitters.*.queue_min",
    "emitters.*.queue_bytes",
];

/// Mistakes that are quoted in one report; `relay check` lists them all.
const QUOTED: usize = 3;

/// The configuration that is in force, and the parts it can still move.
#[derive(Debug)]
pub(super) struct Reloader {
    sources: Sources,
    config: Config,
    entries: Vec<Entry>,
    detection: Detection,
    level: LevelHandle,
    engine: Observer,
}

/// What a reload did, by path.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    taken: Vec<String>,
    waiting: Vec<String>,
}

// === impl Reloader ===

impl Reloader {
    pub(super) fn new(
        sources: Sources,
        loaded: Loaded,
        detection: Detection,
        level: LevelHandle,
        engine: Observer,
    ) -> Self {
        let (config, entries) = loaded.into_parts();
        Self {
            sources,
            config,
            entries,
            detection,
            level,
            engine,
        }
    }

    /// What is in force now.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Reads everything again. With a mistake anywhere nothing changes; either way one error event says what became
    /// of it.
    pub(super) fn reload(&mut self) {
        let event = |severity| ErrorEvent::new(Code::ConfigReload, severity, Component::Engine);
        let event = match self.sources.load() {
            Err(invalid) => event(Severity::Error)
                .with("mistakes", invalid.problems().len() as u64)
                .detail(mistakes(&invalid)),
            Ok(loaded) => match self.take_over(loaded) {
                Err(error) => event(Severity::Error).detail(format!("nothing changed: {error}")),
                Ok(changes) => event(Severity::Info)
                    .with("taken", changes.taken.len() as u64)
                    .with("waiting", changes.waiting.len() as u64)
                    .detail(changes.to_string()),
            },
        };
        self.engine.errors().publish(event);
    }

    fn take_over(&mut self, loaded: Loaded) -> Result<Changes, relay_control::InvalidConfig> {
        let (new, entries) = loaded.into_parts();
        let mut config = self.config.clone();
        adopt(&mut config, &new);
        let mut tuning = Tuning::default();
        tuning.control = wiring::control(&config.control, wiring::cpus(&self.detection));
        tuning.arbiter = wiring::arbiter(&config.control);
        tuning.interval = config.control.interval;
        tuning.idle_interval = config.control.idle_interval;
        tuning.soft_limit_bytes = wiring::soft_limit(&config, &self.detection);
        tuning.max_queue_delay = Some(config.control.max_queue_delay);
        self.engine.retune(&tuning)?;
        self.level.set(&config.log.level);
        for (id, emitter) in &config.emitters {
            let queue = &emitter.subscription;
            let bytes = queue.queue_bytes.fixed().map(ByteSize::bytes);
            if let Some(size) = wiring::queue_size(queue, &config.control) {
                self.engine.set_queue_size(id, size, bytes)?;
            } else {
                let bounds = (queue.queue_min, queue.queue_events);
                self.engine.set_queue_bounds(id, bounds, bytes);
            }
        }
        let mut changes = self.note(entries);
        if config != new && changes.waiting.is_empty() {
            changes.waiting.push("a secret".to_owned());
        }
        self.config = config;
        Ok(changes)
    }

    /// Compares the fields with those in force; what waits for a restart stays as it is, and is named again next time.
    fn note(&mut self, new: Vec<Entry>) -> Changes {
        let mut changes = Changes::default();
        let mut old = mem::take(&mut self.entries);
        for entry in new {
            match old.iter().position(|known| known.path == entry.path) {
                Some(at) => {
                    let known = old.swap_remove(at);
                    if known.value == entry.value {
                        self.entries.push(known);
                    } else if is_live(&entry.path) {
                        changes
                            .taken
                            .push(format!("{} = {}", entry.path, entry.value));
                        self.entries.push(entry);
                    } else {
                        changes.waiting.push(entry.path);
                        self.entries.push(known);
                    }
                }
                None => changes.waiting.push(entry.path),
            }
        }
        // What is no longer there, such as a removed emitter, still runs.
        changes
            .waiting
            .extend(old.iter().map(|gone| gone.path.clone()));
        self.entries.append(&mut old);
        changes
    }
}

/// Copies what can be changed while the node runs: the fields that [`LIVE`] lists.
fn adopt(running: &mut Config, new: &Config) {
    running.memory.soft_limit = new.memory.soft_limit;
    // The mode decides how the engine was built, the early-drop curve how its subscriptions were.
    let (mode, red) = (running.control.mode, running.control.red);
    running.control = new.control;
    running.control.mode = mode;
    running.control.red = red;
    running.log.level = new.log.level.clone();
    running.shutdown.deadline = new.shutdown.deadline;
    for (id, emitter) in &mut running.emitters {
        if let Some(new) = new.emitters.get(id) {
            emitter.subscription.queue_events = new.subscription.queue_events;
            emitter.subscription.queue_start = new.subscription.queue_start;
            emitter.subscription.queue_min = new.subscription.queue_min;
            emitter.subscription.queue_bytes = new.subscription.queue_bytes;
        }
    }
}

fn is_live(path: &str) -> bool {
    LIVE.iter().any(|pattern| matches(pattern, path))
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.split('.'), path.split('.'));
    pattern.clone().count() == path.clone().count()
        && pattern.zip(path).all(|(p, field)| p == "*" || p == field)
}

fn mistakes(invalid: &InvalidConfig) -> String {
    let problems = invalid.problems();
    let mut text = String::from("nothing changed");
    for problem in problems.iter().take(QUOTED) {
        let _ = write!(text, "; {problem}");
    }
    if problems.len() > QUOTED {
        let _ = write!(
            text,
            "; and {} more, see relay check",
            problems.len() - QUOTED
        );
    }
    text
}

// === impl Changes ===

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.taken.as_slice() {
            [] => f.write_str("nothing to take over")?,
            taken => write!(f, "taken over: {}", taken.join(", "))?,
        }
        match self.waiting.as_slice() {
            [] => Ok(()),
            waiting => write!(f, "; waits for a restart: {}", waiting.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OTHER;

    /// What is live besides control and subscriptions, and what follows from them.
    const MORE: [&str; 4] = [
        "memory.soft_limit=100MiB",
        "log.level=warn",
        "shutdown.deadline=9s",
        // The default of a batch follows the queue, so it is fixed for the comparison.
        "emitters.file.batch_events=512",
    ];

    fn config(set: &[&str]) -> Config {
        let sources = Sources {
            set: set.iter().map(|&one| one.to_owned()).collect(),
            ..Sources::default()
        };
        sources.load().unwrap().into_config()
    }

    /// What is listed is what is taken over, and the other way round.
    #[test]
    fn the_list_and_what_is_taken_over_agree() {
        let path = |set: &str| set.split_once('=').unwrap().0.to_owned();
        let live = OTHER.iter().copied().filter(|set| is_live(&path(set)));
        let other: Vec<_> = live.chain(MORE).collect();
        for pattern in LIVE {
            let is_set = other.iter().any(|set| matches(pattern, &path(set)));
            assert!(is_set, "{pattern} is not in this test");
        }
        let new = config(&other);
        let mut running = config(&[]);
        assert_ne!(running, new);
        adopt(&mut running, &new);
        assert_eq!(running, new);
        for waiting in [
            "control.mode=observe",
            "control.red.max_probability=20%",
            "memory.limit=1GiB",
            "admin.enabled=false",
            "emitters.file.keep=9",
            "psi.enabled=false",
        ] {
            assert!(!is_live(&path(waiting)), "{waiting}");
            let (mut running, new) = (config(&[]), config(&[waiting]));
            adopt(&mut running, &new);
            assert_ne!(running, new, "{waiting}");
        }
    }
}
