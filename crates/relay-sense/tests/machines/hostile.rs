//! Whatever the kernel files contain, nothing panics and the figures keep their order.

use std::time::Instant;

use crate::machine::{Machine, V2};
use proptest::prelude::*;
use relay_sense::{Detect, detect};

const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory,cpu";

/// What a damaged or future file may hold: words and numbers it may print, and anything else.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("max".to_owned()),
        Just("anon ".to_owned()),
        Just("inactive_file ".to_owned()),
        Just("total_rss ".to_owned()),
        Just("hierarchical_memory_limit ".to_owned()),
        Just("oom_kill ".to_owned()),
        Just("hierarchical_memsw_limit ".to_owned()),
        Just("Max address space ".to_owned()),
        Just("some avg10=0.00 total=".to_owned()),
        Just("-".to_owned()),
        Just(",".to_owned()),
        Just("\n".to_owned()),
        any::<u64>().prop_map(|number| number.to_string()),
        "\\PC{0,6}",
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_files_are_survived(
        texts in prop::collection::vec(text(), 16),
        variable in text(),
        cgroup in prop_oneof![Just("0::/a\n".to_owned()), Just("4:memory,cpu:/a\n".to_owned()), text()],
        mount in prop_oneof![Just(V2.to_owned()), Just(V1.to_owned()), text()],
        configured in prop::option::of(1_u64..),
    ) {
        let machine = Machine::new(&cgroup, &[&mount]);
        let names = [
            "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/a/memory.current",
            "/sys/fs/cgroup/a/memory.stat", "/sys/fs/cgroup/a/cpu.max",
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/a/memory.usage_in_bytes",
            "/sys/fs/cgroup/memory/a/memory.stat", "/proc/self/statm",
            "/sys/fs/cgroup/a/memory.high", "/sys/fs/cgroup/a/memory.swap.max",
            "/sys/fs/cgroup/memory/a/memory.memsw.limit_in_bytes",
            "/sys/fs/cgroup/memory/a/memory.use_hierarchy", "/sys/fs/cgroup/a/memory.pressure",
            "/sys/fs/cgroup/a/cpuset.cpus.effective", "/sys/devices/system/cpu/online",
            "/proc/self/limits",
        ];
        for (name, text) in names.iter().zip(&texts) {
            machine.file(name, text);
        }
        let root = machine.root();
        let lookup = |_: &str| Some(variable.clone());
        prop_assert!(Detect::new(&root).environment(&lookup).run().is_ok());
        let detection = detect(&root, configured).unwrap();
        prop_assert!(detection.cpu.worker_threads().get() <= 4);
        let limit = detection.memory.unwrap();
        prop_assert!(configured.is_none_or(|configured| limit.bytes <= configured));

        let mut sampler = machine.sampler();
        if let Some(bytes) = configured {
            sampler = sampler.with_configured(bytes).unwrap();
        }
        let sample = sampler.sample(Instant::now());
        prop_assert_eq!(sample.limit_bytes.bytes(), Some(limit.bytes));
        prop_assert!(sample.headroom_bytes.is_none_or(|headroom| headroom <= limit.bytes));
        prop_assert!(sample.working_set_bytes <= sample.current_bytes);
    }
}
