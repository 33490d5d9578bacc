//! What one look at memory costs, beside the other ways to ask in the same run.
//!
//! `cargo bench -p relay-bench --bench sense`. On the running system, warm: the same files again and again. What
//! each rival's call returns is said in its name, since none of them returns the same.

#![allow(missing_docs, clippy::unwrap_used)]

use cgroups_rs::fs::Cgroup;
use cgroups_rs::fs::hierarchies;
use cgroups_rs::fs::memory::MemController;
use criterion::{Criterion, criterion_group, criterion_main};
use procfs::{Current, FromBufRead};
use relay_sense::{Pressure, Psi, Root, Sampler, detect};
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use sysinfo::{MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, System};

/// The own memory group: its folder, its path in the hierarchy, its counter of usage.
fn own_group() -> (PathBuf, String, &'static str) {
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap();
    let find = |key: &str| {
        let line = cgroup.lines().find(|line| line.contains(key))?;
        line.split_once(key)
            .map(|(_, path)| path.trim_start_matches('/').to_owned())
    };
    let (mount, path, counter) = find(":memory:").map_or_else(
        || ("/sys/fs/cgroup", find("0::").unwrap(), "memory.current"),
        |path| ("/sys/fs/cgroup/memory", path, "memory.usage_in_bytes"),
    );
    (PathBuf::from(mount).join(&path), path, counter)
}

/// How much is used: one number.
fn level(c: &mut Criterion) {
    let mut group = c.benchmark_group("level");
    let mut sampler = Sampler::new(&Root::system()).unwrap();
    // Level samples rest on a full one of less than 100 ms ago; that time stands still shows their cost alone.
    let now = Instant::now();
    sampler.sample(now);
    group.bench_function("relay: level sample", |b| {
        b.iter(|| black_box(sampler.level(now)));
    });
    let gauge = sampler.gauge();
    group.bench_function("relay: gauge", |b| {
        b.iter(|| black_box(gauge.headroom_bytes()));
    });

    let (dir, path, file) = own_group();
    let current = dir.join(file);
    group.bench_function("std: read_to_string of the counter", |b| {
        b.iter(|| {
            fs::read_to_string(&current)
                .unwrap()
                .trim()
                .parse::<u64>()
                .unwrap()
        });
    });
    let me = procfs::process::Process::myself().unwrap();
    group.bench_function("procfs: statm", |b| b.iter(|| me.statm().unwrap().resident));
    let pid = sysinfo::get_current_pid().unwrap();
    let mut system = System::new().unwrap();
    group.bench_function("sysinfo: memory of this process", |b| {
        b.iter(|| {
            let only = ProcessesToUpdate::Some(&[pid]);
            system.refresh_processes_specifics(
                only,
                false,
                ProcessRefreshKind::nothing().with_memory(),
            );
            system.process(pid).map(sysinfo::Process::memory)
        });
    });
    let hierarchy = hierarchies::auto();
    let cgroup = Cgroup::load(hierarchy, &path);
    let memory: &MemController = cgroup.controller_of().unwrap();
    group.bench_function("cgroups-rs: memory_stat, held controller", |b| {
        b.iter(|| black_box(memory.memory_stat().usage_in_bytes));
    });
    group.finish();
}

/// How much is used and cannot be given back, under which limit.
fn full(c: &mut Criterion) {
    let mut group = c.benchmark_group("full");
    let mut sampler = Sampler::new(&Root::system()).unwrap();
    let now = Instant::now();
    group.bench_function("relay: full sample", |b| {
        b.iter(|| black_box(sampler.sample(now)));
    });
    let mut later = now;
    group.bench_function("relay: full sample, each a second later", |b| {
        b.iter(|| {
            later += Duration::from_secs(1);
            black_box(sampler.sample(later))
        });
    });

    let (dir, path, file) = own_group();
    let (current, stat) = (dir.join(file), dir.join("memory.stat"));
    group.bench_function("std: read_to_string of counter and statistics", |b| {
        b.iter(|| {
            let used: u64 = fs::read_to_string(&current)
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            let stat = fs::read_to_string(&stat).unwrap();
            let caches = stat.lines().filter_map(|line| line.split_once(' '));
            let caches = caches.filter(|(key, _)| key.ends_with("active_file"));
            used.saturating_sub(
                caches
                    .filter_map(|(_, value)| value.parse::<u64>().ok())
                    .sum(),
            )
        });
    });
    group.bench_function("procfs: meminfo of the machine", |b| {
        b.iter(|| procfs::Meminfo::current().unwrap().mem_available);
    });
    let mut system = System::new().unwrap();
    group.bench_function("sysinfo: memory of the machine, and cgroup_limits", |b| {
        b.iter(|| {
            system.refresh_memory_specifics(MemoryRefreshKind::everything());
            black_box((system.available_memory(), system.cgroup_limits()))
        });
    });
    group.bench_function("cgroups-rs: load and memory_stat", |b| {
        b.iter(|| {
            let cgroup = Cgroup::load(hierarchies::auto(), &path);
            let memory: &MemController = cgroup.controller_of().unwrap();
            black_box(memory.memory_stat().limit_in_bytes)
        });
    });
    group.finish();
}

/// The text alone: the file itself may not be read often.
fn pressure(c: &mut Criterion) {
    let mut group = c.benchmark_group("pressure");
    let text = b"some avg10=0.20 avg60=0.07 avg300=0.01 total=4497776\n\
        full avg10=0.00 avg60=0.00 avg300=0.00 total=3116197\n";
    group.bench_function("relay: parse", |b| b.iter(|| Psi::parse(black_box(text))));
    group.bench_function("procfs: parse", |b| {
        b.iter(|| procfs::MemoryPressure::from_buf_read(black_box(&text[..])).unwrap());
    });
    let mut reader = Pressure::open(&Root::system());
    let now = Instant::now();
    group.bench_function("relay: read within 50 ms", |b| {
        b.iter(|| black_box(reader.read(now)));
    });
    group.finish();
}

fn start(c: &mut Criterion) {
    let mut group = c.benchmark_group("start");
    let root = Root::system();
    group.bench_function("relay: detect", |b| b.iter(|| detect(&root, None).unwrap()));
    group.bench_function("relay: open and close a sampler", |b| {
        b.iter(|| Sampler::new(&root).unwrap());
    });
    group.finish();
}

criterion_group!(benches, level, full, pressure, start);
criterion_main!(benches);
