//! A gate in front of any service that speaks HTTP through tower.

mod body;
mod future;
mod service;

pub use body::{ShedBody, ShedBodyError, ShedRequestBody};
pub use future::ShedFuture;
pub use service::Shed;

use http::HeaderName;
use http::request::Parts;
use relay_event::{Gate, Priority};
use tower_layer::Layer;

/// What a request costs beside its body: head, task, and what the answer needs. Measured with axum on tokio, where an idle
/// request holds 2 to 3 KiB.
const REQUEST_BYTES: u64 = 4 << 10;

/// What is reserved for a body that does not say how long it is, before any of it is read.
const BODY_BYTES: u64 = 16 << 10;

/// A tower [`Layer`] that asks a [`Gate`] for each request before the service sees it, so that a service without a
/// pipeline sheds by memory and priority as well.
///
/// # What it does
///
/// | | |
/// |---|---|
/// | reserves | the length of the body and [`request_bytes`](Self::request_bytes), before the body is read |
/// | holds it | until the body of the response is sent or dropped |
/// | a body of unknown length | is reserved in steps that double, from [`body_bytes`](Self::body_bytes) on |
/// | refuses with | 429 (`rate`, `priority`, `source_share`), 503 (`ledger`, `level`, `queue_delay`, `draining`), both with `Retry-After`; 413 what could never fit |
///
/// The body of a refusal is `{"error":{"code":"ledger","message":"not admitted now","retry_after_seconds":1}}`. A body that
/// outgrows what there is ends with an error, and the sender gets the refusal whatever the service makes of that.
///
/// The priority is what the header `x-relay-priority` says, at most high; `normal` if it says nothing that can be
/// understood. See [`priority_header`](Self::priority_header) and [`priority_by`](Self::priority_by).
///
/// # Readiness
///
/// It is ready when the service is, and decides only when it is called: a request that waits for a service that is not
/// ready has cost nothing yet. A service that was ready and is not called, because the gate said no, stays ready.
///
/// # Example
///
/// The gate of an engine follows memory by itself (`engine.gate()`); any other gate can be used too.
///
/// ```
/// use axum::{Router, routing::post};
/// use relay_event::{ByteBudget, Gate};
/// use relay_http::ShedLayer;
///
/// let gate = Gate::new(ByteBudget::new(64 << 20));
/// let app: Router = Router::new()
///     .route("/orders", post(|body: String| async move { body.len().to_string() }))
///     .layer(ShedLayer::new(gate));
/// # let _ = app;
/// ```
#[derive(Debug, Clone)]
pub struct ShedLayer<P = PriorityHeader> {
    settings: Settings,
    priority: P,
}

/// What every request is admitted by.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) gate: Gate,
    pub(crate) request_bytes: u64,
    pub(crate) body_bytes: u64,
    pub(crate) source_header: Option<HeaderName>,
}

/// Says how important a request is. Closures are such a thing.
pub trait RequestPriority {
    /// The priority of the request with this head. [`Priority::Control`] is for what keeps the service itself alive: it
    /// passes nearly all bounds, so it must not be what a sender says.
    fn priority_of(&self, head: &Parts) -> Priority;
}

/// The priority that a header states, at most high.
#[derive(Debug, Clone)]
pub struct PriorityHeader(HeaderName);

// === impl ShedLayer ===

impl ShedLayer {
    /// A layer that asks `gate`.
    pub fn new(gate: Gate) -> Self {
        Self {
            settings: Settings {
                gate,
                request_bytes: REQUEST_BYTES,
                body_bytes: BODY_BYTES,
                source_header: None,
            },
            priority: PriorityHeader(HeaderName::from_static("x-relay-priority")),
        }
    }
}

impl<P> ShedLayer<P> {
    /// Takes the priority from the header of this name.
    pub fn priority_header(self, name: HeaderName) -> ShedLayer<PriorityHeader> {
        self.with_priority(PriorityHeader(name))
    }

    /// Takes the priority from a closure.
    ///
    /// ```
    /// use http::request::Parts;
    /// use relay_event::{ByteBudget, Gate, Priority};
    /// use relay_http::ShedLayer;
    ///
    /// let layer = ShedLayer::new(Gate::new(ByteBudget::new(64 << 20))).priority_by(|head: &Parts| match head.uri.path() {
    ///     "/healthz" => Priority::Control,
    ///     "/checkout" => Priority::High,
    ///     _ => Priority::Normal,
    /// });
    /// # let _ = layer;
    /// ```
    pub fn priority_by<F: Fn(&Parts) -> Priority>(self, closure: F) -> ShedLayer<F> {
        self.with_priority(closure)
    }

    /// The same with another source of priorities.
    pub fn with_priority<Q: RequestPriority>(self, priority: Q) -> ShedLayer<Q> {
        ShedLayer {
            settings: self.settings,
            priority,
        }
    }

    /// Tells senders apart by the header of this name, so that while not everything can be admitted none gets more than
    /// its share, where the gate [does that](Gate::set_source_fairness). Name one that a proxy sets, such as `x-tenant`:
    /// a sender that may call itself anything has as many shares as it has names.
    #[must_use]
    pub fn source_header(mut self, name: HeaderName) -> Self {
        self.settings.source_header = Some(name);
        self
    }

    /// What a request costs beside its body, in bytes: 4 KiB.
    #[must_use]
    pub fn request_bytes(mut self, bytes: u64) -> Self {
        self.settings.request_bytes = bytes;
        self
    }

    /// What is reserved at first for a body that does not say how long it is: 16 KiB.
    #[must_use]
    pub fn body_bytes(mut self, bytes: u64) -> Self {
        self.settings.body_bytes = bytes;
        self
    }
}

impl<S, P: Clone> Layer<S> for ShedLayer<P> {
    type Service = Shed<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Shed::new(inner, self.settings.clone(), self.priority.clone())
    }
}

// === impl RequestPriority ===

impl PriorityHeader {
    /// The header of this name.
    pub fn new(name: HeaderName) -> Self {
        Self(name)
    }
}

impl RequestPriority for PriorityHeader {
    fn priority_of(&self, head: &Parts) -> Priority {
        let said = head
            .headers
            .get(&self.0)
            .and_then(|value| value.to_str().ok());
        let priority = said.and_then(|text| text.parse().ok());
        priority.unwrap_or(Priority::Normal).min(Priority::High)
    }
}

impl<F: Fn(&Parts) -> Priority> RequestPriority for F {
    fn priority_of(&self, head: &Parts) -> Priority {
        self(head)
    }
}
