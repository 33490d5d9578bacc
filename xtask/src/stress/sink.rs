//! An HTTP sink outside the container whose rate and mood the scenario decides.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

/// Connections served at once; a node opens a few. Beyond, a connection is closed.
const CONNECTIONS_MAX: u64 = 64;

/// How often a stalled sink looks whether it may go on.
const LOOK: Duration = Duration::from_millis(20);

/// A server that takes so many body bytes a second, or none.
#[derive(Debug)]
pub(super) struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// 0 is stalled: bodies are read, answers do not come.
    bytes_per_second: AtomicU64,
    /// When what was taken so far will have passed.
    next: Mutex<Instant>,
    connections: AtomicU64,
    ended: AtomicBool,
}

// === impl Sink ===

impl Sink {
    pub(super) fn start(bytes_per_second: u64) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            bytes_per_second: AtomicU64::new(bytes_per_second),
            next: Mutex::new(Instant::now()),
            connections: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { address, shared })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Changes the rate from now on; 0 stalls.
    pub(super) fn set_rate(&self, bytes_per_second: u64) {
        // Relaxed: a number alone, nothing is read through it.
        self.shared
            .bytes_per_second
            .store(bytes_per_second, Ordering::Relaxed);
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // The accepting thread looks at the flag when somebody comes.
        TcpStream::connect(self.address).ok();
    }
}

// === impl Shared ===

impl Shared {
    /// Waits until so many bytes have passed.
    fn pass(&self, bytes: u64) {
        let rate = loop {
            match self.bytes_per_second.load(Ordering::Relaxed) {
                0 if self.ended.load(Ordering::Relaxed) => return,
                0 => std::thread::sleep(LOOK),
                rate => break rate,
            }
        };
        let end = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next =
                (*next).max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / rate as f64);
            *next
        };
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.ended.load(Ordering::Relaxed) {
            return;
        }
        if shared.connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A connection that breaks off is the node's to make again.
            serve(&stream, &shared).ok();
            shared.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(length) = body_length(&mut reader)? {
        let taken = std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        if taken < length {
            break;
        }
        shared.pass(length);
        (&*stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
    Ok(())
}

/// Reads a request's head; `None` at the end of the connection.
fn body_length(reader: &mut impl BufRead) -> std::io::Result<Option<u64>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let text = line.trim_end();
        if text.is_empty() {
            return Ok(Some(length));
        }
        if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stalled_sink_answers_when_it_goes_on() {
        let sink = Sink::start(0).unwrap();
        let mut stream = TcpStream::connect(sink.address).unwrap();
        stream
            .write_all(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
            .unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let mut answer = [0; 15];
        assert!(stream.read_exact(&mut answer).is_err(), "stalled");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        sink.set_rate(1 << 20);
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }

    #[test]
    fn a_head_says_how_much_follows() {
        let mut head = &b"POST / HTTP/1.1\r\nhost: x\r\ncontent-LENGTH: 12\r\n\r\nrest"[..];
        assert_eq!(body_length(&mut head).unwrap(), Some(12));
        assert_eq!(head, b"rest");
        assert_eq!(body_length(&mut &b""[..]).unwrap(), None);
    }
}
