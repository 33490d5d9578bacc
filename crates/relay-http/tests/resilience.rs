//! Real servers that die and come back, and workers that come and go, under load: nothing is lost, nothing comes twice.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::until;
use relay_control::{BreakerConfig, BreakerState};
use relay_engine::{
    BoxFuture, EmitError, Emitted, Emitter, EmitterOptions, Engine, EngineState, PoolBounds,
    PoolReading, RetryPolicy, default_breaker,
};
use relay_event::{Code, ErrorBus, Event};
use relay_http::{HttpEmitter, HttpEmitterConfig, HttpServer, HttpServerConfig};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

/// Counts how often each event came, by its payload.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<HashMap<String, usize>>>);

impl Counting {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn twice(&self) -> usize {
        let seen = self.0.lock().unwrap();
        seen.values().filter(|times| **times > 1).count()
    }
}

impl Emitter for Counting {
    fn kind(&self) -> &'static str {
        "counting"
    }

    fn emit<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<Emitted, EmitError>> {
        let mut seen = self.0.lock().unwrap();
        for event in events {
            let text = String::from_utf8(event.payload().to_vec()).unwrap();
            *seen.entry(text).or_default() += 1;
        }
        Box::pin(async { Ok(Emitted::All) })
    }
}

async fn bound(config: HttpServerConfig) -> (HttpServer, SocketAddr) {
    let mut server = HttpServer::try_new(config).unwrap();
    let address = server.bind().await.unwrap();
    (server, address)
}

/// A node that takes events over HTTP at `address` and counts them.
async fn target(address: SocketAddr, sink: &Counting) -> (Engine, SocketAddr) {
    let config = HttpServerConfig {
        listen: address,
        ..HttpServerConfig::default()
    };
    let (server, address) = bound(config).await;
    let engine = Engine::builder()
        .without_error_log()
        .with_adapter("http", server)
        .with_emitter("sink", sink.clone(), EmitterOptions::default());
    (engine.start().await.unwrap(), address)
}

fn pool(state: &EngineState) -> PoolReading {
    let pool = state.pools.iter().find(|pool| pool.id == "adapter:http");
    pool.unwrap().reading
}

fn breaker(state: &EngineState) -> BreakerState {
    let mut breakers = state.breakers.iter();
    let found = breakers.find(|(id, _)| id == "emitter:next");
    found.unwrap().1.state
}

/// Posts numbered bodies on one connection until told to stop; what was answered with 202 counts as accepted.
fn send_until(
    address: SocketAddr,
    name: usize,
    stop: &AtomicBool,
    accepted: &Mutex<Vec<String>>,
) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_nodelay(true)?;
    let (mut refused, mut buffer) = (0, vec![0; 4096]);
    let mut number = 0;
    while !stop.load(Relaxed) {
        let body = format!("{name}-{number}");
        let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length";
        stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        let mut answer = String::new();
        while !is_complete(&answer) {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Err(std::io::Error::other("the connection was dropped"));
            }
            answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        if answer.starts_with("HTTP/1.1 202") {
            accepted.lock().unwrap().push(body);
        } else {
            assert!(
                answer.starts_with("HTTP/1.1 503") || answer.starts_with("HTTP/1.1 429"),
                "{answer}"
            );
            refused += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        number += 1;
    }
    Ok(refused)
}

fn is_complete(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return false;
    };
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.is_some_and(|(_, length)| body.len() == length.parse::<usize>().unwrap())
}

/// Sends from `senders` connections while `during` runs; what was accepted, and how much was refused.
async fn under_load(
    address: SocketAddr,
    senders: usize,
    during: impl Future<Output = ()>,
) -> (Vec<String>, usize) {
    let stop = Arc::new(AtomicBool::new(false));
    let accepted = Arc::<Mutex<Vec<String>>>::default();
    let tasks: Vec<_> = (0..senders)
        .map(|name| {
            let (stop, accepted) = (Arc::clone(&stop), Arc::clone(&accepted));
            tokio::task::spawn_blocking(move || send_until(address, name, &stop, &accepted))
        })
        .collect();
    during.await;
    stop.store(true, Relaxed);
    let mut refused = 0;
    for task in tasks {
        refused += task.await.unwrap().unwrap();
    }
    let accepted = std::mem::take(&mut *accepted.lock().unwrap());
    (accepted, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_dies_and_comes_back_under_load_costs_no_event() {
    let sink = Counting::default();
    let (next, address) = target("127.0.0.1:0".parse().unwrap(), &sink).await;
    let errors = ErrorBus::new();
    let quick = Duration::from_millis(50);
    let emitter = HttpEmitterConfig {
        timeout: Duration::from_secs(2),
        ..HttpEmitterConfig::new(format!("http://{address}/v1/events"))
    };
    let options = EmitterOptions::default()
        .batch(16, 1 << 20, Duration::ZERO)
        .retry(RetryPolicy {
            attempts: None,
            initial: quick / 10,
            max: quick,
        })
        .breaker(Some(BreakerConfig {
            open_for: quick,
            open_max: quick,
            ..default_breaker()
        }));
    let (server, ingest) = bound(common::config()).await;
    let engine = Engine::builder()
        .without_error_log()
        .with_errors(errors.clone())
        .with_adapter("http", server)
        .with_emitter("next", HttpEmitter::try_new(emitter).unwrap(), options)
        .start()
        .await
        .unwrap();

    let during = async {
        until("the target takes events", || sink.len() > 100).await;
        let first = next.shutdown(DEADLINE).await;
        assert!(first.is_closed());
        until("it opens", || {
            breaker(&engine.state()) != BreakerState::Closed
        })
        .await;
        let accepted = engine.state().ingest().accepted;
        until("the queue holds what comes", || {
            engine.state().ingest().accepted > accepted + 100
        })
        .await;
        until("some trials fail", || errors.count(Code::BreakerHalf) >= 2).await;
        let (again, same) = target(address, &sink).await;
        assert_eq!(same, address);
        until("it closes", || {
            breaker(&engine.state()) == BreakerState::Closed
        })
        .await;
        tokio::time::sleep(quick).await;
        std::mem::forget(again);
    };
    let (accepted, _) = under_load(ingest, 4, during).await;
    let account = engine.shutdown(DEADLINE).await;
    assert!(account.is_closed());
    let out = &account.subscriptions[0].1;
    assert_eq!(
        (out.delivered, out.dropped_total()),
        (accepted.len() as u64, 0),
        "{out:?}"
    );
    until("all have arrived", || sink.len() >= accepted.len()).await;
    let seen = sink.0.lock().unwrap();
    assert!(
        accepted.iter().all(|body| seen.contains_key(body)),
        "nothing is lost"
    );
    assert_eq!(seen.len(), accepted.len(), "and nothing was made up");
    assert!(errors.count(Code::BreakerOpen) >= 2 && errors.count(Code::BreakerClose) >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_of_a_server_scale_under_load_without_a_dropped_connection() {
    let sink = Counting::default();
    let errors = ErrorBus::new();
    let config = HttpServerConfig {
        workers: PoolBounds::new(1, 8),
        ..common::config()
    };
    let (server, address) = bound(config).await;
    let engine = Engine::builder()
        .without_error_log()
        .with_errors(errors.clone())
        .with_adapter("http", server)
        .with_emitter("sink", sink.clone(), EmitterOptions::default())
        .start()
        .await
        .unwrap();
    let observer = engine.observer();
    let busiest = Arc::new(AtomicUsize::new(0));
    let during = async {
        for workers in [1, 2, 4, 8, 4, 2, 1, 8, 1] {
            assert!(observer.set_workers("adapter:http", workers));
            let before = sink.len();
            until("it goes on", || {
                let pool = self::pool(&observer.state());
                busiest.fetch_max(pool.busy, Relaxed);
                sink.len() > before + 100
            })
            .await;
            assert_eq!(pool(&observer.state()).workers, workers);
        }
    };
    // A connection that is dropped ends the test within `under_load`.
    let (accepted, refused) = under_load(address, 12, during).await;
    let account = engine.shutdown(DEADLINE).await;
    assert!(account.is_closed());
    let ingest = account.ingest();
    assert_eq!(
        (ingest.accepted, ingest.refused_total()),
        (accepted.len() as u64, refused as u64)
    );
    assert_eq!((sink.len(), sink.twice()), (accepted.len(), 0));
    assert_eq!(pool(&account).done, accepted.len() as u64);
    assert_eq!(pool(&account).busy + pool(&account).queue, 0);
    assert!(busiest.load(Relaxed) <= 8);
    assert_eq!(errors.count(Code::AdapterScaledUp), 4);
    assert_eq!(errors.count(Code::AdapterScaledDown), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_hold_no_worker() {
    let config = HttpServerConfig {
        workers: PoolBounds::fixed(1),
        ..common::config()
    };
    let mut server = common::Server::start(config).await;
    let mut slow: Vec<_> = (0..10)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    for stream in &mut slow {
        let head = b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf";
        stream.write_all(head).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(server.post("", "x").await.status, 202);
    }
    assert_eq!(server.events().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_a_successor_at_the_same_address() {
    use relay_engine::Adapter as _;
    let (server, address) = bound(common::config()).await;
    let successor = server.successor().unwrap();
    drop(server);
    let sink = Counting::default();
    let engine = Engine::builder().without_error_log();
    let engine = engine
        .with_adapter("http", Boxed(Some(successor)))
        .with_emitter("sink", sink.clone(), EmitterOptions::default());
    let engine = engine.start().await.unwrap();
    let during = async { until("it serves", || sink.len() > 3).await };
    under_load(address, 1, during).await;
    engine.shutdown(DEADLINE).await;
}

/// Hands a boxed adapter to a builder.
struct Boxed(Option<Box<dyn relay_engine::Adapter>>);

impl relay_engine::Adapter for Boxed {
    fn kind(&self) -> &'static str {
        "boxed"
    }

    fn start<'a>(
        &'a mut self,
        cx: &'a relay_engine::AdapterContext,
    ) -> BoxFuture<'a, Result<(), relay_engine::AdapterError>> {
        self.0.as_mut().unwrap().start(cx)
    }

    fn run(
        mut self: Box<Self>,
        cx: relay_engine::AdapterContext,
    ) -> BoxFuture<'static, Result<(), relay_engine::AdapterError>> {
        self.0.take().unwrap().run(cx)
    }
}
