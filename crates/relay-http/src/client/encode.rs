//! Events as the body of a request.

use super::buffer::Buffer;
use super::config::BatchFormat;
use relay_event::Event;
use relay_event::codec::{Codec, Json};

impl BatchFormat {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Batch => "application/cloudevents-batch+json",
            Self::Lines => "application/x-ndjson",
        }
    }
}

/// Writes as many events as fit, at least one; how many that were.
pub(super) fn fill(format: BatchFormat, events: &[Event], buffer: &mut Buffer) -> usize {
    let max_bytes = buffer.max_bytes();
    let out = &mut buffer.text;
    let mut count = 0;
    for event in events {
        let mark = out.len();
        match (format, count) {
            (BatchFormat::Batch, 0) => out.push(b'['),
            (BatchFormat::Batch, _) => out.push(b','),
            (BatchFormat::Lines, _) => {}
        }
        Json::new().encode(event, out);
        if format == BatchFormat::Lines {
            out.push(b'\n');
        }
        // One byte is kept for the end of the array.
        if out.len() >= max_bytes && count > 0 {
            out.truncate(mark);
            break;
        }
        count += 1;
    }
    if format == BatchFormat::Batch {
        out.push(b']');
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::buffer::Buffers;
    use super::*;
    use relay_event::codec::{Elements, Lines};

    #[test]
    fn what_fits_is_written_and_can_be_read() {
        let events: Vec<Event> = (0..50)
            .map(|_| {
                Event::builder("t")
                    .payload(vec![b'7'; 100])
                    .build()
                    .unwrap()
            })
            .collect();
        for format in [BatchFormat::Batch, BatchFormat::Lines] {
            let buffers = Buffers::new(1, 4096);
            let mut buffer = buffers.take();
            let count = fill(format, &events, &mut buffer);
            assert!(
                (2..50).contains(&count) && buffer.text.len() <= 4096,
                "{count}"
            );
            let read = match format {
                BatchFormat::Batch => Elements::new(&buffer.text, Json::new()).flatten().count(),
                BatchFormat::Lines => Lines::new(&buffer.text, Json::new()).flatten().count(),
            };
            assert_eq!(read, count);
        }
    }

    #[test]
    fn an_event_that_is_too_long_goes_alone() {
        let event = Event::builder("t")
            .payload(vec![b'7'; 10_000])
            .build()
            .unwrap();
        let buffers = Buffers::new(1, 4096);
        assert_eq!(
            fill(
                BatchFormat::Batch,
                &[event.clone(), event],
                &mut buffers.take()
            ),
            1
        );
    }
}
