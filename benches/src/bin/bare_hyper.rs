//! A bare hyper server: reads the body, answers 202, nothing else. What `relay run` is compared
//! with by `cargo xtask bench ingest`: same allocator, same runtime, one worker.
//!
//! Usage: `bare_hyper 127.0.0.1:8080`

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: bare_hyper ADDRESS")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let served = runtime.spawn(async move {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new());
                http.serve_connection(TokioIo::new(stream), service_fn(accept))
                    .await
                    .ok();
            });
        }
    });
    let never: Result<Infallible, std::io::Error> = runtime.block_on(served)?;
    match never? {}
}

async fn accept(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    drop(body);
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}
