//! Accepting connections: as many as allowed, and not giving up when the system runs out of something.

use super::connection::{self, Closing};
use super::site::Site;
use relay_engine::AdapterContext;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

/// How long accepting pauses when the process has no descriptor or memory left for a connection: long enough not to
/// spin, short enough to be back soon after one was closed.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until told to stop, then lets requests under way finish for as long as `cx.drain`.
pub(super) async fn run(listener: TcpListener, site: Arc<Site>, cx: &AdapterContext) {
    let closing = Arc::new(Closing::default());
    let mut connections = JoinSet::new();
    let mut stopped = pin!(cx.stop.stopped());
    let mut failing = false;
    loop {
        let has_room = connections.len() < site.config.max_connections;
        tokio::select! {
            () = &mut stopped => break,
            Some(ended) = connections.join_next() => note_panic(&site, ended),
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    failing = false;
                    prepare(&stream);
                    connections.spawn(connection::serve(stream, Arc::clone(&site), Arc::clone(&closing)));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        site.ingest.report_failure(&format!("cannot accept connections, trying on: {error}"));
                    }
                    cx.stop.sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    closing.begin();
    let finish = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(cx.drain, finish).await;
    connections.shutdown().await;
}

/// Answers are one small write each, so there is nothing to wait for. A socket that cannot be set is about to fail.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

/// Whether only the connection that was about to be accepted is lost.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

fn note_panic(site: &Site, ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        site.ingest
            .report_failure(&format!("a connection panicked and was ended: {error}"));
    }
}
