//! One run: start, send, let happen what the script says, stop, measure.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Setup;
use super::check::ALWAYS;
use super::figures::{self, Notes};
use super::outcome::{Figures, Outcome};
use super::scenario::{Act, Scenario, SinkKind, Step};
use super::variant::Variant;
use crate::cpu;
use crate::stress::ballast::Ballast;
use crate::stress::container::{self, Container, Plan, RuntimeKind, runc};
use crate::stress::end::{self, End};
use crate::stress::load::{Load, LoadReport};
use crate::stress::node::{self, Ports};
use crate::stress::overload::Observed;
use crate::stress::probe::{At, Probe, unix_ms};
use crate::stress::report::chart;
use crate::stress::sink::Sink;
use crate::units::ByteRate;

/// How often the script is looked at.
const TICK: Duration = Duration::from_millis(5);

/// One run of a scenario under a variant.
pub(super) struct Run<'a> {
    pub(super) setup: &'a Setup,
    pub(super) scenario: &'a Scenario,
    pub(super) variant: Variant,
    pub(super) number: u32,
    pub(super) scale: f64,
    pub(super) folder: &'a Path,
}

/// What the script acts on.
struct Stage<'a> {
    setup: &'a Setup,
    name: &'a str,
    capacity: u64,
    container: &'a mut dyn Container,
    sink: Option<Sink>,
    ballast: Option<Ballast>,
    notes: Notes,
}

// === impl Run ===

impl Run<'_> {
    fn name(&self) -> String {
        format!(
            "{}-{}-{}",
            self.scenario.name,
            self.variant.name(),
            self.number
        )
    }

    pub(super) fn perform(&self) -> Result<Outcome> {
        let (scenario, folder) = (self.scenario, self.folder);
        container::fresh(folder)?;
        let ports = Ports::free()?;
        let sink = match scenario.sink {
            SinkKind::Http => Some(Sink::start(scenario.capacity)?),
            SinkKind::Blackhole | SinkKind::File => None,
        };
        node::write_config(
            folder,
            ports,
            self.variant.mode(),
            &self.emitter(sink.as_ref()),
        )?;
        let name = format!("scenario-{}", self.name());
        let arguments = self.arguments();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let plan = Plan {
            name: &name,
            binary: &self.setup.binary,
            arguments: &arguments,
            folder,
            limit_bytes: scenario.limit_bytes,
            user: 0,
        };
        let (mut container, counters) = container::start(self.setup.common.runtime, &plan)?;
        ports.wait_ready(container.as_mut(), &folder.join("node.log"))?;
        let counters = Arc::new(counters);
        let memory = {
            let counters = Arc::clone(&counters);
            Probe::start(Duration::from_millis(10), move || counters.read().ok())
        };
        let states = Probe::start(Duration::from_millis(20), move || ports.state().ok());
        let pid = container.pid();
        let waits = Probe::start(Duration::from_millis(100), move || cpu::waited(pid).ok());
        let mut stage = Stage {
            setup: self.setup,
            name: &name,
            capacity: scenario.capacity,
            container: container.as_mut(),
            sink,
            ballast: None,
            notes: Notes::default(),
        };
        // The laws have looked a few times before anything happens.
        std::thread::sleep(Duration::from_millis(300));
        let (load, early_unix_ms) = self.play(&mut stage, ports)?;
        let mut notes = stage.close()?;
        notes.held_up_ms = longest_wait_ms(&waits.finish()?);
        let exit = end::stop(container.as_mut())?;
        let (memory, states) = (memory.finish()?, states.finish()?);
        let last = memory.last().map_or(0, |at| at.value.oom_kills);
        let oom_kills = counters.read().map_or(last, |reading| reading.oom_kills);
        let oom_kills = oom_kills.max(u64::from(container.reports_oom_kill()));
        container.remove()?;
        let log = std::fs::read_to_string(folder.join("node.log")).context("node.log")?;
        let end = End {
            exit,
            early_unix_ms,
            oom_kills,
            log,
        };
        let fall_ms = scenario.overload().1 * 1000.0;
        let observed = Observed {
            memory,
            states,
            load,
            fall_ms,
        };
        let chart = chart::draw(&self.name(), scenario.limit_bytes, &observed);
        std::fs::write(folder.join("chart.svg"), chart)?;
        container::discard(folder)?;
        Ok(self.outcome(&observed, &end, &notes))
    }

    fn emitter(&self, sink: Option<&Sink>) -> String {
        match (self.scenario.sink, sink) {
            (SinkKind::Http, Some(sink)) => format!("kind = \"http\"\nurl = \"{}\"", sink.url()),
            (SinkKind::File, _) => "kind = \"file\"\npath = \"/data/events.ndjson\"".to_owned(),
            _ => format!(
                "kind = \"blackhole\"\nrate = \"{}\"",
                ByteRate(self.scenario.capacity)
            ),
        }
    }

    fn arguments(&self) -> Vec<String> {
        let own = self.scenario.settings.iter().map(|&text| text.to_owned());
        let settings = own.chain(self.variant.settings());
        let mut arguments = ["run", "--config", "/data/relay.toml"]
            .map(str::to_owned)
            .to_vec();
        for setting in settings {
            arguments.extend(["--set".to_owned(), setting]);
        }
        arguments
    }

    /// Sends the load and follows the script to the end of both, or of the node.
    fn play(&self, stage: &mut Stage<'_>, ports: Ports) -> Result<(LoadReport, Option<f64>)> {
        let cpu_before = cpu::used(stage.container.pid())?;
        let mut loads = Vec::new();
        for (index, stream) in self.scenario.streams().into_iter().enumerate() {
            let folder = self.folder.join(format!("load-{index}"));
            std::fs::create_dir_all(&folder)?;
            let url = ports.ingest_url();
            let binary = &self.setup.binary;
            loads.push(Load::start(
                binary,
                &url,
                stream.body_bytes,
                &stream.phases,
                &folder,
            )?);
        }
        let start = Instant::now();
        let mut script = self.scenario.script.iter().peekable();
        let mut early_unix_ms = None;
        loop {
            let seconds = start.elapsed().as_secs_f64();
            while let Some(Step { act, .. }) = script.next_if(|step| step.at_seconds <= seconds) {
                stage.act(*act)?;
            }
            if stage.container.try_wait()?.is_some() {
                early_unix_ms = Some(unix_ms());
                for load in &mut loads {
                    load.interrupt()?;
                }
                break;
            }
            // A list that stops at the first unfinished one would leave the others unreaped.
            let mut all_done = true;
            for load in &mut loads {
                all_done &= load.is_done()?;
            }
            if all_done {
                break;
            }
            std::thread::sleep(TICK);
        }
        if early_unix_ms.is_none() {
            let used = cpu::used(stage.container.pid())?.saturating_sub(cpu_before);
            stage.notes.cpu_seconds = Some(used.as_secs_f64());
        }
        let reports: Result<Vec<_>> = loads.into_iter().map(Load::finish).collect();
        let merged = LoadReport::merged(reports?).context("no load")?;
        Ok((merged, early_unix_ms))
    }

    fn outcome(&self, observed: &Observed, end: &End, notes: &Notes) -> Outcome {
        let figures = figures::of(self.scenario, observed, end, notes);
        let failures = judge(self.scenario, self.variant, &figures, self.setup.quick);
        Outcome {
            scenario: self.scenario.name.to_owned(),
            variant: self.variant,
            run: self.number,
            scale: self.scale,
            figures,
            failures,
        }
    }
}

/// How long the threads of the node waited for a processor until they got it at once, all together.
fn longest_wait_ms(waits: &[At<Duration>]) -> f64 {
    let rises = waits
        .windows(2)
        .map(|pair| pair[1].value.saturating_sub(pair[0].value));
    rises.max().unwrap_or_default().as_secs_f64() * 1000.0
}

/// Which goals were missed; in the quick form times are not judged, and what takes time as far as there is.
pub(super) fn judge(
    scenario: &Scenario,
    variant: Variant,
    figures: &Figures,
    quick: bool,
) -> Vec<String> {
    let part = scenario.quick.filter(|_| quick).unwrap_or(1.0);
    ALWAYS
        .iter()
        .chain(scenario.always(variant))
        .chain(scenario.checks(variant))
        .filter(|check| !(quick && check.is_timed()))
        .filter_map(|check| check.within(part).judge(figures))
        .collect()
}

// === impl Stage ===

impl Stage<'_> {
    fn act(&mut self, act: Act) -> Result<()> {
        let now = unix_ms();
        match act {
            Act::SinkRate(times) => {
                let sink = self
                    .sink
                    .as_ref()
                    .context("only an HTTP sink changes its rate")?;
                sink.set_rate((times * self.capacity as f64) as u64);
            }
            Act::Limit(bytes) => {
                let runtime = self.setup.common.runtime;
                ensure!(runtime == RuntimeKind::Runc, "only runc resizes here");
                runc::resize(self.name, bytes).context("the limit cannot be moved")?;
                self.notes.limits.push(At {
                    unix_ms: now,
                    value: bytes,
                });
            }
            Act::Eat(bytes) => {
                if self.ballast.is_none() && !self.notes.neighbour_killed {
                    let beside = self.container.pid();
                    self.ballast = Some(Ballast::start(&self.setup.neighbour, beside)?);
                    self.notes.eaten_unix_ms = Some((now, f64::INFINITY));
                }
                if let Some(ballast) = &mut self.ballast
                    && ballast.take(bytes).is_err()
                {
                    self.notes.neighbour_killed = true;
                    self.release(now);
                }
            }
            Act::Release => self.release(now),
        }
        Ok(())
    }

    fn release(&mut self, now: f64) {
        if self.ballast.take().is_some()
            && let Some((_, until)) = &mut self.notes.eaten_unix_ms
        {
            *until = now;
        }
    }

    fn close(mut self) -> Result<Notes> {
        if let Some(ballast) = &mut self.ballast {
            self.notes.neighbour_killed |= ballast.is_dead()?;
        }
        Ok(self.notes)
    }
}
