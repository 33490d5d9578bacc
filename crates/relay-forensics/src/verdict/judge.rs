//! The rules, in their order.

use std::time::Duration;

use super::{Cause, Confidence, Verdict};
use crate::{
    event::{EventKind, EventRecord},
    header::RunState,
    reader::{Recording, SnapshotView},
    shape::{Climb, Shape, series},
    time::{Bytes, Span},
};

/// Usage from which a kill is taken to be the limit's: what the kernel charges ahead for each
/// processor is gone before the limit itself is reached.
const FULL: f64 = 0.97;

/// A full limit kills only when what fills it cannot be taken back.
const UNRECLAIMABLE: f64 = 0.85;

/// Less than this part of the machine left is a node in need.
const NODE_LOW: f64 = 0.05;

/// Growth that would have filled the limit so soon did, if the recorder was held up for as long: where memory grows like
/// this, processors are busy, and it was seen to miss 14 ms.
const SOON: Duration = Duration::from_millis(100);

/// A panic or signal after which the process recorded on for so long did not end it.
pub(super) const SURVIVED: Duration = Duration::from_secs(30);

/// SIGABRT.
const ABORT: u32 = 6;

pub(super) struct Judge<'a> {
    recording: &'a Recording,
    shape: Shape,
    same_boot: Option<bool>,
    evidence: Vec<String>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(recording: &'a Recording, boot_now: Option<[u8; 16]>) -> Self {
        let then = recording.header().identity.boot_id;
        let compared = then.zip(boot_now).map(|(then, now)| then == now);
        Self {
            recording,
            shape: recording.shape(),
            same_boot: recording.aftermath().map(|after| after.same_boot).or(compared),
            evidence: Vec::new(),
        }
    }

    pub(super) fn verdict(mut self) -> Verdict {
        let (cause, confidence, detail) = self.judge();
        let has_records = self.recording.snapshots().len() > 0 || !self.recording.events().is_empty();
        let (_, last) = self.recording.last_ns();
        Verdict {
            cause,
            confidence,
            detail,
            evidence: self.evidence,
            last_real_ns: if has_records { last } else { 0 },
        }
    }

    fn judge(&mut self) -> (Cause, Confidence, String) {
        let state = self.recording.state();
        if self.recording.is_live() {
            self.say("its process holds the lock of the file".into());
            return (Cause::Running, Confidence::High, String::new());
        }
        if state.run == RunState::Clean {
            return (Cause::Clean, Confidence::High, String::new());
        }
        if let Some(written) = self.written_down() {
            return written;
        }
        self.say(format!("no mark of a clean end; the state was {}", state.run.as_str()));
        if self.same_boot == Some(false) {
            return self.reboot();
        }
        match self.same_boot {
            Some(_) => self.say("the machine was not restarted since (same boot id)".into()),
            None => self.say("whether the machine was restarted is not known".into()),
        }
        if let Some(oom) = self.oom() {
            return oom;
        }
        if state.run == RunState::Draining {
            return self.drained_too_long();
        }
        if self.recording.snapshots().len() == 0 {
            return (Cause::Unknown, Confidence::Low, "it recorded no snapshot".into());
        }
        self.memory_was_calm()
    }

    /// What the process itself wrote down at its end.
    fn written_down(&mut self) -> Option<(Cause, Confidence, String)> {
        let state = self.recording.state();
        let (last, _) = self.recording.last_ns();
        let panic = self.last_panic(last);
        if is_survived(state.monotonic_ns, last) {
            return None;
        }
        match state.run {
            RunState::FatalSignal => {
                let name = signal_name(state.signal);
                self.say(format!("the handler of {name} recorded it in thread {}", state.fault_thread));
                if state.signal == ABORT
                    && let Some(panic) = panic
                {
                    self.say("a panic came right before the abort".into());
                    return Some((Cause::Panic, Confidence::High, panic.text.clone()));
                }
                let detail = format!("{name} at address {:#x}", state.fault_address);
                Some((Cause::FatalSignal, Confidence::High, detail))
            }
            RunState::Panic => {
                let panic = panic?;
                self.say("the panic hook recorded a panic that nobody catches".into());
                Some((Cause::Panic, Confidence::High, panic.text.clone()))
            }
            _ => None,
        }
    }

    /// The last panic, unless the process lived on for long after it.
    fn last_panic(&self, last_ns: u64) -> Option<&'a EventRecord> {
        let events = self.recording.events().iter().rev();
        events
            .into_iter()
            .find(|event| event.kind == EventKind::Panic)
            .filter(|event| !is_survived(event.monotonic_ns, last_ns))
    }

    fn reboot(&mut self) -> (Cause, Confidence, String) {
        self.say("the machine was started again since (another boot id)".into());
        let sync = self.recording.header().sync_ms;
        let missing = match sync {
            0 => "up to 30 s before the end may be missing".into(),
            ms => format!("up to {} before the end may be missing", Span(Duration::from_millis(ms.into()))),
        };
        self.say(missing);
        if self.shape.ratio() >= Some(FULL) {
            self.say_usage();
            self.say("it may have been killed for memory before the machine went down".into());
            return (Cause::Reboot, Confidence::Medium, String::new());
        }
        if self.recording.aftermath().is_none() {
            self.say("if the file was copied from another machine, say so (--elsewhere)".into());
            return (Cause::Reboot, Confidence::Medium, String::new());
        }
        (Cause::Reboot, Confidence::High, String::new())
    }

    fn oom(&mut self) -> Option<(Cause, Confidence, String)> {
        let kills = self.kills();
        let usage = self.usage();
        let ratio = self.shape.ratio().unwrap_or(0.0);
        let firm = self.shape.unreclaimable_ratio.is_none_or(|part| part >= UNRECLAIMABLE);
        if ratio >= FULL && firm {
            self.say_usage();
            self.say_kills(kills);
            return Some((Cause::Oom, Confidence::High, usage));
        }
        if let Some((sure, level)) = self.level_above() {
            self.say_kills(kills);
            return Some((Cause::OomAncestor, sure, level));
        }
        if self.shape.is_projected_past() {
            self.say_usage();
            self.say("at this growth the limit was passed before the next record".into());
            self.say_kills(kills);
            return Some((Cause::Oom, Confidence::High, usage));
        }
        if let Some(left) = self.shape.time_to_limit().filter(|left| *left <= SOON) {
            self.say_usage();
            self.say_soon(left);
            self.say_kills(kills);
            return Some((Cause::Oom, Confidence::Medium, usage));
        }
        if let Some(left) = self.node_low() {
            self.say(left.clone());
            self.say_kills(kills);
            let sure = if kills > 0 { Confidence::High } else { Confidence::Medium };
            return Some((Cause::OomAncestor, sure, left));
        }
        if kills > 0 {
            self.say_usage();
            self.say_kills(kills);
            self.say("memory rose between the last record and the kill".into());
            return Some((Cause::Oom, Confidence::Medium, usage));
        }
        None
    }

    /// How many kills the counter of the control group rose by.
    fn kills(&self) -> u64 {
        let count = |snapshot: SnapshotView<'_>| snapshot.number("memory.oom_kill");
        let mut counts = self.recording.snapshots().filter_map(count);
        let first = counts.next();
        let last = counts.next_back().or(first);
        let after = self.recording.aftermath().and_then(|after| after.oom_kills);
        let last = after.map(|kills| kills as f64).or(last);
        // A counter that fell is another control group's.
        first.zip(last).map_or(0, |(first, last)| (last - first).max(0.0) as u64)
    }

    /// The level of the hierarchy that was full, or would have been by the next record, when it is not the own one.
    fn level_above(&mut self) -> Option<(Confidence, String)> {
        let (depth, usage, limit) = binding(self.recording.snapshots().next_back()?)?;
        if depth < 1.0 || limit <= 0.0 {
            return None;
        }
        let text = format!("{} of {} used {depth} levels above", Bytes(usage), Bytes(limit));
        if usage / limit >= FULL {
            self.say(text.clone());
            return Some((Confidence::High, text));
        }
        let climb = Climb::of(&series(self.recording, |one| {
            let (other, usage, _) = binding(one)?;
            (other == depth).then_some(usage)
        }))?;
        if climb.next() >= Some(limit) {
            self.say(text.clone());
            self.say("at this growth that limit was passed before the next record".into());
            return Some((Confidence::High, text));
        }
        let left = climb.time_to(limit);
        if left <= SOON {
            self.say(text.clone());
            self.say_soon(left);
            return Some((Confidence::Medium, text));
        }
        None
    }

    fn node_low(&self) -> Option<String> {
        let left = self.recording.snapshots().next_back()?.number("host.available")?;
        let all = self.recording.header().identity.host_memory_bytes? as f64;
        (all > 0.0 && left / all < NODE_LOW)
            .then(|| format!("the machine had {} of {} left", Bytes(left), Bytes(all)))
    }

    fn drained_too_long(&mut self) -> (Cause, Confidence, String) {
        let state = self.recording.state();
        let (last, _) = self.recording.last_ns();
        let drained = Duration::from_nanos(last.saturating_sub(state.monotonic_ns));
        self.say(format!("it had been draining for {}", Span(drained)));
        self.say_usage();
        let Some(grace) = state.grace_ns.map(Duration::from_nanos) else {
            return (Cause::KilledAfterGrace, Confidence::Medium, String::new());
        };
        self.say(format!("it had {} for it", Span(grace)));
        // The last record is up to a period before the kill.
        let period = self.shape.period.unwrap_or(Duration::from_secs(1));
        if drained + period >= grace {
            (Cause::KilledAfterGrace, Confidence::High, String::new())
        } else {
            self.say("whoever stops it may allow less than that".into());
            (Cause::KilledAfterGrace, Confidence::Medium, String::new())
        }
    }

    fn memory_was_calm(&mut self) -> (Cause, Confidence, String) {
        self.say_usage();
        if self.shape.usage_bytes.is_none() {
            self.say("memory was not recorded, so a kill for memory cannot be ruled out".into());
            return (Cause::Killed, Confidence::Low, String::new());
        }
        (Cause::Killed, Confidence::Medium, String::new())
    }

    fn usage(&self) -> String {
        match (self.shape.usage_bytes, self.shape.limit_bytes, self.shape.ratio()) {
            (Some(usage), Some(limit), Some(ratio)) => {
                format!("last usage {} of {} ({:.1} %)", Bytes(usage), Bytes(limit), ratio * 100.0)
            }
            (Some(usage), ..) => format!("last usage {}, no limit", Bytes(usage)),
            _ => "usage not recorded".into(),
        }
    }

    fn say_usage(&mut self) {
        if self.shape.usage_bytes.is_some() {
            let usage = self.usage();
            self.say(usage);
        }
    }

    fn say_soon(&mut self, left: Duration) {
        self.say(format!(
            "at this growth the limit was {} away: the recorder may have been held up for longer",
            Span(left)
        ));
    }

    fn say_kills(&mut self, kills: u64) {
        if kills > 0 {
            self.say(format!("the kernel counts {kills} more kill(s) for memory than at the start"));
        }
    }

    fn say(&mut self, evidence: String) {
        self.evidence.push(evidence);
    }
}

/// How far above the level is that leaves the least room, its usage and its limit.
fn binding(snapshot: SnapshotView<'_>) -> Option<(f64, f64, f64)> {
    let depth = snapshot.number("binding.depth")?;
    Some((depth, snapshot.number("binding.usage")?, snapshot.number("binding.limit")?))
}

fn is_survived(at_ns: u64, last_ns: u64) -> bool {
    u128::from(last_ns.saturating_sub(at_ns)) >= SURVIVED.as_nanos()
}

/// `signal(7)` for x86-64 and ARM.
fn signal_name(signal: u32) -> String {
    match signal {
        4 => "SIGILL".into(),
        5 => "SIGTRAP".into(),
        6 => "SIGABRT".into(),
        7 => "SIGBUS".into(),
        8 => "SIGFPE".into(),
        9 => "SIGKILL".into(),
        11 => "SIGSEGV".into(),
        15 => "SIGTERM".into(),
        other => format!("signal {other}"),
    }
}
