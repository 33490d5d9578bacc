//! The emitter against targets that refuse, hang, lie and overflow.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Server, config};
use relay_engine::{EmitError, Emitted, Emitter};
use relay_event::{Event, Outcome};
use relay_http::{BatchFormat, HttpEmitter, HttpEmitterConfig};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A target that reads requests and gives the answers of a script, as they are; it hangs when the script is over.
struct Target {
    url: String,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Target {
    async fn start(script: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/events", listener.local_addr().unwrap());
        let script: VecDeque<Vec<u8>> = script.into_iter().map(Into::into).collect();
        let script = Arc::new(Mutex::new(script));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let this = Self {
            url,
            bodies: Arc::clone(&bodies),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&bodies)));
            }
        });
        this
    }

    fn requests(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<Mutex<VecDeque<Vec<u8>>>>,
    bodies: Arc<Mutex<Vec<String>>>,
) {
    let mut text = String::new();
    loop {
        let mut buffer = vec![0; 65_536];
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.unwrap().parse().unwrap() {
            continue;
        }
        bodies.lock().unwrap().push(std::mem::take(&mut text));
        let answer = script.lock().unwrap().pop_front();
        match answer {
            Some(answer) => stream.write_all(&answer).await.unwrap(),
            None => std::future::pending().await,
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn ok() -> String {
    answer("202 Accepted", "", "{}")
}

fn events(count: usize) -> Vec<Event> {
    let event = |n: usize| {
        Event::builder("t")
            .id(n.to_string().parse().unwrap())
            .payload(n.to_string())
            .build()
    };
    (0..count).map(|n| event(n).unwrap()).collect()
}

async fn emitter(config: HttpEmitterConfig) -> HttpEmitter {
    let mut emitter = HttpEmitter::try_new(config).unwrap();
    emitter.start().await.unwrap();
    emitter
}

async fn emit(url: &str, count: usize) -> Result<Emitted, EmitError> {
    let config = HttpEmitterConfig {
        timeout: Duration::from_millis(500),
        ..HttpEmitterConfig::new(url)
    };
    emitter(config).await.emit(&events(count)).await
}

/// The error of a target with one answer.
async fn error_of(answer: impl Into<Vec<u8>>) -> EmitError {
    let target = Target::start([answer]).await;
    emit(&target.url, 3).await.unwrap_err()
}

#[tokio::test]
async fn both_formats_arrive_at_a_relay() {
    for format in [BatchFormat::Batch, BatchFormat::Lines] {
        let mut server = Server::start(config()).await;
        let url = format!("http://{}/v1/events", server.address);
        let emitter = emitter(HttpEmitterConfig {
            format,
            ..HttpEmitterConfig::new(url)
        })
        .await;
        for _ in 0..3 {
            assert_eq!(emitter.emit(&events(5)).await.unwrap(), Emitted::All);
            let arrived: Vec<_> = server
                .events()
                .iter()
                .map(|event| event.id().to_string())
                .collect();
            assert_eq!(arrived, ["0", "1", "2", "3", "4"]);
        }
        assert_eq!(emitter.emit(&[]).await.unwrap(), Emitted::All);
        assert_eq!(server.stats().received, 15);
    }
}

#[tokio::test]
async fn a_relay_that_fills_up_takes_the_rest_later() {
    let mut server = Server::start(config()).await;
    let emitter = emitter(HttpEmitterConfig::new(format!(
        "http://{}/v1/events",
        server.address
    )))
    .await;
    let Emitted::Each(outcomes) = emitter.emit(&events(100)).await.unwrap() else {
        panic!("64 fit");
    };
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == Outcome::Delivered)
            .count(),
        64
    );
    assert_eq!(server.events().len(), 64);
    assert_eq!(
        emitter.emit(&events(100)[64..]).await.unwrap(),
        Emitted::All
    );
    assert_eq!(server.events()[0].id().to_string(), "64");
}

#[tokio::test]
async fn no_connection_and_no_answer_are_worth_another_attempt() {
    let refused = emit("http://user:secret@127.0.0.1:1/", 1)
        .await
        .unwrap_err();
    assert!(
        refused.is_retry()
            && refused
                .to_string()
                .contains("cannot connect to http://***@127.0.0.1:1/"),
        "{refused}"
    );
    let hanging = Target::start(Vec::<String>::new()).await;
    let started = Instant::now();
    let error = emit(&hanging.url, 1).await.unwrap_err();
    assert!(
        error.is_retry() && error.to_string().contains("no answer within 500ms"),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn garbage_is_named() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 2OO OK\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let error = error_of(garbage).await;
        assert!(
            error.is_retry() && error.to_string().contains("not HTTP"),
            "{error}"
        );
    }
    let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(200_000));
    assert!(error_of(endless).await.is_retry());
}

#[tokio::test]
async fn retry_after_is_handed_on() {
    let error = error_of(answer(
        "429 Too Many Requests",
        "retry-after: 7\r\n",
        "slow down",
    ))
    .await;
    assert_eq!(
        (error.is_retry(), error.retry_after()),
        (true, Some(Duration::from_secs(7)))
    );
    assert!(
        error
            .to_string()
            .ends_with("429 Too Many Requests: slow down"),
        "{error}"
    );
    let error = error_of(answer(
        "503 Service Unavailable",
        "retry-after: 86400\r\n",
        "",
    ))
    .await;
    assert_eq!(error.retry_after(), Some(Duration::from_mins(1)));
}

#[tokio::test]
async fn an_error_that_passes_is_followed_by_success() {
    let target = Target::start([answer("500 Oops", "", ""), ok()]).await;
    let emitter = emitter(HttpEmitterConfig::new(&target.url)).await;
    let events = events(2);
    assert!(emitter.emit(&events).await.unwrap_err().is_retry());
    assert_eq!(emitter.emit(&events).await.unwrap(), Emitted::All);
    let bodies = target.bodies.lock().unwrap();
    assert!(bodies[1].contains("application/cloudevents-batch+json"));
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn what_never_helps_is_given_up() {
    assert!(!error_of(answer("404 Not Found", "", "")).await.is_retry());
    let redirect = error_of(answer(
        "307 Temporary Redirect",
        "location: http://elsewhere/\r\n",
        "",
    ))
    .await;
    assert!(
        !redirect.is_retry() && redirect.to_string().contains("redirects are not followed"),
        "{redirect}"
    );
}

#[tokio::test]
async fn too_large_a_request_is_sent_in_halves() {
    let too_large = || answer("413 Payload Too Large", "", "");
    // Four events, then two, one of which is too large even alone; the other half is left for the next attempt.
    let target = Target::start([too_large(), too_large(), ok(), too_large()]).await;
    let emitted = emit(&target.url, 4).await.unwrap();
    assert_eq!(
        emitted,
        Emitted::Each(vec![
            Outcome::Delivered,
            Outcome::Rejected,
            Outcome::Retry,
            Outcome::Retry
        ])
    );
    let target = Target::start([too_large(), ok(), ok()]).await;
    assert_eq!(emit(&target.url, 5).await.unwrap(), Emitted::All);
    assert_eq!(target.requests(), 3);
    let error = error_of_one(too_large()).await;
    assert!(!error.is_retry(), "{error}");
}

async fn error_of_one(answer: String) -> EmitError {
    let target = Target::start([answer]).await;
    emit(&target.url, 1).await.unwrap_err()
}

#[tokio::test]
async fn long_batches_make_several_requests() {
    let target = Target::start(vec![ok(); 100]).await;
    let config = HttpEmitterConfig {
        max_request_bytes: 4096,
        ..HttpEmitterConfig::new(&target.url)
    };
    assert_eq!(
        emitter(config).await.emit(&events(200)).await.unwrap(),
        Emitted::All
    );
    assert!(
        (5..50).contains(&target.requests()),
        "{}",
        target.requests()
    );
    let bodies = target.bodies.lock().unwrap();
    assert!(
        bodies
            .iter()
            .all(|body| body.split_once("\r\n\r\n").unwrap().1.len() <= 4096)
    );
}

#[tokio::test]
async fn a_long_answer_is_not_read_to_its_end() {
    let long = "x".repeat(10 << 20);
    let target = Target::start([answer("200 OK", "", &long), ok()]).await;
    let emitter = emitter(HttpEmitterConfig::new(&target.url)).await;
    assert_eq!(emitter.emit(&events(1)).await.unwrap(), Emitted::All);
    assert_eq!(
        emitter.emit(&events(1)).await.unwrap(),
        Emitted::All,
        "on another connection"
    );
    let error = error_of(answer("500 Oops", "", &long)).await;
    assert!(error.is_retry() && error.to_string().len() < 400);
}
