//! What it costs to find the limits once, at the start: this crate beside those that answer a part of
//! the same question.
//!
//! All of them look at the running system, whose mounts are counted in the names of the results, and
//! ours at a folder with 24 mounts as well. What each of the peers answers:
//!
//! | peer | answers |
//! |---|---|
//! | sysinfo, `cgroup_limits` | memory limit at the root of the mount, no processors |
//! | cgroups-rs | memory limit of one level; the group has to be named |
//! | procfs, `mountinfo` | the mount table, nothing else |
//! | `num_cpus::get` | CPU quota of version 1 and 2, at the own group |
//! | `available_parallelism` | CPU quota of version 1 and 2, affinity |

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::{Cgroup, hierarchies};
use criterion::{Criterion, criterion_group, criterion_main};
use relay_sense::{Root, detect};

/// The mounts of a plain container host, in the number that the budget of 200 µs is for.
const MOUNTS: usize = 24;

fn own_limits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("detect");
    group.warm_up_time(Duration::from_millis(500));
    let system = Root::system();
    let mounts = std::fs::read("/proc/self/mountinfo").map_or(0, |table| count_lines(&table));
    group.bench_function(
        format!("relay-sense, this system ({mounts} mounts)"),
        |bench| {
            bench.iter(|| detect(black_box(&system), None));
        },
    );

    let folder = tempfile::tempdir().expect("a temporary folder");
    lay_out(folder.path()).expect("a folder that can be written");
    let root = Root::at(folder.path());
    group.bench_function(
        format!("relay-sense, a folder ({MOUNTS} mounts)"),
        |bench| {
            bench.iter(|| detect(black_box(&root), None));
        },
    );
    group.finish();
}

fn peers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("peers");
    group.warm_up_time(Duration::from_millis(500));
    let system = sysinfo::System::new().expect("this is Linux");
    group.bench_function("sysinfo, cgroup_limits", |bench| {
        bench.iter(|| black_box(&system).cgroup_limits());
    });
    let own = own_group();
    group.bench_function("cgroups-rs, one level", |bench| {
        bench.iter(|| {
            let cgroup = Cgroup::load(hierarchies::auto(), black_box(own.as_str()));
            let memory: Option<&MemController> = cgroup.controller_of();
            memory.map(|memory| memory.memory_stat().limit_in_bytes)
        });
    });
    group.bench_function("procfs, mountinfo", |bench| {
        bench.iter(|| procfs::process::Process::myself().and_then(|own| own.mountinfo()));
    });
    // It remembers its first answer, so what it does the first time is asked by its parts.
    group.bench_function("available_parallelism", |bench| {
        bench.iter(std::thread::available_parallelism);
    });
    group.bench_function("num_cpus, remembered", |bench| bench.iter(num_cpus::get));
    group.finish();
}

fn count_lines(text: &[u8]) -> usize {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .count()
}

/// The memory group of this process, relative to its hierarchy.
fn own_group() -> String {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let line = text.lines().find(|line| line.contains(":memory:"));
    let path = line.and_then(|line| line.rsplit(':').next());
    path.unwrap_or("/").trim_start_matches('/').to_owned()
}

/// A container host on version 2: three levels with limits, and the mounts around them.
fn lay_out(folder: &Path) -> std::io::Result<()> {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, text)
    };
    let unrelated = (1..MOUNTS).map(|id| {
        let options = "rw,relatime shared:1 - tmpfs tmpfs rw,size=65536k,inode64";
        format!("{id} 1 0:{id} / /mnt/{id} {options}\n")
    });
    let mut table = unrelated.collect::<Vec<_>>().concat();
    table += "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    write("proc/self/mountinfo", &table)?;
    write("proc/self/cgroup", "0::/system.slice/relay.service\n")?;
    write(
        "proc/self/status",
        "Name:\trelay\nCpus_allowed_list:\t0-3\n",
    )?;
    write(
        "proc/self/limits",
        "Max address space         unlimited            unlimited            bytes\n",
    )?;
    write("proc/meminfo", "MemTotal:       16777216 kB\n")?;
    for level in ["", "system.slice/", "system.slice/relay.service/"] {
        for (name, text) in [
            ("memory.max", "536870912\n"),
            ("memory.high", "max\n"),
            ("memory.current", "1048576\n"),
            ("memory.swap.max", "0\n"),
            (
                "memory.stat",
                "anon 1\nfile 2\ninactive_file 1\nactive_file 1\n",
            ),
            ("memory.events", "oom_kill 0\n"),
            ("cpu.max", "150000 100000\n"),
            ("cpu.stat", "nr_throttled 0\n"),
        ] {
            write(&format!("sys/fs/cgroup/{level}{name}"), text)?;
        }
    }
    Ok(())
}

criterion_group!(limits, own_limits, peers);
criterion_main!(limits);
