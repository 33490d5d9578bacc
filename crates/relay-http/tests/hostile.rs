//! Senders that are slow, broken or hostile, on plain sockets.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Server, config, exchange, exchange_and_end, replies, request, until};
use relay_engine::RefusalReason;
use relay_event::{Priority, Reason};
use relay_http::HttpServerConfig;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn quick() -> HttpServerConfig {
    HttpServerConfig {
        header_timeout: Duration::from_millis(300),
        request_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_millis(600),
        pace_window: Duration::from_millis(300),
        ..config()
    }
}

/// What the server answers to bytes that are no request; one answer, and then the end.
async fn status_of(server: &Server, bytes: impl Into<Vec<u8>>) -> u16 {
    let replies = server.send(bytes).await;
    assert_eq!(replies.len(), 1);
    replies[0].status
}

fn head(lines: &str) -> String {
    format!("POST /v1/events HTTP/1.1\r\nhost: x\r\n{lines}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_beyond_the_limits_are_answered_and_ended() {
    let server = Server::start(config()).await;
    let megabyte = "x".repeat(1 << 20);
    assert_eq!(
        status_of(&server, head(&format!("a: {megabyte}\r\n"))).await,
        431
    );
    assert_eq!(
        status_of(&server, head(&"a: b\r\n".repeat(10_000))).await,
        431
    );
    assert_eq!(
        status_of(
            &server,
            head(&format!("connection: close\r\n{}", "a: b\r\n".repeat(70)))
        )
        .await,
        431
    );
    assert_eq!(
        status_of(&server, format!("POST /{megabyte} HTTP/1.1\r\n\r\n")).await,
        431
    );
    let long = format!(
        "POST /v1/events?{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "x".repeat(9000)
    );
    assert_eq!(status_of(&server, long).await, 414);
    until("each is counted and reported once", || {
        server.reported_invalid() == 5
    })
    .await;
    assert_eq!(server.refused(RefusalReason::Invalid), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn framing_that_can_be_read_in_two_ways_is_refused() {
    let mut server = Server::start(config()).await;
    for lines in [
        "content-length: 1\r\ncontent-length: 2\r\n",
        "content-length: +1\r\n",
        "content-length: -1\r\n",
        "content-length: 1, 2\r\n",
        "content-length : 1\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "a: b\r\n folded: c\r\n",
        "a: b\rc: d\r\n",
        "a: \0\r\n",
    ] {
        assert_eq!(
            status_of(&server, head(lines) + "xyz").await,
            400,
            "{lines:?}"
        );
    }
    assert_eq!(status_of(&server, "POST /v1/events\r\n\r\n").await, 400);
    assert_eq!(status_of(&server, "GET / HTTP/1.1\nhost x\n\n").await, 400);
    assert!(server.events().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_and_chunks_are_one_request_and_the_last() {
    let mut server = Server::start(config()).await;
    let smuggled =
        "POST /v1/events?topic=smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx";
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let replies = server
            .send(head(framing) + "1\r\na\r\n0\r\n\r\n" + smuggled)
            .await;
        assert_eq!(replies.len(), 1);
        assert_eq!(
            (replies[0].status, replies[0].header("connection")),
            (202, Some("close"))
        );
        let events = server.events();
        assert_eq!((events.len(), &events[0].payload()[..]), (1, &b"a"[..]));
    }
    // A line may end with a line feed alone (RFC 9112 section 2.2): still one request, with one reading.
    let bare = "POST /v1/events HTTP/1.1\nhost: x\nconnection: close\ncontent-length: 1\n\na";
    assert_eq!(status_of(&server, bare).await, 202);
    assert_eq!(server.events().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_early_is_answered_and_counted() {
    let mut server = Server::start(config()).await;
    for body in [
        head("content-length: 100\r\n") + "only this",
        head("transfer-encoding: chunked\r\n") + "5\r\nab",
        head("content-length: 100000\r\n") + &"x".repeat(99_999),
    ] {
        let address = server.address;
        let reply =
            tokio::task::spawn_blocking(move || exchange_and_end(address, body.as_bytes())).await;
        let replies = replies(&reply.unwrap().unwrap());
        assert_eq!(
            (replies[0].status, replies[0].code().as_str()),
            (400, "aborted")
        );
    }
    assert_eq!(
        status_of(
            &server,
            head("transfer-encoding: chunked\r\n") + "5\r\nabcdefg\r\n"
        )
        .await,
        400
    );
    let gone = TcpStream::connect(server.address).unwrap();
    (&gone)
        .write_all(head("content-length: 100\r\n").as_bytes())
        .unwrap();
    drop(gone);
    until("the one that went away is counted", || {
        server.ingest.stats().refused(RefusalReason::Aborted) == 4
    })
    .await;
    assert_eq!(server.refused(RefusalReason::Invalid), 1, "broken chunks");
    assert_eq!(server.budget.used_bytes(), 0);
    assert!(server.events().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_body_is_the_next_request() {
    let mut server = Server::start(quick()).await;
    let replies = server.send(head("content-length: 1\r\n") + "ab").await;
    assert_eq!(replies[0].status, 202);
    assert_eq!(&server.events()[0].payload()[..], b"a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_end_is_read_up_to_the_limit() {
    let server = Server::start(HttpServerConfig {
        max_body_bytes: 100_000,
        ..config()
    })
    .await;
    let endless = head("transfer-encoding: chunked\r\n")
        + &format!("3e8\r\n{}\r\n", "x".repeat(1000)).repeat(1900);
    let replies = server.send(endless).await;
    assert_eq!(
        (replies[0].status, replies[0].code().as_str()),
        (413, "body_too_large")
    );
    assert_eq!(server.budget.used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_reserved_is_not_read() {
    let server = Server::start(config()).await;
    let arriving = (8 << 20) / 4;
    let mut slow = TcpStream::connect(server.address).unwrap();
    slow.write_all((head("transfer-encoding: chunked\r\n") + "1000000\r\n").as_bytes())
        .unwrap();
    for sent in 1..=10 {
        slow.write_all(&vec![b'x'; 50_000]).unwrap();
        until("what is held keeps up with what came", || {
            server.budget.used_bytes() >= sent * 50_000
        })
        .await;
        assert!(server.budget.used_bytes() <= arriving);
    }
    drop(slow);
    until("all is returned", || server.budget.used_bytes() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_end() {
    let server = Server::start(quick()).await;
    let started = Instant::now();
    let replies = server.send(head("content-length: 1000\r\n") + "x").await;
    assert_eq!(
        (replies[0].status, replies[0].code().as_str()),
        (408, "slow")
    );
    let waited = started.elapsed();
    assert!(
        (Duration::from_millis(250)..Duration::from_secs(2)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(server.refused(RefusalReason::Slow), 1);
    assert_eq!(server.budget.used_bytes(), 0);
}

/// Sends one byte each 50 ms until the server ends the connection; how long that took, and what it said.
fn drip(server: &Server, bytes: &[u8]) -> (Duration, String) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut said = Vec::new();
    for byte in bytes {
        let _ = stream.write_all(&[*byte]);
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    (started.elapsed(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_at_a_time_ends_in_the_head_and_in_the_body() {
    let server = Server::start(quick()).await;
    let long = head(&"a: b\r\n".repeat(100));
    let (waited, _) = tokio::task::block_in_place(|| drip(&server, long.as_bytes()));
    assert!(
        (Duration::from_millis(250)..Duration::from_secs(2)).contains(&waited),
        "{waited:?}"
    );
    until("it is counted", || {
        server.ingest.stats().refused(RefusalReason::Slow) == 1
    })
    .await;

    let address = server.address;
    let (waited, said) = tokio::task::block_in_place(|| {
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(head("content-length: 1000\r\n").as_bytes())
            .unwrap();
        let mut said = String::new();
        for _ in 0..100 {
            let _ = stream.write_all(b"x");
            std::thread::sleep(Duration::from_millis(20));
            if started.elapsed() > Duration::from_millis(500) {
                break;
            }
        }
        let _ = stream.read_to_string(&mut said);
        (started.elapsed(), said)
    });
    assert!(said.contains("408"), "{said}");
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    assert_eq!(server.refused(RefusalReason::Slow), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_end_and_busy_ones_stay() {
    let server = Server::start(quick()).await;
    let mut idle = TcpStream::connect(server.address).unwrap();
    let mut busy = TcpStream::connect(server.address).unwrap();
    let started = Instant::now();
    let address = server.address;
    tokio::task::block_in_place(|| {
        let ended = std::thread::spawn(move || {
            let read = idle.read(&mut [0; 1]);
            (read.unwrap_or(0), started.elapsed())
        });
        while started.elapsed() < Duration::from_millis(1500) {
            busy.write_all((head("content-length: 1\r\n") + "x").as_bytes())
                .unwrap();
            let mut reply = [0; 1024];
            assert!(busy.read(&mut reply).unwrap() > 0, "{address}");
            std::thread::sleep(Duration::from_millis(100));
        }
        let (read, waited) = ended.join().unwrap();
        assert_eq!(read, 0);
        assert!(
            (Duration::from_millis(550)..Duration::from_millis(1200)).contains(&waited),
            "{waited:?}"
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_read_does_not_hold_a_connection() {
    let server = Server::start(HttpServerConfig {
        max_connections: 1,
        ..quick()
    })
    .await;
    let mut deaf = TcpStream::connect(server.address).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let requests = head("content-length: 0\r\n").repeat(1000);
    while deaf.write_all(requests.as_bytes()).is_ok() {}
    let reply = server.post("", "x").await;
    assert!(
        matches!(reply.status, 202 | 503),
        "the next one gets its turn"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_does_not_hide_the_answer() {
    let server = Server::start(config()).await;
    server.gate.set_floor(Priority::High);
    let address = server.address;
    for bytes in [64 << 10, 900 << 10, 1900 << 10] {
        for _ in 0..10 {
            let bytes = request("/v1/events", "", &vec![b'x'; bytes]);
            let reply = tokio::task::spawn_blocking(move || exchange(address, &bytes))
                .await
                .unwrap();
            let replies = replies(&reply.expect("an answer and no reset"));
            assert_eq!(
                replies[0].status,
                if bytes_too_long(&replies[0].body) {
                    413
                } else {
                    503
                }
            );
        }
    }
    let refused = server.refused(RefusalReason::Gate(Reason::Level))
        + server.refused(RefusalReason::BodyTooLarge);
    assert_eq!(refused, 30);
}

fn bytes_too_long(body: &str) -> bool {
    body.contains("body_too_large")
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_allowed_wait_their_turn() {
    let server = Server::start(HttpServerConfig {
        max_connections: 2,
        ..config()
    })
    .await;
    let first = TcpStream::connect(server.address).unwrap();
    let second = TcpStream::connect(server.address).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut third = TcpStream::connect(server.address).unwrap();
    third.write_all(&request("/v1/events", "", b"x")).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.stats().received, 0);
    drop(first);
    until("a place became free", || {
        server.ingest.stats().accepted == 1
    })
    .await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_who_goes_on_writing_is_not_reset() {
    let server = Server::start(config()).await;
    let mut stream = TcpStream::connect(server.address).unwrap();
    tokio::task::block_in_place(|| {
        stream
            .write_all(head(&format!("a: {}", "x".repeat(64 << 10))).as_bytes())
            .unwrap();
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(50));
            stream
                .write_all(&vec![b'x'; 64 << 10])
                .expect("our side is not closed before its time");
        }
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    });
}
