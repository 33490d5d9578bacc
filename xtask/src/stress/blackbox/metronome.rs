//! How long threads outside every limit were not run, on the same processors at the same time: a recorder cannot be more
//! punctual than the machine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::kernel_log::monotonic_ns;

/// As often as the recorder looks.
const TICK: Duration = Duration::from_millis(1);

/// Lateness below this is the timer's own.
const NOTABLE_NS: i64 = 300_000;

/// Stretches that are remembered; older ones are of no interest any more.
const STRETCHES_MAX: usize = 4096;

/// A thread on each processor that ticks; dropping it ends them.
#[derive(Debug)]
pub(super) struct Metronome {
    processors: Vec<(Arc<State>, JoinHandle<()>)>,
}

#[derive(Debug, Default)]
struct State {
    stopped: AtomicBool,
    /// Between which moments it did not run although it wanted to.
    stretches: Mutex<Vec<(i64, i64)>>,
}

// === impl Metronome ===

impl Metronome {
    pub(super) fn start() -> std::io::Result<Self> {
        let usable = sched_getaffinity(None)?;
        let cpus = (0..CpuSet::MAX_CPU).filter(|cpu| usable.is_set(*cpu));
        let mut processors = Vec::new();
        for cpu in cpus {
            let state = Arc::new(State::default());
            let shared = Arc::clone(&state);
            let thread = thread::Builder::new().name("metronome".into());
            let thread = thread.spawn(move || {
                let mut only = CpuSet::new();
                only.set(cpu);
                // Where it may not choose, it ticks wherever it is put.
                sched_setaffinity(None, &only).ok();
                shared.run();
            })?;
            processors.push((state, thread));
        }
        Ok(Self { processors })
    }

    /// For how long of the time between two moments the worst processor did not run its thread.
    pub(super) fn held_up_ns(&self, from_ns: i64, to_ns: i64) -> i64 {
        let of = |state: &State| {
            let stretches = state.stretches.lock();
            let stretches = stretches.unwrap_or_else(PoisonError::into_inner);
            held_up(&stretches, from_ns, to_ns)
        };
        let each = self.processors.iter().map(|(state, _)| of(state));
        each.max().unwrap_or(0)
    }
}

fn held_up(stretches: &[(i64, i64)], from_ns: i64, to_ns: i64) -> i64 {
    let within = |(from, to): &(i64, i64)| (*to.min(&to_ns) - *from.max(&from_ns)).max(0);
    stretches.iter().map(within).sum()
}

impl State {
    fn run(&self) {
        while !self.stopped.load(Ordering::Relaxed) {
            let due = monotonic_ns() + TICK.as_nanos() as i64;
            thread::sleep(TICK);
            let now = monotonic_ns();
            if now - due > NOTABLE_NS {
                let mut stretches = self
                    .stretches
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                if stretches.len() == STRETCHES_MAX {
                    stretches.drain(..STRETCHES_MAX / 2);
                }
                stretches.push((due, now));
            }
        }
    }
}

impl Drop for Metronome {
    fn drop(&mut self) {
        for (state, _) in &self.processors {
            state.stopped.store(true, Ordering::Relaxed);
        }
        for (_, thread) in self.processors.drain(..) {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_within_the_time_in_question_counts() {
        let stretches = [(10, 20), (30, 35), (50, 90)];
        assert_eq!(held_up(&stretches, 15, 40), 10);
        assert_eq!(held_up(&stretches, 21, 29), 0);
        assert_eq!(held_up(&stretches, 32, 60), 13);
    }
}
