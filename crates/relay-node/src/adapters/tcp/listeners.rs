//! The listeners: as many as there should be, each a task with a socket of its own.

use super::pool::ListenerPool;
use super::{Site, connection};
use relay_engine::AdapterContext;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

/// The kernel's queue of those who connect, for each socket.
const BACKLOG: u32 = 1024;

/// How long accepting pauses when the process has no descriptor or memory left for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What all listeners share, and those that are there.
#[derive(Debug)]
pub(super) struct Listeners {
    shared: Shared,
    pool: Arc<ListenerPool>,
    /// Dropping one retires its listener, the last one first.
    active: Vec<oneshot::Sender<()>>,
    /// Sockets of those that have retired. They are never closed: that would reset who waits in their backlog.
    parked: Vec<TcpListener>,
    coming_back: mpsc::Receiver<TcpListener>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Clone)]
struct Shared {
    site: Arc<Site>,
    cx: AdapterContext,
    retired: mpsc::Sender<TcpListener>,
}

/// Another socket on an address that others of this process listen on already.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

// === impl Listeners ===

impl Listeners {
    pub(super) fn new(site: Arc<Site>, pool: Arc<ListenerPool>, cx: AdapterContext) -> Self {
        let (retired, coming_back) = mpsc::channel(site.config.listeners.max());
        Self {
            shared: Shared { site, cx, retired },
            pool,
            active: Vec::new(),
            parked: Vec::new(),
            coming_back,
            tasks: JoinSet::new(),
        }
    }

    /// Runs until told to stop, beginning with the socket `first`; then what is under way may finish.
    pub(super) async fn run(mut self, first: TcpListener) {
        let Ok(address) = first.local_addr() else {
            return;
        };
        self.add(first);
        let (stop, pool) = (self.shared.cx.stop.clone(), Arc::clone(&self.pool));
        loop {
            self.follow(address);
            tokio::select! {
                () = stop.stopped() => break,
                () = pool.changed() => {}
                Some(listener) = self.coming_back.recv() => self.parked.push(listener),
                (stream, place) = accept_any(&self.parked, &self.shared) => {
                    self.tasks.spawn(serve(stream, place, self.shared.clone()));
                }
                Some(ended) = self.tasks.join_next() => note_panic(&self.shared, ended),
            }
        }
        self.parked.clear();
        self.coming_back.close();
        let finish = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(self.shared.cx.drain, finish).await;
        self.tasks.shutdown().await;
    }

    /// Makes as many as are wanted. When another socket cannot be had there are as many as before.
    fn follow(&mut self, address: SocketAddr) {
        let wanted = self.pool.wanted();
        self.active.truncate(wanted);
        while self.active.len() < wanted {
            match self.parked.pop().map_or_else(|| bind(address), Ok) {
                Ok(listener) => self.add(listener),
                Err(error) => {
                    let text = format!("no further listener on {address}: {error}");
                    self.shared.site.ingest.report_failure(&text);
                    break;
                }
            }
        }
        self.pool.there_are(self.active.len(), wanted);
    }

    fn add(&mut self, listener: TcpListener) {
        let (retire, told) = oneshot::channel();
        self.active.push(retire);
        self.tasks
            .spawn(listen(listener, self.shared.clone(), told));
    }
}

/// One listener, until it retires or everything stops; then until its connections have ended.
async fn listen(listener: TcpListener, shared: Shared, mut told: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    // Accepted, and without a place yet.
    let mut waiting = None;
    let retires = loop {
        tokio::select! {
            () = shared.cx.stop.stopped() => break false,
            // The other side is dropped when this one is not wanted any more.
            _ = &mut told, if waiting.is_none() => break true,
            Some(ended) = connections.join_next() => note_panic(&shared, ended),
            accepted = listener.accept(), if waiting.is_none() => match accepted {
                Ok((stream, _)) => waiting = Some(stream),
                Err(error) => pause(&shared, &error).await,
            },
            place = place(&shared), if waiting.is_some() => {
                if let Some(stream) = waiting.take() {
                    connections.spawn(serve(stream, place, shared.clone()));
                }
            }
        }
    };
    if retires {
        // There is room for all of them; without the other side everything ends.
        let _ = shared.retired.send(listener).await;
    } else {
        drop(listener);
    }
    while let Some(ended) = connections.join_next().await {
        note_panic(&shared, ended);
    }
}

async fn serve(stream: TcpStream, place: Option<OwnedSemaphorePermit>, shared: Shared) {
    connection::serve(stream, shared.site, shared.cx.stop).await;
    drop(place);
}

/// A place among the connections that are served. There always is one in the end: nobody closes the semaphore.
async fn place(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    let places = Arc::clone(&shared.site.connections);
    places.acquire_owned().await.ok()
}

/// The next connection on any of the sockets that have no listener any more, as soon as there is a place for one.
///
/// # Cancel safety
///
/// Cancelling loses nothing: a connection is accepted only in the poll that returns it.
async fn accept_any(
    parked: &[TcpListener],
    shared: &Shared,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    if parked.is_empty() {
        return std::future::pending().await;
    }
    let place = place(shared).await;
    loop {
        let accepted = poll_fn(|cx| {
            let mut sockets = parked.iter().map(|listener| listener.poll_accept(cx));
            sockets.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        match accepted.await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => pause(shared, &error).await,
        }
    }
}

/// A connection was lost; or the process has no room for any, which is told, and waited for.
async fn pause(shared: &Shared, error: &io::Error) {
    if !is_of_one_connection(error) {
        let text = format!("cannot accept connections, trying on: {error}");
        shared.site.ingest.report_failure(&text);
        shared.cx.stop.sleep(PAUSE).await;
    }
}

/// Whether only the connection that was about to be accepted is lost.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

fn note_panic(shared: &Shared, ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        let text = format!("a connection panicked and was ended: {error}");
        shared.site.ingest.report_failure(&text);
    }
}
