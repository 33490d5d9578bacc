//! What is configured about adapters, breakers and pools reaches a running engine.

#![allow(clippy::unwrap_used)]

use relay_control::BreakerState;
use relay_engine::{BuildError, Engine, EngineState, Health, PoolReading};
use relay_node::config::Sources;
use relay_node::wiring;
use relay_sense::Root;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(5);

async fn start(text: impl AsRef<str>) -> Result<Engine, BuildError> {
    let config = Sources::default()
        .load_text(text.as_ref())
        .unwrap()
        .into_config();
    let detection = relay_sense::detect(&Root::system(), None).unwrap();
    let engine = wiring::engine(&config, Root::system(), &detection).unwrap();
    engine.without_error_log().start().await
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn pool(state: &EngineState, id: &str) -> PoolReading {
    let pool = state.pools.iter().find(|pool| pool.id == id);
    pool.unwrap_or_else(|| panic!("{id}")).reading
}

fn health(state: &EngineState, component: &str) -> Health {
    let found = state.health.iter().find(|(id, _)| id == component);
    found.unwrap().1.clone()
}

#[tokio::test]
async fn pools_and_breakers_are_as_configured() {
    let engine = start(
        "[pools]\nmin = 3\nmax = 5\n[adapters.http]\nlisten = '127.0.0.1:0'\n\
         [adapters.tcp]\nlisten = '127.0.0.1:0'\n\
         [emitters.web]\nkind = 'http'\nurl = 'http://127.0.0.1:1/'\nin_flight = 6\nin_flight_min = 4\n\
         breaker.open_for = '7s'\n[emitters.sink]\nkind = 'blackhole'\nbreaker.enabled = false\n",
    );
    let engine = engine.await.unwrap();
    until("the listeners are there", || {
        pool(&engine.state(), "adapter:tcp").workers == 5
    })
    .await;
    let state = engine.shutdown(DEADLINE).await;
    for id in ["adapter:http", "adapter:tcp"] {
        let pool = pool(&state, id);
        assert_eq!((pool.workers, pool.min, pool.max), (5, 3, 5), "{id}");
    }
    let web = pool(&state, "emitter:web");
    assert_eq!((web.workers, web.min, web.max), (6, 4, 6));
    let breaker = |component: &str| {
        let mut breakers = state.breakers.iter();
        let found = breakers.find(|(id, _)| id == component);
        found.map(|(_, status)| (status.state, status.open_for))
    };
    assert_eq!(
        breaker("emitter:web"),
        Some((BreakerState::Closed, Duration::from_secs(7)))
    );
    assert_eq!(breaker("emitter:sink"), None);
    let json = relay_node::state_json::state(&state, None);
    assert_eq!(json["pools"]["emitter:web"]["max"], 6);
    assert_eq!(json["breakers"]["emitter:web"]["state"], "closed");
    assert_eq!(json["breakers"]["adapter:tcp"]["open_seconds"], 1.0);
}

#[tokio::test]
async fn an_address_that_is_taken_stops_the_start_unless_the_adapter_is_optional() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen = '{}'\n", taken.local_addr().unwrap());
    for kind in ["http", "tcp"] {
        let error = start(format!("[adapters.{kind}]\n{listen}[emitters]\n"))
            .await
            .unwrap_err();
        assert!(matches!(error, BuildError::Adapter { .. }), "{error:?}");
    }
    let engine = start(format!(
        "[adapters.http]\noptional = true\n{listen}[adapters.other]\nkind = 'http'\n\
         listen = '127.0.0.1:0'\n[emitters]\n"
    ));
    let engine = engine.await.unwrap();
    assert!(matches!(
        health(&engine.state(), "adapter:http"),
        Health::Failed(_)
    ));
    assert_eq!(health(&engine.state(), "adapter:other"), Health::Healthy);
    drop(taken);
    until("it has started after all", || {
        health(&engine.state(), "adapter:http") == Health::Healthy
    })
    .await;
    engine.shutdown(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_over_tcp_become_events_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.ndjson");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let engine = start(format!(
        "[adapters.tcp]\nlisten = '{free}'\nformat = 'text'\ntopic = 'thing'\nsource = 'here'\n\
         max_line = '8B'\n[emitters.file]\npath = '{}'\n",
        file.display()
    ));
    let engine = engine.await.unwrap();
    let mut stream = TcpStream::connect(free).unwrap();
    stream.write_all(b"one\nmuch too long\ntwo\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answers: Vec<_> = BufReader::new(stream).lines().map(Result::unwrap).collect();
    assert_eq!(answers, ["ok", "invalid body_too_large", "ok"]);
    let state = engine.shutdown(DEADLINE).await;
    assert!(state.is_closed());
    let text = std::fs::read_to_string(file).unwrap();
    let event: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&event["type"], &event["source"]),
        (&"thing".into(), &"here".into())
    );
    assert_eq!(text.lines().count(), 2);
}
