//! The envelope that travels: built once, never copied, shared by reference count.

use crate::budget::Reservation;
use crate::counted::{Claim, Counted};
use crate::error::EventError;
use crate::id::EventId;
use crate::priority::Priority;
use crate::topic::{Topic, TopicError};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// What one event costs beside its payload and its texts, in bytes: the envelope, its reference counts, a queue
/// slot, and what an allocator adds to the two or three blocks it lies in.
const OVERHEAD_BYTES: u64 =
    (size_of::<Inner>() + Counted::<Inner>::OVERHEAD_BYTES + size_of::<Event>() + 96) as u64;

/// The most headers of one event, and the most bytes of a name or value.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// One event: id, topic, source, time, priority, headers, correlation and causation id, and a payload of bytes.
///
/// Cloning is one reference count; the payload is never copied on its way through. When the event was built with
/// [`EventBuilder::charge`], the last clone to be dropped, wherever that happens, returns its bytes to the ledger.
#[derive(Clone)]
pub struct Event(Counted<Inner>);

pub(crate) struct Inner {
    id: EventId,
    topic: Topic,
    source: Arc<str>,
    time: SystemTime,
    priority: Priority,
    headers: Headers,
    correlation_id: Option<Box<str>>,
    causation_id: Option<Box<str>>,
    payload: Bytes,
    size_bytes: u64,
    reservation: Option<Reservation>,
}

impl Event {
    /// Starts an event about `topic`.
    pub fn builder<T>(topic: T) -> EventBuilder
    where
        T: TryInto<Topic>,
        TopicError: From<T::Error>,
    {
        EventBuilder {
            topic: topic.try_into().map_err(TopicError::from),
            id: None,
            source: None,
            time: None,
            priority: Priority::Normal,
            headers: Headers::default(),
            correlation_id: None,
            causation_id: None,
            payload: Bytes::new(),
            reservation: None,
        }
    }

    /// What an event with `payload_bytes` and `text_bytes` (id, source, headers, correlation and causation ids) is charged.
    pub const fn charge_bytes(payload_bytes: u64, text_bytes: u64) -> u64 {
        OVERHEAD_BYTES
            .saturating_add(payload_bytes)
            .saturating_add(text_bytes)
    }

    /// Its name.
    pub fn id(&self) -> &EventId {
        &self.0.id
    }

    /// What it is about.
    pub fn topic(&self) -> &Topic {
        &self.0.topic
    }

    /// Who sent it.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// When it happened, or was received.
    pub fn time(&self) -> SystemTime {
        self.0.time
    }

    /// How important it is.
    pub fn priority(&self) -> Priority {
        self.0.priority
    }

    /// Its headers: `CloudEvents` extensions, `datacontenttype` and the like.
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The id of the exchange it belongs to.
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id.as_deref()
    }

    /// The id of the event that caused it.
    pub fn causation_id(&self) -> Option<&str> {
        self.0.causation_id.as_deref()
    }

    /// What it carries.
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// What it costs while it is queued, in bytes: payload, texts and a fixed overhead.
    pub fn size_bytes(&self) -> u64 {
        self.0.size_bytes
    }

    /// Takes `count` further claims on it.
    pub(crate) fn add_claims(&self, count: usize) {
        self.0.add_claims(count);
    }

    /// Turns this handle into a claim.
    pub(crate) fn into_claim(self) -> Claim<Inner> {
        self.0.into_claim()
    }

    /// Turns a claim back into a handle.
    ///
    /// # Safety
    ///
    /// The caller owns the claim, and nobody redeems it again.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn redeem(claim: Claim<Inner>) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { claim.redeem() })
    }

    /// Whether a ledger holds its bytes.
    pub fn is_charged(&self) -> bool {
        self.0.reservation.is_some()
    }
}

impl fmt::Debug for Event {
    /// Leaves the payload out: it may be large, and it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.0.id)
            .field("topic", &self.0.topic)
            .field("source", &self.0.source)
            .field("priority", &self.0.priority)
            .field("payload_bytes", &self.0.payload.len())
            .finish_non_exhaustive()
    }
}

/// Headers of an event: few, small, in the order they were given, names compared exactly.
///
/// Cloning is one reference count: a sender that says the same with each event has it kept once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<Vec<Header>>>);

/// A name and its value.
type Header = (Box<str>, Box<str>);

impl Headers {
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(have, _)| *have == name)
            .map(|(_, value)| value)
    }

    /// Every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.as_slice()
            .iter()
            .map(|(name, value)| (&**name, &**value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one; a later one of the same name replaces the earlier.
    fn set(&mut self, name: Box<str>, value: Box<str>) {
        // Most events have one header, for which the usual first step would set aside four slots.
        let headers = self
            .0
            .get_or_insert_with(|| Arc::new(Vec::with_capacity(1)));
        let headers = Arc::make_mut(headers);
        match headers.iter_mut().find(|(have, _)| *have == name) {
            Some(slot) => slot.1 = value,
            None => headers.push((name, value)),
        }
    }

    fn as_slice(&self) -> &[Header] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    fn text_bytes(&self) -> usize {
        self.iter()
            .map(|(name, value)| name.len() + value.len() + size_of::<Header>())
            .sum()
    }
}

impl<N: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(N, V)> for Headers {
    /// A later header replaces an earlier one of the same name.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let mut this = Self::default();
        for (name, value) in headers {
            this.set(name.into(), value.into());
        }
        this
    }
}

/// An event in the making.
#[derive(Debug)]
#[must_use = "an event exists only after build"]
pub struct EventBuilder {
    topic: Result<Topic, TopicError>,
    id: Option<EventId>,
    source: Option<Arc<str>>,
    time: Option<SystemTime>,
    priority: Priority,
    headers: Headers,
    correlation_id: Option<Box<str>>,
    causation_id: Option<Box<str>>,
    payload: Bytes,
    reservation: Option<Reservation>,
}

impl EventBuilder {
    /// Names it; without this an id is generated.
    pub fn id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// Says who sent it; `/` when nobody does.
    pub fn source(mut self, source: impl Into<Arc<str>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says when it happened; now when nobody does.
    pub fn time(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Says how important it is.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Says how important it is by what it is about and where it comes from, as known so far; `None` leaves it as it is.
    ///
    /// ```
    /// use relay_event::{Event, Priority};
    ///
    /// let event = Event::builder("audit.login").source("/door");
    /// let event = event.priority_by(|topic, _source| topic.starts_with("audit.").then_some(Priority::High));
    /// assert_eq!(event.build()?.priority(), Priority::High);
    /// # Ok::<(), relay_event::EventError>(())
    /// ```
    pub fn priority_by(mut self, rule: impl FnOnce(&str, &str) -> Option<Priority>) -> Self {
        let source = self.source.as_deref().unwrap_or("/");
        if let Ok(topic) = &self.topic
            && let Some(priority) = rule(topic.as_str(), source)
        {
            self.priority = priority;
        }
        self
    }

    /// Adds a header; a later one of the same name replaces the earlier.
    pub fn header(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.headers.set(name.into(), value.into());
        self
    }

    /// Takes these headers in place of those given so far; they are shared, not copied.
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// Names the exchange it belongs to.
    pub fn correlation_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Names the event that caused it.
    pub fn causation_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.causation_id = Some(id.into());
        self
    }

    /// Gives it its payload.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Lets it hold bytes of a ledger until its last clone is dropped.
    ///
    /// What was reserved beyond the event's size is returned at [`build`](Self::build); what is missing is taken
    /// then, so an estimate made before the body was read is enough.
    pub fn charge(mut self, reservation: impl Into<Reservation>) -> Self {
        self.reservation = Some(reservation.into());
        self
    }

    /// Builds the event.
    ///
    /// # Errors
    ///
    /// When the topic is not one, when there are more than 64 headers or one of more than 8 KiB, or when the
    /// event is larger than its reservation and the ledger has no room for the difference.
    pub fn build(self) -> Result<Event, EventError> {
        let topic = self.topic?;
        check_headers(&self.headers)?;
        let time = self.time.unwrap_or_else(SystemTime::now);
        let id = self.id.unwrap_or_else(|| EventId::generate(time));
        let texts = [&self.correlation_id, &self.causation_id];
        let source = self.source.unwrap_or_else(|| Arc::from("/"));
        let text_bytes = id.heap_bytes()
            + source.len()
            + self.headers.text_bytes()
            + texts
                .into_iter()
                .flatten()
                .map(|text| text.len())
                .sum::<usize>();
        let size_bytes = Event::charge_bytes(self.payload.len() as u64, text_bytes as u64);
        let mut reservation = self.reservation;
        if let Some(held) = &mut reservation {
            held.resize(size_bytes, self.priority)?;
        }
        Ok(Event(Counted::new(Inner {
            id,
            topic,
            source,
            time,
            priority: self.priority,
            headers: self.headers,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            payload: self.payload,
            size_bytes,
            reservation,
        })))
    }
}

fn check_headers(headers: &Headers) -> Result<(), EventError> {
    if headers.len() > MAX_HEADERS {
        return Err(EventError::TooManyHeaders {
            count: headers.len(),
            max: MAX_HEADERS,
        });
    }
    match headers
        .iter()
        .find(|(name, value)| name.len().max(value.len()) > MAX_HEADER_BYTES)
    {
        Some((name, _)) => Err(EventError::HeaderTooLong {
            name: name.chars().take(64).collect(),
            max_bytes: MAX_HEADER_BYTES,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::ByteBudget;

    #[test]
    fn the_last_clone_returns_the_bytes() {
        let budget = ByteBudget::new(10_000);
        let reservation = budget.reserve(4096, Priority::Normal).unwrap();
        let event = Event::builder("t")
            .payload(vec![0; 1000])
            .charge(reservation)
            .build()
            .unwrap();
        assert_eq!(budget.used_bytes(), event.size_bytes());
        let clone = event.clone();
        drop(event);
        assert_eq!(budget.used_bytes(), clone.size_bytes());
        drop(clone);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_low_estimate_is_topped_up_or_refused() {
        let budget = ByteBudget::new(5_000);
        let estimate = budget.reserve(1, Priority::Normal).unwrap();
        let event = Event::builder("t")
            .payload(vec![0; 1000])
            .charge(estimate)
            .build()
            .unwrap();
        assert_eq!(budget.used_bytes(), event.size_bytes());
        let estimate = budget.reserve(1, Priority::Normal).unwrap();
        let refused = Event::builder("t")
            .payload(vec![0; 9000])
            .charge(estimate)
            .build();
        assert!(matches!(refused, Err(EventError::Budget(_))));
        assert_eq!(budget.used_bytes(), event.size_bytes());
    }

    #[test]
    fn size_counts_payload_texts_and_overhead() {
        let bare = Event::builder("t").build().unwrap().size_bytes();
        let full = Event::builder("t")
            .payload("12345")
            .correlation_id("abc")
            .build()
            .unwrap()
            .size_bytes();
        assert_eq!(full - bare, 8);
        assert!(bare >= 200, "{bare}");
    }

    #[test]
    fn headers_replace_and_are_bounded() {
        let event = Event::builder("t")
            .header("a", "1")
            .header("a", "2")
            .build()
            .unwrap();
        assert_eq!(event.headers().get("a"), Some("2"));
        assert_eq!(event.headers().len(), 1);
        let shared = event.headers().clone();
        let other = Event::builder("t").headers(shared).header("b", "3");
        let other = other.build().unwrap();
        assert_eq!(
            other.headers(),
            &Headers::from_iter([("a", "2"), ("b", "3")])
        );
        assert_eq!(event.headers().len(), 1, "what was shared did not change");
        let many = (0..65).fold(Event::builder("t"), |builder, i| {
            builder.header(i.to_string(), "")
        });
        assert!(matches!(
            many.build(),
            Err(EventError::TooManyHeaders { count: 65, .. })
        ));
        let long = Event::builder("t")
            .header("a", "x".repeat(MAX_HEADER_BYTES + 1))
            .build();
        assert!(matches!(long, Err(EventError::HeaderTooLong { .. })));
    }
}
