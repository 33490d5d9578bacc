//! A server around a bare way in, and senders made of plain sockets.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test")]

use relay_engine::{Adapter, AdapterContext, Ingest, IngestStats, RefusalReason, Stop};
use relay_event::{Bus, ByteBudget, Code, ErrorBus, Event, Gate, SubscribeOptions, Subscription};
use relay_http::{HttpServer, HttpServerConfig};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub struct Server {
    pub address: SocketAddr,
    pub ingest: Ingest,
    pub gate: Gate,
    pub budget: ByteBudget,
    pub errors: ErrorBus,
    pub subscription: Subscription,
}

pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

pub fn config() -> HttpServerConfig {
    HttpServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..HttpServerConfig::default()
    }
}

impl Server {
    /// A server with a ledger of 8 MiB and room for 64 events.
    pub async fn start(config: HttpServerConfig) -> Self {
        let budget = ByteBudget::new(8 << 20);
        let gate = Gate::new(budget.clone());
        let bus = Bus::new("external");
        let errors = ErrorBus::new();
        let ingest = Ingest::new("http", gate.clone(), bus.clone(), errors.clone());
        let subscription = bus
            .subscribe(SubscribeOptions::new("s").limit_events(64))
            .unwrap();
        let mut server = HttpServer::try_new(config).unwrap();
        let address = server.bind().await.unwrap();
        let cx = AdapterContext {
            id: "http".into(),
            ingest: ingest.clone(),
            stop: Stop::fixed(false),
            drain: Duration::from_secs(1),
        };
        tokio::spawn(Box::new(server).run(cx));
        Self {
            address,
            ingest,
            gate,
            budget,
            errors,
            subscription,
        }
    }

    /// Sends bytes as they are, and reads until the server ends the connection.
    pub async fn send(&self, bytes: impl Into<Vec<u8>>) -> Vec<Reply> {
        let (address, bytes) = (self.address, bytes.into());
        tokio::task::spawn_blocking(move || replies(&exchange(address, &bytes).unwrap()))
            .await
            .unwrap()
    }

    /// Posts one body with these header lines.
    pub async fn post(&self, headers: &str, body: impl AsRef<[u8]>) -> Reply {
        self.post_to("/v1/events", headers, body).await
    }

    pub async fn post_to(&self, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send(request(path, headers, body.as_ref()))
            .await
            .remove(0)
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.subscription.try_recv()).collect()
    }

    pub fn refused(&self, reason: RefusalReason) -> u64 {
        self.stats().refused(reason)
    }

    /// The account, which has to be closed.
    pub fn stats(&self) -> IngestStats {
        let stats = self.ingest.stats();
        assert!(stats.is_closed(), "{stats:?}");
        stats
    }

    pub fn reported_invalid(&self) -> u64 {
        self.errors.count(Code::IngestInvalid)
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// A request that asks to end the connection after it.
pub fn request(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Writes everything, then reads everything, which must both succeed: what a simple sender does.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reply = Vec::new();
    stream.write_all(bytes)?;
    stream.read_to_end(&mut reply)?;
    Ok(reply)
}

/// As [`exchange`], ending its own side after writing.
pub fn exchange_and_end(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(reply)
}

/// Cuts what came into replies; each has a length.
pub fn replies(bytes: &[u8]) -> Vec<Reply> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut rest = text.as_str();
    let mut replies = Vec::new();
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Reply {
            status,
            head: head.to_owned(),
            body: String::new(),
        };
        let length = reply
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let (body, after) = after.split_at(length);
        reply.body.push_str(body);
        rest = after;
        replies.push(reply);
    }
    assert_eq!(rest, "", "no half reply");
    replies
}

/// Waits until `done`, for 5 s at most.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(5), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
