//! One kept-alive connection: send an event, classify what comes back.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::account::{Arrival, FailureKind, Outcome};
use super::{LoadError, LoadOptions};

/// A refusal explains itself in a few lines; more of it is not read.
const REFUSAL_BYTES_MAX: usize = 16 * 1024;

/// What all connections of a run share.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    path: Uri,
    headers: HeaderMap,
    body: Bytes,
    run: String,
    timeout: Duration,
}

/// The sending half of a connection, absent until the first event and after a failure.
pub(super) type Connection = Option<SendRequest<Full<Bytes>>>;

#[derive(serde::Deserialize)]
struct RefusalBody<'a> {
    #[serde(borrow)]
    error: RefusalDetail<'a>,
}

#[derive(serde::Deserialize)]
struct RefusalDetail<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
}

struct Answer {
    status: u16,
    retry_after: bool,
    body: Bytes,
}

// === impl Client ===

impl Client {
    pub(super) async fn resolve(options: &LoadOptions, run: &str) -> Result<Self, LoadError> {
        let target = &options.target;
        let host = target.host().unwrap_or_default().trim_matches(['[', ']']);
        let authority = target
            .authority()
            .map_or("", |authority| authority.as_str());
        let unresolved = |source| LoadError::Resolve {
            host: authority.to_owned(),
            source,
        };
        let address = tokio::net::lookup_host((host, target.port_u16().unwrap_or(80)))
            .await
            .map_err(|error| unresolved(Some(error)))?
            .next()
            .ok_or_else(|| unresolved(None))?;
        let path = target.path_and_query().map_or("/", PathAndQuery::as_str);
        Ok(Self {
            address,
            path: path
                .parse()
                .map_err(|_| LoadError::Invalid(format!("path {path}")))?,
            headers: headers(authority, run, options.priority.as_deref())?,
            body: Bytes::from(vec![b'x'; options.body_bytes as usize]),
            run: run.to_owned(),
            timeout: options.timeout,
        })
    }

    /// Sends the event of `arrival` and settles it with what came back.
    ///
    /// # Cancel safety
    ///
    /// Cancelling drops the arrival, which settles it as timed out.
    pub(super) async fn deliver(&self, arrival: Arrival, connection: &mut Connection) {
        let request = self.request(arrival.sequence());
        let exchange = timeout(self.timeout, self.exchange(connection, request)).await;
        match exchange.unwrap_or(Err(FailureKind::Timeout)) {
            Ok(answer) => arrival.settle(&answer.outcome()),
            Err(kind) => {
                *connection = None;
                arrival.settle(&Outcome::Failed(kind));
            }
        }
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Answer, FailureKind> {
        let mut fresh = false;
        loop {
            if !is_ready(connection).await {
                fresh = true;
                *connection = None;
            }
            let sender = match connection {
                Some(sender) => sender,
                None => connection.insert(self.connect().await?),
            };
            match sender.try_send_request(request).await {
                Ok(response) => return Answer::read(response).await,
                // An idle connection that the server closed meanwhile: nothing was sent yet.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => {
                        request = unsent;
                        *connection = None;
                    }
                    _ => return Err(failure_kind(error.error())),
                },
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, FailureKind> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|_| FailureKind::Connect)?;
        stream.set_nodelay(true).map_err(|_| FailureKind::Connect)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| FailureKind::Connect)?;
        // Ends by itself when `sender` is dropped; its errors reach the request as well.
        tokio::task::spawn_local(async move { connection.await.ok() });
        Ok(sender)
    }

    fn request(&self, sequence: u64) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        if let Ok(id) = HeaderValue::from_maybe_shared(format!("{}-{sequence}", self.run)) {
            headers.insert(HeaderName::from_static("ce-id"), id);
        }
        request
    }
}

// === impl Answer ===

impl Answer {
    async fn read(response: Response<Incoming>) -> Result<Self, FailureKind> {
        let status = response.status();
        let retry_after = response.headers().contains_key(RETRY_AFTER);
        let mut body = response.into_body();
        if status.is_success() {
            while let Some(frame) = body.frame().await {
                frame.map_err(|error| failure_kind(&error))?;
            }
            return Ok(Self {
                status: status.as_u16(),
                retry_after,
                body: Bytes::new(),
            });
        }
        let collected = Limited::new(body, REFUSAL_BYTES_MAX).collect().await;
        let body = collected
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        Ok(Self {
            status: status.as_u16(),
            retry_after,
            body,
        })
    }

    fn outcome(&self) -> Outcome<'_> {
        if (200..300).contains(&self.status) {
            return Outcome::Accepted;
        }
        let reason = serde_json::from_slice::<RefusalBody<'_>>(&self.body)
            .ok()
            .and_then(|body| match body.error.code {
                Cow::Borrowed(code) => Some(code),
                Cow::Owned(_) => None,
            });
        Outcome::Refused {
            status: self.status,
            reason,
            retry_after: self.retry_after,
        }
    }
}

async fn is_ready(connection: &mut Connection) -> bool {
    match connection {
        Some(sender) => sender.ready().await.is_ok(),
        None => false,
    }
}

fn headers(authority: &str, run: &str, priority: Option<&str>) -> Result<HeaderMap, LoadError> {
    let value = |text: &str| {
        HeaderValue::from_str(text)
            .map_err(|_| LoadError::Invalid(format!("{text:?} cannot be sent in a header")))
    };
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(HOST, value(authority)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
    headers.insert("ce-type", HeaderValue::from_static("relay.load"));
    headers.insert("ce-source", value(&format!("relay-load/{run}"))?);
    if let Some(priority) = priority {
        headers.insert("x-relay-priority", value(priority)?);
    }
    Ok(headers)
}

fn failure_kind(error: &hyper::Error) -> FailureKind {
    let io = error.source().is_some_and(<dyn Error>::is::<io::Error>);
    if io || error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        FailureKind::Reset
    } else {
        FailureKind::Protocol
    }
}
