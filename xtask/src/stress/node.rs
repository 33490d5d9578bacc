//! The node in the container: its configuration, and asking it how it is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::container::Container;
use super::state::State;

/// Longer answers than this are not read.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Where a node listens, on the host's loopback.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) ingest: SocketAddr,
    pub(super) admin: SocketAddr,
}

// === impl Ports ===

impl Ports {
    /// Two ports that were free a moment ago.
    pub(super) fn free() -> Result<Self> {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (ingest, admin) = (free()?, free()?);
        Ok(Self {
            ingest: ingest.local_addr()?,
            admin: admin.local_addr()?,
        })
    }

    pub(super) fn ingest_url(self) -> String {
        format!("http://{}/v1/events", self.ingest)
    }

    /// Waits until the node says that it is ready.
    pub(super) fn wait_ready(self, container: &mut dyn Container, log: &Path) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while get(self.admin, "/readyz").is_err() {
            let said = || std::fs::read_to_string(log).unwrap_or_default();
            if let Some(exit) = container.try_wait()? {
                bail!(
                    "the node ended before it was ready ({exit}): {}",
                    said().trim()
                );
            }
            if Instant::now() > deadline {
                bail!("the node was not ready within 10 s: {}", said().trim());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The node's view of itself.
    pub(super) fn state(self) -> Result<State> {
        let body = get(self.admin, "/state")?;
        serde_json::from_str(&body).with_context(|| format!("/state: {body}"))
    }
}

/// Writes the configuration of a node with one HTTP adapter and one emitter named `sink`.
pub(super) fn write_config(folder: &Path, ports: Ports, mode: &str, emitter: &str) -> Result<()> {
    let Ports { ingest, admin } = ports;
    let text = format!(
        "[control]\nmode = \"{mode}\"\n\n\
         [admin]\nlisten = \"{admin}\"\n\n\
         [adapters.http]\nkind = \"http\"\nlisten = \"{ingest}\"\n\n\
         [emitters.sink]\n{emitter}\n\n\
         [blackbox]\ndir = \"/data/fdr\"\n\n\
         [log]\nformat = \"json\"\n"
    );
    std::fs::create_dir_all(folder.join("data"))?;
    std::fs::write(folder.join("data/relay.toml"), text)?;
    Ok(())
}

/// One GET. HTTP/1.0 keeps it simple: no chunks, the end of the stream is the end of the answer.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("{path}: {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}
