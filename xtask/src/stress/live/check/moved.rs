//! A group that changes under the process.

use anyhow::Result;
use serde_json::json;

use super::{MIB, Stage, bytes, equal, near};
use crate::stress::live::group::Group;
use crate::stress::live::witness::Witness;

/// A sampler that looks again follows the process to its new group.
pub(super) fn moved(stage: &Stage) -> Result<String> {
    let first = Group::create("first")?;
    let second = Group::create("second")?;
    first.set_limit(100 * MIB)?;
    second.set_limit(80 * MIB)?;
    let mut witness = stage.process(&first)?;
    equal("limit", &witness.ask("sample")?["limit_bytes"], 100 * MIB)?;
    second.take(witness.pid())?;
    found_again(&mut witness)?;
    // What is allocated now is charged to the new group; what was stays with the old one.
    witness.ask(&format!("hold {}", 10 * MIB))?;
    let sample = witness.ask("sample")?;
    let usage = second.counters()?.read()?.usage_bytes;
    near("current", bytes(&sample, "current_bytes")?, usage)?;
    Ok("unknown for a moment, then limit and usage are the new group's".to_owned())
}

/// As [`moved`], with the old group gone.
pub(super) fn removed(stage: &Stage) -> Result<String> {
    let first = Group::create("doomed")?;
    let second = Group::create("refuge")?;
    first.set_limit(100 * MIB)?;
    second.set_limit(80 * MIB)?;
    let mut witness = stage.process(&first)?;
    equal("limit", &witness.ask("sample")?["limit_bytes"], 100 * MIB)?;
    second.take(witness.pid())?;
    drop(first);
    found_again(&mut witness)?;
    Ok("headroom unknown, then the new group is found".to_owned())
}

/// What cannot be read is unknown, never calm; whoever looks again finds the new group of 80 MiB.
fn found_again(witness: &mut Witness) -> Result<()> {
    let found = witness.ask("refresh")?;
    equal("headroom before", &found["headroom_before"], json!(null))?;
    equal("refreshed", &found["refreshed"], true)?;
    let sample = witness.ask("sample")?;
    equal("moved", &sample["moved"], false)?;
    equal("new limit", &sample["limit_bytes"], 80 * MIB)
}
