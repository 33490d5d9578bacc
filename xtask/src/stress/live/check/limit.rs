//! Which limit holds, and who sets it.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{MIB, Stage, bytes, equal, kernel_number, mib};
use crate::stress::cgroup::Version;
use crate::stress::live::group::{Group, PARENT};

pub(super) fn of_the_container(stage: &Stage) -> Result<String> {
    let mut witness = stage.container("limit", 64 * MIB)?;
    let memory = &witness.ask("detect")?["memory"];
    equal("limit", &memory["limit_bytes"], 64 * MIB)?;
    equal("source", &memory["source"], stage.source())?;
    let sample = witness.ask("sample")?;
    equal("sampled limit", &sample["limit_bytes"], 64 * MIB)?;
    Ok(format!("64 MiB from {}", stage.source()))
}

pub(super) fn above_the_machine(stage: &Stage) -> Result<String> {
    let total = kernel_number(Path::new("/proc/meminfo"), "MemTotal:")? * 1024;
    let mut witness = stage.container("above", total.next_multiple_of(MIB) * 2)?;
    let memory = &witness.ask("detect")?["memory"];
    equal("limit", &memory["limit_bytes"], total)?;
    equal("source", &memory["source"], "physical")?;
    Ok(format!("{}, physical", mib(total)))
}

pub(super) fn of_the_parent(stage: &Stage) -> Result<String> {
    let parent = Group::create("nested")?;
    let leaf = Group::create("nested/leaf")?;
    parent.set_limit(48 * MIB)?;
    leaf.set_limit(96 * MIB)?;
    let mut witness = stage.process(&leaf)?;
    let memory = &witness.ask("detect")?["memory"];
    equal("limit", &memory["limit_bytes"], 48 * MIB)?;
    equal("source", &memory["source"], stage.source())?;
    let sample = witness.ask("sample")?;
    equal("sampled limit", &sample["limit_bytes"], 48 * MIB)?;
    let path = memory["path"].as_str().unwrap_or_default();
    Ok(format!("48 MiB, not the leaf's 96, set by {path}"))
}

/// In a container the parent's files cannot be seen. Version 1 tells the effective limit all the same, version 2 hides it
/// behind the namespace: then the answer has to say that something may be hidden.
pub(super) fn of_a_hidden_parent(stage: &Stage) -> Result<String> {
    let parent = Group::create("hidden")?;
    parent.set_limit(48 * MIB)?;
    let memory = json!({ "memory": { "limit": 96 * MIB, "swap": 96 * MIB } });
    let leaf = format!("{}/leaf", parent.path());
    let mut witness = stage.container_with("hidden", &leaf, &memory)?;
    let memory = &witness.ask("detect")?["memory"];
    equal("ancestors_hidden", &memory["ancestors_hidden"], true)?;
    let expected = match stage.version {
        Version::V1 => 48 * MIB,
        Version::V2 => 96 * MIB,
    };
    equal("limit", &memory["limit_bytes"], expected)?;
    Ok(format!("{}, and ancestors are hidden", mib(expected)))
}

/// `memory.high` is the soft limit of version 2; what version 1 calls one throttles nothing and must not count.
pub(super) fn soft(stage: &Stage) -> Result<String> {
    let group = Group::create("soft")?;
    group.set_limit(64 * MIB)?;
    group.set_soft_limit(40 * MIB)?;
    let mut witness = stage.process(&group)?;
    let memory = &witness.ask("detect")?["memory"];
    equal("limit", &memory["limit_bytes"], 64 * MIB)?;
    let expected = match stage.version {
        Version::V1 => json!(null),
        Version::V2 => json!(40 * MIB),
    };
    equal("soft limit", &memory["soft_limit_bytes"], expected.clone())?;
    let sample = witness.ask("sample")?;
    equal(
        "sampled soft limit",
        &sample["soft_limit_bytes"],
        expected.clone(),
    )?;
    if stage.version == Version::V1 {
        return Ok("none: version 1 throttles nothing".to_owned());
    }
    equal("throttled before", &sample["high"], 0)?;
    witness.ask(&format!("hold {}", 41 * MIB))?;
    let throttled = bytes(&witness.ask("sample")?, "high")?;
    ensure!(throttled > 0, "past memory.high, and no event is counted");
    Ok(format!("40 MiB of 64; passed, {throttled} events counted"))
}

/// What version 1 limits is memory and swap together.
pub(super) fn of_swap(stage: &Stage) -> Result<String> {
    let mut witness = stage.container("no-swap", 64 * MIB)?;
    equal(
        "without swap",
        &witness.ask("sample")?["swap_limit_bytes"],
        0,
    )?;
    drop(witness);
    let memory = json!({ "memory": { "limit": 64 * MIB, "swap": 96 * MIB } });
    let cgroup = format!("{PARENT}/swap");
    let mut witness = stage.container_with("swap", &cgroup, &memory)?;
    equal(
        "with swap",
        &witness.ask("sample")?["swap_limit_bytes"],
        32 * MIB,
    )?;
    Ok("none and 32 MiB".to_owned())
}

pub(super) fn of_processors(stage: &Stage) -> Result<String> {
    let resources = json!({
        "memory": { "limit": 64 * MIB },
        "cpu": { "quota": 150_000, "period": 100_000 },
    });
    let cgroup = format!("{PARENT}/quota");
    let mut witness = stage.container_with("quota", &cgroup, &resources)?;
    equal("quota", &witness.ask("detect")?["cpu"]["quota"], 1.5)?;
    drop(witness);

    let parent = Group::create("cpu")?;
    let leaf = Group::create("cpu/leaf")?;
    parent.set_cpu_quota(50_000)?;
    let mut witness = stage.process(&leaf)?;
    let cpu = &witness.ask("detect")?["cpu"];
    equal("quota of the parent", &cpu["quota"], 0.5)?;
    ensure!(bytes(cpu, "worker_threads")? == 1, "worker threads: {cpu}");
    Ok("1.5 processors of the container, 0.5 of a parent".to_owned())
}
