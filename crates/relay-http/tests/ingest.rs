//! What the server accepts, and what it says to what it does not.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Server, config, request};
use relay_engine::RefusalReason;
use relay_event::{Priority, Reason};
use relay_http::HttpServerConfig;
use std::time::Duration;

const EVENT: &str =
    r#"{"specversion":"1.0","id":"7","source":"/shop","type":"order","data":{"total": 12}}"#;

fn numbered(id: usize) -> String {
    EVENT.replace("\"7\"", &format!("\"{id}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_becomes_events() {
    let mut server = Server::start(config()).await;
    let plain = server
        .post_to(
            "/v1/events?topic=greeting",
            "content-type: text/plain\r\n",
            "hello",
        )
        .await;
    assert_eq!(plain.status, 202);
    let mut kept = server.events();
    let event = &kept[0];
    assert_eq!(
        plain.json(),
        serde_json::json!({"accepted": 1, "ids": [event.id().to_string()]})
    );
    assert_eq!(
        (event.topic().as_str(), event.source(), &event.payload()[..]),
        ("greeting", "/http", &b"hello"[..])
    );
    assert_eq!(event.headers().get("datacontenttype"), Some("text/plain"));

    let structured = server
        .post("content-type: application/cloudevents+json\r\n", EVENT)
        .await;
    assert_eq!(
        structured.json(),
        serde_json::json!({"accepted": 1, "ids": ["7"]})
    );
    kept = server.events();
    let event = &kept[0];
    assert_eq!(
        (event.topic().as_str(), &event.payload()[..]),
        ("order", &br#"{"total": 12}"#[..])
    );

    let headers = "ce-specversion: 1.0\r\nce-id: b\r\nce-source: /b\r\nce-type: binary\r\nx-relay-priority: control\r\n";
    assert_eq!(server.post(headers, b"\x00\xFF").await.status, 202);
    kept = server.events();
    let event = &kept[0];
    assert_eq!(
        (event.topic().as_str(), event.priority()),
        ("binary", Priority::High)
    );

    let batch = format!("[{},\n{}]", numbered(1), numbered(2));
    let batch = server
        .post(
            "content-type: application/cloudevents-batch+json\r\n",
            batch,
        )
        .await;
    assert_eq!(
        batch.json(),
        serde_json::json!({"accepted": 2, "ids": ["1", "2"]})
    );
    let lines = format!("{}\n\n{}\r\n", numbered(3), numbered(4));
    let lines = server
        .post(
            "content-type: application/x-ndjson\r\nce-relaypriority: low\r\n",
            lines,
        )
        .await;
    assert_eq!(
        lines.json(),
        serde_json::json!({"accepted": 2, "ids": ["3", "4"]})
    );
    let events = server.events();
    let ids: Vec<_> = events.iter().map(|event| event.id().to_string()).collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    assert_eq!(
        (events[0].priority(), events[2].priority()),
        (Priority::Normal, Priority::Low)
    );
    drop(events);
    drop(kept);

    assert_eq!((server.stats().received, server.stats().accepted), (7, 7));
    assert_eq!(server.budget.used_bytes(), 0, "and every byte is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_waits_holds_its_size_and_no_more() {
    let mut server = Server::start(config()).await;
    for length in [0, 1, 1000, 70_000] {
        assert_eq!(server.post("", vec![b'x'; length]).await.status, 202);
        let held = server.budget.used_bytes();
        let event = server.events().remove(0);
        assert_eq!((event.payload().len(), held), (length, event.size_bytes()));
    }
    let chunks = "POST /v1/events HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = format!(
        "{chunks}{}0\r\n\r\n",
        format!("3e8\r\n{}\r\n", "x".repeat(1000)).repeat(100)
    );
    assert_eq!(server.send(body).await[0].status, 202);
    let held = server.budget.used_bytes();
    let event = server.events().remove(0);
    assert_eq!((event.payload().len(), held), (100_000, event.size_bytes()));
    drop(event);
    assert_eq!(server.budget.used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_arrived_makes_room_for_what_arrives() {
    let mut server = Server::start(config()).await;
    for _ in 0..6 {
        assert_eq!(
            server.post("", vec![b'x'; 900 << 10]).await.status,
            202,
            "a quarter of the ledger is 2 MiB"
        );
    }
    assert_eq!(server.events().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_answered_with_their_place() {
    let mut server = Server::start(config()).await;
    let lines = format!("{}\n{}\n", numbered(1), EVENT.replace("/shop", ""));
    let reply = server
        .post("content-type: application/x-ndjson\r\n", lines)
        .await;
    let column = EVENT.find("/shop").unwrap() + 1;
    assert_eq!((reply.status, reply.code().as_str()), (400, "invalid"));
    assert_eq!(
        reply.json()["error"]["at"],
        serde_json::json!({"line": 2, "column": column, "byte": EVENT.len() + column, "field": "source"})
    );
    assert!(
        server.events().is_empty(),
        "of a body with a mistake nothing is accepted"
    );

    let header = server.post("ce-specversion: 1.0\r\nce-id: 1\r\n", "").await;
    assert_eq!(
        (header.status, &header.json()["error"]["at"]),
        (400, &serde_json::json!({"field": "ce-source"}))
    );
    for (headers, body) in [
        (
            "content-type: application/cloudevents+json\r\n",
            "{\"id\": \"caf\u{e9}".as_bytes(),
        ),
        ("content-type: application/cloudevents+json\r\n", b""),
        (
            "content-type: application/cloudevents+json\r\n",
            b"\xEF\xBB\xBF{}",
        ),
        (
            "content-type: application/cloudevents+json\r\n",
            b"{\"data\": NaN}",
        ),
        (
            "content-type: application/cloudevents-batch+json\r\n",
            b"[]",
        ),
        ("content-type: application/x-ndjson\r\n", b"\n"),
    ] {
        let reply = server.post(headers, body).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "invalid"),
            "{body:?}: {}",
            reply.body
        );
    }
    assert_eq!(
        server.post("content-encoding: gzip\r\n", "x").await.status,
        415
    );
    assert_eq!(
        server
            .post("content-type: application/cloudevents+xml\r\n", "x")
            .await
            .status,
        415
    );
    assert_eq!(server.refused(RefusalReason::Invalid), 8);
    assert_eq!(server.refused(RefusalReason::Unsupported), 2);
    assert_eq!(server.reported_invalid(), 10);
    assert_eq!(server.budget.used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_deeper_than_the_stack_is_a_mistake() {
    let server = Server::start(config()).await;
    let body = EVENT.replace("12", &"[".repeat(100_000));
    let reply = server
        .post("content-type: application/cloudevents+json\r\n", body)
        .await;
    assert_eq!(reply.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_are_not_events() {
    let server = Server::start(config()).await;
    assert_eq!(server.post_to("/", "", "x").await.code(), "not_found");
    let get = server
        .send("GET /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .remove(0);
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert_eq!(server.stats().received, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_is_asked_before_the_body_is_read() {
    let server = Server::start(config()).await;
    server.gate.set_floor(Priority::High);
    // The body never comes: an answer that waits for it would not come either.
    let asks = "POST /v1/events HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 65536\r\n\r\n";
    let replies = server.send(asks).await;
    assert_eq!(replies.len(), 1, "and no 100");
    assert_eq!(
        (replies[0].status, replies[0].code().as_str()),
        (503, "level")
    );
    assert_eq!(replies[0].header("retry-after"), Some("1"));
    assert_eq!(replies[0].json()["error"]["retry_after_seconds"], 1);

    server.gate.set_floor(Priority::Low);
    let asks = asks.replace("65536", "2") + "hi";
    let replies = server
        .send(asks.replace("host", "connection: close\r\nhost"))
        .await;
    assert_eq!(
        replies.iter().map(|reply| reply.status).collect::<Vec<_>>(),
        [100, 202]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_status_and_a_time_to_come_back() {
    let server = Server::start(HttpServerConfig {
        max_body_bytes: 600 << 10,
        ..config()
    })
    .await;
    server.budget.resize(Some(2 << 20));
    let expect = async |status, reason: RefusalReason, body: &[u8]| {
        let before = server.refused(reason);
        let reply = server.post("", body).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, reason.as_str())
        );
        assert_eq!(
            reply.header("retry-after").is_some(),
            matches!(status, 429 | 503)
        );
        assert_eq!(server.refused(reason), before + 1);
    };
    expect(413, RefusalReason::BodyTooLarge, &vec![0; (3 << 20) + 1]).await;
    expect(413, RefusalReason::BodyTooLarge, &vec![0; (600 << 10) + 1]).await;
    expect(
        413,
        RefusalReason::Gate(Reason::TooLarge),
        &vec![0; 550 << 10],
    )
    .await;
    let held = server.budget.reserve(1500 << 10, Priority::Normal).unwrap();
    expect(
        503,
        RefusalReason::Gate(Reason::Ledger),
        &vec![0; 200 << 10],
    )
    .await;
    server.gate.set_drain(Some(1024.0));
    server
        .gate
        .set_max_queue_delay(Some(Duration::from_secs(5)));
    expect(503, RefusalReason::Gate(Reason::QueueDelay), b"x").await;
    server.gate.set_drain(None);
    drop(held);
    server.gate.set_rate(Some(10.0));
    assert_eq!(server.post("", vec![0; 1000]).await.status, 202);
    expect(429, RefusalReason::Gate(Reason::Rate), b"x").await;
    server.gate.set_rate(None);
    let mut accepted = 1;
    while server.post("", "x").await.status == 202 {
        accepted += 1;
    }
    assert_eq!(accepted, 64);
    expect(503, RefusalReason::QueueFull, b"x").await;
    server.gate.close();
    expect(503, RefusalReason::Gate(Reason::Draining), b"x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_halted_says_what_was_accepted() {
    let mut server = Server::start(HttpServerConfig {
        max_batch_events: 100,
        ..config()
    })
    .await;
    let lines = |count| (0..count).map(numbered).collect::<Vec<_>>().join("\n");
    let reply = server
        .post("content-type: application/x-ndjson\r\n", lines(70))
        .await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "queue_full"));
    assert!(reply.header("retry-after").is_some());
    let ids = reply.json()["ids"].as_array().unwrap().clone();
    assert_eq!(
        (reply.json()["accepted"].as_u64(), ids.len()),
        (Some(64), 64)
    );
    assert_eq!(ids[63], "63");
    assert_eq!(server.events().len(), 64);
    assert_eq!(
        (
            server.stats().accepted,
            server.refused(RefusalReason::QueueFull)
        ),
        (64, 6)
    );

    let reply = server
        .post("content-type: application/x-ndjson\r\n", lines(101))
        .await;
    assert_eq!((reply.status, server.events().len()), (413, 0));
    assert_eq!(server.budget.used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_grows_beyond_the_ledger_is_refused_whole() {
    let mut server = Server::start(config()).await;
    let held = server
        .budget
        .reserve((8 << 20) * 79 / 100, Priority::Normal)
        .unwrap();
    let lines = vec![r#"{"specversion":"1.0","id":"1","source":"/","type":"t"}"#; 1000].join("\n");
    let reply = server
        .post("content-type: application/x-ndjson\r\n", lines)
        .await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (503, "ledger"),
        "small events cost more than their text"
    );
    assert!(server.events().is_empty());
    drop(held);
    assert_eq!(server.budget.used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_and_pipelined() {
    let mut server = Server::start(config()).await;
    let one = |body: &str| {
        format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let last = String::from_utf8(request("/v1/events", "", b"c")).unwrap();
    let replies = server.send(one("a") + &one("bb") + &last).await;
    assert_eq!(
        replies.iter().map(|reply| reply.status).collect::<Vec<_>>(),
        [202; 3]
    );
    let payloads: Vec<_> = server
        .events()
        .iter()
        .map(|event| event.payload().clone())
        .collect();
    assert_eq!(payloads, ["a", "bb", "c"]);

    server.gate.set_floor(Priority::High);
    let replies = server
        .send(one(&"x".repeat(10_000)) + &one("bb") + &last)
        .await;
    assert_eq!(
        replies.len(),
        3,
        "a refusal of a small body does not end the connection"
    );
    assert!(replies.iter().all(|reply| reply.status == 503));
}
