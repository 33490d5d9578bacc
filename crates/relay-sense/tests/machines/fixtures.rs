//! Machines kept as folders, each with what must be found in it.
//!
//! A folder `fixtures/NAME` holds the files of one machine and `expected.toml`. What is not named
//! there must not be found. Names that begin with a number are those of the table of layouts that a
//! detector must get right. Any of them can be looked at: `relay doctor --root FOLDER`.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use relay_sense::{Bound, CpuQuota, Detect, Detection, Environ, Root, Sample, Sampler};
use toml::{Table, Value};

/// The rows of the table that a folder can show.
const CASES: [u32; 44] = [
    1, 2, 3, 5, 6, 8, 9, 11, 15, 17, 18, 19, 20, 22, 24, 26, 27, 28, 30, 31, 33, 35, 37, 38, 39,
    40, 42, 43, 44, 46, 47, 48, 49, 51, 52, 53, 54, 55, 57, 58, 59, 61, 62, 65,
];

fn folders() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines/fixtures");
    let entries = fs::read_dir(dir).unwrap();
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}

/// What one folder must show, and what it shows instead.
struct Check {
    expected: Table,
    wrong: Vec<String>,
}

impl Check {
    fn new(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("expected.toml")).unwrap();
        Self {
            expected: text.parse().unwrap(),
            wrong: Vec::new(),
        }
    }

    /// Takes an expectation out, so that those nobody asked for can be found.
    fn take(&mut self, section: &str, key: &str) -> Option<Value> {
        self.expected.get_mut(section)?.as_table_mut()?.remove(key)
    }

    #[track_caller]
    fn same<T: PartialEq + Debug>(&mut self, what: &str, found: &T, expected: &T) {
        if found != expected {
            let wrong = format!("{what}: found {found:?}, expected {expected:?}");
            self.wrong.push(wrong);
        }
    }

    fn bytes(&mut self, section: &str, key: &str, found: Option<u64>) {
        let expected = self.take(section, key);
        let expected = expected.map(|value| u64::try_from(value.as_integer().unwrap()).unwrap());
        self.same(key, &found, &expected);
    }

    fn text(&mut self, section: &str, key: &str, found: Option<&dyn Display>) {
        let expected = self.take(section, key);
        let expected = expected.map(|value| value.as_str().unwrap().to_owned());
        let found = found.map(ToString::to_string);
        self.same(&format!("{section}.{key}"), &found, &expected);
    }

    /// A value for which nothing, unknown and zero differ.
    fn word_or_number(&mut self, section: &str, key: &str, found: &Value) {
        let expected = self.take(section, key).expect(key);
        self.same(key, found, &expected);
    }

    fn notes(&mut self, found: &[String]) {
        let expected = self.expected.remove("notes").unwrap();
        let expected: Vec<_> = expected.as_array().unwrap().clone();
        let mut left = found.to_vec();
        for part in expected.iter().map(|part| part.as_str().unwrap()) {
            match left.iter().position(|note| note.contains(part)) {
                Some(index) => drop(left.remove(index)),
                None => self.wrong.push(format!("no note {part:?} in {found:#?}")),
            }
        }
        self.same("further notes", &left, &Vec::new());
    }

    /// Complains about expectations that nothing looked at.
    fn finish(mut self) -> Vec<String> {
        self.expected.remove("shape").expect("a shape");
        for (name, value) in &self.expected {
            if value.as_table().is_none_or(|table| !table.is_empty()) {
                self.wrong.push(format!("not understood: {name} = {value}"));
            }
        }
        self.wrong
    }
}

fn shown<T: Display>(value: Option<&T>) -> Option<&dyn Display> {
    value.map(|value| value as &dyn Display)
}

fn check(folder: &Path) -> Vec<String> {
    let root = Root::at(folder);
    let environ = Environ::of(&root);
    let lookup = |name: &str| environ.get(name);
    let mut check = Check::new(folder);
    let mut detect = Detect::new(&root).environment(&lookup);
    if let Some(bytes) = check.expected.remove("configured_bytes") {
        detect = detect.configured(bytes.as_integer().unwrap().cast_unsigned());
    }
    let detection = detect.run().unwrap();
    check_memory(&mut check, &detection);
    check_usage(&mut check, &sample(&root, &detection));
    check_cpu(&mut check, &detection);
    let pressure = &detection.pressure;
    check.same("pressure", &pressure.available, &pressure.scope.is_some());
    check.text("pressure", "scope", shown(pressure.scope.as_ref()));
    check.notes(&detection.notes);
    check.finish()
}

fn sample(root: &Root, detection: &Detection) -> Sample {
    let mut sampler = Sampler::new(root).unwrap();
    if let Bound::Bytes(bytes) = detection.fixed_limit {
        sampler = sampler.with_configured(bytes).unwrap();
    }
    sampler.sample(Instant::now())
}

fn check_memory(check: &mut Check, detection: &Detection) {
    let memory = detection.memory.as_ref();
    let soft = detection.soft.as_ref();
    let path = memory.and_then(|memory| memory.path.as_ref());
    let name = memory.and_then(|memory| memory.name);
    check.bytes("memory", "limit_bytes", memory.map(|memory| memory.bytes));
    check.text(
        "memory",
        "source",
        shown(memory.map(|memory| &memory.source)),
    );
    check.text(
        "memory",
        "path",
        shown(path.map(|path| path.display()).as_ref()),
    );
    check.text("memory", "name", shown(name.as_ref()));
    let hidden = check.take("memory", "ancestors_hidden").unwrap();
    check.same(
        "ancestors_hidden",
        &Value::Boolean(detection.ancestors_hidden),
        &hidden,
    );
    check.bytes("memory", "soft_limit_bytes", soft.map(|soft| soft.bytes));
    check.text(
        "memory",
        "soft_source",
        shown(soft.map(|soft| &soft.source)),
    );
    let swap = match detection.swap {
        Bound::Bytes(bytes) => Value::Integer(bytes.cast_signed()),
        Bound::Unlimited => Value::String("none".to_owned()),
        Bound::Unknown => Value::String("unknown".to_owned()),
    };
    check.word_or_number("memory", "swap_limit", &swap);
}

fn check_usage(check: &mut Check, sample: &Sample) {
    check.bytes("memory", "headroom_bytes", sample.headroom_bytes);
    check.bytes("memory", "current_bytes", sample.current_bytes);
    check.bytes("memory", "working_set_bytes", sample.working_set_bytes);
    check.bytes("memory", "unreclaimable_bytes", sample.unreclaimable_bytes);
    check.bytes("memory", "oom_kills", sample.events.oom_kill);
}

fn check_cpu(check: &mut Check, detection: &Detection) {
    let cpu = &detection.cpu;
    let quota = match cpu.quota {
        CpuQuota::Cpus(cpus) => Value::Float(cpus),
        CpuQuota::Unlimited => Value::String("none".to_owned()),
        CpuQuota::Unknown => Value::String("unknown".to_owned()),
    };
    check.word_or_number("cpu", "quota", &quota);
    check.text("cpu", "source", shown(cpu.source.as_ref()));
    let path = cpu.path.as_ref().map(|path| path.display());
    check.text("cpu", "path", shown(path.as_ref()));
    let threads = cpu
        .known_worker_threads()
        .map(|threads| threads.get() as u64);
    check.bytes("cpu", "worker_threads", threads);
    if let Some(affinity) = check.take("cpu", "affinity_cpus") {
        let found = cpu
            .affinity_cpus
            .map(|cpus| cpus.get().cast_signed() as i64);
        check.same("affinity_cpus", &found, &affinity.as_integer());
    }
}

#[test]
fn every_machine_is_understood() {
    let folders = folders();
    let wrong = folders.iter().flat_map(|folder| {
        let wrong = check(folder).into_iter();
        wrong.map(|wrong| format!("{}: {wrong}", name(folder)))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_case_of_the_table_has_a_folder() {
    let folders = folders();
    let digits = |name: &str| {
        let end = name.find(|letter: char| !letter.is_ascii_digit());
        name[..end.unwrap_or(0)].parse::<u32>().ok()
    };
    let numbered: BTreeSet<u32> = folders.iter().filter_map(|at| digits(&name(at))).collect();
    let missing: Vec<_> = CASES
        .iter()
        .filter(|case| !numbered.contains(case))
        .collect();
    assert!(missing.is_empty(), "no folder for the cases {missing:?}");
    let own = folders.iter().filter(|at| digits(&name(at)).is_none());
    assert!(
        own.count() >= CASES.len(),
        "fewer of our own than of the table"
    );
}
