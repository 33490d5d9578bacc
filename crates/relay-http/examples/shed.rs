//! A service with no pipeline that sheds by memory and priority: `cargo run -p relay-http --features layer --example shed`.
//!
//! The engine has no adapter and no emitter: it watches memory and turns the gate, and the layer asks the gate. Try it in a
//! container: `curl -d @file -H 'x-relay-priority: high' http://127.0.0.1:3000/orders`.
#![allow(clippy::print_stdout, reason = "an example")]

use axum::Router;
use axum::routing::{get, post};
use http::request::Parts;
use relay_engine::Engine;
use relay_event::Priority;
use relay_http::{PriorityHeader, RequestPriority, ShedLayer};
use std::time::Duration;

/// Health checks pass always, everything else is as important as it says.
#[derive(Clone)]
struct ByPath(PriorityHeader);

impl RequestPriority for ByPath {
    fn priority_of(&self, head: &Parts) -> Priority {
        match head.uri.path() {
            "/healthz" => Priority::Control,
            _ => self.0.priority_of(head),
        }
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder().start().await?;
    let header = PriorityHeader::new(http::HeaderName::from_static("x-relay-priority"));
    let app = Router::new()
        .route(
            "/orders",
            post(|body: String| async move { format!("{} bytes\n", body.len()) }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(ShedLayer::new(engine.gate().clone()).with_priority(ByPath(header)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on {}", listener.local_addr()?);
    tokio::select! {
        served = axum::serve(listener, app) => served?,
        _ = tokio::signal::ctrl_c() => {}
    }
    engine.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
