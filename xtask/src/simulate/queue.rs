//! The queue: first in, first out, in lots of events that came in together.

use std::collections::VecDeque;

/// Events of one class that came in in one step.
#[derive(Debug)]
struct Lot {
    class: u8,
    events: u64,
    size: f64,
    /// Bytes of the first event that are on their way already.
    begun: f64,
}

/// What waits. Its length is bounded by the gate, or by the kill.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lots: VecDeque<Lot>,
    events: u64,
    bytes: f64,
}

impl Queue {
    pub(super) fn push(&mut self, class: u8, events: u64, size: f64) {
        if events == 0 {
            return;
        }
        self.events += events;
        self.bytes += events as f64 * size;
        match self.lots.back_mut() {
            Some(last) if last.class == class && (last.size - size).abs() < 1e-9 => {
                last.events += events;
            }
            _ => self.lots.push_back(Lot {
                class,
                events,
                size,
                begun: 0.0,
            }),
        }
    }

    /// Delivers up to `bytes`; what is delivered goes to its class in `delivered`.
    pub(super) fn deliver(&mut self, mut bytes: f64, delivered: &mut [f64; 4]) {
        while bytes > 0.0
            && let Some(lot) = self.lots.front_mut()
        {
            // An event is held until its last byte is out.
            let available = bytes + lot.begun;
            let whole = ((available / lot.size) as u64).min(lot.events);
            let out = whole as f64 * lot.size;
            delivered[usize::from(lot.class)] += out;
            self.events -= whole;
            self.bytes -= out;
            lot.events -= whole;
            if lot.events > 0 {
                lot.begun = available - out;
                return;
            }
            bytes = available - out;
            self.lots.pop_front();
        }
        if self.lots.is_empty() {
            self.bytes = 0.0;
        }
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn bytes(&self) -> f64 {
        self.bytes.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_whole() {
        let mut queue = Queue::default();
        queue.push(0, 3, 10.0);
        queue.push(2, 1, 5.0);
        let mut delivered = [0.0; 4];
        queue.deliver(14.0, &mut delivered);
        assert_eq!(
            (delivered[0], queue.bytes(), queue.events()),
            (10.0, 25.0, 3)
        );
        queue.deliver(6.0, &mut delivered);
        assert_eq!((delivered[0], queue.events()), (20.0, 2));
        queue.deliver(100.0, &mut delivered);
        assert_eq!(
            (delivered, queue.bytes(), queue.events()),
            ([30.0, 0.0, 5.0, 0.0], 0.0, 0)
        );
    }
}
