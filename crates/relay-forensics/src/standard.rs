//! The fields of a whole event pipeline inside a memory limit: what Relay's engine records, and what
//! the verdict and the page of the viewer know by name.
//!
//! A service with fields of its own may use some of these names for the same things; it then gets
//! the same verdicts. For "killed for memory" that is `memory.usage` and `memory.limit`.

use crate::schema::{Array, Field, Name, Schema, SchemaError, Unit};

/// Largest holders of memory that a snapshot names.
pub const HOLDERS: usize = 5;

/// Emitters whose state a snapshot holds.
pub const EMITTERS: usize = 4;

macro_rules! standard {
    (fields { $( $(#[$doc:meta])* $field:ident: $value:ty, $name:literal, $unit:ident; )* }
     arrays { $(
        $(#[$array_doc:meta])*
        $array:ident: $array_value:ty, $array_name:literal, $array_unit:ident, $count:expr;
     )* }) => {
        /// The handles of the standard fields; see [`Standard::declare`].
        #[derive(Debug, Clone, Copy)]
        #[non_exhaustive]
        pub struct Standard {
            $( $(#[$doc])* pub $field: Field<$value>, )*
            $( $(#[$array_doc])* pub $array: Array<$array_value>, )*
        }

        impl Standard {
            /// Declares them all.
            ///
            /// # Errors
            ///
            /// [`SchemaError`] when `schema` has one of the names already, or no room.
            ///
            /// ```
            /// use relay_forensics::{Schema, standard::Standard};
            ///
            /// let mut schema = Schema::new();
            /// let fields = Standard::declare(&mut schema)?;
            /// # let _ = fields;
            /// # Ok::<(), relay_forensics::SchemaError>(())
            /// ```
            pub fn declare(schema: &mut Schema) -> Result<Self, SchemaError> {
                Ok(Self {
                    $( $field: schema.field($name, Unit::$unit)?, )*
                    $( $array: schema.array($array_name, Unit::$array_unit, $count as u8)?, )*
                })
            }
        }
    };
}

standard! {
    fields {
        /// Hard limit of the control group, or [`NO_LIMIT`](crate::NO_LIMIT).
        memory_limit: u64, "memory.limit", Bytes;
        /// Soft limit (`memory.high`), or [`NO_LIMIT`](crate::NO_LIMIT).
        memory_high: u64, "memory.high", Bytes;
        /// What the kernel charges, file caches included.
        memory_usage: u64, "memory.usage", Bytes;
        /// Usage without inactive file pages.
        memory_working_set: u64, "memory.working_set", Bytes;
        /// Usage without file caches and reclaimable slab.
        memory_unreclaimable: u64, "memory.unreclaimable", Bytes;
        /// Anonymous pages.
        memory_anon: u64, "memory.anon", Bytes;
        /// File pages.
        memory_file: u64, "memory.file", Bytes;
        /// Shared memory and tmpfs.
        memory_shmem: u64, "memory.shmem", Bytes;
        /// Kernel memory and socket buffers.
        memory_kernel: u64, "memory.kernel", Bytes;
        /// What the program holds, as its allocator says.
        heap_live: u64, "heap.live", Bytes;
        /// The most it ever held.
        heap_peak: u64, "heap.peak", Bytes;
        /// What the allocator holds of the system.
        heap_resident: u64, "heap.resident", Bytes;
        /// Usage at the level of the hierarchy that is nearest to its limit.
        binding_usage: u64, "binding.usage", Bytes;
        /// The limit of that level.
        binding_limit: u64, "binding.limit", Bytes;
        /// How many levels above the own one it is; 0 is the own.
        binding_depth: u8, "binding.depth", Count;
        /// `memory.events: oom`.
        oom: u32, "memory.oom", Count;
        /// `memory.events: oom_kill`.
        oom_kill: u32, "memory.oom_kill", Count;
        /// `memory.events: max`, or v1's failcnt.
        limit_hits: u32, "memory.limit_hits", Count;
        /// Major page faults.
        major_faults: u32, "memory.major_faults", Count;
        /// File pages read back after they were given up.
        refaults: u32, "memory.refaults", Count;
        /// What the whole machine could still give.
        host_available: u64, "host.available", Bytes;
        /// PSI: total time some task waited for memory.
        psi_memory_some: u64, "psi.memory_some", Microseconds;
        /// PSI: total time all tasks waited for memory.
        psi_memory_full: u64, "psi.memory_full", Microseconds;
        /// PSI: total time some task waited for a processor.
        psi_cpu_some: u64, "psi.cpu_some", Microseconds;
        /// PSI: total time all tasks waited for a disk.
        psi_io_full: u64, "psi.io_full", Microseconds;
        /// Processor time used.
        cpu_usage: u64, "cpu.usage", Microseconds;
        /// Time in which the quota kept it from running.
        cpu_throttled: u64, "cpu.throttled", Microseconds;
        /// Open descriptors.
        descriptors: u32, "process.descriptors", Count;
        /// How many may be open.
        descriptors_limit: u32, "process.descriptors_limit", Count;
        /// Threads.
        threads: u32, "process.threads", Count;
        /// Tasks of the runtime.
        tasks: u32, "process.tasks", Count;
        /// Connections.
        connections: u32, "process.connections", Count;
        /// Events queued in all.
        queue_depth: u32, "queue.depth", Count;
        /// Bytes queued in all.
        queue_bytes: u64, "queue.bytes", Bytes;
        /// Age of the oldest event queued.
        queue_oldest: u32, "queue.oldest", Milliseconds;
        /// Events published.
        published: u64, "events.published", Count;
        /// Events delivered.
        delivered: u64, "events.delivered", Count;
        /// Events dropped by a full queue.
        dropped_full: u64, "dropped.full", Count;
        /// Events dropped early.
        dropped_early: u64, "dropped.early", Count;
        /// Events dropped for a slow subscriber.
        dropped_slow: u64, "dropped.slow", Count;
        /// Events dropped for any other reason.
        dropped_other: u64, "dropped.other", Count;
        /// Events accepted.
        accepted: u64, "ingest.accepted", Count;
        /// Refused for the rate (429).
        refused_rate: u64, "ingest.refused_rate", Count;
        /// Refused for their size (413).
        refused_size: u64, "ingest.refused_size", Count;
        /// Refused for want of memory, level or while draining (503).
        refused_busy: u64, "ingest.refused_busy", Count;
        /// Level of the ladder: 0 normal, 1 warning, 2 error, 3 critical, 4 emergency.
        level: u8, "governor.level", Code;
        /// State: 0 normal, 1 degraded, 2 recovering.
        governor_state: u8, "governor.state", Code;
        /// Why it last moved, by number.
        governor_reason: u8, "governor.reason", Code;
        /// Lowest priority that is admitted.
        floor: u8, "governor.floor", Code;
        /// Scale of the governor, 0 to 1.
        scale: f32, "governor.scale", Ratio;
        /// Measured drain.
        drain: f32, "governor.drain", BytesPerSecond;
        /// Admitted rate.
        rate: f32, "governor.rate", BytesPerSecond;
        /// Time until memory reaches its limit.
        forecast: f32, "governor.forecast", Seconds;
        /// Bytes reserved in the ledger.
        ledger_used: u64, "ledger.used", Bytes;
        /// Size of the ledger.
        ledger_size: u64, "ledger.size", Bytes;
        /// Error events published.
        errors_total: u32, "errors.total", Count;
        /// Error events that a subscriber lost.
        errors_lost: u32, "errors.lost", Count;
        /// Median time of a publish.
        publish_p50: f32, "publish.p50", Microseconds;
        /// 99th percentile of a publish.
        publish_p99: f32, "publish.p99", Microseconds;
        /// Median time of a delivery.
        emit_p50: f32, "emit.p50", Microseconds;
        /// 99th percentile of a delivery.
        emit_p99: f32, "emit.p99", Microseconds;
    }
    arrays {
        /// Who holds most.
        holder_name: Name, "holder.name", Name, HOLDERS;
        /// How much each of them holds.
        holder_bytes: u64, "holder.bytes", Bytes, HOLDERS;
        /// Emitters by name.
        emitter_name: Name, "emitter.name", Name, EMITTERS;
        /// State of each: 0 healthy, 1 degraded, 2 failed.
        emitter_state: u8, "emitter.state", Code, EMITTERS;
        /// Failures of each.
        emitter_failures: u32, "emitter.failures", Count, EMITTERS;
        /// How far behind each is.
        emitter_lag: u32, "emitter.lag", Milliseconds, EMITTERS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_fit_and_leave_a_little_room() {
        let mut schema = Schema::new();
        Standard::declare(&mut schema).unwrap();
        assert_eq!(schema.used_bytes(), 471);
        assert!(schema.field::<u8>("one.more", Unit::Count).is_ok());
        assert!(Standard::declare(&mut schema).is_err(), "once only");
    }
}
