//! Senders of every sort, on real sockets.

use super::*;
use relay_engine::{IngestStats, RefusalReason, Stop};
use relay_event::{Bus, ByteBudget, Code, ErrorBus, Event, Gate, SubscribeOptions, Subscription};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(10);

/// An adapter around a bare way in.
struct Node {
    address: SocketAddr,
    ingest: Ingest,
    gate: Gate,
    errors: ErrorBus,
    subscription: Subscription,
    pool: Arc<dyn Pool>,
}

fn config() -> TcpConfig {
    TcpConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        format: LineFormat::Text,
        max_line: ByteSize::from_kib(64),
        max_connections: 64,
        idle_timeout: PATIENCE,
        source: "/tcp".to_owned(),
        topic: Topic::new("line").unwrap(),
        listeners: PoolBounds::new(1, 4),
    }
}

/// Room for so many events, and a ledger of 8 MiB.
async fn start(config: TcpConfig, events: usize) -> Node {
    start_with(TcpLines::new(config), events).await
}

async fn start_with(mut adapter: TcpLines, events: usize) -> Node {
    let gate = Gate::new(ByteBudget::new(8 << 20));
    let (bus, errors) = (Bus::new("external"), ErrorBus::new());
    let ingest = Ingest::new("tcp", gate.clone(), bus.clone(), errors.clone());
    let options = SubscribeOptions::new("s").limit_events(events);
    let subscription = bus.subscribe(options).unwrap();
    let cx = AdapterContext {
        id: "tcp".into(),
        ingest: ingest.clone(),
        stop: Stop::fixed(false),
        drain: Duration::from_secs(1),
    };
    let address = adapter.bind().await.unwrap();
    adapter.start(&cx).await.unwrap();
    let pool = Adapter::pool(&adapter).unwrap();
    tokio::spawn(Box::new(adapter).run(cx));
    Node {
        address,
        ingest,
        gate,
        errors,
        subscription,
        pool,
    }
}

impl Node {
    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.subscription.try_recv()).collect()
    }

    fn stats(&self) -> IngestStats {
        let stats = self.ingest.stats();
        assert!(stats.is_closed(), "{stats:?}");
        stats
    }

    /// Sends `bytes`, ends its side, and reads all answers.
    async fn send(&self, bytes: impl Into<Vec<u8>>) -> Vec<String> {
        let (address, bytes) = (self.address, bytes.into());
        let exchange = move || {
            let mut stream = connect(address);
            let mut writer = stream.try_clone().unwrap();
            let writing = std::thread::spawn(move || {
                writer.write_all(&bytes)?;
                writer.shutdown(Shutdown::Write)
            });
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            let _ = writing.join().unwrap();
            text.lines().map(str::to_owned).collect()
        };
        tokio::task::spawn_blocking(exchange).await.unwrap()
    }

    async fn wait_for(&self, workers: usize) {
        let reading = || self.pool.reading().workers;
        until("the pool has followed", || reading() == workers).await;
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_an_event_and_has_an_answer() {
    let mut node = start(config(), 64).await;
    let answers = node.send("one\r\n\n two \nthree").await;
    assert_eq!(answers, ["ok", "ok", "ok"]);
    let events = node.events();
    let payloads: Vec<_> = events.iter().map(|event| &event.payload()[..]).collect();
    assert_eq!(payloads, [b"one".as_slice(), b" two ", b"three"]);
    assert_eq!(
        (events[0].source(), events[0].topic().as_str()),
        ("/tcp", "line")
    );
    drop(events);
    assert_eq!((node.stats().received, node.stats().accepted), (3, 3));
    assert_eq!(node.gate.budget().used_bytes(), 0, "and every byte is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_json_are_events_and_mistakes_are_named() {
    let json = TcpConfig {
        format: LineFormat::Json,
        ..config()
    };
    let mut node = start(json, 64).await;
    let event = r#"{"specversion":"1.0","id":"7","source":"/shop","type":"order","data":1}"#;
    let answers = node
        .send(format!("{event}\n{{\"id\n\u{0}\n{event}\n"))
        .await;
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert_eq!((answers[0].as_str(), answers[3].as_str()), ("ok", "ok"));
    assert!(
        answers[1..3]
            .iter()
            .all(|answer| answer.starts_with("invalid ")),
        "{answers:?}"
    );
    assert_eq!(node.events()[0].topic().as_str(), "order");
    assert_eq!(node.stats().refused(RefusalReason::Invalid), 2);
    assert_eq!(node.errors.count(Code::IngestInvalid), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_lines_cost_nothing_and_harm_nobody() {
    let small = TcpConfig {
        max_line: ByteSize::from_kib(8),
        ..config()
    };
    let mut node = start(small, 64).await;
    let long = "x".repeat(8 << 10);
    let answers = node.send(format!("a\n{long}x\n{long}\nb\n")).await;
    assert_eq!(answers, ["ok", "invalid body_too_large", "ok", "ok"]);
    assert_eq!(node.events().len(), 3);
    let bytes: Vec<u8> = (0..=255_u8)
        .filter(|byte| *byte != b'\n' && *byte != b'\r')
        .collect();
    assert_eq!(
        node.send(bytes.clone()).await,
        ["ok"],
        "any bytes are a payload"
    );
    assert_eq!(node.events()[0].payload()[..], bytes);
    assert!(
        node.send("\n".repeat(100_000)).await.is_empty(),
        "nothing is answered to nothing"
    );
    let answers = node.send("x".repeat(3 << 20)).await;
    assert_eq!(
        answers,
        ["invalid body_too_large"],
        "and the connection has ended"
    );
    assert_eq!(node.gate.budget().used_bytes(), 0);
    assert_eq!(node.stats().refused(RefusalReason::BodyTooLarge), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_why_and_when_to_come_back() {
    let mut node = start(config(), 2).await;
    let answers = node.send("a\nb\nc\n").await;
    assert_eq!(answers, ["ok", "ok", "refused queue_full 1"]);
    assert_eq!(node.pool.reading().errors, 1);
    node.events();
    node.gate.budget().resize(Some(300));
    let answers = node.send(format!("a\n{}\n", "x".repeat(30_000))).await;
    assert!(
        answers[0].starts_with("refused ledger ") || answers[0] == "invalid too_large",
        "{answers:?}"
    );
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(node.events().len() <= 1);
    node.stats();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_read_or_does_not_write_is_cut_off_and_the_others_go_on() {
    let quick = TcpConfig {
        idle_timeout: Duration::from_millis(200),
        ..config()
    };
    let mut node = start(quick, 64).await;
    let silent = connect(node.address);
    let mut halfway = connect(node.address);
    halfway.write_all(b"half a line").unwrap();
    // Reads nothing: its answers fill the buffers of both kernels, then it is not read from any more.
    let mut deaf = connect(node.address);
    let mut written = 0;
    deaf.set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let flood = tokio::task::spawn_blocking(move || {
        while let Ok(count @ 1..) = deaf.write(&b"x\n".repeat(2000)) {
            written += count;
        }
        written
    });
    let cut = tokio::task::spawn_blocking(move || {
        [silent, halfway].map(|mut stream| stream.read(&mut [0; 8]).unwrap_or(0))
    });
    assert_eq!(cut.await.unwrap(), [0, 0]);
    assert!(flood.await.unwrap() > 0);
    until("all places are free again", || {
        node.events();
        node.ingest.stats().is_closed()
    })
    .await;
    assert_eq!(node.send("still here\n").await, ["ok"]);
    let pool = node.pool.reading();
    assert_eq!((pool.busy, pool.queue), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_connections_wait_and_are_not_dropped() {
    let few = TcpConfig {
        max_connections: 2,
        ..config()
    };
    let mut node = start(few, 64).await;
    let busy = [(); 2].map(|()| {
        let mut stream = connect(node.address);
        stream.write_all(b"a\n").unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 3);
        stream
    });
    let address = node.address;
    let waiting = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        stream.write_all(b"b\n").unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        assert!(stream.read(&mut [0; 8]).is_err(), "not served yet");
        drop(busy);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read(&mut [0; 8]).unwrap()
    });
    assert_eq!(waiting.await.unwrap(), 3);
    assert_eq!(node.events().len(), 3);
}

/// Sends numbered lines on connections that it renews now and then, each line once, until told to stop.
fn keep_sending(address: SocketAddr, name: usize, stop: &AtomicBool) -> HashSet<String> {
    let mut accepted = HashSet::new();
    let mut number = 0;
    while !stop.load(Relaxed) {
        let stream = connect(address);
        let mut answers = BufReader::new(stream.try_clone().unwrap());
        for _ in 0..10 {
            let line = format!("{name}-{number}");
            (&stream).write_all(format!("{line}\n").as_bytes()).unwrap();
            let mut answer = String::new();
            answers.read_line(&mut answer).unwrap();
            match answer.as_str() {
                "ok\n" => assert!(accepted.insert(line)),
                other => assert!(other.starts_with("refused queue_full"), "{other:?}"),
            }
            number += 1;
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn listeners_come_and_go_under_load_without_a_lost_connection() {
    let mut node = start(config(), 4096).await;
    node.wait_for(4).await;
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..8)
        .map(|name| {
            let (address, stop) = (node.address, Arc::clone(&stop));
            tokio::task::spawn_blocking(move || keep_sending(address, name, &stop))
        })
        .collect();
    let mut seen = Vec::new();
    for listeners in [1, 4, 2, 3, 1, 4, 1] {
        node.pool.set_workers(listeners);
        node.wait_for(listeners).await;
        let before = node.ingest.stats().accepted;
        until("it goes on", || {
            let came = node.events();
            seen.extend(came.iter().map(|event| event.payload().clone()));
            node.ingest.stats().accepted > before + 300
        })
        .await;
    }
    stop.store(true, Relaxed);
    let mut accepted = HashSet::new();
    for sender in senders {
        accepted.extend(sender.await.unwrap());
    }
    seen.extend(node.events().iter().map(|event| event.payload().clone()));
    assert_eq!(
        seen.len(),
        accepted.len(),
        "nothing is lost, nothing comes twice"
    );
    assert!(
        seen.iter()
            .all(|line| accepted.contains(std::str::from_utf8(line).unwrap()))
    );
    assert_eq!(node.stats().accepted, accepted.len() as u64);
    assert_eq!(node.pool.reading().done, accepted.len() as u64);
    assert_eq!(node.errors.count(Code::AdapterScaledDown), 4);
    assert_eq!(node.errors.count(Code::AdapterScaledUp), 3);
    assert_eq!(node.errors.count(Code::AdapterFail), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_cannot_be_had_leaves_the_pool_as_it_is_and_is_reported() {
    let mut adapter = TcpLines::new(config());
    // A socket that is not to be shared: no other one can be had beside it.
    adapter.listener = Some(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let mut node = start_with(adapter, 64).await;
    until("it is told", || node.errors.count(Code::AdapterFail) == 1).await;
    node.wait_for(1).await;
    node.pool.set_workers(3);
    until("it is told", || node.errors.count(Code::AdapterFail) == 2).await;
    node.wait_for(1).await;
    assert_eq!(node.send("still here\n").await, ["ok"]);
    assert_eq!(node.events().len(), 1);
}

#[tokio::test]
async fn an_address_that_somebody_shares_already_is_refused() {
    let other = listeners::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut adapter = TcpLines::new(TcpConfig {
        listen: other.local_addr().unwrap(),
        ..config()
    });
    let error = adapter.bind().await.unwrap_err();
    assert!(
        error.to_string().contains("set listen to another address"),
        "{error}"
    );
}
