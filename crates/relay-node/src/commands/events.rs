//! `relay events`: each error event of a running node as it happens.

use std::io::{self, Write};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::EventsArgs;
use crate::exit;

/// The longest line that is taken from a node.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Prints events to `out` until the node ends.
///
/// # Errors
///
/// When `out` or `errors` cannot be written.
pub fn execute(args: &EventsArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match runtime.block_on(follow(args, out)) {
        Ok(()) => Ok(exit::SUCCESS),
        Err(error) => {
            let address = args.admin;
            writeln!(
                errors,
                "error: cannot read events of the node at {address}: {error}; is it running there?"
            )?;
            Ok(exit::FAILURE)
        }
    }
}

async fn follow(args: &EventsArgs, out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(args.admin).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/events")
        .header(hyper::header::HOST, args.admin.to_string())
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("it answered {}", response.status()).into());
    }
    let mut body = response.into_body();
    let mut pending = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        pending.extend_from_slice(&data);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            print(&line, args.json, out)?;
        }
        if pending.len() > MAX_LINE_BYTES {
            return Err("it sent a line that does not end".into());
        }
    }
    Ok(())
}

fn print(line: &[u8], json: bool, out: &mut dyn Write) -> io::Result<()> {
    match serde_json::from_slice::<Value>(line) {
        Ok(event) if !json => {
            let text = |name: &str| event[name].as_str().unwrap_or("?").to_owned();
            writeln!(out, "{:<8} {}", text("severity"), text("message"))?;
        }
        _ => out.write_all(line)?,
    }
    out.flush()
}
