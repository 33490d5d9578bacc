//! From a body to events, and from events to the bus.
//!
//! A request that carries several events is decoded as a whole before any of them is published, so one mistake means
//! that nothing of it was accepted. Publishing then goes one by one: a queue that fills up in between ends it, and
//! the answer says how many were accepted before.

use super::answer::{Answer, Ids};
use super::line::Line;
use super::refusal::Refused;
use super::site::Site;
use crate::cloudevents::{Binding, Form};
use bytes::Bytes;
use http::request::Parts;
use relay_engine::Arrival;
use relay_event::codec::{Codec, DecodeError, Elements, Json, Lines};
use relay_event::{Event, EventBuilder, Permit};

/// A refusal after some events were accepted.
#[derive(Debug)]
pub(super) struct Halted {
    pub(super) refused: Refused,
    pub(super) accepted: Option<Box<Ids>>,
}

impl<E: Into<Refused>> From<E> for Halted {
    fn from(error: E) -> Self {
        Self {
            refused: error.into(),
            accepted: None,
        }
    }
}

/// Publishes what a complete body holds.
pub(super) fn publish(
    site: &Site,
    line: &Line,
    head: &Parts,
    binding: &Binding<'_>,
    body: Bytes,
    permit: Permit,
    arrival: &mut Arrival<'_>,
) -> Result<Answer, Halted> {
    let json = Json::new().default_priority(binding.priority.unwrap_or_default());
    let builder = match binding.form {
        Form::Payload => binding
            .event(head.uri.query(), &site.defaults, &mut line.recent())?
            .payload(body),
        Form::Structured => {
            let builder = json.decode(&body)?;
            drop(body);
            builder
        }
        Form::Batch => {
            let events = collect(site, Elements::new(&body, json), permit)?;
            drop(body);
            return publish_all(site, events, arrival);
        }
        Form::Lines => {
            let events = collect(site, Lines::new(&body, json), permit)?;
            drop(body);
            return publish_all(site, events, arrival);
        }
    };
    publish_one(site, builder.charge(permit).build()?, arrival)
}

fn publish_one(site: &Site, event: Event, arrival: &mut Arrival<'_>) -> Result<Answer, Halted> {
    let mut ids = Ids::of(1);
    ids.push(event.id());
    site.ingest.publish(event)?;
    arrival.accept_some(1);
    Ok(Answer::accepted(ids))
}

/// Decodes all. While they are decoded the body is still there, so each event takes its bytes from the ledger anew;
/// what the body had reserved is returned with `permit`, at the end.
fn collect(
    site: &Site,
    builders: impl Iterator<Item = Result<EventBuilder, DecodeError>>,
    mut permit: Permit,
) -> Result<Vec<Event>, Refused> {
    let mut events = Vec::new();
    for builder in builders {
        let max = site.config.max_batch_events;
        if events.len() == max {
            return Err(Refused::too_many(max));
        }
        let event = builder?.charge(permit.split(0)).build();
        events.push(event.map_err(|error| Refused::from(error).in_event(events.len()))?);
    }
    if events.is_empty() {
        return Err(Refused::invalid("the body holds no event"));
    }
    Ok(events)
}

fn publish_all(
    site: &Site,
    events: Vec<Event>,
    arrival: &mut Arrival<'_>,
) -> Result<Answer, Halted> {
    arrival.expand(events.len() as u64);
    let mut ids = Ids::of(events.len());
    for event in events {
        ids.push(event.id());
        if let Err(refusal) = site.ingest.publish(event) {
            ids.pop();
            return Err(Halted {
                refused: refusal.into(),
                accepted: Some(Box::new(ids)),
            });
        }
        arrival.accept_some(1);
    }
    Ok(Answer::accepted(ids))
}
