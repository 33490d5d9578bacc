//! What a node told in its log: the code of each event, and when.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use serde_json::Value;

/// An event in the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) unix_ms: f64,
    pub(super) code: String,
}

/// Everything that was told, in order.
pub(super) fn told(log: &str) -> Vec<Told> {
    let event = |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let at = humantime::parse_rfc3339(line.get("timestamp")?.as_str()?).ok()?;
        Some(Told {
            unix_ms: at.duration_since(UNIX_EPOCH).ok()?.as_secs_f64() * 1000.0,
            code: line.get("fields")?.get("code")?.as_str()?.to_owned(),
        })
    };
    log.lines().filter_map(event).collect()
}

/// When one of these codes was first told, at or after a time.
pub(super) fn first_unix_ms(all: &[Told], codes: &[&str], from_unix_ms: f64) -> Option<f64> {
    all.iter()
        .filter(|told| codes.contains(&&*told.code) && told.unix_ms >= from_unix_ms)
        .map(|told| told.unix_ms)
        .reduce(f64::min)
}

/// The codes, each once, in alphabetical order.
pub(super) fn codes(all: &[Told]) -> Vec<String> {
    let codes: BTreeSet<_> = all.iter().map(|told| &told.code).collect();
    codes.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_knob_that_was_turned_is_found_in_the_log() {
        let line = |second: u32, code: &str| {
            format!(
                r#"{{"timestamp":"1970-01-01T00:00:{second:02}.500000Z","fields":{{"code":"{code}"}}}}"#
            )
        };
        let log = format!(
            "listening\n{}\n{}\n{}\n",
            line(1, "GATE_RATE"),
            line(2, "EMITTER_START"),
            line(3, "GATE_RATE"),
        );
        let all = told(&log);
        let first = |from| first_unix_ms(&all, &["GATE_RATE"], from);
        assert_eq!([first(0.0), first(2000.0)], [Some(1500.0), Some(3500.0)]);
        assert_eq!(first(4000.0), None);
        assert_eq!(codes(&all), ["EMITTER_START", "GATE_RATE"]);
    }
}
