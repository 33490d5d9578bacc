//! `cargo xtask stress ramp`: memory climbs towards the limit, and one sees what the governor makes of it.
//!
//! A node under `law = "aimd"` in 256 MiB with a soft limit of 200 MiB, whose sink answers nothing: what it accepts it must
//! keep, 10 MiB every 2 s. First act: levels, cuts, and none too many within the cooldown. Second act, with a short cooldown:
//! down to the floor, and up again to 1 when the sink takes what is queued. Every change is printed as it happens, and so is
//! what `relay events` says.
//!
//! The loop is open (`mode = "observe"`): with its ledger in force a node does not come near its limit by a stalled sink, so
//! that there would be nothing to see. Decisions are the same in both modes. The memory is the node's own, in events: a
//! neighbour's would be another matter, because the node's allocator would say that nothing of it is in use.

mod course;

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use self::course::{CHUNK_BYTES, Climb, FLOOR, Moment, Recovery, SOFT_BYTES};
use super::cgroup::MemoryCgroup;
use super::container::{self, Container, Exit, Plan};
use super::end;
use super::load::{Load, Phase};
use super::node::{self, Ports};
use super::sink::Sink;
use super::state::{Level, State};
use super::{Common, artifact};
use crate::machine;
use crate::units::ByteRate;

const LIMIT_BYTES: u64 = 256 << 20;

/// What the sink takes a second once it does.
const DRAIN: u64 = 64 << 20;

/// How fast the second act climbs, in bytes a second.
const FAST: u64 = 25 << 20;

const BODY_BYTES: u64 = 64 << 10;

const TICK: Duration = Duration::from_millis(20);

/// Longer than either act.
const LOAD: Duration = Duration::from_mins(5);

/// Longer than anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Five times as fast, and shorter cooldowns.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    common: Common,
}

/// How fast things go.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Of the first act, in bytes a second.
    climb: u64,
    /// How long memory is held at the top.
    hold: Duration,
    /// Of the second act; the first has the shipped 30 s.
    cooldown: Duration,
}

/// A node in a container, with load, and a sink that stalls.
struct Stage {
    container: Box<dyn Container>,
    counters: MemoryCgroup,
    ports: Ports,
    load: Load,
    sink: Sink,
    start: Instant,
    moments: Vec<Moment>,
}

/// `relay events` beside the node.
struct Listener {
    child: Child,
    thread: JoinHandle<()>,
    lines: Arc<Mutex<Vec<String>>>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    container::ensure_installed(args.common.runtime)?;
    let binary = artifact::relay(&args.common)?;
    let out = args.common.out("ramp");
    let pace = args.pace();
    println!("up by {}, cooldown 30 s", ByteRate(pace.climb));
    let climb = climb(args, &binary, pace, &out.join("climb"))?;
    println!("to the floor and back, cooldown {:?}", pace.cooldown);
    let recovery = recover(args, &binary, pace, &out.join("recovery"))?;
    let failures = [climb.failures(), recovery.failures()].concat();
    report(&out, &climb, &recovery, &failures)?;
    if !failures.is_empty() {
        bail!("{}", failures.join("\n  "));
    }
    println!("levels, cuts and recovery are as specified");
    Ok(())
}

fn climb(args: &Args, binary: &Path, pace: Pace, folder: &Path) -> Result<Climb> {
    let mut stage = Stage::start(args, binary, "30s", pace.climb, folder)?;
    let listener = Listener::start(binary, stage.ports)?;
    stage.watch(PATIENCE, |moment| moment.level >= Some(Level::Critical))?;
    stage.load.interrupt()?;
    stage.watch(pace.hold, |_| false)?;
    let moments = std::mem::take(&mut stage.moments);
    let death = stage.end()?;
    Ok(Climb {
        moments,
        death,
        events: listener.finish()?,
    })
}

fn recover(args: &Args, binary: &Path, pace: Pace, folder: &Path) -> Result<Recovery> {
    let cooldown = format!("{}ms", pace.cooldown.as_millis());
    let mut stage = Stage::start(args, binary, &cooldown, FAST, folder)?;
    stage.watch(PATIENCE, |moment| moment.level >= Some(Level::Critical))?;
    stage.load.interrupt()?;
    stage.watch(PATIENCE, |moment| moment.is_at(FLOOR))?;
    stage.sink.set_rate(DRAIN);
    stage.watch(PATIENCE, |moment| moment.governor == "normal")?;
    let moments = std::mem::take(&mut stage.moments);
    Ok(Recovery {
        moments,
        death: stage.end()?,
    })
}

fn report(out: &Path, climb: &Climb, recovery: &Recovery, failures: &[String]) -> Result<()> {
    let mut table = String::from(
        "\n| act | time | memory | level | governor | scale |\n|---|---|---|---|---|---|\n",
    );
    for (act, moments) in [("up", &climb.moments), ("back", &recovery.moments)] {
        for moment in moments {
            let level = moment.level.map_or("–".to_owned(), |level| {
                format!("{level:?}").to_lowercase()
            });
            writeln!(
                table,
                "| {act} | {:.1} s | {:.1} MiB | {level} | {} | {:.2} |",
                moment.seconds,
                moment.memory_bytes as f64 / f64::from(1 << 20),
                moment.governor,
                moment.scale
            )
            .ok();
        }
    }
    for failure in failures {
        write!(table, "\n- missed: {failure}").ok();
    }
    let title = "# Memory ramp\n\nA node under `law = \"aimd\"` in 256 MiB, soft limit 200 MiB, whose sink answers \
        nothing: all that it accepts it must keep.\n\n";
    let rows = json!({ "climb": climb, "recovery": recovery, "failures": failures });
    machine::report(out, title, &rows, &table)
}

// === impl Args ===

impl Args {
    /// What fits into a test run.
    pub(crate) fn quick() -> Self {
        Self {
            quick: true,
            common: Common::default(),
        }
    }

    fn pace(&self) -> Pace {
        let [faster, hold, cooldown] = if self.quick {
            [5, 3000, 300]
        } else {
            [1, 10_000, 1000]
        };
        Pace {
            climb: CHUNK_BYTES / 2 * faster,
            hold: Duration::from_millis(hold),
            cooldown: Duration::from_millis(cooldown),
        }
    }
}

// === impl Stage ===

impl Stage {
    fn start(
        args: &Args,
        binary: &Path,
        cooldown: &str,
        bytes_per_second: u64,
        folder: &Path,
    ) -> Result<Self> {
        container::fresh(folder)?;
        let ports = Ports::free()?;
        let sink = Sink::start(0)?;
        let emitter = format!("kind = \"http\"\nurl = \"{}\"", sink.url());
        node::write_config(folder, ports, "observe", &emitter)?;
        let settings = [
            "control.law=aimd".to_owned(),
            format!("memory.soft_limit={SOFT_BYTES}B"),
            format!("control.aimd.cooldown={cooldown}"),
        ];
        let mut arguments = vec!["run", "--config", "/data/relay.toml"];
        let flags = settings.iter().flat_map(|one| ["--set", one.as_str()]);
        arguments.extend(flags);
        let act = folder.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("ramp-{act}");
        let plan = Plan {
            name: &name,
            binary,
            arguments: &arguments,
            folder,
            limit_bytes: LIMIT_BYTES,
            user: 0,
        };
        let (mut container, counters) = container::start(args.common.runtime, &plan)?;
        ports.wait_ready(container.as_mut(), &folder.join("node.log"))?;
        let phase = Phase {
            bytes_per_second: bytes_per_second as f64,
            duration: LOAD,
        };
        let load = Load::start(binary, &ports.ingest_url(), BODY_BYTES, &[phase], folder)?;
        Ok(Self {
            container,
            counters,
            ports,
            load,
            sink,
            start: Instant::now(),
            moments: Vec::new(),
        })
    }

    /// What the node says, or how it ended.
    fn state(&mut self) -> Result<State> {
        if let Some(exit) = self.container.try_wait()? {
            let kills = self.counters.read().map_or(0, |reading| reading.oom_kills);
            bail!("the node ended ({exit}, {kills} OOM kills)");
        }
        self.ports.state()
    }

    /// Looks until it is so or the time is over, and prints what changes.
    fn watch(&mut self, time: Duration, done: impl Fn(&Moment) -> bool) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let state = self.state()?;
            let governor = state.governor.context("/state names no governor")?;
            let moment = Moment {
                seconds: self.start.elapsed().as_secs_f64(),
                memory_bytes: self.counters.read()?.working_set_bytes,
                level: state.level,
                governor: governor.state,
                scale: governor.scale,
            };
            let over = done(&moment);
            let line = moment.line();
            if moment.note(&mut self.moments) {
                println!("  {line}");
            }
            if over {
                break;
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Ends everything; `None` when the node drained as it should.
    fn end(mut self) -> Result<Option<String>> {
        self.load.interrupt()?;
        self.load.finish()?;
        self.sink.set_rate(1 << 30);
        let exit = end::stop(self.container.as_mut())?;
        let kills = self.counters.read().map_or(0, |reading| reading.oom_kills);
        self.container.remove()?;
        let well = exit == Some(Exit::Code(0)) && kills == 0;
        Ok((!well).then(|| format!("the node ended with {exit:?}, {kills} OOM kills")))
    }
}

// === impl Listener ===

impl Listener {
    fn start(binary: &Path, ports: Ports) -> Result<Self> {
        let mut child = Command::new(binary)
            .args(["events", "--admin", &ports.admin.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `relay events`")?;
        let stdout = child.stdout.take().context("no pipe from `relay events`")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let thread = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                println!("            {line}");
                heard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        Ok(Self {
            child,
            thread,
            lines,
        })
    }

    /// It ends by itself with the node.
    fn finish(mut self) -> Result<Vec<String>> {
        self.child.wait()?;
        self.thread.join().ok();
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(lines.clone())
    }
}
