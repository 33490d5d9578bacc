//! Clocks: CPU time for what one thread does alone, wall time for what several do together.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use relay_bench::stats::Summary;

/// CPU nanoseconds that `work` takes on this thread; what the clock itself costs is taken off.
pub(crate) fn cpu_ns(work: impl FnOnce()) -> f64 {
    static CLOCK_NS: OnceLock<f64> = OnceLock::new();
    let clock_ns = *CLOCK_NS.get_or_init(|| {
        let empty: Vec<f64> = (0..1001).map(|_| raw_cpu_ns(|| {})).collect();
        Summary::of(&empty).unwrap().median
    });
    (raw_cpu_ns(work) - clock_ns).max(0.0)
}

/// Not inlined: its name is where callgrind begins to count.
#[inline(never)]
fn raw_cpu_ns(work: impl FnOnce()) -> f64 {
    let start = thread_time();
    work();
    thread_time().saturating_sub(start).as_nanos() as f64
}

/// A clock of the kernel, read by a system call: some 100 ns, hence batches of 512 events and more.
fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// What one thread does between the start line and the end.
pub(crate) struct Job<'a> {
    /// The thread stays on the n-th CPU this process may use; none: wherever the scheduler puts it.
    cpu: Option<usize>,
    work: Box<dyn FnOnce() + Send + 'a>,
}

impl<'a> Job<'a> {
    /// On the n-th usable CPU, wrapping around.
    pub(crate) fn on(cpu: usize, work: impl FnOnce() + Send + 'a) -> Self {
        let work = Box::new(work);
        Self {
            cpu: Some(cpu),
            work,
        }
    }

    /// Wherever the scheduler puts it: for more threads than CPUs.
    pub(crate) fn anywhere(work: impl FnOnce() + Send + 'a) -> Self {
        let work = Box::new(work);
        Self { cpu: None, work }
    }
}

/// Wall nanoseconds from the first start to the last end of jobs that begin together.
pub(crate) fn wall_ns(jobs: Vec<Job<'_>>) -> f64 {
    let usable = usable_cpus();
    let (count, arrived) = (jobs.len(), AtomicUsize::new(0));
    let run = |job: Job<'_>| {
        if let Some(index) = job.cpu {
            pin_to(usable[index % usable.len()]);
        }
        arrived.fetch_add(1, SeqCst);
        let mut spin = Spin::default();
        while arrived.load(SeqCst) < count {
            spin.once();
        }
        let start = Instant::now();
        (job.work)();
        (start, Instant::now())
    };
    let times: Vec<_> = thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = jobs
            .into_iter()
            .map(|job| scope.spawn(move || run(job)))
            .collect();
        threads.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let start = times.iter().map(|times| times.0).min().unwrap();
    let end = times.iter().map(|times| times.1).max().unwrap();
    (end - start).as_nanos() as f64
}

fn usable_cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| allowed.is_set(cpu))
        .collect()
}

/// Left to itself the scheduler may put both ends of a queue on one CPU, and then measures itself.
fn pin_to(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).unwrap();
}

/// Waiting without sleeping, the same for every peer: pauses first, then gives the CPU to whoever else is ready.
#[derive(Debug, Default)]
pub(crate) struct Spin(u32);

impl Spin {
    pub(crate) fn once(&mut self) {
        if self.0 < 64 {
            self.0 += 1;
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}
