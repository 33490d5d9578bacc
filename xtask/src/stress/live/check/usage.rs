//! How much is used, and how much is left.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{MIB, Stage, bytes, mib, near};
use crate::stress::live::group::Group;

pub(super) fn own_growth(stage: &Stage) -> Result<String> {
    let mut witness = stage.container("growth", 64 * MIB)?;
    let before = witness.ask("sample")?;
    witness.ask(&format!("hold {}", 20 * MIB))?;
    // The resident size is read once a second.
    let after = witness.ask("survey")?;
    for field in ["current_bytes", "unreclaimable_bytes", "resident_bytes"] {
        let grown = bytes(&after, field)?.saturating_sub(bytes(&before, field)?);
        near(field, grown, 20 * MIB)?;
    }
    let lost = bytes(&before, "headroom_bytes")?.saturating_sub(bytes(&after, "headroom_bytes")?);
    near("loss of headroom", lost, 20 * MIB)?;
    let left = bytes(&after, "headroom_bytes")?;
    let used = bytes(&after, "unreclaimable_bytes")?;
    near("headroom and usage", left + used, 64 * MIB)?;
    Ok(format!("20 MiB held: headroom {}", mib(left)))
}

/// The parent's budget is eaten by its other child: the own usage does not move, the headroom does.
pub(super) fn sibling(stage: &Stage) -> Result<String> {
    let parent = Group::create("family")?;
    let own = Group::create("family/own")?;
    let other = Group::create("family/other")?;
    parent.set_limit(96 * MIB)?;
    let counters = parent.counters()?;
    let mut witness = stage.process(&own)?;
    let mut sibling = stage.process(&other)?;
    let before = witness.ask("sample")?;
    sibling.ask(&format!("hold {}", 50 * MIB))?;
    let after = witness.ask("sample")?;
    let truth = (96 * MIB).saturating_sub(counters.read()?.usage_bytes);
    near("headroom", bytes(&after, "headroom_bytes")?, truth)?;
    let own_growth = bytes(&after, "unreclaimable_bytes")?;
    near(
        "own usage",
        own_growth,
        bytes(&before, "unreclaimable_bytes")?,
    )?;
    let lost = bytes(&before, "headroom_bytes")?.saturating_sub(bytes(&after, "headroom_bytes")?);
    near("loss of headroom", lost, 50 * MIB)?;
    drop(sibling);
    let end = witness.ask("sample")?;
    near(
        "headroom after the sibling",
        bytes(&end, "headroom_bytes")?,
        bytes(&before, "headroom_bytes")?,
    )?;
    let left = bytes(&after, "headroom_bytes")?;
    Ok(format!("sibling takes 50 MiB: {} left of 96", mib(left)))
}

pub(super) fn page_cache(stage: &Stage) -> Result<String> {
    let mut witness = stage.container("cache", 64 * MIB)?;
    let before = witness.ask("sample")?;
    witness.ask(&format!("write /data/file {}", 30 * MIB))?;
    let after = witness.ask("sample")?;
    let cached = bytes(&after, "current_bytes")?.saturating_sub(bytes(&before, "current_bytes")?);
    ensure!(
        cached >= 20 * MIB,
        "only {} of 30 MiB written are in the cache: nothing was proven",
        mib(cached)
    );
    let used = bytes(&after, "unreclaimable_bytes")?;
    near(
        "unreclaimable",
        used,
        bytes(&before, "unreclaimable_bytes")?,
    )?;
    Ok(format!("{} of cache, {} used", mib(cached), mib(used)))
}

/// Files in memory cannot be given back, and no process has them.
pub(super) fn tmpfs(stage: &Stage) -> Result<String> {
    let memory = json!({ "memory": { "limit": 64 * MIB, "swap": 64 * MIB } });
    let mut witness = stage.container_with("tmpfs", "/relay-stress/tmpfs", &memory)?;
    let before = witness.ask("sample")?;
    witness.ask(&format!("write /tmp/file {}", 12 * MIB))?;
    let after = witness.ask("sample")?;
    let used = "unreclaimable_bytes";
    let grown = bytes(&after, used)?.saturating_sub(bytes(&before, used)?);
    near("unreclaimable", grown, 12 * MIB)?;
    let lost = bytes(&before, "headroom_bytes")?.saturating_sub(bytes(&after, "headroom_bytes")?);
    near("loss of headroom", lost, 12 * MIB)?;
    Ok(format!("12 MiB in tmpfs: headroom falls by {}", mib(lost)))
}
