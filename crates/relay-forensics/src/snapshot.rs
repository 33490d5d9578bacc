//! The one writer of snapshots: all fields of one moment, in one record.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    clock,
    event::{Event, EventKind},
    layout::{COARSE_INTERVAL_NS, SNAPSHOT_BYTES, SectionKind},
    recorder::Shared,
    schema::{Array, Field, OWN, Value},
    slot::{Draft, Head},
};

/// The wall clock is taken to have jumped when it moved this much against the monotonic one between
/// two snapshots; slewing stays far below (500 ppm, `adjtimex(2)`).
const JUMP_NS: u64 = 1_000_000_000;

/// Writes snapshots: one for each recording, held by the thread that knows the figures.
///
/// Writing neither allocates nor waits nor makes a system call.
#[derive(Debug)]
pub struct SnapshotWriter {
    shared: Arc<Shared>,
    draft: Box<Draft<SNAPSHOT_BYTES>>,
    used: usize,
    last_ns: Option<u64>,
    period: Option<Duration>,
    write_ns: u64,
    coarse_ns: Option<u64>,
}

/// The fields of one moment while they are filled in. Every field begins as unknown.
#[derive(Debug)]
pub struct Snapshot<'a> {
    body: &'a mut [u8],
}

// === impl SnapshotWriter ===

impl SnapshotWriter {
    pub(crate) fn new(shared: Arc<Shared>, used: usize) -> Self {
        Self {
            shared,
            draft: Box::new(Draft::new()),
            used,
            last_ns: None,
            period: None,
            write_ns: 0,
            coarse_ns: None,
        }
    }

    /// Says when the next snapshot is planned, so that it can say how late it is: a recorder that
    /// is late is itself a sign of memory being taken back by force.
    pub fn expect_in(&mut self, period: Duration) {
        self.period = Some(period);
    }

    /// Records what `fill` sets; a field that it does not set is unknown.
    pub fn record(&mut self, fill: impl FnOnce(&mut Snapshot<'_>)) {
        let now = clock::monotonic_ns();
        let body = &mut self.draft.body()[..self.used];
        body.fill(0xff);
        let mut snapshot = Snapshot { body };
        fill(&mut snapshot);
        let passed = self.last_ns.map(|last| now.saturating_sub(last));
        if let Some(passed) = passed {
            snapshot.set(OWN.period_us, narrow(passed / 1000));
            snapshot.set(OWN.write_ns, narrow(self.write_ns));
            if let Some(period) = self.period {
                let late = u128::from(passed).saturating_sub(period.as_nanos());
                snapshot.set(OWN.late_us, narrow((late / 1000) as u64));
            }
        }
        let head = Head {
            monotonic_ns: now,
            real_ns: self.real_ns(now),
            ..Head::default()
        };
        self.write(SectionKind::Fine, &head);
        let due = |last: u64| now.saturating_sub(last) >= COARSE_INTERVAL_NS;
        if self.coarse_ns.is_none_or(due) {
            self.write(SectionKind::Coarse, &head);
            self.coarse_ns = Some(now);
        }
        self.shared.leave_starting();
        self.last_ns = Some(now);
        self.write_ns = clock::monotonic_ns().saturating_sub(now);
    }

    fn write(&mut self, section: SectionKind, head: &Head) {
        let (seq, slot) = self.shared.next_slot(section);
        if !self.draft.write(slot, seq, head, self.used) {
            self.shared.count_lost();
        }
    }

    /// Events take their wall clock from the offset that is kept here: one clock less to read.
    fn real_ns(&self, monotonic_ns: u64) -> u64 {
        let real_ns = clock::real_ns();
        let offset = real_ns.wrapping_sub(monotonic_ns);
        let before = self.shared.real_offset.swap(offset, Ordering::Relaxed);
        let jump = offset.wrapping_sub(before).cast_signed();
        if jump.unsigned_abs() > JUMP_NS {
            let event = Event::new(EventKind::ClockJump);
            self.shared.record(&event.values(&[jump.cast_unsigned()]));
        }
        real_ns
    }
}

// === impl Snapshot ===

impl Snapshot<'_> {
    /// Sets a field. A handle of another schema that does not fit here is left out.
    pub fn set<T: Value>(&mut self, field: Field<T>, value: T) {
        self.put(usize::from(field.offset), value);
    }

    /// Sets a field whose value may be unknown.
    pub fn set_known<T: Value>(&mut self, field: Field<T>, value: Option<T>) {
        if let Some(value) = value {
            self.set(field, value);
        }
    }

    /// Sets one value of a field that has several; what is beyond its count is left out.
    pub fn set_at<T: Value>(&mut self, array: Array<T>, index: usize, value: T) {
        if index < array.count() {
            self.put(usize::from(array.offset) + index * T::TYPE.bytes(), value);
        }
    }

    fn put<T: Value>(&mut self, at: usize, value: T) {
        if let Some(bytes) = self.body.get_mut(at..at + T::TYPE.bytes()) {
            value.put(bytes);
        }
    }
}

/// All ones is "unknown", so the largest value is one less.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX).min(u32::MAX - 1)
}
