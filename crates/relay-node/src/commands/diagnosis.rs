//! The facts of `relay doctor`, for a person and for a program.

mod resting_place;

use std::fmt::Write;
use std::path::Path;

use relay_sense::{Availability, Bound, CpuQuota, Detection, Sample, Scope};
use serde_json::{Map, Value, json};

use crate::config::Blackbox;
use crate::units::ByteSize;

/// Everything sensed at one moment.
pub(super) struct Diagnosis {
    memory: Vec<Fact>,
    cpu: Vec<Fact>,
    pressure: Vec<Fact>,
    blackbox: Vec<Fact>,
    notes: Vec<String>,
}

/// One fact. A value of null is unknown, or not there; `shown` says which.
struct Fact {
    name: &'static str,
    value: Value,
    shown: String,
}

impl Diagnosis {
    pub(super) fn new(detection: &Detection, sample: &Sample, config: &Blackbox) -> Self {
        let mut memory = limit(detection);
        memory.extend(usage(sample));
        Self {
            memory,
            cpu: cpu(detection),
            pressure: pressure(&detection.pressure),
            blackbox: blackbox(config),
            notes: detection.notes.clone(),
        }
    }

    /// One fact a line; then everything that is not available, with the reason.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let sections = [
            ("memory", &self.memory),
            ("cpu", &self.cpu),
            ("pressure", &self.pressure),
            ("blackbox", &self.blackbox),
        ];
        for (section, facts) in sections {
            for fact in facts {
                let _ = writeln!(text, "{section:<8} {:<20} {}", fact.name, fact.shown);
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "note     {note}");
        }
        text
    }

    /// The format described in `docs/doctor.md`.
    pub(super) fn json(&self) -> Value {
        json!({
            "memory": object(&self.memory),
            "cpu": object(&self.cpu),
            "pressure": { "memory": object(&self.pressure) },
            "blackbox": object(&self.blackbox),
            "notes": self.notes,
        })
    }
}

fn object(facts: &[Fact]) -> Map<String, Value> {
    facts
        .iter()
        .map(|fact| (fact.name.to_owned(), fact.value.clone()))
        .collect()
}

fn limit(detection: &Detection) -> Vec<Fact> {
    let memory = detection.memory.as_ref();
    let soft = detection.soft.as_ref();
    let source = memory.map(|memory| memory.source.to_string());
    let soft_source = soft.map(|soft| soft.source.to_string());
    let (swap_bytes, swap_limit) = match detection.swap {
        Bound::Bytes(bytes) => (Some(bytes), "limited"),
        Bound::Unlimited => (None, Fact::NONE),
        Bound::Unknown => (None, Fact::UNKNOWN),
    };
    vec![
        Fact::bytes("limit_bytes", memory.map(|memory| memory.bytes)),
        Fact::text("source", source.as_deref()),
        Fact::path("path", memory.and_then(|memory| memory.path.as_deref())),
        Fact::optional("source_name", memory.and_then(|memory| memory.name)),
        Fact::flag(
            "low_confidence",
            memory.map(relay_sense::MemoryLimit::is_low_confidence),
            "yes: nothing but the machine's memory limits; set memory.limit if it is shared",
        ),
        Fact::optional_bytes("soft_limit_bytes", soft.map(|soft| soft.bytes)),
        Fact::optional("soft_source", soft_source.as_deref()),
        Fact::flag(
            "ancestors_hidden",
            Some(detection.ancestors_hidden),
            "yes: a parent that cannot be seen may have a smaller limit; set memory.limit if so",
        ),
        Fact::sized("swap_limit_bytes", swap_bytes, swap_limit),
        Fact::text("swap_limit", Some(swap_limit)),
    ]
}

fn usage(sample: &Sample) -> Vec<Fact> {
    let (scope, shown) = match sample.scope {
        Scope::Group => ("cgroup", "the control group"),
        Scope::Process => ("process", "this process only: no control group counts it"),
        _ => ("other", "another scope"),
    };
    vec![
        Fact {
            name: "scope",
            value: json!(scope),
            shown: shown.to_owned(),
        },
        Fact::bytes("headroom_bytes", sample.headroom_bytes),
        Fact::bytes("current_bytes", sample.current_bytes),
        Fact::bytes("working_set_bytes", sample.working_set_bytes),
        Fact::bytes("unreclaimable_bytes", sample.unreclaimable_bytes),
        Fact::bytes("resident_bytes", sample.resident_bytes),
        Fact::number("oom_kills", sample.events.oom_kill),
    ]
}

fn cpu(detection: &Detection) -> Vec<Fact> {
    let cpu = &detection.cpu;
    let (quota, state) = match cpu.quota {
        CpuQuota::Cpus(cpus) => (Some(cpus), "limited"),
        CpuQuota::Unlimited => (None, Fact::NONE),
        CpuQuota::Unknown => (None, Fact::UNKNOWN),
    };
    let affinity = cpu.affinity_cpus.map(|cpus| cpus.get() as u64);
    let source = cpu.source.map(|source| source.to_string());
    let source = source.or_else(|| affinity.map(|_| "affinity".to_owned()));
    let threads = cpu
        .known_worker_threads()
        .map(|threads| threads.get() as u64);
    let throttling = cpu.throttling.as_ref().map(|file| file.path.as_path());
    vec![
        Fact {
            name: "quota",
            value: json!(quota),
            shown: quota.map_or_else(|| state.to_owned(), |cpus| format!("{cpus:.2}")),
        },
        Fact::text("quota_state", Some(state)),
        Fact::text("source", source.as_deref()),
        Fact::path("path", cpu.path.as_deref()),
        Fact::number("worker_threads", threads),
        Fact::number("affinity_cpus", affinity),
        Fact::number("cpuset_cpus", cpu.cpuset_cpus.map(|cpus| cpus.get() as u64)),
        Fact::path("throttling_path", throttling),
    ]
}

fn pressure(probe: &Availability) -> Vec<Fact> {
    let scope = probe.scope.map(|scope| scope.to_string());
    vec![
        Fact::flag("available", Some(probe.available), "yes"),
        Fact::optional("scope", scope.as_deref()),
        Fact::path("path", probe.path.as_deref()),
        Fact::optional("reason", probe.reason.as_deref()),
    ]
}

/// Of this process, also when the machine is a folder.
fn blackbox(config: &Blackbox) -> Vec<Fact> {
    let (folder, shown) = resting_place::find(config);
    let folder = folder.map(|folder| folder.display().to_string());
    vec![
        Fact::flag("enabled", Some(config.enabled), "yes"),
        Fact {
            name: "folder",
            value: json!(folder),
            shown,
        },
    ]
}

impl Fact {
    const UNKNOWN: &'static str = "unknown";
    const NONE: &'static str = "none";

    fn bytes(name: &'static str, bytes: Option<u64>) -> Self {
        Self::sized(name, bytes, Self::UNKNOWN)
    }

    fn optional_bytes(name: &'static str, bytes: Option<u64>) -> Self {
        Self::sized(name, bytes, Self::NONE)
    }

    fn sized(name: &'static str, bytes: Option<u64>, absent: &str) -> Self {
        let shown =
            bytes.map(|bytes| format!("{bytes} ({})", ByteSize::from_bytes(bytes).rounded()));
        Self {
            name,
            value: json!(bytes),
            shown: shown.unwrap_or_else(|| absent.to_owned()),
        }
    }

    fn number(name: &'static str, number: Option<u64>) -> Self {
        let shown = number.map_or_else(|| Self::UNKNOWN.to_owned(), |number| number.to_string());
        Self {
            name,
            value: json!(number),
            shown,
        }
    }

    fn text(name: &'static str, text: Option<&str>) -> Self {
        let shown = text.unwrap_or(Self::UNKNOWN).to_owned();
        Self {
            name,
            value: json!(text),
            shown,
        }
    }

    fn optional(name: &'static str, text: Option<&str>) -> Self {
        let shown = text.unwrap_or(Self::NONE).to_owned();
        Self {
            name,
            value: json!(text),
            shown,
        }
    }

    fn path(name: &'static str, path: Option<&Path>) -> Self {
        Self::optional(name, path.map(|path| path.to_string_lossy()).as_deref())
    }

    fn flag(name: &'static str, flag: Option<bool>, when_set: &str) -> Self {
        let shown = match flag {
            Some(true) => when_set,
            Some(false) => "no",
            None => Self::UNKNOWN,
        };
        Self {
            name,
            value: json!(flag),
            shown: shown.to_owned(),
        }
    }
}
