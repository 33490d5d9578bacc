use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::account::FailureKind;
use super::schedule::Schedule;
use super::{LoadOptions, Phase, Rate, Report, run};
use crate::units::ByteSize;

const SECOND: Duration = Duration::from_secs(1);

fn phase(events_per_second: f64, millis: u64) -> Phase {
    Phase {
        rate: Rate::Events(events_per_second),
        duration: Duration::from_millis(millis),
    }
}

fn body(bytes: u64) -> ByteSize {
    ByteSize::from_bytes(bytes)
}

fn local<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, future)
}

/// Answers each request with what `answer` says, keeping the ids that came in.
async fn serve(answer: fn(u64) -> Response<Full<Bytes>>) -> (String, Rc<RefCell<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    let ids = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&ids);
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let seen = Rc::clone(&seen);
            let service = service_fn(move |request: Request<Incoming>| {
                let seen = Rc::clone(&seen);
                async move {
                    assert_eq!(request.uri().path(), "/v1/events");
                    let id = request.headers()["ce-id"].to_str().unwrap().to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    assert_eq!(body.len(), 100);
                    seen.borrow_mut().push(id);
                    Ok::<_, Infallible>(answer(seen.borrow().len() as u64))
                }
            });
            tokio::task::spawn_local(
                http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (target, ids)
}

fn assert_closed(report: &Report) {
    let rows = [report.total]
        .into_iter()
        .chain(report.phases.iter().map(|phase| phase.counts))
        .chain(report.buckets.iter().map(|bucket| bucket.counts));
    for counts in rows {
        assert_eq!(
            counts.sent,
            counts.accepted + counts.refused + counts.failed,
            "{report}"
        );
    }
    let buckets: u64 = report.buckets.iter().map(|bucket| bucket.counts.sent).sum();
    assert_eq!(buckets, report.total.sent);
}

fn accepted(_: u64) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

fn every_third_refused(count: u64) -> Response<Full<Bytes>> {
    if !count.is_multiple_of(3) {
        return accepted(count);
    }
    let body = Bytes::from_static(br#"{"error":{"code":"rate","message":"slower"}}"#);
    let response = Response::builder().status(429);
    let with_hint = count.is_multiple_of(2);
    let response = if with_hint {
        response.header("retry-after", "1")
    } else {
        response
    };
    response.body(Full::new(body)).unwrap()
}

#[test]
fn quantities_are_read_with_their_units() {
    assert_eq!("500/s".parse(), Ok(Rate::Events(500.0)));
    assert_eq!("0.5MiB/s".parse(), Ok(Rate::Bytes(524_288.0)));
    assert_eq!(Rate::Bytes(1_048_576.0).events_per_second(1024), 1024.0);
    assert_eq!("10/s:250ms".parse(), Ok(phase(10.0, 250)));
    for wrong in ["", "5", "/s", "-1/s", "5/m", "5QiB/s", "1.2.3/s"] {
        assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
    }
}

#[test]
fn impossible_options_are_refused() {
    let second = vec![phase(1.0, 1000)];
    for target in ["ftp://h/", "127.0.0.1:80", "http://", "not a url"] {
        assert!(
            LoadOptions::new(target, second.clone(), body(1)).is_err(),
            "{target}"
        );
    }
    let options = |phase| LoadOptions::new("http://h", vec![phase], body(1));
    assert!(LoadOptions::new("http://h", vec![], body(1)).is_err());
    assert!(LoadOptions::new("http://h", second.clone(), body(u64::MAX)).is_err());
    assert!(options(phase(1e9, 1)).is_err());
    assert!(options(phase(f64::NAN, 1)).is_err());
    let hour = options(phase(1.0, 3_600_000)).unwrap();
    assert!(hour.clone().with_bucket(Duration::from_millis(50)).is_err());
    assert!(hour.clone().with_bucket(Duration::ZERO).is_err());
    assert!(hour.with_bucket(SECOND).is_ok());
}

#[test]
fn the_schedule_follows_the_rate_and_the_phases() {
    let phases = [phase(10.0, 500), phase(0.0, 1000), phase(100.0, 30)];
    let mut schedule = Schedule::new(&phases, 1);
    assert_eq!(schedule.next_due(), Some(Duration::ZERO));
    let due: Vec<_> = std::iter::from_fn(|| schedule.take(SECOND))
        .map(|slot| (slot.due.as_millis(), slot.phase, slot.sequence))
        .collect();
    assert_eq!(
        due,
        [
            (0, 0, 0),
            (100, 0, 1),
            (200, 0, 2),
            (300, 0, 3),
            (400, 0, 4)
        ]
    );
    let late: Vec<_> = std::iter::from_fn(|| schedule.take(2 * SECOND))
        .map(|slot| (slot.due.as_millis(), slot.phase, slot.sequence))
        .collect();
    assert_eq!(late, [(1500, 2, 5), (1510, 2, 6), (1520, 2, 7)]);
    assert_eq!(schedule.next_due(), None);
}

#[test]
fn what_the_receiver_saw_is_what_was_sent() {
    let (report, mut ids) = local(async {
        let (target, ids) = serve(every_third_refused).await;
        let phases = vec![phase(2000.0, 200), phase(500.0, 100)];
        let options = LoadOptions::new(&target, phases, body(100))
            .unwrap()
            .with_connections(4);
        let report = run(options, std::future::pending()).await.unwrap();
        (report, ids.take())
    });
    assert_closed(&report);
    assert_eq!(report.total.sent, 450);
    assert_eq!(report.phases[1].counts.sent, 50);
    assert_eq!(report.total.refused, 150);
    assert_eq!(report.refused_by_status[&429], 150);
    assert_eq!(report.refused_by_reason["rate"], 150);
    assert_eq!(report.without_retry_after, 75);
    assert!(report.first_refusal_unix_ms.unwrap() >= report.started_unix_ms);
    assert_eq!(report.accepted_bytes, 300 * 100);
    let mut expected: Vec<_> = (0..450).map(|n| format!("{}-{n}", report.run)).collect();
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);
}

#[test]
fn nobody_there_is_a_failed_connect_each() {
    let report = local(async {
        let target = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            format!("http://{}", listener.local_addr().unwrap())
        };
        let options = LoadOptions::new(&target, vec![phase(1000.0, 100)], body(100)).unwrap();
        run(options, std::future::pending()).await.unwrap()
    });
    assert_closed(&report);
    assert_eq!(report.failed_by_kind[&FailureKind::Connect], 100);
}

/// Accepts connections, reads a little, then does to them what `end` does.
async fn misbehave(end: &'static [u8], hang: bool) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    tokio::task::spawn_local(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::task::spawn_local(async move {
                let mut buffer = [0; 4096];
                assert!(stream.read(&mut buffer).await.unwrap() > 0);
                stream.write_all(end).await.ok();
                if hang {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    let options = LoadOptions::new(&target, vec![phase(100.0, 100)], body(100))
        .unwrap()
        .with_connections(3)
        .with_timeout(Duration::from_millis(150));
    run(options, std::future::pending()).await.unwrap()
}

#[test]
fn each_kind_of_missing_answer_is_told_apart() {
    let kinds = [
        (&b""[..], false, FailureKind::Reset),
        (b"HTTP/1.1 202 Acc", false, FailureKind::Reset),
        (b"SSH-2.0-OpenSSH\r\n\r\n", true, FailureKind::Protocol),
        (b"", true, FailureKind::Timeout),
        (
            b"HTTP/1.1 202 Accepted\r\ncontent-length: 5\r\n\r\nab",
            true,
            FailureKind::Timeout,
        ),
    ];
    for (end, hang, kind) in kinds {
        let report = local(misbehave(end, hang));
        assert_closed(&report);
        assert_eq!(
            report.failed_by_kind.get(&kind),
            Some(&10),
            "{kind:?}: {report}"
        );
    }
}

#[test]
fn latency_counts_from_when_an_event_was_due() {
    // One connection and an answer that takes 20 ms: the tenth event, due at 9 ms, waits for nine.
    let report = local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("http://{}", listener.local_addr().unwrap());
        tokio::task::spawn_local(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request: Request<Incoming>| async {
                request.into_body().collect().await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok::<_, Infallible>(accepted(0))
            });
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
        let options = LoadOptions::new(&target, vec![phase(1000.0, 10)], body(100)).unwrap();
        run(options.with_connections(1), std::future::pending())
            .await
            .unwrap()
    });
    assert_closed(&report);
    assert_eq!(report.total.accepted, 10);
    assert!(report.accepted_latency.max_us > 180_000, "{report}");
    assert!(report.accepted_latency.p50_us > 80_000, "{report}");
}

/// A server on the generator's own thread that stalls it: what was due meanwhile was late.
#[test]
fn a_stalled_generator_does_not_flatter_the_server() {
    let report = local(async {
        let (target, _) = serve(|count| {
            if count == 1 {
                std::thread::sleep(Duration::from_millis(300));
            }
            accepted(count)
        })
        .await;
        let options = LoadOptions::new(&target, vec![phase(1000.0, 10)], body(100)).unwrap();
        run(options, std::future::pending()).await.unwrap()
    });
    assert_closed(&report);
    assert!(report.accepted_latency.p50_us > 250_000, "{report}");
}

#[test]
fn stopping_early_closes_the_account_over_what_was_sent() {
    let report = local(async {
        let (target, seen) = serve(accepted).await;
        let options = LoadOptions::new(&target, vec![phase(1000.0, 60_000)], body(100)).unwrap();
        let fifty_came = async {
            while seen.borrow().len() < 50 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        run(options, fifty_came).await.unwrap()
    });
    assert_closed(&report);
    // The whole schedule is 60,000.
    assert!((50..30_000).contains(&report.total.sent), "{report}");
    assert_eq!(report.total.accepted, report.total.sent);
}

#[test]
fn the_json_names_the_sum_and_its_parts() {
    let report = local(async {
        let (target, _) = serve(every_third_refused).await;
        let options = LoadOptions::new(&target, vec![phase(300.0, 100)], body(100)).unwrap();
        run(options, std::future::pending()).await.unwrap()
    });
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["sent"], 30);
    assert_eq!(json["refused_by_status"]["429"], 10);
    assert_eq!(json["phases"][0]["events_per_second"], 300.0);
    assert_eq!(json["buckets"][0]["offset_ms"], 0);
    assert!(
        report
            .to_string()
            .contains("= 20 accepted + 10 refused + 0 failed"),
        "{report}"
    );
}
