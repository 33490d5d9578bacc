//! One connection: read, work, answer, in this order, so that whoever does not read is not read from.

use super::answer::Answers;
use super::line_buffer::{LineBuffer, NoRoom, SKIP_MAX};
use super::{LineFormat, Site};
use bytes::Bytes;
use relay_engine::{Refusal, RefusalReason, Stop};
use relay_event::codec::{Codec, Json};
use relay_event::{Event, EventBuilder, Permit};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Answers are written when there is so much of them: a buffer full of short lines must not make a large one of answers.
const ANSWERS_BYTES: usize = 16 << 10;

/// How long a connection that ends is read from, so that the sender finds the last answers and not a reset (RFC 1122
/// section 4.2.2.13).
const LINGER: Duration = Duration::from_secs(1);

/// Serves one connection to its end, or until told to stop.
pub(super) async fn serve(mut stream: TcpStream, site: Arc<Site>, stop: Stop) {
    // Answers are small writes; a socket that cannot be set is about to fail.
    let _ = stream.set_nodelay(true);
    if converse(&mut stream, &site, &stop).await.is_some() {
        linger(&mut stream).await;
    }
}

/// `None` when the connection is broken, and nobody there to read a last answer.
async fn converse(stream: &mut TcpStream, site: &Site, stop: &Stop) -> Option<()> {
    let idle = site.config.idle_timeout;
    let mut lines = LineBuffer::new(site.config.max_line.bytes() as usize);
    let mut answers = Answers::default();
    let mut deadline = Instant::now() + idle;
    loop {
        let admit = |bytes| site.ingest.admit(bytes, Site::PRIORITY);
        if let Err(no_room) = lines.make_room(admit) {
            refuse(site, no_room, &mut answers);
            lines.skip();
            write(stream, &mut answers, idle).await?;
            continue;
        }
        let read = tokio::select! {
            biased;
            () = stop.stopped() => return Some(()),
            read = timeout_at(deadline, stream.read(lines.room())) => read,
        };
        let count = read.ok()?.ok()?;
        lines.filled(count);
        loop {
            let left = work(site, &mut lines, &mut answers, count == 0).await;
            if answers.len() > 0 {
                deadline = Instant::now() + idle;
            }
            write(stream, &mut answers, idle).await?;
            if !left {
                break;
            }
        }
        if count == 0 || lines.is_hopeless() {
            return Some(());
        }
    }
}

/// Takes the complete lines, until there are none or many answers; whether there are more.
async fn work(site: &Site, lines: &mut LineBuffer, answers: &mut Answers, is_last: bool) -> bool {
    let mut worker = None;
    let (mut done, mut failed) = (0, 0);
    let mut left = false;
    loop {
        let line = match lines.next_line() {
            None if is_last => lines.last_line(),
            line => line,
        };
        let Some((line, permit)) = line else {
            break;
        };
        if line.is_empty() {
            continue;
        }
        if worker.is_none() {
            worker = Some(site.workers.acquire().await);
        }
        match take(site, line, permit, answers) {
            Ok(()) => done += 1,
            Err(RefusalReason::QueueFull) => failed += 1,
            Err(_) => {}
        }
        if answers.len() >= ANSWERS_BYTES {
            left = true;
            break;
        }
    }
    if let Some(worker) = worker {
        worker.finish(done, failed);
    }
    left
}

/// Publishes one line, and keeps its account.
fn take(
    site: &Site,
    line: &[u8],
    permit: Option<Permit>,
    answers: &mut Answers,
) -> Result<(), RefusalReason> {
    let arrival = site.ingest.arrive();
    let text_bytes = site.source.len() as u64;
    let asked = || {
        let bytes = Event::charge_bytes(line.len() as u64, text_bytes);
        site.ingest.admit(bytes, Site::PRIORITY)
    };
    let published = permit.map_or_else(asked, Ok).map_err(Mistake::Refused);
    let published = published.and_then(|permit| {
        let event = event(site, line)?.charge(permit.arrived()).build();
        let event = event.map_err(|error| Mistake::Invalid(error.to_string()))?;
        site.ingest.publish(event).map_err(Mistake::Refused)
    });
    match published {
        Ok(()) => {
            arrival.accept();
            answers.ok();
            Ok(())
        }
        Err(Mistake::Refused(refusal)) => {
            arrival.refuse(refusal.reason);
            answers.refused(refusal);
            Err(refusal.reason)
        }
        Err(Mistake::Invalid(text)) => {
            arrival.refuse(RefusalReason::Invalid);
            site.ingest.report_invalid(&text);
            answers.invalid(text);
            Err(RefusalReason::Invalid)
        }
    }
}

/// Why a line was not published.
enum Mistake {
    Refused(Refusal),
    Invalid(String),
}

fn event(site: &Site, line: &[u8]) -> Result<EventBuilder, Mistake> {
    match site.config.format {
        LineFormat::Json => {
            let json = Json::new().default_priority(Site::PRIORITY);
            json.decode(line)
                .map_err(|error| Mistake::Invalid(error.to_string()))
        }
        LineFormat::Text => Ok(Event::builder(site.config.topic.clone())
            .source(Arc::clone(&site.source))
            .payload(Bytes::copy_from_slice(line))),
    }
}

/// Says no to a line that is not complete.
fn refuse(site: &Site, no_room: NoRoom, answers: &mut Answers) {
    let refusal = match no_room {
        NoRoom::Refused(refusal) => refusal,
        NoRoom::TooLong => Refusal {
            reason: RefusalReason::BodyTooLarge,
            retry_after: None,
        },
    };
    site.ingest.arrive().refuse(refusal.reason);
    answers.refused(refusal);
}

async fn write(stream: &mut TcpStream, answers: &mut Answers, idle: Duration) -> Option<()> {
    if answers.len() > 0 {
        let written = timeout(idle, stream.write_all(answers.bytes())).await;
        written.ok()?.ok()?;
        answers.clear();
    }
    Some(())
}

/// Ends our side, and reads on for a moment.
async fn linger(stream: &mut TcpStream) {
    let _ = stream.shutdown().await;
    let rest = async {
        let (mut scratch, mut left) = ([0; 1024], SKIP_MAX);
        while left > 0
            && let Ok(count @ 1..) = stream.read(&mut scratch).await
        {
            left = left.saturating_sub(count);
        }
    };
    let _ = timeout(LINGER, rest).await;
}
