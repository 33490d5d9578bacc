//! Kills by the kernel, and who sees them.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{MIB, Stage, bytes, equal};
use crate::stress::cgroup::Version;
use crate::stress::live::group::Group;

/// A second process of the group is killed; the witness lives and counts it.
pub(super) fn counted(stage: &Stage) -> Result<String> {
    let memory = json!({ "memory": { "limit": 64 * MIB, "swap": 64 * MIB } });
    let mut witness = stage.container_with("kill", "/relay-stress/kill", &memory)?;
    equal("kills before", &witness.ask("sample")?["oom_kills"], 0)?;
    let end = witness.ask("hog")?;
    equal("signal", &end["killed_by"], 9)?;
    // Only version 2 tells: its counters wake whoever watches them.
    equal(
        "told by the watch",
        &end["told"],
        stage.version == Version::V2,
    )?;
    equal("kills after", &witness.ask("survey")?["oom_kills"], 1)?;
    Ok("the other process was killed, and one kill counted".to_owned())
}

/// With `memory.oom.group` all die at once, and the counters tell it.
pub(super) fn of_the_group(stage: &Stage) -> Result<String> {
    let group = Group::create("together")?;
    group.set_limit(48 * MIB)?;
    group.set("memory.swap.max", "0")?;
    group.set("memory.oom.group", "1")?;
    let counters = group.counters()?;
    let mut witness = stage.process(&group)?;
    witness.tell("hog")?;
    ensure!(
        witness.raw_answer().is_err(),
        "the witness outlived the group"
    );
    ensure!(witness.has_died()?, "the witness still runs");
    let reading = counters.read()?;
    ensure!(
        reading.oom_kills >= 2,
        "{} kills counted",
        reading.oom_kills
    );

    // The counters stay: who starts next in this group can read why the last one ended.
    let mut next = stage.process(&group)?;
    let sample = next.ask("sample")?;
    equal("group kills", &sample["oom_group_kills"], 1)?;
    let kills = bytes(&sample, "oom_kills")?;
    ensure!(
        kills == reading.oom_kills,
        "the next process counts {kills}"
    );
    Ok(format!("all died at once: one group kill, {kills} kills"))
}
