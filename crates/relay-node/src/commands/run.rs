//! `relay run`: the node, from start to the final account.

mod reload;

use std::io::{self, Write};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use relay_engine::{EngineState, ShutdownRequest};
use relay_forensics::{Event, EventKind, Recorder};
use relay_sense::{Delegated, Detect, Detection, Root, Trigger};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use super::check::report;
use crate::admin::Admin;
use crate::cli::RunArgs;
use crate::config::{Auto, Config, Environment, LimitFacts, Loaded, Sources, summary};
use crate::log::LevelHandle;
use crate::units::ByteSize;
use crate::{exit, log, state_json, wiring};
use reload::Reloader;

/// How often metrics are brought up to date without a scrape: the exporter keeps every histogram sample until then.
const UPKEEP: Duration = Duration::from_secs(5);

/// How long readers of the admin endpoint may take for the end of their answers once the node is down.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Buckets of every histogram, in seconds: 1 µs to 100 ms, and beyond that up to a minute for slow targets.
const BUCKETS: [f64; 12] = [
    1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 1.0, 10.0, 60.0,
];

/// Runs the node until a signal ends it.
///
/// # Errors
///
/// When `errors` cannot be written.
pub fn execute(
    args: &RunArgs,
    environment: &Environment,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let Some(loaded) = report(args.config.sources(environment).load(), errors)? else {
        return Ok(exit::USAGE);
    };
    match run(loaded, args, environment) {
        Ok(code) => Ok(code),
        Err(error) => {
            writeln!(errors, "error: {}", chain(error.as_ref()))?;
            Ok(exit::FAILURE)
        }
    }
}

type Error = Box<dyn std::error::Error>;

fn run(loaded: Loaded, args: &RunArgs, environment: &Environment) -> Result<u8, Error> {
    let config = loaded.config();
    let level = log::init(&config.log)?;
    let root = args.root.root();
    let lookup = |name: &str| environment.get(name);
    let mut detect = Detect::new(&root).environment(&lookup);
    if let Some(limit) = config.memory.limit.fixed().map(ByteSize::bytes) {
        detect = detect.configured(limit);
    }
    let detection = detect.run()?;
    let facts = LimitFacts::new(&detection, config.memory.soft_limit);
    for line in summary(config, &facts).lines() {
        info!(target: "relay::start", "{line}");
    }
    for note in &detection.notes {
        info!(target: "relay::start", "note: {note}");
    }
    let pressure = Trigger::delegated(&root, lookup).unwrap_or_else(|error| {
        info!(target: "relay::start", "note: nobody tells of stalls: {error}");
        Delegated::NotOffered
    });
    let workers = match config.runtime.workers {
        Auto::Auto => detection.cpu.worker_threads().get(),
        Auto::Fixed(workers) => workers,
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("relay-worker")
        .enable_all()
        .build()?
        .block_on(async {
            let node = Node {
                sources: args.config.sources(environment),
                loaded,
                root: args.root.root(),
                level,
                pressure,
            };
            node.run(detection).await
        })
}

/// What a node is made from.
struct Node {
    sources: Sources,
    loaded: Loaded,
    root: Root,
    level: LevelHandle,
    /// What the service manager offers.
    pressure: Delegated,
}

impl Node {
    async fn run(self, detection: Detection) -> Result<u8, Error> {
        let workers = tokio::runtime::Handle::current().metrics().num_workers();
        info!(target: "relay::start", "runtime: {workers} worker threads");
        let mut signals = Signals::new()?;
        let mut hangup = signal(SignalKind::hangup())?;
        let metrics = install_metrics()?;
        let config = self.loaded.config();
        let listener = if config.admin.enabled {
            Some(bind(config).await?)
        } else {
            None
        };
        let engine = wiring::engine(config, self.root, &detection)?
            .with_pressure_watch(self.pressure)
            .with_blackbox(wiring::blackbox(&self.loaded))
            .start()
            .await?;
        let recorder = engine.recorder().clone();
        let _last_words = LastWords::of(&recorder, config.blackbox.enabled);
        let mut reloader = Reloader::new(
            self.sources,
            self.loaded,
            detection,
            self.level,
            engine.observer(),
        );
        let admin = Admin::new(engine.observer(), metrics);
        let (last_call, over) = oneshot::channel::<()>();
        let mut serving = JoinSet::new();
        if let Some(listener) = listener {
            info!(target: "relay::start", "admin on http://{}", listener.local_addr()?);
            let over = async { drop(over.await) };
            serving.spawn(admin.clone().serve(listener, over));
        }
        let upkeep = tokio::spawn(upkeep(admin.clone()));

        let cause = loop {
            tokio::select! {
                _ = hangup.recv() => {
                    note_signal(&recorder, SignalKind::hangup());
                    reloader.reload();
                }
                name = signals.next(&recorder) => break name,
                request = engine.shutdown_requested() => break match request {
                    ShutdownRequest::Emergency => "emergency",
                    ShutdownRequest::Fatal => "a fatal error",
                },
            }
        };
        let deadline = reloader.config().shutdown.deadline;
        info!(?deadline, "draining: {cause}");
        admin.set_draining();
        let state = tokio::select! {
            state = engine.shutdown(deadline) => state,
            name = signals.next(&recorder) => {
                warn!("ended at once: {name} again");
                return Ok(exit::FAILURE);
            }
        };
        let code = account(&state, cause);
        upkeep.abort();
        drop(last_call);
        let _ = timeout(LAST_CALL, serving.join_next()).await;
        Ok(code)
    }
}

/// Logs the final account; the exit code says how the node ended.
fn account(state: &EngineState, cause: &str) -> u8 {
    let account = serde_json::json!({
        "cause": cause,
        "account": state_json::account(state),
        "subscriptions": state_json::subscriptions(state),
    });
    info!(account = %account, "final account");
    if cause == "emergency" {
        exit::EMERGENCY
    } else {
        exit::SUCCESS
    }
}

async fn upkeep(admin: Admin) -> io::Result<()> {
    loop {
        tokio::time::sleep(UPKEEP).await;
        admin.refresh();
    }
}

fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)?
        .install_recorder()?;
    metrics::describe_gauge!("relay_build_info", "Always 1; the version is a label.");
    metrics::gauge!("relay_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

async fn bind(config: &Config) -> Result<TcpListener, Error> {
    let address = config.admin.listen;
    TcpListener::bind(address).await.map_err(|error| {
        format!("admin.listen: cannot listen on {address}: {error}; free the port or set another address").into()
    })
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next of them, which stands in the black box when this returns.
    async fn next(&mut self, recorder: &Recorder) -> &'static str {
        let (kind, name) = tokio::select! {
            _ = self.terminate.recv() => (SignalKind::terminate(), "SIGTERM"),
            _ = self.interrupt.recv() => (SignalKind::interrupt(), "SIGINT"),
        };
        note_signal(recorder, kind);
        name
    }
}

fn note_signal(recorder: &Recorder, kind: SignalKind) {
    let number = u64::try_from(kind.as_raw_value()).unwrap_or(0);
    recorder.record(&Event::new(EventKind::Signal).values(&[number]));
}

/// What the process says of itself when it ends by its own fault: a panic that nobody catches, a fatal signal.
struct LastWords {
    #[cfg(feature = "signals")]
    _signals: Option<relay_forensics::fatal_signal::FatalSignals>,
}

impl LastWords {
    fn of(recorder: &Recorder, enabled: bool) -> Self {
        if enabled {
            recorder.watch_panics();
        }
        #[cfg(feature = "signals")]
        let signals = enabled.then(|| recorder.watch_fatal_signals());
        Self {
            #[cfg(feature = "signals")]
            _signals: signals
                .and_then(|signals| signals.inspect_err(|error| warn!("{}", chain(error))).ok()),
        }
    }
}

/// An error with everything that caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
