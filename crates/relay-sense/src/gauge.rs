//! The room left, for many threads at once: one `pread`, no lock, no allocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use crate::Bound;
use crate::caps::Cap;
use crate::climb::{Counter, Tight};
use crate::file::Silence;
use crate::hierarchy::Hierarchy;
use crate::level::{Level, STAT_BYTES};
use crate::resident::Resident;
use crate::sys;
use crate::usage::Usage;

/// Bits of [`Aim::packed`] that hold the ceiling: 256 PiB, more than any limit.
const CEILING_BITS: u32 = 58;
const CEILING_MAX: u64 = (1 << CEILING_BITS) - 1;

/// In place of a level's index: the process alone, and nothing. At most 32 levels are looked at.
const PROCESS: u64 = 62;
const NOTHING: u64 = 63;

/// Asks how much room is left, from any thread, while a [`Sampler`](crate::Sampler) says where to
/// look.
///
/// Made for the thread that is about to use memory: a call is one `pread` of the level that binds
/// (about 0.35 µs), takes no lock, allocates nothing and needs 100 bytes of stack. It rests on the
/// sampler's last full sample: what has been used since counts as gone. Only within 0.5 MiB +
/// 256 KiB × processors of the level's limit, where the kernel turns caches into memory that cannot
/// be given back without the usage moving, it reads the statistics as well (4 µs), unless another
/// thread is doing so at that moment.
///
/// A gauge belongs to the groups its sampler looked at when it was made. After
/// [`Sampler::refresh`](crate::Sampler::refresh) has found others it answers *unknown*; take a new
/// one.
///
/// ```
/// use std::time::Instant;
/// use relay_sense::{Root, Sampler};
///
/// let mut sampler = Sampler::new(&Root::system())?;
/// let gauge = sampler.gauge();
/// sampler.sample(Instant::now());
/// std::thread::spawn(move || match gauge.headroom_bytes() {
///     Some(bytes) if bytes > 16 << 20 => println!("go on"),
///     Some(_) => println!("stop taking in more"),
///     None => println!("unknown: be careful"),
/// })
/// .join()
/// .expect("it only prints");
/// # Ok::<(), relay_sense::SenseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gauge {
    ground: Arc<Ground>,
}

/// The open files of one place in the hierarchy, and where in it to look.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) levels: Vec<Level>,
    pub(crate) own: Counter,
    pub(crate) resident: Resident,
    /// How far the counters may lag behind or run ahead: see [`slack_bytes`].
    pub(crate) slack_bytes: u64,
    aim: Aim,
    /// Room for the statistics of the one thread that reads them.
    scratch: Mutex<Box<[u8; STAT_BYTES]>>,
}

/// Where the gauges look.
#[derive(Debug)]
struct Aim {
    /// Which counter, and the value of it at which no room is left, in one word so that they are
    /// never of different samples.
    packed: AtomicU64,
    /// By level: the limit that holds there, and from where on the kernel reclaims. Torn reads of
    /// these two after a resize cost one answer its precision, within one tick.
    limit: Box<[AtomicU64]>,
    reclaim_from: Box<[AtomicU64]>,
}

/// The kernel charges memory ahead in batches of 64 pages for each processor, and the last half MiB
/// is where events begin (measured).
fn slack_bytes() -> u64 {
    let processors = sys::allowed_cpus().map_or(64, |set| set.count() as u64);
    (512 << 10) + processors * (256 << 10)
}

// === impl Gauge ===

impl Gauge {
    pub(crate) fn new(ground: Arc<Ground>) -> Self {
        Self { ground }
    }

    /// The room that the tightest level leaves now, in bytes: its limit less what cannot be
    /// reclaimed. `None` while it is unknown: before the first full sample, where no limit is known,
    /// when the file cannot be read, and after the groups have changed.
    pub fn headroom_bytes(&self) -> Option<u64> {
        let (counter, ceiling) = self.ground.aim.get()?;
        let current = self.ground.current(counter).ok()?;
        let room = ceiling.saturating_sub(current);
        match counter {
            Counter::Level(index) if self.ground.aim.reclaims(index, current) => {
                Some(self.ground.exact(index, current).unwrap_or(room))
            }
            _ => Some(room),
        }
    }
}

// === impl Ground ===

impl Ground {
    pub(crate) fn new(hierarchy: Hierarchy, resident: Resident) -> Self {
        let own = hierarchy.own().map_or(Counter::Process, Counter::Level);
        Self {
            aim: Aim::new(hierarchy.levels.len()),
            levels: hierarchy.levels,
            own,
            resident,
            slack_bytes: slack_bytes(),
            scratch: Mutex::new(Box::new([0; STAT_BYTES])),
        }
    }

    pub(crate) fn current(&self, counter: Counter) -> Result<u64, Silence> {
        match counter {
            Counter::Level(index) => self.levels[index].current(),
            Counter::Process => self.resident.bytes(),
        }
    }

    /// Lets the gauges follow this binding limit; with `None` they know nothing.
    pub(crate) fn follow(&self, tight: Option<&Tight>, cap: impl Fn(usize) -> Cap) {
        let Some(tight) = tight else {
            return self
                .aim
                .packed
                .store(NOTHING << CEILING_BITS, Ordering::Relaxed);
        };
        if let Counter::Level(index) = tight.counter {
            self.aim
                .set_level(index, tight, cap(index), self.slack_bytes);
        }
        self.aim.set(tight);
    }

    /// The room by this moment's statistics; `None` while another thread reads them.
    fn exact(&self, index: usize, current: u64) -> Option<u64> {
        let mut scratch = match self.scratch.try_lock() {
            Ok(scratch) => scratch,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let stat = self.levels[index].stat(&mut scratch[..]);
        let limit = self.aim.limit[index].load(Ordering::Relaxed);
        Some(limit.saturating_sub(Usage::new(current, &stat).unreclaimable))
    }
}

// === impl Aim ===

impl Aim {
    fn new(levels: usize) -> Self {
        let each = |value: u64| (0..levels).map(|_| AtomicU64::new(value)).collect();
        Self {
            packed: AtomicU64::new(NOTHING << CEILING_BITS),
            limit: each(0),
            reclaim_from: each(u64::MAX),
        }
    }

    fn get(&self) -> Option<(Counter, u64)> {
        // Acquire pairs with the release in `set`: a level's own figures are those of this aim or
        // newer.
        let packed = self.packed.load(Ordering::Acquire);
        let counter = match packed >> CEILING_BITS {
            NOTHING => return None,
            PROCESS => Counter::Process,
            index => Counter::Level(index as usize),
        };
        Some((counter, packed & CEILING_MAX))
    }

    fn set(&self, tight: &Tight) {
        let Tight {
            binding,
            current_bytes,
            ..
        } = tight;
        // What has been used since the sample is gone: no room is left when the counter has grown by
        // what was left then.
        let ceiling = binding
            .limit_bytes
            .saturating_add(*current_bytes)
            .saturating_sub(binding.unreclaimable_bytes);
        let counter = match tight.counter {
            Counter::Level(index) => index as u64,
            Counter::Process => PROCESS,
        };
        let packed = counter << CEILING_BITS | ceiling.min(CEILING_MAX);
        self.packed.store(packed, Ordering::Release);
    }

    fn set_level(&self, index: usize, tight: &Tight, cap: Cap, slack_bytes: u64) {
        // On version 1 a hidden ancestor may set a limit below the level's own.
        let hard = cap.hard.tighter(Bound::Bytes(tight.binding.limit_bytes));
        let cap = Cap { hard, ..cap };
        let reclaim_from = cap.reclaim_from(slack_bytes).unwrap_or(u64::MAX);
        self.limit[index].store(tight.binding.limit_bytes, Ordering::Relaxed);
        self.reclaim_from[index].store(reclaim_from, Ordering::Relaxed);
    }

    fn reclaims(&self, index: usize, current: u64) -> bool {
        current >= self.reclaim_from[index].load(Ordering::Relaxed)
    }
}
