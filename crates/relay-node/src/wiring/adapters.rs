//! The ways in.

use super::WiringError;
use crate::adapters::{TcpConfig, TcpLines};
use crate::config::{Auto, Config, HttpAdapter, Source, TcpAdapter};
use relay_engine::{AdapterOptions, EngineBuilder, PoolBounds};
use relay_event::Topic;
use relay_http::{HttpServer, HttpServerConfig};
use relay_sense::Detection;

/// What one connection costs at most while nothing is queued: its buffers, its task, and the kernel's share.
const CONNECTION_BYTES: u64 = 64 * 1024;

/// The share of the limit that connections may take, as a divisor.
const CONNECTIONS_SHARE: u64 = 8;

/// Adds each configured adapter.
pub(super) fn add(
    mut builder: EngineBuilder,
    config: &Config,
    detection: &Detection,
) -> Result<EngineBuilder, WiringError> {
    let (min, max) = config.pools.bounds(detection.cpu.worker_threads().get());
    let workers = PoolBounds::new(min, max);
    for (id, adapter) in &config.adapters {
        let options = AdapterOptions::default().optional(adapter.optional);
        builder = match &adapter.source {
            Source::Http(http) => {
                let server = HttpServer::try_new(http_server(http, workers, detection));
                let server = server.map_err(|source| WiringError::Http {
                    part: format!("adapters.{id}"),
                    source,
                })?;
                builder.with_adapter_options(id.as_str(), server, options)
            }
            Source::Tcp(tcp) => {
                let lines = TcpLines::new(tcp_lines(id, tcp, workers, detection)?);
                builder.with_adapter_options(id.as_str(), lines, options)
            }
        };
    }
    Ok(builder)
}

/// What is given, or as many as an eighth of the memory is enough for.
fn connections(given: Auto<usize>, detection: &Detection) -> usize {
    let limit_bytes = detection
        .memory
        .as_ref()
        .map_or(u64::MAX, |limit| limit.bytes);
    let by_memory = limit_bytes / CONNECTIONS_SHARE / CONNECTION_BYTES;
    given.fixed().unwrap_or(by_memory.clamp(64, 4096) as usize)
}

pub(super) fn http_server(
    http: &HttpAdapter,
    workers: PoolBounds,
    detection: &Detection,
) -> HttpServerConfig {
    HttpServerConfig {
        listen: http.listen,
        workers,
        path: http.path.clone(),
        max_body_bytes: http.max_body.bytes(),
        max_connections: connections(http.max_connections, detection),
        request_timeout: http.request_timeout,
        header_timeout: http.header_timeout,
        idle_timeout: http.idle_timeout,
        default_source: http.source.clone(),
        default_topic: http.topic.clone(),
        priority_header: http.priority_header.to_string(),
        priority_rules: http.priority.clone(),
        fair_by: http.fair_by.clone(),
        ..HttpServerConfig::default()
    }
}

fn tcp_lines(
    id: &str,
    tcp: &TcpAdapter,
    listeners: PoolBounds,
    detection: &Detection,
) -> Result<TcpConfig, WiringError> {
    let topic = Topic::new(&tcp.topic).map_err(|source| WiringError::Topic {
        id: id.to_owned(),
        source,
    })?;
    Ok(TcpConfig {
        listen: tcp.listen,
        format: tcp.format,
        max_line: tcp.max_line,
        max_connections: connections(tcp.max_connections, detection),
        idle_timeout: tcp.idle_timeout,
        source: tcp.source.clone(),
        topic,
        listeners,
    })
}
