//! The server adapter.

mod accept;
mod answer;
mod body;
mod config;
mod connection;
mod events;
mod importance;
mod line;
mod pace;
mod refusal;
mod sender;
mod service;
mod site;
mod socket;
mod watch;

pub use config::HttpServerConfig;
pub use importance::PriorityRule;
pub use sender::FairBy;

use crate::InvalidConfig;
use config::Checked;
use relay_engine::{Adapter, AdapterContext, AdapterError, BoxFuture, Pool, Workers};
use site::Site;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Takes events over HTTP/1.1.
///
/// # Requests
///
/// `POST /v1/events` with one of
///
/// | `Content-Type` | the body is |
/// |---|---|
/// | `application/cloudevents+json` | one event as JSON |
/// | `application/cloudevents-batch+json` | an array of them |
/// | `application/x-ndjson` | one a line |
/// | any other, or none | a payload; id, type, source and more in `ce-` headers, the topic also in `?topic=` |
///
/// The priority is read from `x-relay-priority` or `ce-relaypriority`; it decides at the gate, and holds for events
/// that name none themselves. It is at most high. [Rules](PriorityRule) by topic and source count more than either. An event
/// that turns out to be of lower priority than the request it came in is judged once more, as what it is.
///
/// # Answers
///
/// | status | code | meaning |
/// |---|---|---|
/// | 202 | | `{"accepted":1,"ids":["…"]}`: published, in this order |
/// | 400 | `invalid`, `aborted` | `"at"` says where: line and column from 1, byte from 0, field |
/// | 404, 405 | | wrong path; wrong method (`Allow`) |
/// | 408 | `slow` | a body with less than 1 KiB/s over 5 s, or of more than 30 s |
/// | 413 | `too_large`, `body_too_large` | more than the ledger can ever hold; more than `max_body_bytes` |
/// | 414, 431 | `invalid` | path and query, or headers, beyond their limits |
/// | 415 | `unsupported` | `CloudEvents` in another form than JSON; a content encoding |
/// | 429 | `rate`, `priority`, `source_share` | with `Retry-After`: more comes than may be admitted |
/// | 503 | `ledger`, `queue_delay`, `level`, `draining`, `queue_full`, `closed` | with `Retry-After`: no room now |
///
/// Except for 202 the body is `{"error":{"code":"…","message":"…","retry_after_seconds":2,"at":{…}}}`.
///
/// Of a batch or of lines nothing is accepted when there is a mistake anywhere in it. It may be refused in the
/// middle, though, when a queue fills up while it is published: the 503 then also says `"accepted":2,"ids":[…]`, the
/// first two of it, and only the others are to be sent again.
///
/// # How a request is refused
///
/// The gate is asked, with the length of the body, before any of it is read. A sender that asks first with `Expect:
/// 100-continue` gets the answer instead of the go-ahead. What other senders have sent is read into nothing, 1 MiB at
/// most and for 1 s at most, so that they find the answer and not a reset; if that was not all, the connection ends.
/// A body without a length (`Transfer-Encoding: chunked`) is reserved in steps as it grows, and its connection ends
/// with the answer.
///
/// # Example
///
/// ```
/// use relay_engine::Engine;
/// use relay_http::{HttpServer, HttpServerConfig};
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let config = HttpServerConfig { listen: "127.0.0.1:0".parse()?, ..HttpServerConfig::default() };
/// let mut server = HttpServer::try_new(config)?;
/// let address = server.bind().await?;
/// let engine = Engine::builder().with_adapter("http", server).start().await?;
/// println!("curl -d hello 'http://{address}/v1/events?topic=greeting'");
/// engine.shutdown(Duration::from_secs(5)).await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HttpServer {
    checked: Checked,
    listener: Option<TcpListener>,
    workers: Option<Workers>,
}

impl HttpServer {
    /// A server with this configuration, which does not listen yet.
    ///
    /// # Errors
    ///
    /// When a setting cannot work; the error names it.
    pub fn try_new(config: HttpServerConfig) -> Result<Self, InvalidConfig> {
        Ok(Self {
            checked: config.checked()?,
            listener: None,
            workers: None,
        })
    }

    /// Begins to listen, which the engine does otherwise, and says where: that is how to learn which port `0` became.
    /// Those who connect are accepted when the engine runs the server.
    ///
    /// # Errors
    ///
    /// When the address cannot be had, for example because another process has it.
    ///
    /// # Cancel safety
    ///
    /// Cancelling loses nothing; the server may be listening or not, and can be bound again.
    pub async fn bind(&mut self) -> Result<SocketAddr, AdapterError> {
        let listener = self.listen().await?;
        let address = listener.local_addr();
        self.listener = Some(listener);
        address.map_err(|error| {
            AdapterError::with_source("cannot tell the address listened on", error)
        })
    }

    /// The socket that listens, taken or made.
    async fn listen(&mut self) -> Result<TcpListener, AdapterError> {
        if let Some(listener) = self.listener.take() {
            return Ok(listener);
        }
        let address = self.checked.config.listen;
        TcpListener::bind(address).await.map_err(|error| {
            AdapterError::with_source(
                format!("cannot listen on {address}, set listen to another address"),
                error,
            )
        })
    }
}

impl Adapter for HttpServer {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn start<'a>(&'a mut self, cx: &'a AdapterContext) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async {
            let address = self.bind().await?;
            let make = || cx.ingest.workers(self.checked.config.workers);
            self.workers.get_or_insert_with(make);
            tracing::info!(adapter = &*cx.id, %address, path = self.checked.config.path, "listening");
            Ok(())
        })
    }

    fn run(
        mut self: Box<Self>,
        cx: AdapterContext,
    ) -> BoxFuture<'static, Result<(), AdapterError>> {
        Box::pin(async move {
            let listener = self.listen().await?;
            let workers = self.workers.take();
            let workers = workers.unwrap_or_else(|| cx.ingest.workers(self.checked.config.workers));
            let site = Site::new(self.checked, cx.ingest.clone(), workers);
            accept::run(listener, Arc::new(site), &cx).await;
            Ok(())
        })
    }

    fn successor(&self) -> Option<Box<dyn Adapter>> {
        let mut checked = self.checked.clone();
        // Where port 0 was asked for, senders know the port that it became.
        if let Some(Ok(address)) = self.listener.as_ref().map(TcpListener::local_addr) {
            checked.config.listen = address;
        }
        Some(Box::new(Self {
            checked,
            listener: None,
            // Those who look at the pool go on to see the same one.
            workers: self.workers.clone(),
        }))
    }

    fn pool(&self) -> Option<Arc<dyn Pool>> {
        let workers = self.workers.clone()?;
        Some(Arc::new(workers))
    }
}
