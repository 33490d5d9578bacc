//! What the node says of itself: the admin endpoint's `/state`, and the account in its last words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The parts of `/state` that scenarios look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// `None` until the first decision.
    pub(super) level: Option<Level>,
    #[serde(default)]
    pub(super) memory: Memory,
    #[serde(default)]
    pub(super) ledger: Ledger,
    #[serde(default)]
    pub(super) gate: Gate,
    #[serde(default)]
    pub(super) governor: Option<Governor>,
    #[serde(flatten)]
    pub(super) books: Books,
}

/// What the node thinks of its memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) limit_bytes: Option<u64>,
    pub(super) unreclaimable_bytes: Option<u64>,
}

/// What its queues may hold, and do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ledger {
    pub(super) size_bytes: Option<u64>,
    #[serde(default)]
    pub(super) used_bytes: u64,
}

/// How wide its gate stands open.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Gate {
    /// `None` while no rate is set.
    pub(super) rate_bytes_per_second: Option<f64>,
    pub(super) scale: Option<f64>,
}

/// The AIMD governor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Governor {
    pub(super) state: String,
    pub(super) scale: f64,
}

/// The two accounts: at ingest and for each subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Books {
    pub(super) account: Ingest,
    pub(super) subscriptions: Vec<Subscription>,
}

/// The ladder's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Normal,
    Warning,
    Error,
    Critical,
    Emergency,
}

/// The account at ingest: received = accepted + refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ingest {
    pub(super) received: u64,
    pub(super) accepted: u64,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) first_refusal_unix_ms: Option<f64>,
    pub(super) first_pressure_unix_ms: Option<f64>,
}

/// The account of a subscription: offered = delivered + dropped + queued + in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Subscription {
    pub(super) name: String,
    pub(super) queued_events: u64,
    pub(super) offered: u64,
    pub(super) delivered: u64,
    pub(super) delivered_payload_bytes: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) in_flight: u64,
}

// === impl Books ===

impl Books {
    /// The subscription of the only emitter.
    pub(super) fn emitter(&self) -> Option<&Subscription> {
        self.subscriptions
            .iter()
            .find(|one| one.name.starts_with("emitter:"))
    }

    pub(super) fn refused(&self) -> u64 {
        self.account.refused.values().sum()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.emitter().map_or(0, |one| one.dropped.values().sum())
    }

    pub(super) fn delivered_payload_bytes(&self) -> u64 {
        self.emitter().map_or(0, |one| one.delivered_payload_bytes)
    }
}

/// The account that a node writes as it ends: the last JSON line of the log that has a field
/// `account`, at the top or under `fields`, as an object or as JSON in a string. The books may be
/// that object itself, or the line may hold `account` and `subscriptions` side by side.
pub(super) fn last_words(log: &str) -> Option<Books> {
    log.lines().rev().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        [line.get("fields"), Some(&line)]
            .into_iter()
            .flatten()
            .find_map(books_in)
    })
}

fn books_in(fields: &Value) -> Option<Books> {
    let unfolded = match fields.get("account")? {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    serde_json::from_value(unfolded)
        .or_else(|_| serde_json::from_value(fields.clone()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKS: &str = r#"{"account":{"received":3,"accepted":2,"refused":{"rate":1},
        "first_refusal_unix_ms":5,"first_pressure_unix_ms":null},
        "subscriptions":[{"name":"emitter:sink","queued_events":0,"offered":2,"delivered":2,
        "delivered_payload_bytes":20,"dropped":{},"in_flight":0,"bus":"external"}]}"#;

    fn flat() -> String {
        BOOKS.replace('\n', "")
    }

    #[test]
    fn last_words_are_found_in_every_form_a_logger_gives_them() {
        let quoted = serde_json::to_string(&flat()).unwrap();
        let lines = [
            format!(r#"{{"account":{}}}"#, flat()),
            flat(),
            format!(r#"{{"fields":{{"account":{}}}}}"#, flat()),
            format!(r#"{{"fields":{{"account":{quoted},"message":"bye"}}}}"#),
        ];
        for line in lines {
            let log = format!("not json\n{line}\n{{\"fields\":{{}}}}\n");
            let books = last_words(&log).unwrap();
            assert_eq!((books.account.accepted, books.refused()), (2, 1), "{line}");
            assert_eq!(books.delivered_payload_bytes(), 20);
        }
        assert_eq!(last_words("{\"account\":1}\nx\n"), None);
    }

    #[test]
    fn levels_are_ordered() {
        let text = format!("{{\"level\":\"critical\",{}", &flat()[1..]);
        let state: State = serde_json::from_str(&text).unwrap();
        assert!(state.level > Some(Level::Error) && state.level < Some(Level::Emergency));
    }
}
