//! The layer in front of a real axum server, and by itself.
#![allow(clippy::unwrap_used, reason = "a test")]

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use relay_event::{ByteBudget, Gate, Priority};
use relay_http::ShedLayer;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::sync::Semaphore;
use tower_layer::Layer;
use tower_service::Service;

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

/// One request on a connection of its own; head and body of the answer.
async fn ask(address: SocketAddr, head: &str, body: &[u8]) -> (u16, String) {
    let mut request = format!("POST {head}\r\nhost: a\r\nconnection: close\r\n").into_bytes();
    if !head.contains("chunked") {
        request.extend(format!("content-length: {}\r\n", body.len()).bytes());
    }
    request.extend(b"\r\n");
    request.extend(body);
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(&request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.get(9..12).and_then(|code| code.parse().ok());
        (
            status.unwrap_or_else(|| panic!("no status in {answer:?}")),
            answer,
        )
    })
    .await
    .unwrap()
}

fn app(gate: &Gate) -> Router {
    Router::new()
        .route(
            "/orders",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        .layer(ShedLayer::new(gate.clone()))
}

/// Memory shrinks, level by level, as the pulse would turn the gate, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_sheds_by_memory_and_priority_and_recovers() {
    let gate = Gate::new(ByteBudget::new(1 << 20));
    let address = serve(app(&gate)).await;
    let post = async |priority: &str| {
        let head = format!("/orders HTTP/1.1\r\nx-relay-priority: {priority}");
        ask(address, &head, &[7; 1000]).await
    };
    let classes = ["low", "normal", "high"];
    for shut_out in [0, 1, 2, 1, 0] {
        gate.set_floor(Priority::from_rank(shut_out));
        for (rank, priority) in classes.into_iter().enumerate() {
            let (status, answer) = post(priority).await;
            if rank < usize::from(shut_out) {
                assert_eq!(status, 503, "{priority}");
                assert!(answer.contains("retry-after: "), "{answer}");
                assert!(answer.contains(r#""code":"level""#), "{answer}");
            } else {
                assert_eq!(status, 200, "{priority}");
                assert!(answer.ends_with("1000"), "{answer}");
            }
        }
    }
    // The ledger shrinks below what one request needs, and grows back.
    gate.budget().resize(Some(4096));
    assert_eq!(post("high").await.0, 413);
    gate.budget().resize(Some(6500));
    assert_eq!((post("low").await.0, post("high").await.0), (413, 200));
    gate.budget().resize(Some(1 << 20));
    assert_eq!(post("low").await.0, 200);
    // A header cannot claim what is the system's own.
    gate.set_floor(Priority::Control);
    assert_eq!(post("control").await.0, 503);
    gate.close();
    let (status, answer) = post("high").await;
    assert_eq!(status, 503);
    assert!(answer.contains(r#""code":"draining""#), "{answer}");
    assert_eq!(gate.budget().used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_request_are_held_until_its_answer_is_sent() {
    let gate = Gate::new(ByteBudget::new(100_000));
    let (parts, rest) =
        tokio::sync::mpsc::channel::<Result<http_body::Frame<Bytes>, Infallible>>(1);
    let rest = Arc::new(Mutex::new(Some(rest)));
    let stream = move || {
        let mut rest = rest.lock().unwrap().take().unwrap();
        let frames = futures_stream(move |cx| rest.poll_recv(cx));
        async move { Body::new(StreamBody::new(frames)) }
    };
    let service = Router::new()
        .route("/", post(stream))
        .layer(ShedLayer::new(gate.clone()).request_bytes(1000));
    let mut service = service.into_service::<Full<Bytes>>();
    let request = Request::post("/").body(Full::from(vec![0; 2000])).unwrap();
    let mut response = Service::call(&mut service, request).await.unwrap();
    assert_eq!(gate.budget().used_bytes(), 3000);
    parts
        .send(Ok(http_body::Frame::data("a".into())))
        .await
        .unwrap();
    let _ = response.body_mut().frame().await;
    assert_eq!(gate.budget().used_bytes(), 3000, "more is to come");
    drop(parts);
    assert!(response.body_mut().frame().await.is_none());
    assert_eq!(gate.budget().used_bytes(), 0, "all is sent");

    let request = Request::post("/nowhere")
        .body(Full::from(vec![0; 2000]))
        .unwrap();
    let response = Service::call(&mut service, request).await.unwrap();
    assert_eq!(gate.budget().used_bytes(), 3000);
    drop(response);
    assert_eq!(gate.budget().used_bytes(), 0, "the sender went away");
}

/// A stream of what `poll` says.
fn futures_stream<T>(
    poll: impl FnMut(&mut Context<'_>) -> Poll<Option<T>>,
) -> impl futures_core::Stream<Item = T> {
    struct Polled<F>(F);
    impl<T, F: FnMut(&mut Context<'_>) -> Poll<Option<T>> + Unpin> futures_core::Stream for Polled<F> {
        type Item = T;
        fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
            (self.0)(cx)
        }
    }
    Polled(Box::new(poll))
}

/// A body without a length asks for more as it grows; when there is no more the sender gets the refusal of the gate, and
/// not what the service makes of half a body.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unknown_length_is_reserved_as_it_grows() {
    let gate = Gate::new(ByteBudget::new(200_000));
    let address = serve(app(&gate)).await;
    let chunked = |bytes: usize| {
        let mut body = Vec::new();
        for _ in 0..bytes / 1000 {
            body.extend(b"3e8\r\n");
            body.extend([1; 1000]);
            body.extend(b"\r\n");
        }
        body.extend(b"0\r\n\r\n");
        body
    };
    let head = "/orders HTTP/1.1\r\ntransfer-encoding: chunked";
    let (status, answer) = ask(address, head, &chunked(100_000)).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.ends_with("100000"), "{answer}");
    // Here without a socket, on which a sender that goes on sending may find a reset before the answer.
    let mut service = app(&gate).into_service::<StreamBody<_>>();
    let mut left = 300;
    let frames = futures_stream(move |_| {
        left -= 1;
        let frame = http_body::Frame::data(Bytes::from_static(&[1; 1000]));
        Poll::Ready((left >= 0).then_some(Ok::<_, Infallible>(frame)))
    });
    let request = Request::post("/orders")
        .body(StreamBody::new(frames))
        .unwrap();
    let response = Service::call(&mut service, request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(
        text.starts_with(br#"{"error":{"code":"ledger""#),
        "{text:?}"
    );
    assert_eq!(gate.budget().used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_the_service_alive_passes_by_a_closure() {
    let gate = Gate::new(ByteBudget::new(1 << 20));
    let layer = ShedLayer::new(gate.clone()).priority_by(|head: &Parts| match head.uri.path() {
        "/healthz" => Priority::Control,
        _ => Priority::Normal,
    });
    let app = Router::new()
        .route("/healthz", post(|| async { "ok" }))
        .route("/orders", get(|| async { "ok" }))
        .layer(layer);
    let address = serve(app).await;
    gate.close();
    assert_eq!(ask(address, "/healthz HTTP/1.1", b"").await.0, 200);
    assert_eq!(ask(address, "/orders HTTP/1.1", b"").await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_are_told_apart_by_a_header() {
    let gate = Gate::new(ByteBudget::new(1 << 20));
    gate.set_source_fairness(true);
    gate.set_rate(Some(2e6));
    let layer =
        ShedLayer::new(gate.clone()).source_header(http::HeaderName::from_static("x-tenant"));
    let mut service = Router::new()
        .route("/", post(|| async { "ok" }))
        .layer(layer)
        .into_service::<Full<Bytes>>();
    // Ten requests of one tenant for each of another, as fast as they go, until shares are known and used up.
    let mut refusals = 0;
    while refusals < 100 {
        for i in 0..11 {
            let tenant = if i == 0 { "modest" } else { "greedy" };
            let request = Request::post("/").header("x-tenant", tenant);
            let request = request.body(Full::from(vec![0; 1000])).unwrap();
            let response = Service::call(&mut service, request).await.unwrap();
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                let text = response.into_body().collect().await.unwrap().to_bytes();
                refusals += usize::from(text.windows(12).any(|part| part == b"source_share"));
            }
        }
    }
}

/// A service that is ready when a place is free, and keeps the place from then on.
#[derive(Clone)]
struct OnePlace {
    places: Arc<Semaphore>,
    has_place: bool,
}

impl<B> Service<Request<B>> for OnePlace {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.has_place {
            return Poll::Ready(Ok(()));
        }
        match self.places.try_acquire() {
            Ok(place) => {
                place.forget();
                self.has_place = true;
                Poll::Ready(Ok(()))
            }
            Err(_) => Poll::Pending,
        }
    }

    fn call(&mut self, _request: Request<B>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.has_place),
            "called without a place"
        );
        self.places.add_permits(1);
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

/// Readiness is the service's; a refusal neither calls it nor takes its place away.
#[tokio::test]
async fn it_is_ready_when_the_service_is_and_a_refusal_leaves_that() {
    let gate = Gate::new(ByteBudget::new(100_000));
    let places = Arc::new(Semaphore::new(0));
    let inner = OnePlace {
        places: Arc::clone(&places),
        has_place: false,
    };
    let mut service = ShedLayer::new(gate.clone()).layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let ready = |service: &mut relay_http::Shed<OnePlace, _>, cx: &mut Context<'_>| {
        Service::<Request<Full<Bytes>>>::poll_ready(service, cx).is_ready()
    };
    assert!(
        !ready(&mut service, &mut cx),
        "the gate does not decide about that"
    );
    places.add_permits(1);
    assert!(ready(&mut service, &mut cx));
    gate.close();
    let refused = service
        .call(Request::new(Full::<Bytes>::default()))
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(places.available_permits(), 0, "it was not called");
    assert!(ready(&mut service, &mut cx), "and is still ready");
}
