//! One connection: hyper speaks, the watch keeps the time, and a server that stops says so.

use super::line::{Line, Phase};
use super::service;
use super::site::Site;
use super::socket::Socket;
use super::watch::{Limits, Watch};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use relay_engine::RefusalReason;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Tells every connection that it is time to end.
#[derive(Debug, Default)]
pub(super) struct Closing {
    begun: AtomicBool,
    told: Notify,
}

impl Closing {
    pub(super) fn begin(&self) {
        self.begun.store(true, Relaxed);
        self.told.notify_waiters();
    }
}

/// How a connection ended.
enum End {
    Finished(hyper::Result<()>),
    TimedOut(Phase),
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, site: Arc<Site>, closing: Arc<Closing>) {
    let peer = stream.peer_addr().ok().map(|address| address.ip());
    let line = Arc::new(Line::to(peer));
    let socket = TokioIo::new(Socket::new(stream, Arc::clone(&line)));
    let mut watch = Watch::new(Arc::clone(&line), Limits::of(&site.config));
    let (site, line) = (&*site, &*line);
    let service = service_fn(move |request| service::answer(site, line, request));
    let mut connection = http1(site).serve_connection(socket, service);
    let mut told = pin!(closing.told.notified());
    // The task's waker never changes, so to be told of the end it is enough to ask once.
    let mut asked = false;
    let mut closes = false;
    let end = poll_fn(|cx| {
        if !asked {
            asked = true;
            let _ = told.as_mut().poll(cx);
        }
        loop {
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(End::Finished(result));
            }
            if closes || !closing.begun.load(Relaxed) {
                return watch.poll(cx).map(End::TimedOut);
            }
            closes = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
    });
    account(site, end.await);
}

fn http1(site: &Site) -> Builder {
    let mut builder = Builder::new();
    // Time is kept by the watch, on one timer a connection instead of one a request.
    builder
        .header_read_timeout(None)
        .half_close(true)
        // Answers are small: one copy into one buffer costs less than a write of several.
        .writev(false)
        .max_header_size(site.config.max_header_bytes)
        .max_buf_size(site.config.max_header_bytes);
    builder
}

/// What was so wrong that it never became a request is counted and reported here; what went wrong later was counted
/// with its request, and a sender who goes away between two requests does nothing wrong.
fn account(site: &Site, end: End) {
    let (reason, detail) = match end {
        End::Finished(Err(error)) if error.is_parse() => (
            RefusalReason::Invalid,
            format!("what came is not an HTTP request: {error}"),
        ),
        End::TimedOut(Phase::Head) => (
            RefusalReason::Slow,
            "the head of a request came too slowly".to_owned(),
        ),
        End::Finished(_) | End::TimedOut(_) => return,
    };
    site.ingest.arrive().refuse(reason);
    site.ingest.report_invalid(&detail);
}
