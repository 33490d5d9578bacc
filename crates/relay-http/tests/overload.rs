//! More than can be taken, over real HTTP: who loses, and who does not.
//!
//! Time is counted in rounds: in each, senders send, then a consumer takes what it takes in 10 ms. So a busy machine makes
//! the tests slower and changes nothing else.
#![allow(clippy::unwrap_used, reason = "a test")]

use relay_engine::{Adapter, AdapterContext, Ingest, RefusalReason, Stop};
use relay_event::{
    Bus, ByteBudget, ErrorBus, Event, Gate, Priority, Reason, SubscribeOptions, Subscription,
};
use relay_http::{FairBy, HttpServer, HttpServerConfig, PriorityRule};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

const PAYLOAD: [u8; 1000] = [b'x'; 1000];
/// What the consumer takes in a round, and in a second.
const PER_ROUND: usize = 10;
const PER_SECOND: usize = 100 * PER_ROUND;
/// 50 ms.
const WINDOW: usize = 5;
const CLASSES: [&str; 3] = ["low", "normal", "high"];

struct Node {
    address: SocketAddr,
    gate: Gate,
    ingest: Ingest,
    subscription: Subscription,
    _runtime: tokio::runtime::Runtime,
}

impl Node {
    /// A server whose consumer is known, and whose queue may be worth so many events.
    fn start(config: HttpServerConfig, queue_events: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let gate = Gate::new(ByteBudget::new(64 << 20));
        let event_bytes = Event::charge_bytes(PAYLOAD.len() as u64, 0) as f64;
        gate.set_drain(Some(PER_SECOND as f64 * event_bytes));
        let delay = Duration::from_secs_f64(queue_events as f64 / PER_SECOND as f64);
        gate.set_max_queue_delay(Some(delay));
        let bus = Bus::new("external");
        let ingest = Ingest::new("http", gate.clone(), bus.clone(), ErrorBus::new());
        let subscription = bus.subscribe(SubscribeOptions::new("s")).unwrap();
        let config = HttpServerConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..config
        };
        let mut server = HttpServer::try_new(config).unwrap();
        let address = runtime.block_on(server.bind()).unwrap();
        let cx = AdapterContext {
            id: "http".into(),
            ingest: ingest.clone(),
            stop: Stop::fixed(false),
            drain: Duration::from_secs(1),
        };
        runtime.spawn(Box::new(server).run(cx));
        Self {
            address,
            gate,
            ingest,
            subscription,
            _runtime: runtime,
        }
    }

    fn consume(&mut self) {
        for _ in 0..PER_ROUND {
            drop(self.subscription.try_recv());
        }
    }

    fn refused(&self, reason: Reason) -> u64 {
        self.ingest.stats().refused(RefusalReason::Gate(reason))
    }
}

/// One connection that is kept.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    /// The status, and whether there was a `Retry-After`.
    fn post(&mut self, headers: &str, body: &[u8]) -> (u16, bool) {
        let length = body.len();
        let mut request = format!(
            "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n{headers}\r\n"
        )
        .into_bytes();
        request.extend(body);
        self.0.get_mut().write_all(&request).unwrap();
        let (mut status, mut length, mut retries) = (0, 0, false);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("http/1.1 ") {
                status = text[..3].parse().unwrap();
            } else if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.parse().unwrap();
            } else if line.starts_with("retry-after: ") {
                retries = true;
            } else if line.is_empty() {
                break;
            }
        }
        self.0.read_exact(&mut vec![0; length]).unwrap();
        (status, retries)
    }

    fn post_as(&mut self, priority: &str) -> bool {
        let (status, retries) = self.post(&format!("x-relay-priority: {priority}\r\n"), &PAYLOAD);
        assert!(
            status == 202 || (matches!(status, 429 | 503) && retries),
            "{status}"
        );
        status == 202
    }
}

/// What became of each class in a window.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    admitted: [u32; 4],
    refused: [u32; 4],
}

impl Tally {
    /// Whether a class lost something while a lower one was admitted.
    fn is_inverted(&self) -> bool {
        (1..4).any(|class| self.refused[class] > 0 && self.admitted[..class].iter().any(|n| *n > 0))
    }
}

/// An inversion is a window of 50 ms in which a class was refused and a lower one admitted. The marks of two classes are 15 %
/// of the queue apart at least, here 150 ms of the consumer, so within one window no honest gate can be at the one and at
/// the other: a window that shows both shows a lower class that was let past a higher one.
#[test]
fn under_five_times_the_load_no_class_loses_while_a_lower_one_is_admitted() {
    let mut node = Node::start(HttpServerConfig::default(), PER_SECOND);
    let mut client = Client::new(node.address);
    let mut rng = fastrand::Rng::with_seed(5);
    // Events a round of low, normal and high: five times what is consumed. In the second course high alone is too much.
    for (course, offered) in [[25, 17, 8], [15, 15, 20]].into_iter().enumerate() {
        let (mut windows, mut window) = (Vec::new(), Tally::default());
        for round in 0..300 {
            let mut arriving: Vec<usize> = (0..3)
                .flat_map(|class| vec![class; offered[class]])
                .collect();
            rng.shuffle(&mut arriving);
            for class in arriving {
                let admitted = client.post_as(CLASSES[class]);
                let counts = if admitted {
                    &mut window.admitted
                } else {
                    &mut window.refused
                };
                counts[class] += 1;
            }
            // What the node has to say to itself passes always.
            let own = node.gate.admit(100, Priority::Control);
            window.admitted[3] += u32::from(own.is_ok());
            window.refused[3] += u32::from(own.is_err());
            node.consume();
            if round % WINDOW == WINDOW - 1 {
                windows.push(std::mem::take(&mut window));
            }
        }
        let inverted: Vec<_> = windows
            .iter()
            .filter(|window| window.is_inverted())
            .collect();
        assert!(inverted.is_empty(), "course {course}: {inverted:?}");
        // The last third, in which nothing moves any more.
        let of = |counts: fn(&Tally) -> [u32; 4], class: usize| -> u32 {
            windows[40..]
                .iter()
                .map(|window| counts(window)[class])
                .sum()
        };
        let (admitted, refused) = (|t: &Tally| t.admitted, |t: &Tally| t.refused);
        assert_eq!(
            of(admitted, 0),
            0,
            "course {course}: nothing of the lowest is left"
        );
        assert_eq!(of(refused, 3), 0, "control");
        let total: u32 = (0..3).map(|class| of(admitted, class)).sum();
        let consumed = 20 * WINDOW * PER_ROUND;
        assert!(
            (f64::from(total) / consumed as f64 - 1.0).abs() < 0.02,
            "{total} of {consumed}"
        );
        if course == 0 {
            assert_eq!(of(refused, 2), 0, "high fits");
            assert!(
                of(admitted, 1) > 0 && of(refused, 1) > 0,
                "normal takes the rest"
            );
        } else {
            assert_eq!(of(admitted, 1), 0);
            assert!(of(refused, 2) > 0, "high takes all there is");
        }
    }
    assert!(node.ingest.stats().is_closed());
}

#[test]
fn nobody_outside_can_claim_what_is_the_systems_own() {
    let mut node = Node::start(HttpServerConfig::default(), PER_SECOND);
    let mut client = Client::new(node.address);
    while client.post_as("high") {}
    let event =
        br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","relaypriority":"control"}"#;
    assert!(!client.post_as("control"));
    assert_eq!(
        client.post("ce-relaypriority: control\r\n", &PAYLOAD).0,
        503
    );
    let structured = "content-type: application/cloudevents+json\r\nx-relay-priority: control\r\n";
    assert_eq!(client.post(structured, event).0, 503);
    assert!(node.gate.admit(1000, Priority::Control).is_ok());
    // Where there is room it is an event of high priority.
    for _ in 0..100 {
        node.consume();
    }
    assert_eq!(client.post(structured, event).0, 202);
    let last = std::iter::from_fn(|| node.subscription.try_recv()).last();
    assert_eq!(last.unwrap().priority(), Priority::High);
}

#[test]
fn what_is_inside_counts_and_not_what_the_request_says() {
    let node = Node::start(HttpServerConfig::default(), PER_SECOND);
    let mut client = Client::new(node.address);
    while client.post_as("low") {}
    let low = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","relaypriority":"low"}"#;
    let structured = "content-type: application/cloudevents+json\r\nx-relay-priority: high\r\n";
    assert_eq!(
        client.post(structured, low).0,
        503,
        "low, whatever the header says"
    );
    let batch = [b"[".as_slice(), low, b"]"].concat();
    let batched = "content-type: application/cloudevents-batch+json\r\nx-relay-priority: high\r\n";
    assert_eq!(client.post(batched, &batch).0, 503);
    assert!(client.post_as("normal"));
    assert!(node.ingest.stats().is_closed());
}

#[test]
fn rules_by_topic_and_source_count_more_than_what_senders_say() {
    let rule = |topics: &[&str], sources: &[&str], priority| PriorityRule {
        topics: topics.iter().map(ToString::to_string).collect(),
        sources: sources.iter().map(ToString::to_string).collect(),
        priority,
    };
    let config = HttpServerConfig {
        priority_rules: vec![
            rule(&["audit.*"], &[], Priority::High),
            rule(&[], &["/batch/*"], Priority::Low),
        ],
        ..HttpServerConfig::default()
    };
    let mut node = Node::start(config, PER_SECOND);
    let mut client = Client::new(node.address);
    let audit = "ce-type: audit.login\r\nx-relay-priority: low\r\n";
    let batch = "ce-source: /batch/7\r\nx-relay-priority: high\r\n";
    let structured = "content-type: application/cloudevents+json\r\nx-relay-priority: high\r\n";
    let inside = br#"{"specversion":"1.0","id":"1","source":"/batch/1","type":"t"}"#;
    assert_eq!(client.post(audit, &PAYLOAD).0, 202);
    assert_eq!(client.post(batch, &PAYLOAD).0, 202);
    assert_eq!(client.post(structured, inside).0, 202);
    let priorities: Vec<_> = std::iter::from_fn(|| node.subscription.try_recv())
        .map(|event| event.priority())
        .collect();
    assert_eq!(priorities, [Priority::High, Priority::Low, Priority::Low]);
    // And at the gate, where it matters.
    while client.post_as("normal") {}
    assert_eq!(client.post(audit, &PAYLOAD).0, 202);
    assert_eq!(client.post(batch, &PAYLOAD).0, 503);
    assert_eq!(client.post(structured, inside).0, 503);
}

/// Jain, Chiu and Hawe (1984).
fn jain(shares: &[u32]) -> f64 {
    let sum: f64 = shares.iter().copied().map(f64::from).sum();
    let squares: f64 = shares.iter().map(|share| f64::from(*share).powi(2)).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// Ten sources that send one event a round and one that sends ten, where ten are consumed; what each got admitted of the
/// last two thirds.
fn course(node: &mut Node, header: &str) -> Vec<u32> {
    let mut client = Client::new(node.address);
    let mut rng = fastrand::Rng::with_seed(3);
    let mut admitted = vec![0; 11];
    for round in 0..450 {
        let mut arriving: Vec<usize> = (0..10).chain([10; 10]).collect();
        rng.shuffle(&mut arriving);
        for source in arriving {
            let (status, _) = client.post(&format!("{header}: /source/{source}\r\n"), &PAYLOAD);
            admitted[source] += u32::from(status == 202 && round >= 150);
        }
        node.consume();
        // Shares are found by the clock, twenty times a second.
        thread::sleep(Duration::from_millis(5));
    }
    admitted
}

#[test]
fn one_source_at_ten_times_the_others_does_not_starve_them_over_http() {
    for (fair_by, header) in [
        (FairBy::Source, "ce-source"),
        (FairBy::Header("x-tenant".to_owned()), "x-tenant"),
    ] {
        let config = HttpServerConfig {
            fair_by,
            ..HttpServerConfig::default()
        };
        // Shares follow the clock, and one course in many meets a machine that stands still: the middle one of three counts.
        let mut jains = [0.0; 3];
        for found in &mut jains {
            let mut node = Node::start(config.clone(), 200);
            node.gate.set_source_fairness(true);
            let admitted = course(&mut node, header);
            assert!(node.refused(Reason::SourceShare) > 0);
            assert!(node.ingest.stats().is_closed());
            *found = jain(&admitted);
        }
        jains.sort_by(f64::total_cmp);
        assert!(jains[1] >= 0.95, "{jains:?}");
    }
}

#[test]
fn without_a_key_or_switched_off_who_sends_more_gets_more() {
    let nothing = HttpServerConfig {
        fair_by: FairBy::Nothing,
        ..HttpServerConfig::default()
    };
    for (config, on) in [(nothing, true), (HttpServerConfig::default(), false)] {
        let mut node = Node::start(config, 200);
        node.gate.set_source_fairness(on);
        let admitted = course(&mut node, "ce-source");
        assert!(jain(&admitted) < 0.6, "{} of {admitted:?}", jain(&admitted));
        assert_eq!(node.refused(Reason::SourceShare), 0);
    }
}
