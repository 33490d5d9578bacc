//! On what numbers were taken: a figure without its machine is a rumour.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

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

/// Writes `report.json` and `report.md` to `out`: the rows with the facts, and the title, the facts and the table.
pub(crate) fn report(out: &Path, title: &str, rows: &Value, table: &str) -> Result<()> {
    std::fs::create_dir_all(out)?;
    let mut text = title.to_owned();
    let mut named = serde_json::Map::new();
    for (name, value) in facts() {
        writeln!(text, "- {name}: {value}").ok();
        named.insert(name.to_owned(), json!(value));
    }
    text.push_str(table);
    let report = json!({ "facts": named, "rows": rows });
    std::fs::write(out.join("report.json"), serde_json::to_vec_pretty(&report)?)?;
    std::fs::write(out.join("report.md"), text)?;
    println!("report: {}", out.join("report.md").display());
    Ok(())
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
