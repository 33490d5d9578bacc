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
use relay_engine::{Arrival, Refusal};
use relay_event::codec::{Codec, DecodeError, Elements, Json, Lines};
use relay_event::{Event, EventBuilder, Permit, Priority};

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

/// A request whose body is complete.
pub(super) struct Complete<'a> {
    pub(super) head: &'a Parts,
    pub(super) binding: Binding<'a>,
    pub(super) body: Bytes,
    /// What its bytes were admitted as.
    pub(super) priority: Priority,
}

/// Publishes what a complete body holds.
pub(super) fn publish(
    site: &Site,
    line: &Line,
    request: Complete<'_>,
    permit: Permit,
    arrival: &mut Arrival<'_>,
) -> Result<Answer, Halted> {
    let Complete {
        head,
        binding,
        body,
        priority,
    } = request;
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
            return publish_all(site, events, priority, arrival);
        }
        Form::Lines => {
            let events = collect(site, Lines::new(&body, json), permit)?;
            drop(body);
            return publish_all(site, events, priority, arrival);
        }
    };
    let event = by_rules(site, builder).charge(permit).build()?;
    publish_one(site, event, priority, arrival)
}

/// What the rules say counts more than what the sender says.
fn by_rules(site: &Site, builder: EventBuilder) -> EventBuilder {
    let rules = &site.priority_rules;
    if rules.is_empty() {
        return builder;
    }
    builder.priority_by(|topic, source| rules.priority_of(topic, source))
}

/// An event of lower priority than its bytes were admitted with could have been refused, had it been known.
fn confirm(site: &Site, event: &Event, admitted: Priority) -> Result<(), Refusal> {
    if event.priority() < admitted {
        return site.ingest.confirm(event.priority());
    }
    Ok(())
}

fn publish_one(
    site: &Site,
    event: Event,
    admitted: Priority,
    arrival: &mut Arrival<'_>,
) -> Result<Answer, Halted> {
    confirm(site, &event, admitted)?;
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
        let event = by_rules(site, builder?).charge(permit.split(0)).build();
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
    admitted: Priority,
    arrival: &mut Arrival<'_>,
) -> Result<Answer, Halted> {
    arrival.expand(events.len() as u64);
    let mut ids = Ids::of(events.len());
    for event in events {
        ids.push(event.id());
        let confirmed = confirm(site, &event, admitted);
        if let Err(refusal) = confirmed.and_then(|()| site.ingest.publish(event)) {
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
