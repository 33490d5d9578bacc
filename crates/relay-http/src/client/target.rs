//! One request and its answer.

use super::answer::{self, Verdict};
use super::config::Checked;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use relay_engine::EmitError;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;

/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// How long a connection may wait for its next request: less than the minute after which most servers end it.
const IDLE: Duration = Duration::from_secs(30);

/// Where requests go.
#[derive(Debug)]
pub(super) struct Target {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
    /// The URL as it may be shown.
    name: String,
}

impl Target {
    pub(super) fn new(checked: &Checked) -> Self {
        let config = &checked.config;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(config.timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(config.in_flight)
            .http1_max_buf_size(MAX_ANSWER_BYTES)
            .build(connector);
        let mut headers = config.headers.clone();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(config.format.content_type()),
        );
        if let Some(authorization) = &checked.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Self {
            client,
            uri: checked.uri.clone(),
            headers,
            timeout: config.timeout,
            name: checked.name.clone(),
        }
    }

    /// Posts `body` and judges the answer.
    pub(super) async fn post(&self, body: Bytes) -> Verdict {
        match timeout(self.timeout, self.exchange(body)).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => Verdict::retry(EmitError::retry(self.story(&error)).source(error)),
            Err(_) => {
                let text = format!("{} gave no answer within {:?}", self.name, self.timeout);
                Verdict::retry(EmitError::retry(text))
            }
        }
    }

    async fn exchange(&self, body: Bytes) -> Result<Verdict, Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().clone_from(&self.headers);
        let (head, mut body) = self.client.request(request).await?.into_parts();
        let text = read_some(&mut body).await;
        let wait = head.headers.get(RETRY_AFTER).and_then(answer::wait_of);
        Ok(answer::judge(&self.name, head.status, wait, &text))
    }

    fn story(&self, error: &Error) -> String {
        if error.is_connect() {
            format!("cannot connect to {}", self.name)
        } else if is_garbage(error) {
            format!("{} answered with something that is not HTTP", self.name)
        } else {
            format!("the connection to {} broke", self.name)
        }
    }
}

fn is_garbage(error: &Error) -> bool {
    let source =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<hyper::Error>());
    source.is_some_and(hyper::Error::is_parse)
}

/// Reads an answer to its end, so that the connection can be used again, or to where it is enough; then, and when it
/// breaks, the connection ends with it, and the status says what there is to say.
async fn read_some(body: &mut Incoming) -> Vec<u8> {
    let mut text = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        let data = frame.into_data().unwrap_or_default();
        if text.len() + data.len() > MAX_ANSWER_BYTES {
            break;
        }
        text.extend_from_slice(&data);
    }
    text
}
