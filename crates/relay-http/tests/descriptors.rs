//! A process without a free descriptor: alone in its file, because the limit is that of the whole process.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Server, config, replies, request, until};
use relay_event::Code;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn running_out_of_descriptors_is_reported_once_and_survived() {
    let server = Server::start(config()).await;
    let limit = Rlimit {
        current: Some(256),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let socket = prepared(server.address);
    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let mut stream = tokio::task::spawn_blocking(socket).await.unwrap();
    until("it is reported", || {
        server.errors.count(Code::AdapterFail) == 1
    })
    .await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(
        server.errors.count(Code::AdapterFail),
        1,
        "once, though it was tried several times"
    );
    hoard.clear();
    let mut reply = Vec::new();
    tokio::task::block_in_place(|| {
        stream.write_all(&request("/v1/events", "", b"x")).unwrap();
        stream.read_to_end(&mut reply).unwrap();
    });
    assert_eq!(replies(&reply)[0].status, 202);
}

/// A socket that has its descriptor already and is connected later.
fn prepared(address: SocketAddr) -> impl FnOnce() -> std::net::TcpStream {
    use rustix::net::{AddressFamily, SocketType, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    move || {
        connect(&socket, &address).unwrap();
        socket.into()
    }
}
