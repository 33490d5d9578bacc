//! The admin endpoint: `/metrics`, `/livez`, `/readyz`, `/state`, `/events`, `/blackbox/last`. Reads only, on loopback by default.

mod blackbox_last;

use crate::state_json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use relay_engine::{Observer, Telemetry};
use relay_event::{ErrorEvent, ErrorFilter, Value};
use serde_json::json;
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::UNIX_EPOCH;
use tokio::net::TcpListener;

/// Lines of `/events` that may wait for one reader.
const EVENT_LINES: usize = 64;

/// What the endpoint looks at.
#[derive(Clone)]
pub struct Admin {
    engine: Observer,
    telemetry: Telemetry,
    metrics: PrometheusHandle,
    draining: Arc<AtomicBool>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

impl Admin {
    /// An endpoint for this engine.
    pub fn new(engine: Observer, metrics: PrometheusHandle) -> Self {
        let telemetry = Telemetry::new(engine.clone());
        Self {
            engine,
            telemetry,
            metrics,
            draining: Arc::default(),
        }
    }

    /// Makes `/readyz` say no, before anything else happens.
    pub fn set_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Brings the metrics up to date and lets the exporter tidy up; once every few seconds also without a scrape.
    pub fn refresh(&self) {
        self.telemetry.refresh();
        self.metrics.run_upkeep();
    }

    /// Serves until `end`, because readiness and metrics are of use to the very end; then answers what was asked, so that
    /// readers of `/events` have the last one and know that it is.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let app = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/state", get(state))
            .route("/events", get(events))
            .route("/blackbox/last", get(blackbox_last::answer))
            .layer(middleware::from_fn(check_host))
            .with_state(self);
        axum::serve(listener, app).with_graceful_shutdown(end).await
    }
}

/// A page on the web must not reach this endpoint through a name that it made point here (DNS rebinding).
async fn check_host(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .map(|host| host.to_str().unwrap_or(""));
    if host.is_none_or(is_local_name) {
        return next.run(request).await;
    }
    let text = "this endpoint answers to localhost and to IP addresses only\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

fn is_local_name(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    name.eq_ignore_ascii_case("localhost")
        || host.parse::<SocketAddr>().is_ok()
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    admin.refresh();
    let headers = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (headers, admin.metrics.render()).into_response()
}

/// Ready while events of normal priority are accepted. Liveness is another question: a process that sheds is doing
/// its work, and restarting it would lose what it protects.
async fn readyz(State(admin): State<Admin>) -> Response {
    let state = admin.engine.state();
    if admin.draining.load(Relaxed) || state.gate.closed {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    if !state.is_accepting() {
        let text = format!(
            "shedding: only priority {} and above is accepted\n",
            state.gate.floor
        );
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    "ready\n".into_response()
}

async fn state(State(admin): State<Admin>) -> Json<serde_json::Value> {
    let source = admin
        .engine
        .detection()
        .memory
        .as_ref()
        .map(|limit| limit.source.to_string());
    Json(state_json::state(&admin.engine.state(), source.as_deref()))
}

/// Each error event as a line of JSON, as it happens, until the reader goes away or the node ends.
async fn events(State(admin): State<Admin>) -> Response {
    let Some(mut subscription) = admin.engine.errors().subscribe(ErrorFilter::all()) else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "no more readers are possible now\n",
        )
            .into_response();
    };
    let (lines, body) = flume::bounded(EVENT_LINES);
    tokio::spawn(async move {
        while let Some(event) = subscription.recv().await {
            let line = Ok::<_, Infallible>(event_line(&event));
            if lines.send_async(line).await.is_err() {
                return;
            }
        }
    });
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/x-ndjson"),
    );
    (headers, Body::from_stream(body.into_stream())).into_response()
}

fn event_line(event: &ErrorEvent) -> String {
    let fields: serde_json::Map<_, _> = event
        .fields
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::U64(value) => json!(value),
                Value::F64(value) => json!(value),
                Value::Str(value) => json!(value),
            };
            (name.to_string(), value)
        })
        .collect();
    let line = json!({
        "time_unix_ms": event.time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
        "severity": event.severity.as_str(),
        "code": event.code.as_str(),
        "type": event.code.event_type(),
        "component": event.component.to_string(),
        "signal": event.signal.as_str(),
        "recoverable": event.recoverable,
        "count": event.count,
        "message": event.to_string(),
        "fields": fields,
    });
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_event::{Code, Component, Severity, Signal};

    /// `docs/error-event.schema.json` is what programs that read the lines rely on: each property has the type it says,
    /// each enumeration is complete, and nothing is left out on either side.
    #[test]
    fn error_events_are_as_their_schema_says() {
        let schema = include_str!("../../../docs/error-event.schema.json");
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        let event = ErrorEvent::new(Code::MemPressure, Severity::Error, Component::Engine)
            .with("bytes", 7_u64)
            .with("ratio", f64::INFINITY)
            .with("word", "shed")
            .detail("\"quoted\"\n");
        let line = event_line(&event);
        assert_eq!(line.matches('\n').count(), 1, "one line: {line}");
        let line: serde_json::Map<_, _> = serde_json::from_str(&line).unwrap();
        assert!(line.keys().eq(properties.keys()), "{line:?}");
        assert_eq!(schema["required"].as_array().unwrap().len(), line.len());
        for (name, property) in properties {
            let value = &line[name];
            let fits = match property["type"].as_str() {
                Some("integer") => value.is_u64(),
                Some("boolean") => value.is_boolean(),
                Some("object") => value.is_object(),
                Some("string") => value.is_string(),
                _ => property["enum"].as_array().unwrap().contains(value),
            };
            assert!(fits, "{name}: {value} is not {property}");
        }
        let words = |name: &str| properties[name]["enum"].as_array().unwrap().clone();
        assert_eq!(
            words("severity"),
            Severity::ALL.map(|one| json!(one.as_str()))
        );
        assert_eq!(words("signal"), Signal::ALL.map(|one| json!(one.as_str())));
    }

    #[test]
    fn only_local_names_and_addresses_pass() {
        for host in [
            "localhost",
            "localhost:9600",
            "127.0.0.1",
            "127.0.0.1:9600",
            "[::1]:9600",
            "[::1]",
            "10.0.0.7:1",
        ] {
            assert!(is_local_name(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9600",
            "localhost.evil.example",
            "",
        ] {
            assert!(!is_local_name(host), "{host}");
        }
    }
}
