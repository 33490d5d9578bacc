//! On what numbers were taken: a figure without its machine is a rumour.

use std::process::Command;

use crate::command;

/// A name and a value.
pub(crate) type Fact = (&'static str, String);

/// Machine, kernel, toolchain and commit.
pub(crate) fn facts() -> Vec<Fact> {
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let total = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kernel = read("/proc/sys/kernel/osrelease");
    vec![
        (
            "machine",
            format!("{} × {}", cpus, cpu_model(&read("/proc/cpuinfo"))),
        ),
        ("memory", total.unwrap_or("unknown").trim().to_owned()),
        ("kernel", kernel.trim().to_owned()),
        (
            "load average",
            read("/proc/loadavg")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
        ),
        ("toolchain", said(Command::new("rustc").arg("--version"))),
        (
            "commit",
            said(Command::new("git").args(["describe", "--always", "--dirty"])),
        ),
    ]
}

fn cpu_model(cpuinfo: &str) -> &str {
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    model.map_or("CPU", |model| model.trim_start_matches(['\t', ' ', ':']))
}

fn said(command: &mut Command) -> String {
    let command = command.current_dir(crate::workspace::root());
    command::output(command).unwrap_or_else(|_| "unknown".to_owned())
}
