//! The client emitter.

mod answer;
mod buffer;
mod config;
mod encode;
mod target;

pub use config::{BatchFormat, HttpEmitterConfig};

use crate::InvalidConfig;
use answer::Verdict;
use buffer::Buffers;
use config::Checked;
use relay_engine::{BoxFuture, EmitError, Emitted, Emitter};
use relay_event::{Event, Outcome};
use std::ops::Range;
use target::Target;

/// Posts events to another HTTP server, many a request.
///
/// What the target says decides what becomes of a request:
///
/// | answer | then |
/// |---|---|
/// | 2xx | delivered |
/// | 408, 425, 429, 500, 502, 503, 504; no connection, no answer in time, no HTTP | tried again, not before `Retry-After` (60 s at most) |
/// | 413 to several events | sent again in halves |
/// | any other 4xx or 5xx, a redirect | given up: it would be the same next time |
///
/// A target that is a Relay itself may accept the first events of a request and refuse the others; then only the
/// others are tried again. Delivery is at least once: a request that was lost on the way back is sent again.
///
/// The buffers for requests are set aside when the emitter starts. Redirects are not followed, answers are read up to
/// 64 KiB, and the password of a URL is in no message.
///
/// ```
/// use relay_http::{BatchFormat, HttpEmitter, HttpEmitterConfig};
///
/// let mut config = HttpEmitterConfig::new("http://collector.internal:8080/v1/events");
/// config.format = BatchFormat::Lines;
/// let emitter = HttpEmitter::try_new(config)?;
/// # let _ = emitter;
/// # Ok::<(), relay_http::InvalidConfig>(())
/// ```
#[derive(Debug)]
pub struct HttpEmitter {
    checked: Checked,
    started: Option<Started>,
}

#[derive(Debug)]
struct Started {
    target: Target,
    buffers: Buffers,
}

impl HttpEmitter {
    /// An emitter with this configuration, which has no connection yet.
    ///
    /// # Errors
    ///
    /// When a setting cannot work; the error names it.
    pub fn try_new(config: HttpEmitterConfig) -> Result<Self, InvalidConfig> {
        Ok(Self {
            checked: config.checked()?,
            started: None,
        })
    }
}

impl Emitter for HttpEmitter {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn concurrency(&self) -> usize {
        self.checked.config.in_flight
    }

    fn start(&mut self) -> BoxFuture<'_, Result<(), EmitError>> {
        Box::pin(async {
            let config = &self.checked.config;
            let buffers = Buffers::new(config.in_flight, config.max_request_bytes);
            self.started = Some(Started {
                target: Target::new(&self.checked),
                buffers,
            });
            Ok(())
        })
    }

    fn emit<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<Emitted, EmitError>> {
        Box::pin(async move {
            match &self.started {
                Some(started) => self.send_all(started, events).await,
                None => Err(EmitError::retry("the HTTP emitter was not started")),
            }
        })
    }
}

impl HttpEmitter {
    /// Sends the batch in as many requests as it takes; the first failure that may pass ends it.
    async fn send_all(&self, started: &Started, events: &[Event]) -> Result<Emitted, EmitError> {
        let mut outcomes = vec![Outcome::Retry; events.len()];
        let mut waiting = Vec::from_iter((!events.is_empty()).then_some(0..events.len()));
        while let Some(range) = waiting.pop() {
            let sent = self.send(started, events, range).await;
            waiting.extend(sent.rest);
            match sent.verdict {
                Verdict::Delivered => outcomes[sent.range].fill(Outcome::Delivered),
                Verdict::TooLarge(error) if sent.range.len() == 1 => {
                    return partial(outcomes, &sent.range, Outcome::Rejected, error);
                }
                Verdict::TooLarge(_) => waiting.extend(halves(&sent.range)),
                Verdict::Retry { error, accepted } => {
                    let accepted = accepted.min(sent.range.len());
                    let accepted = sent.range.start..sent.range.start + accepted;
                    return partial(outcomes, &accepted, Outcome::Delivered, error);
                }
                Verdict::Reject(error) => {
                    return partial(outcomes, &sent.range, Outcome::Rejected, error);
                }
            }
        }
        Ok(Emitted::All)
    }

    /// Sends the first events of `range`: as many as fit into a request.
    async fn send(&self, started: &Started, events: &[Event], range: Range<usize>) -> Sent {
        let mut buffer = started.buffers.take();
        let count = encode::fill(
            self.checked.config.format,
            &events[range.clone()],
            &mut buffer,
        );
        let middle = range.start + count;
        let verdict = started.target.post(buffer.into_bytes()).await;
        let rest = (middle < range.end).then_some(middle..range.end);
        Sent {
            range: range.start..middle,
            rest,
            verdict,
        }
    }
}

/// One request.
struct Sent {
    range: Range<usize>,
    rest: Option<Range<usize>>,
    verdict: Verdict,
}

/// The second half first: what is taken next is taken from the end.
fn halves(range: &Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [middle..range.end, range.start..middle]
}

/// The error, as long as it stands for the whole batch; otherwise the outcome of each event, and those that were
/// not reached are tried again.
fn partial(
    mut outcomes: Vec<Outcome>,
    range: &Range<usize>,
    outcome: Outcome,
    error: EmitError,
) -> Result<Emitted, EmitError> {
    outcomes[range.clone()].fill(outcome);
    let first = outcomes.first().copied().unwrap_or(Outcome::Retry);
    if first != Outcome::Delivered && outcomes.iter().all(|outcome| *outcome == first) {
        return Err(error);
    }
    if outcome == Outcome::Rejected {
        tracing::warn!(%error, events = range.len(), "a part of a batch was rejected");
    }
    Ok(Emitted::Each(outcomes))
}
