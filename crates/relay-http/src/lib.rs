//! HTTP in and out of a Relay engine: the ingest server and the client emitter.
//!
//! [`HttpServer`] is an adapter: it takes events as `CloudEvents` (structured, batch, binary), as newline-delimited
//! JSON or as plain bodies, asks the gate **before** it reads a body, and says no in a way that senders understand:
//! a status, a reason, and `Retry-After`. [`HttpEmitter`] is an emitter: it posts batches of `CloudEvents` and tells
//! the engine what is worth another attempt.
//!
//! ```text
//! sender ──POST /v1/events──▶ HttpServer ──▶ gate ──▶ external bus ──▶ HttpEmitter ──POST──▶ target
//!        ◀─202 · 400 · 408 · 413 · 429 · 503─┘                              ◀─2xx · retry · reject─┘
//! ```
//!
//! # Example
//!
//! ```
//! use relay_http::{HttpEmitter, HttpEmitterConfig, HttpServer, HttpServerConfig};
//!
//! let server = HttpServer::try_new(HttpServerConfig {
//!     listen: "127.0.0.1:0".parse()?,
//!     max_body_bytes: 256 << 10,
//!     ..HttpServerConfig::default()
//! })?;
//! let emitter = HttpEmitter::try_new(HttpEmitterConfig::new("http://collector.internal:8080/v1/events"))?;
//! // Engine::builder().with_adapter("http", server).with_emitter("next", emitter, EmitterOptions::default())
//! # let _ = (server, emitter);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | what | needs |
//! |---|---|---|
//! | `engine` (default) | the adapter and the emitter | relay-engine, hyper, tokio |
//! | `layer` | `ShedLayer`: the gate in front of any tower or axum service | relay-event, tower's two traits |
//!
//! # When not to use it
//!
//! There is no TLS and no authentication here: put a proxy in front when the sender is not on the same host, which is
//! also why the default address is a loopback one.

#![forbid(unsafe_code)]

#[cfg(feature = "engine")]
mod client;
#[cfg(feature = "engine")]
mod cloudevents;
#[cfg(feature = "engine")]
mod error;
#[cfg(any(feature = "engine", feature = "layer"))]
mod refusing;
#[cfg(feature = "engine")]
mod server;
#[cfg(feature = "layer")]
mod shed_layer;

#[cfg(feature = "engine")]
pub use client::{BatchFormat, HttpEmitter, HttpEmitterConfig};
#[cfg(feature = "engine")]
pub use error::InvalidConfig;
#[cfg(feature = "engine")]
pub use server::{FairBy, HttpServer, HttpServerConfig, PriorityRule};
#[cfg(feature = "layer")]
pub use shed_layer::{
    PriorityHeader, RequestPriority, Shed, ShedBody, ShedBodyError, ShedFuture, ShedLayer,
    ShedRequestBody,
};
