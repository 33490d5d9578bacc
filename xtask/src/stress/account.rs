//! Do the two accounts close, and do sender and node tell the same story?

use super::load::LoadReport;
use super::state::Books;

/// What does not add up; empty when every event is accounted for.
pub(super) fn gaps(load: &LoadReport, books: &Books) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut same = |what: &str, left: u64, right: u64| {
        if left != right {
            gaps.push(format!("{what}: {left} ≠ {right}"));
        }
    };
    let sent = load.total;
    let node = &books.account;
    same(
        "load sent = accepted + refused + failed",
        sent.sent,
        settled(load),
    );
    same(
        "node received = accepted + refused",
        node.received,
        node.accepted + books.refused(),
    );
    same(
        "load accepted = node accepted",
        sent.accepted,
        node.accepted,
    );
    same("load refused = node refused", sent.refused, books.refused());
    let Some(emitter) = books.emitter() else {
        gaps.push("the node names no emitter subscription".to_owned());
        return gaps;
    };
    let dropped = books.dropped();
    let found = emitter.delivered + dropped + emitter.queued_events + emitter.in_flight;
    same("node accepted = offered", node.accepted, emitter.offered);
    same(
        "offered = delivered + dropped + queued + in flight",
        emitter.offered,
        found,
    );
    gaps
}

fn settled(load: &LoadReport) -> u64 {
    load.total.accepted + load.total.refused + load.total.failed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stress::load::{Counts, Latency};
    use crate::stress::state::{Ingest, Subscription};

    fn closed() -> (LoadReport, Books) {
        let load = LoadReport {
            started_unix_ms: 0.0,
            total: Counts {
                sent: 10,
                accepted: 7,
                refused: 3,
                failed: 0,
            },
            accepted_bytes: 7,
            refused_by_status: BTreeMap::new(),
            without_retry_after: 0,
            failed_by_kind: BTreeMap::new(),
            accepted_latency: Latency::default(),
            refused_latency: Latency::default(),
            bucket_ms: 20.0,
            buckets: Vec::new(),
        };
        let emitter = Subscription {
            name: "emitter:sink".to_owned(),
            queued_events: 1,
            offered: 7,
            delivered: 4,
            delivered_payload_bytes: 4,
            dropped: BTreeMap::from([("shutdown".to_owned(), 1)]),
            in_flight: 1,
        };
        let account = Ingest {
            received: 10,
            accepted: 7,
            refused: BTreeMap::from([("rate".to_owned(), 2), ("ledger".to_owned(), 1)]),
            first_refusal_unix_ms: None,
            first_pressure_unix_ms: None,
        };
        (
            load,
            Books {
                account,
                subscriptions: vec![emitter],
            },
        )
    }

    #[test]
    fn one_event_more_or_less_anywhere_is_a_gap() {
        let (load, books) = closed();
        assert_eq!(gaps(&load, &books), Vec::<String>::new());
        let changes: [fn(&mut LoadReport, &mut Books); 6] = [
            |load, _| load.total.accepted += 1,
            |load, _| load.total.sent += 1,
            |_, books| books.account.received -= 1,
            |_, books| books.subscriptions[0].offered += 1,
            |_, books| books.subscriptions[0].dropped.clear(),
            |_, books| books.subscriptions.clear(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let (mut load, mut books) = closed();
            change(&mut load, &mut books);
            assert!(!gaps(&load, &books).is_empty(), "change {index}");
        }
    }
}
