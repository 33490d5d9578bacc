//! The facts of `relay doctor`, for a person and for a program.

use std::fmt::Write;
use std::path::Path;

use relay_sense::{CpuQuota, CpuSource, Detection, Sample, Scope};
use serde_json::{Map, Value, json};

use crate::units::ByteSize;

/// Everything sensed at one moment.
pub(super) struct Diagnosis {
    sections: Vec<(&'static str, Vec<Fact>)>,
    notes: Vec<String>,
}

/// One fact. A value of null is unknown.
struct Fact {
    name: &'static str,
    value: Value,
    shown: String,
}

impl Diagnosis {
    pub(super) fn new(detection: &Detection, sample: &Sample) -> Self {
        Self {
            sections: vec![
                ("limit", limit(detection)),
                ("usage", usage(sample)),
                ("cpu", cpu(detection)),
            ],
            notes: detection.notes.clone(),
        }
    }

    /// One fact a line; then everything that is not available, with the reason.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, facts) in &self.sections {
            for fact in facts {
                let _ = writeln!(text, "{name:<6} {:<20} {}", fact.name, fact.shown);
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "note   {note}");
        }
        text
    }

    /// `{"limit": {…}, "usage": {…}, "cpu": {…}, "notes": […]}`
    pub(super) fn json(&self) -> Value {
        let mut object = Map::new();
        for (name, facts) in &self.sections {
            let members = facts
                .iter()
                .map(|fact| (fact.name.to_owned(), fact.value.clone()));
            object.insert((*name).to_owned(), members.collect::<Map<_, _>>().into());
        }
        object.insert("notes".to_owned(), json!(self.notes));
        object.into()
    }
}

fn limit(detection: &Detection) -> Vec<Fact> {
    let memory = detection.memory.as_ref();
    let source = memory.map(|memory| memory.source.to_string());
    vec![
        Fact::bytes("hard_bytes", memory.map(|memory| memory.bytes)),
        Fact::text("source", source.as_deref()),
        Fact::path("path", memory.and_then(|memory| memory.path.as_deref())),
        Fact::optional_bytes("soft_bytes", memory.and_then(|memory| memory.soft_bytes)),
        Fact::flag(
            "ancestors_hidden",
            memory.map(|memory| memory.ancestors_hidden),
            "yes: a parent that cannot be seen may have a smaller limit; set memory.limit if so",
        ),
    ]
}

fn usage(sample: &Sample) -> Vec<Fact> {
    let scope = match sample.scope {
        Scope::Group => "the control group",
        Scope::Process => "this process only: no control group counts it",
        _ => "another scope",
    };
    vec![
        Fact::text("scope", Some(scope)),
        Fact::bytes("current_bytes", sample.current_bytes),
        Fact::bytes("working_set_bytes", sample.working_set_bytes),
        Fact::bytes("unreclaimable_bytes", sample.unreclaimable_bytes),
        Fact::bytes("resident_bytes", sample.resident_bytes),
        Fact::bytes("headroom_bytes", sample.headroom_bytes),
        Fact::number("oom_kills", sample.oom_kills),
    ]
}

fn cpu(detection: &Detection) -> Vec<Fact> {
    let cpu = &detection.cpu;
    let quota = match cpu.quota {
        CpuQuota::Cpus(cpus) => Fact {
            name: "quota_cpus",
            value: json!(cpus),
            shown: format!("{cpus:.2}"),
        },
        CpuQuota::Unlimited => Fact {
            name: "quota_cpus",
            value: json!("unlimited"),
            shown: "unlimited".to_owned(),
        },
        CpuQuota::Unknown => Fact::text("quota_cpus", None),
    };
    let source = cpu.source.map(|source| match source {
        CpuSource::CgroupV1 => "cgroup-v1",
        CpuSource::CgroupV2 => "cgroup-v2",
        _ => "other",
    });
    let affinity = cpu.affinity_cpus.map(|cpus| cpus.get() as u64);
    vec![
        quota,
        Fact::optional("quota_source", source),
        Fact::path("quota_path", cpu.path.as_deref()),
        Fact::number("affinity_cpus", affinity),
        Fact::number("worker_threads", Some(cpu.worker_threads().get() as u64)),
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
