//! Snapshots: everything that the pulse knows at one moment, as often as the danger asks for it.

use super::moment::{Incoming, Moment, Queues};
use super::page::{Page, Standing};
use super::{Journal, Vitals};
use crate::ingest::Ingest;
use crate::sketch::Recent;
use relay_control::Outlook;
use relay_forensics::cadence::{Cadence, Due, Pace};
use relay_forensics::standard::Standard;
use relay_forensics::{
    Event, EventKind, EventSeverity, NO_LIMIT, Name, RunState, Snapshot, SnapshotWriter,
};
use relay_sense::{Bound, Sample, alloc};
use std::sync::Arc;
use std::time::Duration;

/// What the reclaimer reads is asked for at most so often …
const VITALS_PERIOD: Duration = Duration::from_secs(1);

/// … and while nothing moves, so often: it wakes a thread.
const VITALS_PERIOD_AT_REST: Duration = Duration::from_secs(10);

/// Writes the snapshots of an engine. It allocates nothing and waits for nobody.
#[derive(Debug)]
pub(crate) struct Tape {
    /// `None` when nothing is recorded.
    pace: Option<(Cadence, Pace)>,
    snapshots: SnapshotWriter,
    fields: Standard,
    journal: Arc<Journal>,
    vitals: Arc<Vitals>,
    page: Option<Arc<Page>>,
    ingests: Vec<Ingest>,
    publishing: Recent,
    tasks: Option<tokio::runtime::RuntimeMetrics>,
    /// What is reserved and in no queue: bodies that arrive, batches that are sent.
    under_way: Name,
    /// Names of holders, for the page: they are few, and numbered.
    names: Vec<(Name, Arc<str>)>,
    vitals_asked: Option<Duration>,
    /// The share of the limit that was used when it was known last.
    used_share: Option<f64>,
}

// === impl Tape ===

impl Tape {
    pub(super) fn new(
        cadence: Option<Cadence>,
        (snapshots, fields): (SnapshotWriter, Standard),
        journal: Arc<Journal>,
        vitals: Arc<Vitals>,
        page: Option<Arc<Page>>,
    ) -> Self {
        let under_way = journal.name("under way");
        Self {
            pace: cadence.map(|cadence| (cadence, Pace::new(cadence))),
            snapshots,
            fields,
            journal,
            vitals,
            page,
            ingests: Vec::new(),
            publishing: Recent::default(),
            tasks: None,
            names: vec![(under_way, "under way".into())],
            under_way,
            vitals_asked: None,
            used_share: None,
        }
    }

    /// What it looks at beside memory: the ways in, the emitters by name, the tasks of the runtime.
    pub(crate) fn look_at(
        &mut self,
        ingests: Vec<Ingest>,
        emitters: impl Iterator<Item = String>,
        tasks: Option<tokio::runtime::RuntimeMetrics>,
    ) {
        self.ingests = ingests;
        self.tasks = tasks;
        for name in emitters {
            self.names.push((self.journal.name(&name), name.into()));
        }
    }

    /// The number of a name, for whoever makes a queue without an engine.
    #[cfg(test)]
    pub(crate) fn name(&self, name: &str) -> Name {
        self.journal.name(name)
    }

    /// Why a snapshot is due now, if one is.
    pub(crate) fn due(
        &mut self,
        since: Duration,
        sample: &Sample,
        outlook: Outlook,
    ) -> Option<Due> {
        let (_, pace) = self.pace.as_mut()?;
        // A usage that cannot be read beside a limit is not calm: the last known one holds.
        match (sample.binding, sample.limit_bytes) {
            (Some(binding), _) => self.used_share = binding.used_share(),
            (None, Bound::Unlimited) => self.used_share = None,
            (None, _) => {}
        }
        let due = pace.due(since, self.used_share, outlook.time_to_limit())?;
        let crossed = match due {
            Due::Period => None,
            Due::Above(percent) => Some((percent, "above", EventSeverity::Warning)),
            Due::Below(percent) => Some((percent, "below", EventSeverity::Info)),
        };
        if let (Some((percent, word, severity)), Some(binding)) = (crossed, sample.binding) {
            let event = Event::new(EventKind::Threshold).severity(severity);
            let (usage, limit) = (binding.unreclaimable_bytes, binding.limit_bytes);
            let event = event.values(&[percent.into(), usage, limit]);
            self.journal.recorder().record(&event.label(word));
        }
        Some(due)
    }

    /// How long the pulse may wait at most: in danger, and there only, the recorder wants more looks than the laws do.
    pub(crate) fn limit_wait(&mut self, wait: Duration, outlook: Outlook) -> Duration {
        let Some((cadence, _)) = &self.pace else {
            return wait;
        };
        let period = cadence.period(self.used_share, outlook.time_to_limit());
        let wait = if period < cadence.alert {
            wait.min(period)
        } else {
            wait
        };
        self.snapshots.expect_in(period.max(wait));
        wait
    }

    /// Whether the reclaimer should read the vitals anew.
    pub(crate) fn wants_vitals(&mut self, since: Duration, rests: bool) -> bool {
        let period = if rests {
            VITALS_PERIOD_AT_REST
        } else {
            VITALS_PERIOD
        };
        let is_due = |asked: Duration| since.saturating_sub(asked) >= period;
        let wants = self.pace.is_some() && self.vitals_asked.is_none_or(is_due);
        if wants {
            self.vitals_asked = Some(since);
        }
        wants
    }

    /// Records everything, and brings the page up to date.
    pub(crate) fn record(&mut self, mut moment: Moment<'_>) {
        let used_bytes = moment.knobs.budget.used_bytes();
        if let Some(queues) = &mut moment.queues {
            queues.hold(self.under_way, used_bytes.saturating_sub(queues.bytes));
        }
        let incoming = Incoming::of(&self.ingests);
        let sketches = self.ingests.iter().map(Ingest::publish_durations);
        let publishing = self.publishing.look(moment.since, sketches);
        let (fields, vitals, tasks) = (self.fields, &self.vitals, &self.tasks);
        let errors = self.journal.total();
        self.snapshots.record(|s| {
            memory(s, &fields, moment.sample);
            kernel(s, &fields, &moment);
            process(s, &fields, vitals);
            s.set_known(
                fields.tasks,
                tasks
                    .as_ref()
                    .map(|tasks| narrow(tasks.num_alive_tasks() as u64)),
            );
            flow(s, &fields, &moment, &incoming);
            latencies(s, &fields, publishing, moment.emitting);
            governor(s, &fields, &moment);
            s.set(fields.ledger_used, used_bytes);
            s.set(fields.errors_total, narrow(errors));
        });
        self.show(&moment, used_bytes);
    }

    fn show(&self, moment: &Moment<'_>, ledger_used_bytes: u64) {
        let Some(page) = &self.page else {
            return;
        };
        let recorder = self.journal.recorder();
        let top = moment.queues.and_then(|queues| queues.holders[0]);
        let top = top.and_then(|(name, bytes)| {
            let known = self.names.iter().find(|(known, _)| *known == name)?;
            Some((&*known.1, bytes))
        });
        page.show(
            moment.since,
            &Standing {
                is_draining: recorder.state() == RunState::Draining,
                usage_bytes: moment.sample.current_bytes,
                limit_bytes: moment.sample.limit_bytes.bytes(),
                level: moment.decision.level.as_str(),
                reason: moment.decision.reason.as_str(),
                scale: moment.decision.governor.scale,
                top,
                queued_events: moment.queues.map_or(0, |queues| queues.events),
                ledger_used_bytes,
                ledger_bytes: moment.decision.ledger_bytes,
                time_to_limit: moment.outlook.time_to_limit(),
                recording: recorder.path(),
            },
        );
    }
}

fn memory(s: &mut Snapshot<'_>, fields: &Standard, sample: &Sample) {
    let limit = match sample.limit_bytes {
        Bound::Bytes(bytes) => Some(bytes),
        Bound::Unlimited => Some(NO_LIMIT),
        Bound::Unknown => None,
    };
    s.set_known(fields.memory_limit, limit);
    s.set_known(fields.memory_high, sample.soft_limit_bytes);
    s.set_known(fields.memory_usage, sample.current_bytes);
    s.set_known(fields.memory_working_set, sample.working_set_bytes);
    s.set_known(fields.memory_unreclaimable, sample.unreclaimable_bytes);
    s.set_known(fields.memory_anon, sample.anon_bytes);
    s.set_known(fields.memory_file, sample.file_bytes);
    s.set_known(fields.memory_shmem, sample.shmem_bytes);
    s.set_known(fields.memory_kernel, sample.kernel_bytes);
    let heap = alloc::heap();
    s.set_known(fields.heap_live, heap.map(alloc::Heap::live_bytes));
    s.set_known(fields.heap_peak, heap.map(alloc::Heap::peak_bytes));
    if let Some(binding) = sample.binding {
        s.set(fields.binding_usage, binding.unreclaimable_bytes);
        s.set(fields.binding_limit, binding.limit_bytes);
    }
    s.set_known(fields.oom, sample.events.oom.map(narrow));
    s.set_known(fields.oom_kill, sample.events.oom_kill.map(narrow));
    s.set_known(fields.limit_hits, sample.events.max.map(narrow));
}

fn kernel(s: &mut Snapshot<'_>, fields: &Standard, moment: &Moment<'_>) {
    let throttled = moment.sample.throttling;
    s.set_known(
        fields.cpu_throttled,
        throttled.map(|cpu| micros(cpu.throttled)),
    );
    let psi = moment.stall.map(|stall| stall.psi);
    let some = psi.and_then(|psi| psi.some);
    let full = psi.and_then(|psi| psi.full);
    s.set_known(
        fields.psi_memory_some,
        some.map(|stall| micros(stall.total)),
    );
    s.set_known(
        fields.psi_memory_full,
        full.map(|stall| micros(stall.total)),
    );
}

fn process(s: &mut Snapshot<'_>, fields: &Standard, vitals: &Vitals) {
    s.set_known(fields.threads, vitals.threads().map(narrow));
    s.set_known(fields.descriptors, vitals.descriptors().map(narrow));
    s.set_known(
        fields.descriptors_limit,
        vitals.descriptors_limit().map(narrow),
    );
    s.set_known(fields.major_faults, vitals.major_faults().map(narrow));
    s.set_known(fields.cpu_usage, vitals.cpu_us());
    s.set_known(fields.host_available, vitals.host_available_bytes());
    s.set_known(fields.heap_resident, vitals.heap_resident_bytes());
    s.set_known(fields.errors_lost, vitals.errors_lost().map(narrow));
}

fn flow(s: &mut Snapshot<'_>, fields: &Standard, moment: &Moment<'_>, incoming: &Incoming) {
    s.set(fields.published, moment.knobs.external.published());
    s.set(fields.accepted, incoming.accepted);
    s.set(fields.refused_rate, incoming.refused_rate);
    s.set(fields.refused_size, incoming.refused_size);
    s.set(fields.refused_busy, incoming.refused_busy);
    let Some(queues) = &moment.queues else {
        return;
    };
    s.set(fields.queue_depth, narrow(queues.events));
    s.set(fields.queue_bytes, queues.bytes);
    s.set(fields.queue_oldest, millis(queues.oldest));
    s.set(fields.delivered, queues.delivered);
    s.set(fields.dropped_full, queues.full);
    s.set(fields.dropped_early, queues.early);
    s.set(fields.dropped_slow, queues.slow);
    s.set(
        fields.dropped_other,
        queues.other + moment.knobs.external.no_subscriber(),
    );
    largest(s, fields, queues);
}

fn latencies(
    s: &mut Snapshot<'_>,
    fields: &Standard,
    publishing: Option<(f32, f32)>,
    emitting: Option<(f32, f32)>,
) {
    s.set_known(fields.publish_p50, publishing.map(|(median, _)| median));
    s.set_known(fields.publish_p99, publishing.map(|(_, tail)| tail));
    s.set_known(fields.emit_p50, emitting.map(|(median, _)| median));
    s.set_known(fields.emit_p99, emitting.map(|(_, tail)| tail));
}

fn largest(s: &mut Snapshot<'_>, fields: &Standard, queues: &Queues) {
    for (index, holder) in queues.holders.iter().enumerate() {
        if let Some((name, bytes)) = holder {
            s.set_at(fields.holder_name, index, *name);
            s.set_at(fields.holder_bytes, index, *bytes);
        }
    }
    for (index, emitter) in queues.emitters.iter().enumerate() {
        if let Some(emitter) = emitter {
            s.set_at(fields.emitter_name, index, emitter.name);
            s.set_at(fields.emitter_state, index, u8::from(emitter.is_failing));
            s.set_at(fields.emitter_failures, index, narrow(emitter.failures));
            s.set_at(fields.emitter_lag, index, millis(emitter.lag));
        }
    }
}

fn governor(s: &mut Snapshot<'_>, fields: &Standard, moment: &Moment<'_>) {
    let decision = moment.decision;
    let rate = |rate: Option<f64>| rate.map(|rate| rate as f32);
    s.set(fields.level, decision.level as u8);
    s.set(fields.governor_state, decision.governor.state as u8);
    s.set(fields.governor_reason, decision.reason as u8);
    s.set(fields.floor, decision.floor);
    s.set(fields.scale, decision.governor.scale as f32);
    s.set_known(fields.drain, rate(decision.drain_bytes_per_second));
    s.set_known(fields.rate, rate(decision.rate_bytes_per_second));
    let left = moment.outlook.time_to_limit();
    s.set_known(fields.forecast, left.map(|left| left.as_secs_f32()));
    s.set(fields.ledger_size, decision.ledger_bytes);
}

/// All ones is "unknown", so the largest value is one less.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX).min(u32::MAX - 1)
}

fn millis(time: Duration) -> u32 {
    narrow(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX - 1)
}
