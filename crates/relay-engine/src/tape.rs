//! What the recorder is told of each tick.

use crate::knobs::Knobs;
use relay_control::Decision;
use relay_forensics::standard::Standard;
use relay_forensics::{Options, Recorder, Schema, SchemaError, SnapshotWriter};
use relay_sense::Sample;

/// Where each tick is recorded.
#[derive(Debug)]
pub(crate) struct Tape {
    snapshots: SnapshotWriter,
    fields: Standard,
}

/// A recording in memory, with the standard fields.
///
/// # Errors
///
/// When the fields do not fit.
pub(crate) fn recording() -> Result<(Recorder, Tape), SchemaError> {
    let mut schema = Schema::new();
    let fields = Standard::declare(&mut schema)?;
    let opened = Options::new("engine")
        .folders(Vec::new())
        .schema(schema)
        .open();
    let tape = Tape {
        snapshots: opened.snapshots,
        fields,
    };
    Ok((opened.recorder, tape))
}

impl Tape {
    /// Allocates nothing.
    pub(crate) fn record(&mut self, sample: &Sample, decision: &Decision, knobs: &Knobs) {
        let fields = &self.fields;
        let rate = |rate: Option<f64>| rate.map(|rate| rate as f32);
        self.snapshots.record(|s| {
            s.set_known(fields.memory_unreclaimable, sample.unreclaimable_bytes);
            s.set_known(fields.memory_limit, sample.limit_bytes.bytes());
            s.set(fields.ledger_used, knobs.budget.used_bytes());
            s.set(fields.ledger_size, decision.ledger_bytes);
            s.set_known(fields.drain, rate(decision.drain_bytes_per_second));
            s.set_known(fields.rate, rate(decision.rate_bytes_per_second));
            s.set(fields.scale, decision.governor.scale as f32);
            s.set(fields.level, decision.level as u8);
            s.set(fields.floor, decision.floor);
        });
    }
}
