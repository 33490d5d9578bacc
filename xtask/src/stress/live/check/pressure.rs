//! Pressure stall information: where it is, and where a trigger may be registered.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{MIB, Stage, equal};
use crate::stress::cgroup::Version;
use crate::stress::live::group::Group;

const EROFS: i32 = 30;

/// The own group's where it is shown (version 2), else the machine's, else none, and a reason for what is missing.
pub(super) fn files(stage: &Stage) -> Result<String> {
    let mut witness = stage.container("pressure", 64 * MIB)?;
    let found = witness.ask("pressure")?;
    let scope = match (stage.psi, stage.version) {
        (false, _) => json!(null),
        (true, Version::V1) => json!("host"),
        (true, Version::V2) => json!("group"),
    };
    equal("available", &found["available"], stage.psi)?;
    equal("scope", &found["scope"], scope.clone())?;
    equal("a total", &json!(found["total_us"].is_u64()), stage.psi)?;
    // Version 2 with pressure is the one place where nothing is missing.
    let complete = stage.psi && stage.version == Version::V2;
    equal("a reason", &json!(found["reason"].is_string()), !complete)?;
    Ok(match found["reason"].as_str() {
        Some(reason) => format!("scope {scope}: {reason}"),
        None => format!("scope {scope}"),
    })
}

/// A plain process may register one in its own group, a container may not: its mount is read-only.
pub(super) fn triggers(stage: &Stage) -> Result<String> {
    let mut witness = stage.container("trigger", 64 * MIB)?;
    let group = Group::create("trigger-plain")?;
    let mut plain = stage.process(&group)?;
    let inside = witness.ask_anyway("trigger")?;
    let outside = plain.ask_anyway("trigger")?;
    let reason = inside["error"].as_str().unwrap_or_default();
    if stage.version == Version::V1 || !stage.psi {
        ensure!(!reason.is_empty(), "in the container: {inside}");
        ensure!(outside["error"].is_string(), "outside: {outside}");
        return Ok(format!("none: {reason}"));
    }
    equal("in the container", &inside["errno"], EROFS)?;
    ensure!(outside["registered"].is_string(), "outside: {outside}");
    Ok(format!(
        "registered by a plain process; in the container: {reason}"
    ))
}
