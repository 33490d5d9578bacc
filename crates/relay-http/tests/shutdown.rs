//! A server that stops finishes what is under way, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{config, replies};
use relay_engine::Engine;
use relay_http::HttpServer;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

async fn engine() -> (Engine, SocketAddr) {
    let mut server = HttpServer::try_new(config()).unwrap();
    let address = server.bind().await.unwrap();
    let engine = Engine::builder()
        .with_adapter("http", server)
        .with_memory_limit(1 << 30)
        .without_error_log()
        .start()
        .await
        .unwrap();
    (engine, address)
}

fn begin(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
        .write_all(b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab")
        .unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_finished_and_idle_connections_end() {
    let (engine, address) = engine().await;
    let mut idle = TcpStream::connect(address).unwrap();
    let mut busy = begin(address);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let shutdown = tokio::spawn(engine.shutdown(Duration::from_secs(5)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
    let mut bytes = Vec::new();
    tokio::task::block_in_place(|| {
        assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
        busy.write_all(b"cd").unwrap();
        busy.read_to_end(&mut bytes).unwrap();
    });
    let reply = replies(&bytes).remove(0);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(reply.status, 202);
    shutdown.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_in_time_is_ended() {
    let (engine, address) = engine().await;
    let mut busy = begin(address);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    engine.shutdown(Duration::from_millis(400)).await;
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    let ended = tokio::task::block_in_place(|| busy.read(&mut [0; 1]));
    assert!(matches!(ended, Ok(0) | Err(_)));
}
