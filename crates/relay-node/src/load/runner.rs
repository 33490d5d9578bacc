//! The run itself: pace arrivals, carry them, close the book.

use std::io::{self, Write};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::account::{Account, unix_ms};
use super::backlog::Backlog;
use super::client::Client;
use super::schedule::Schedule;
use super::{LoadArgs, LoadError, LoadOptions, Report};

/// The command `relay load`: runs on a thread and runtime of its own, prints the account, and
/// writes it as JSON where asked. Ctrl-C ends the schedule early; the account still closes.
///
/// # Errors
///
/// Those of [`run`], [`LoadError::Runtime`] when no runtime can be built, and
/// [`LoadError::Write`] when the account cannot be written.
pub fn execute(args: &LoadArgs) -> Result<Report, LoadError> {
    let options = args.options()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(LoadError::Runtime)?;
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let report = runtime.block_on(run(options, interrupted))?;
    publish(&report, args.json())?;
    Ok(report)
}

/// Sends the load that `options` describe and returns the account.
///
/// Needs a tokio runtime with I/O and time; a current-thread one gives the highest rate. When
/// `stop` completes, the rest of the schedule is not sent and the account covers what was.
/// Arrivals still without an answer one timeout after the schedule's end are booked as timed out.
///
/// ```no_run
/// use std::time::Duration;
///
/// use relay_node::load::{LoadError, LoadOptions, Phase, Rate, run};
/// use relay_node::units::ByteSize;
///
/// # async fn example() -> Result<(), LoadError> {
/// let phase = Phase { rate: Rate::Events(500.0), duration: Duration::from_secs(20) };
/// let options = LoadOptions::new("http://127.0.0.1:8080", vec![phase], ByteSize::from_kib(1))?;
/// let report = run(options, std::future::pending()).await?;
/// let total = report.total;
/// assert_eq!(total.sent, total.accepted + total.refused + total.failed);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`LoadError::Resolve`] when the target's name has no address. Everything that goes wrong later
/// is booked in the report.
///
/// # Cancel safety
///
/// Cancelling ends the connections and loses the account.
pub async fn run(
    options: LoadOptions,
    stop: impl Future<Output = ()>,
) -> Result<Report, LoadError> {
    LocalSet::new().run_until(run_local(options, stop)).await
}

async fn run_local(
    options: LoadOptions,
    stop: impl Future<Output = ()>,
) -> Result<Report, LoadError> {
    let run = format!("{:08x}", fastrand::u32(..));
    let client = Rc::new(Client::resolve(&options, &run).await?);
    let account = Account::new(options.phases.len(), options.duration(), options.bucket);
    let backlog = Rc::new(Backlog::default());
    let mut connections = JoinSet::new();
    for _ in 0..options.connections {
        connections.spawn_local(carry(Rc::clone(&backlog), Rc::clone(&client)));
    }
    let started_unix_ms = unix_ms();
    let start = Instant::now();
    pace(&options, &account, &backlog, start, stop).await;
    finish(&backlog, connections, options.timeout).await;
    Ok(account.read(|tally| Report::new(&options, run, started_unix_ms, start.elapsed(), tally)))
}

/// Issues arrivals when they are due. The runtime's timer ticks each millisecond, so that is the
/// grain: at 20,000/s about twenty arrivals at a time, each with its own intended instant.
async fn pace(
    options: &LoadOptions,
    account: &Account,
    backlog: &Backlog,
    start: Instant,
    stop: impl Future<Output = ()>,
) {
    let mut schedule = Schedule::new(&options.phases, options.body_bytes);
    let mut stop = pin!(stop);
    while let Some(due) = schedule.next_due() {
        tokio::select! {
            biased;
            () = &mut stop => return,
            () = sleep_until(start + due) => {}
        }
        let elapsed = start.elapsed();
        while let Some(slot) = schedule.take(elapsed) {
            backlog.push(account.arrive(slot, start));
        }
    }
}

async fn carry(backlog: Rc<Backlog>, client: Rc<Client>) {
    let mut connection = None;
    while let Some(arrival) = backlog.next().await {
        client.deliver(arrival, &mut connection).await;
    }
}

async fn finish(backlog: &Backlog, mut connections: JoinSet<()>, grace: Duration) {
    backlog.close();
    let all_done = async { while connections.join_next().await.is_some() {} };
    if timeout(grace, all_done).await.is_err() {
        connections.shutdown().await;
        backlog.clear();
    }
}

fn publish(report: &Report, json: Option<&Path>) -> Result<(), LoadError> {
    let written = |path: &Path, result: io::Result<()>| {
        result.map_err(|source| LoadError::Write {
            path: path.to_owned(),
            source,
        })
    };
    let (stdout, stderr) = (Path::new("standard output"), Path::new("standard error"));
    match json {
        None => written(stdout, write!(io::stdout(), "{report}")),
        Some(path) if path == Path::new("-") => {
            written(stdout, writeln!(io::stdout(), "{}", report.to_json()))?;
            written(stderr, write!(io::stderr(), "{report}"))
        }
        Some(path) => {
            written(path, std::fs::write(path, report.to_json()))?;
            written(stdout, write!(io::stdout(), "{report}"))
        }
    }
}
