//! Parts that the tests share: scripted adapters and emitters, and a folder of files that is a machine.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use relay_control::Level;
use relay_engine::{
    Adapter, AdapterContext, AdapterError, BoxFuture, EmitError, Emitted, Emitter, Engine,
};
use relay_event::{ErrorEvent, Event, Priority};
use relay_sense::Root;
use std::fs;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What an emitter does with its next batches; the last step repeats.
pub type Script = Vec<fn(&[Event]) -> Result<Emitted, EmitError>>;

#[derive(Clone, Default)]
pub struct Scripted {
    pub script: Arc<Mutex<Script>>,
    pub seen: Arc<Mutex<Vec<String>>>,
    pub fail_start: bool,
    pub fail_close: bool,
}

impl Scripted {
    pub fn new(script: Script) -> Self {
        Self {
            script: Arc::new(Mutex::new(script)),
            ..Self::default()
        }
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Emitter for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn start(&mut self) -> BoxFuture<'_, Result<(), EmitError>> {
        let result = if self.fail_start {
            Err(EmitError::retry("cannot open"))
        } else {
            Ok(())
        };
        Box::pin(async { result })
    }

    fn emit<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<Emitted, EmitError>> {
        Box::pin(async move {
            let step = {
                let mut script = self.script.lock().unwrap();
                if script.len() > 1 {
                    Some(script.remove(0))
                } else {
                    script.first().copied()
                }
            };
            let result = step.map_or(Ok(Emitted::All), |step| step(events));
            if result.is_ok() {
                self.seen
                    .lock()
                    .unwrap()
                    .extend(events.iter().map(|event| event.topic().to_string()));
            }
            result
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), EmitError>> {
        let result = if self.fail_close {
            Err(EmitError::retry("cannot flush"))
        } else {
            Ok(())
        };
        Box::pin(async { result })
    }
}

/// An emitter that never comes back.
pub struct Stuck;

impl Emitter for Stuck {
    fn kind(&self) -> &'static str {
        "stuck"
    }

    fn emit<'a>(&'a self, _: &'a [Event]) -> BoxFuture<'a, Result<Emitted, EmitError>> {
        Box::pin(pending())
    }
}

/// An adapter that sends so many events and then waits for the end.
pub struct Sender {
    pub events: usize,
    pub fail_start: bool,
    pub end: fn() -> Result<(), AdapterError>,
}

impl Sender {
    pub fn new(events: usize) -> Self {
        Self {
            events,
            fail_start: false,
            end: || Ok(()),
        }
    }
}

impl Adapter for Sender {
    fn kind(&self) -> &'static str {
        "sender"
    }

    fn start<'a>(&'a mut self, _: &'a AdapterContext) -> BoxFuture<'a, Result<(), AdapterError>> {
        let result = if self.fail_start {
            Err(AdapterError::new("address in use"))
        } else {
            Ok(())
        };
        Box::pin(async { result })
    }

    fn run(self: Box<Self>, cx: AdapterContext) -> BoxFuture<'static, Result<(), AdapterError>> {
        Box::pin(async move {
            for number in 0..self.events {
                send(&cx, number).await;
            }
            (self.end)()?;
            cx.stop.stopped().await;
            Ok(())
        })
    }
}

async fn send(cx: &AdapterContext, number: usize) {
    let arrival = cx.ingest.arrive();
    let refusal = match cx.ingest.admit(600, Priority::Normal) {
        Ok(permit) => {
            let topic = format!("n.{number}");
            let event = Event::builder(topic.as_str())
                .charge(permit.arrived())
                .build()
                .unwrap();
            match cx.ingest.publish(event) {
                Ok(()) => return arrival.accept(),
                Err(refusal) => refusal,
            }
        }
        Err(refusal) => refusal,
    };
    arrival.refuse(refusal.reason);
    tokio::task::yield_now().await;
}

/// Collects error events.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Vec<ErrorEvent>>>);

impl Collector {
    pub fn handler(&self) -> impl FnMut(&ErrorEvent) + Send + 'static {
        let events = Arc::clone(&self.0);
        move |event: &ErrorEvent| events.lock().unwrap().push(event.clone())
    }

    pub fn events(&self) -> Vec<ErrorEvent> {
        self.0.lock().unwrap().clone()
    }

    pub fn of(&self, code: relay_event::Code) -> Vec<ErrorEvent> {
        self.events()
            .into_iter()
            .filter(|event| event.code == code)
            .collect()
    }
}

/// A container with cgroup v2 and a limit of 100 MiB, made of files.
pub struct Machine(TempDir);

pub const MIB: u64 = 1 << 20;

impl Machine {
    pub fn new() -> Self {
        let machine = Self(TempDir::new().unwrap());
        machine.write("proc/self/cgroup", "0::/\n");
        machine.write(
            "proc/self/mountinfo",
            "30 20 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n",
        );
        machine.write("proc/self/statm", "1000 500 100 1 0 100 0\n");
        machine.write("proc/meminfo", "MemTotal:       16777216 kB\n");
        machine.limit(100 * MIB);
        machine.usage(10 * MIB);
        machine
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn limit(&self, bytes: u64) {
        self.write("sys/fs/cgroup/memory.max", &format!("{bytes}\n"));
    }

    pub fn usage(&self, bytes: u64) {
        let stat = format!(
            "anon {bytes}\nfile 0\nshmem 0\ninactive_file 0\nactive_file 0\nslab_reclaimable 0\n"
        );
        self.write("sys/fs/cgroup/memory.stat", &stat);
        self.write("sys/fs/cgroup/memory.current", &format!("{bytes}\n"));
    }

    pub fn root(&self) -> Root {
        Root::at(self.0.path())
    }
}

/// Waits for the level.
pub async fn level(engine: &Engine, level: Level) {
    until(level.as_str(), || {
        engine.state().observation.unwrap().decision.level == level
    })
    .await;
}

/// Waits until `done`, up to ten seconds.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
