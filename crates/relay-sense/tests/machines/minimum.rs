//! The effective limit is the smallest of all that are real, whatever the combination.

use crate::machine::{GIB, KIB, MIB, Machine};
use proptest::prelude::*;
use relay_sense::{Bound, Detect, LimitSource};

/// Everything that may limit one machine, in bytes.
#[derive(Debug, Clone)]
struct Limits {
    physical: Option<u64>,
    /// The own group first; `None` is `max`.
    levels: Vec<Option<u64>>,
    address_space: Option<u64>,
    data: Option<u64>,
    ours: Option<u64>,
    plain: Option<u64>,
    old: Option<u64>,
    configured: Option<u64>,
}

fn bytes() -> impl Strategy<Value = Option<u64>> {
    prop::option::of((1..64 * KIB).prop_map(|kib| kib * KIB))
}

fn limits() -> impl Strategy<Value = Limits> {
    let levels = prop::collection::vec(bytes(), 0..5);
    let people = (bytes(), bytes(), bytes(), bytes());
    (bytes(), levels, bytes(), bytes(), people).prop_map(
        |(physical, levels, address_space, data, (ours, plain, old, configured))| Limits {
            physical,
            levels,
            address_space,
            data,
            ours,
            plain,
            old,
            configured,
        },
    )
}

// === impl Limits ===

impl Limits {
    fn fixed(&self) -> Option<u64> {
        let Self {
            physical,
            ours,
            plain,
            old,
            configured,
            ..
        } = *self;
        let all = [physical, ours, plain, old, configured];
        all.into_iter().flatten().min()
    }

    fn smallest(&self) -> Option<u64> {
        let levels = self.levels.iter().copied();
        let others = [self.fixed(), self.address_space, self.data];
        levels.chain(others).flatten().min()
    }

    /// The whole table of sources that set the smallest limit.
    fn sources(&self, group: LimitSource) -> Vec<LimitSource> {
        let smallest = self.smallest();
        let is_smallest = |limit: &Option<u64>| limit.is_some() && *limit == smallest;
        let table = [
            (vec![self.physical], LimitSource::Physical),
            (self.levels.clone(), group),
            (vec![self.address_space, self.data], LimitSource::Rlimit),
            (vec![self.ours, self.plain, self.old], LimitSource::Env),
            (vec![self.configured], LimitSource::Config),
        ];
        let rows = table.into_iter();
        rows.filter(|(limits, _)| limits.iter().any(is_smallest))
            .map(|(_, source)| source)
            .collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        let limit = match name {
            "RELAY_MEMORY_LIMIT_BYTES" => self.ours?,
            "MEMORY_LIMIT_BYTES" => self.plain?,
            "MEMORY_LIMIT" => self.old?,
            _ => return None,
        };
        Some(format!("{}KiB", limit / KIB))
    }

    fn machine(&self, v2: bool) -> Machine {
        let names: Vec<String> = (0..self.levels.len()).map(|n| format!("/g{n}")).collect();
        let (cgroup, mount, base, file, none) = if v2 {
            (
                "0::",
                crate::machine::V2,
                "/sys/fs/cgroup",
                "memory.max",
                "max",
            )
        } else {
            let mount = "35 31 0:32 / /cg rw - cgroup cgroup rw,memory";
            (
                "4:memory:",
                mount,
                "/cg",
                "memory.limit_in_bytes",
                "9223372036854771712",
            )
        };
        let machine = Machine::new(
            &format!("{cgroup}/{}\n", names.concat().trim_start_matches('/')),
            &[mount],
        );
        for (index, limit) in self.levels.iter().enumerate() {
            let depth = names.len() - index;
            let text = limit.map_or(none.to_owned(), |limit| limit.to_string());
            machine.file(
                &format!("{base}{}/{file}", names[..depth].concat()),
                &format!("{text}\n"),
            );
        }
        match self.physical {
            Some(bytes) => machine.memory(bytes),
            None => machine.remove("/proc/meminfo"),
        }
        let shown =
            |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
        let text = format!(
            "Max data size             {:<20} unlimited            bytes\n\
             Max address space         {:<20} unlimited            bytes\n",
            shown(self.data),
            shown(self.address_space)
        );
        machine.file("/proc/self/limits", &text);
        machine
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn h11_the_smallest_of_all_limits_holds(limits in limits(), v2: bool) {
        let machine = limits.machine(v2);
        let root = machine.root();
        let lookup = |name: &str| limits.variable(name);
        let mut detect = Detect::new(&root).environment(&lookup);
        if let Some(bytes) = limits.configured {
            detect = detect.configured(bytes);
        }
        let detection = detect.run().unwrap();
        let memory = detection.memory.as_ref();
        prop_assert_eq!(memory.map(|memory| memory.bytes), limits.smallest());
        let fixed = limits.fixed().map_or(Bound::Unknown, Bound::Bytes);
        prop_assert_eq!(detection.fixed_limit, fixed);
        if let Some(memory) = memory {
            let group = if v2 { LimitSource::CgroupV2 } else { LimitSource::CgroupV1 };
            // Of several that are equally small the first of the table is named.
            prop_assert_eq!(Some(memory.source), limits.sources(group).first().copied());
            prop_assert_eq!(memory.path.is_some(), memory.source == group);
            let named = [LimitSource::Env, LimitSource::Rlimit].contains(&memory.source);
            prop_assert_eq!(memory.name.is_some(), named);
        }
    }

    #[test]
    fn h06_the_smallest_of_all_soft_limits_holds(
        levels in prop::collection::vec(bytes(), 1..4), variable in bytes(), configured in bytes()
    ) {
        let group = "/g".repeat(levels.len());
        let machine = Machine::v2(&group, &[(&group, "max")]);
        for (index, high) in levels.iter().enumerate() {
            let text = high.map_or("max".to_owned(), |high| high.to_string());
            let level = "/g".repeat(index + 1);
            machine.file(&format!("/sys/fs/cgroup{level}/memory.high"), &text);
            machine.file(&format!("/sys/fs/cgroup{level}/memory.max"), "max\n");
        }
        machine.memory(32 * MIB);
        let root = machine.root();
        let lookup = |name: &str| {
            let text = variable.map(|bytes| format!("{}KiB", bytes / KIB));
            text.filter(|_| name == "GOMEMLIMIT")
        };
        let mut detect = Detect::new(&root).environment(&lookup);
        if let Some(bytes) = configured {
            detect = detect.configured_soft(bytes);
        }
        let found = detect.run().unwrap().soft.map(|soft| soft.bytes);
        let smallest = levels.into_iter().chain([variable, configured]).flatten().min();
        prop_assert_eq!(found, smallest.filter(|bytes| *bytes < 32 * MIB));
    }
}

#[test]
fn a_share_of_an_unknown_limit_is_told() {
    let machine = Machine::v2("/a", &[("/a", "max")]);
    machine.remove("/proc/meminfo");
    let root = machine.root();
    let lookup = |name: &str| (name == "MEMORY_LIMIT_BYTES").then(|| "0.8".to_owned());
    let detect = Detect::new(&root).environment(&lookup);
    let detection = detect.run().unwrap();
    assert_eq!(detection.memory, None);
    assert!(
        detection.notes[1].contains("not known"),
        "{:?}",
        detection.notes
    );
    // The configuration is a limit, but none that was detected.
    let configured = detect.configured(GIB).run().unwrap().memory.unwrap();
    assert_eq!(
        (configured.bytes, configured.source),
        (GIB, LimitSource::Config)
    );
}
