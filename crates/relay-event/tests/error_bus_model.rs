//! Random operations on an error bus agree with the textbook: a list of events, and a place in it for each subscriber.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use relay_event::{
    Code, Component, ErrorBus, ErrorEvent, ErrorFilter, ErrorSubscription, Severity,
};

const CODES: [Code; 2] = [Code::MemPressure, Code::Panic];

#[derive(Debug, Clone)]
enum Operation {
    Publish(usize),
    Subscribe(Option<usize>),
    Unsubscribe(usize),
    Receive(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (0..2_usize).prop_map(Operation::Publish),
        1 => proptest::option::of(0..2_usize).prop_map(Operation::Subscribe),
        1 => (0..8_usize).prop_map(Operation::Unsubscribe),
        4 => (0..8_usize).prop_map(Operation::Receive),
    ]
}

/// What a subscriber must see, by the words of the documentation.
#[derive(Default)]
struct Model {
    buffer: usize,
    /// What was accepted.
    events: Vec<usize>,
    fastest: usize,
    readers: Vec<Reader>,
    dropped_before: u64,
}

#[derive(Default)]
struct Reader {
    code: Option<usize>,
    next: usize,
    delivered: u64,
    skipped: u64,
    dropped: u64,
}

impl Model {
    fn publish(&mut self, code: usize) {
        if self.readers.is_empty() {
            return;
        }
        if self.events.len() - self.fastest >= self.buffer {
            self.readers
                .iter_mut()
                .for_each(|reader| reader.dropped += 1);
            return;
        }
        self.events.push(code);
        for reader in &mut self.readers {
            if self.events.len() - reader.next > self.buffer {
                reader.next += 1;
                reader.dropped += 1;
            }
        }
    }

    fn subscribe(&mut self, code: Option<usize>) {
        self.fastest = self.events.len();
        let next = self.events.len();
        self.readers.push(Reader {
            code,
            next,
            ..Reader::default()
        });
    }

    fn receive(&mut self, reader: usize) -> Option<usize> {
        let reader = &mut self.readers[reader];
        let mut received = None;
        while received.is_none() && reader.next < self.events.len() {
            let code = self.events[reader.next];
            reader.next += 1;
            if reader.code.is_none_or(|wanted| wanted == code) {
                reader.delivered += 1;
                received = Some(code);
            } else {
                reader.skipped += 1;
            }
        }
        self.fastest = self.fastest.max(reader.next);
        received
    }

    fn dropped(&self) -> u64 {
        self.dropped_before
            + self
                .readers
                .iter()
                .map(|reader| reader.dropped)
                .sum::<u64>()
    }
}

fn check(model: &Model, errors: &ErrorBus, subscriptions: &[ErrorSubscription]) {
    for (reader, subscription) in model.readers.iter().zip(subscriptions) {
        let waiting = (model.events.len() - reader.next) as u64;
        assert_eq!(
            (reader.delivered, reader.skipped, reader.dropped, waiting),
            (
                subscription.delivered(),
                subscription.skipped(),
                subscription.dropped(),
                subscription.waiting()
            )
        );
    }
    assert_eq!(model.dropped(), errors.dropped());
    assert_eq!(model.readers.len(), errors.subscriber_count());
}

proptest! {
    #[test]
    fn agrees_with_a_list(
        buffer in 1..6_usize,
        operations in proptest::collection::vec(operation(), 1..300),
    ) {
        let errors = ErrorBus::with(buffer, None);
        let mut subscriptions: Vec<ErrorSubscription> = Vec::new();
        let mut model = Model { buffer, ..Model::default() };
        let mut published = 0;
        for operation in operations {
            match operation {
                Operation::Publish(code) => {
                    published += 1;
                    errors.publish(ErrorEvent::new(CODES[code], Severity::Info, Component::Engine));
                    model.publish(code);
                }
                Operation::Subscribe(code) if subscriptions.len() < 8 => {
                    let all = ErrorFilter::all();
                    let filter = code.map_or(all.clone(), |code| all.code(CODES[code]));
                    subscriptions.push(errors.subscribe(filter).unwrap());
                    model.subscribe(code);
                }
                Operation::Unsubscribe(index) if index < subscriptions.len() => {
                    subscriptions.swap_remove(index);
                    model.dropped_before += model.readers.swap_remove(index).dropped;
                }
                Operation::Receive(index) if index < subscriptions.len() => {
                    let received = subscriptions[index].try_recv();
                    let expected = model.receive(index).map(|code| CODES[code]);
                    prop_assert_eq!(received.map(|event| event.code), expected);
                }
                _ => {}
            }
            check(&model, &errors, &subscriptions);
        }
        prop_assert_eq!(CODES.map(|code| errors.count(code)).iter().sum::<u64>(), published);
    }
}
