//! Events over TCP, one a line.

mod answer;
mod connection;
mod line_buffer;
mod listeners;
mod pool;

use crate::units::ByteSize;
use listeners::Listeners;
use pool::ListenerPool;
use relay_engine::{
    Adapter, AdapterContext, AdapterError, BoxFuture, Ingest, Pool, PoolBounds, Workers,
};
use relay_event::{Priority, Topic};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// An event in the JSON form of `CloudEvents`.
    Json,
    /// A payload; topic and source are those of the adapter.
    Text,
}

/// Settings of a [`TcpLines`].
#[derive(Clone, Debug, PartialEq)]
pub struct TcpConfig {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// What a line is.
    pub format: LineFormat,
    /// The longest line.
    pub max_line: ByteSize,
    /// The most connections that are served at once. Those that come then wait: one a listener, and the kernel's backlog.
    pub max_connections: usize,
    /// A connection ends when no line has been completed, or no answer been read, for so long.
    pub idle_timeout: Duration,
    /// Where events come from that do not say.
    pub source: String,
    /// What payloads are about.
    pub topic: Topic,
    /// How few and how many listeners there may be.
    pub listeners: PoolBounds,
}

/// Takes events over TCP: one a line, each answered by one line, in order.
///
/// | answer | the line was |
/// |---|---|
/// | `ok` | published |
/// | `refused <reason> <seconds>` | not, and is to be sent again after so many seconds |
/// | `invalid <what is wrong>` | not, and never will be |
///
/// Empty lines are skipped. A line that is too long is answered when that is known and read into nothing, up to 1 MiB;
/// then the connection ends. What was sent and not answered was not published. A sender who does not read the answers is
/// not read from either, and is cut off after `idle_timeout`.
///
/// Up to 4 KiB of a line are read before the gate is asked; more only in steps that it admits.
///
/// # Listeners
///
/// Each listener has a socket of its own on the same address (`SO_REUSEPORT`), among which the kernel spreads those who
/// connect, and there are as many workers, which decode and publish, as listeners. To close a socket would reset those
/// who wait in its backlog, so one that is not needed any more stays open, and the adapter itself accepts what still
/// comes there; what was accepted is served to its end. When another socket cannot be had the pool stays as it is, and
/// that is reported.
#[derive(Debug)]
pub struct TcpLines {
    config: TcpConfig,
    listener: Option<TcpListener>,
    pool: Option<Arc<ListenerPool>>,
}

/// What all connections share.
#[derive(Debug)]
struct Site {
    config: TcpConfig,
    /// The same text for all events.
    source: Arc<str>,
    ingest: Ingest,
    workers: Workers,
    connections: Arc<Semaphore>,
}

// === impl TcpLines ===

impl TcpLines {
    /// One that does not listen yet.
    pub fn new(config: TcpConfig) -> Self {
        Self {
            config,
            listener: None,
            pool: None,
        }
    }

    /// Begins to listen, which the engine does otherwise, and says where.
    ///
    /// # Errors
    ///
    /// When the address cannot be had, also when another process shares it with `SO_REUSEPORT`.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing.
    pub async fn bind(&mut self) -> Result<SocketAddr, AdapterError> {
        let address = match &self.listener {
            Some(listener) => listener.local_addr(),
            None => self.bind_first().await.and_then(|listener| {
                let address = listener.local_addr();
                self.listener = Some(listener);
                address
            }),
        };
        address.map_err(|error| {
            let text = format!(
                "cannot listen on {}, set listen to another address",
                self.config.listen
            );
            AdapterError::with_source(text, error)
        })
    }

    /// A socket that can be shared could also be had beside those of another process, which would get a part of what
    /// comes. So the address is first taken for this one alone.
    async fn bind_first(&self) -> std::io::Result<TcpListener> {
        let alone = TcpListener::bind(self.config.listen).await?;
        if self.config.listeners.max() == 1 {
            return Ok(alone);
        }
        let address = alone.local_addr()?;
        drop(alone);
        listeners::bind(address)
    }

    fn pool_for(&mut self, cx: &AdapterContext) -> Arc<ListenerPool> {
        let bounds = self.config.listeners;
        let make = || Arc::new(ListenerPool::new(cx.ingest.workers(bounds)));
        Arc::clone(self.pool.get_or_insert_with(make))
    }
}

impl Adapter for TcpLines {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    fn start<'a>(&'a mut self, cx: &'a AdapterContext) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async {
            let address = self.bind().await?;
            self.pool_for(cx);
            tracing::info!(adapter = &*cx.id, %address, "listening for lines");
            Ok(())
        })
    }

    fn run(
        mut self: Box<Self>,
        cx: AdapterContext,
    ) -> BoxFuture<'static, Result<(), AdapterError>> {
        Box::pin(async move {
            self.bind().await?;
            let pool = self.pool_for(&cx);
            let site = Site {
                source: self.config.source.as_str().into(),
                ingest: cx.ingest.clone(),
                workers: pool.workers().clone(),
                connections: Arc::new(Semaphore::new(self.config.max_connections)),
                config: self.config,
            };
            if let Some(first) = self.listener {
                Listeners::new(Arc::new(site), pool, cx).run(first).await;
            }
            Ok(())
        })
    }

    fn successor(&self) -> Option<Box<dyn Adapter>> {
        let mut config = self.config.clone();
        if let Some(Ok(address)) = self.listener.as_ref().map(TcpListener::local_addr) {
            config.listen = address;
        }
        // Those who look at the pool go on to see the same one.
        let pool = self.pool.clone();
        Some(Box::new(Self {
            pool,
            ..Self::new(config)
        }))
    }

    fn pool(&self) -> Option<Arc<dyn Pool>> {
        let pool = self.pool.clone()?;
        Some(pool)
    }
}

impl Site {
    /// The priority at the gate, and of events that name none.
    const PRIORITY: Priority = Priority::Normal;
}

#[cfg(test)]
mod tests;
