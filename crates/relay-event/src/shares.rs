//! Fair shares among sources: while not everything can be admitted, one that sends ten times as much as the others does
//! not take their place.
//!
//! **Problem.** A gate that refuses by bytes refuses in proportion: of ten sources that each send 1 and one that sends
//! 10, the last gets half of what is admitted.
//!
//! **Rule.** With `d` what a source asks for and `C` what is admitted, or could be where that is more, both over about a
//! fifth of a second, the *water level* `L` is where
//!
//! ```text
//! Σ min(dᵢ, L) = C
//! ```
//!
//! so whoever asks for less than `L` gets all of it, and the others get `L` each (max-min fairness). Every source has a
//! leaky bucket that loses `L`, and a little more, in that time; while its bucket is full it is refused where room is
//! [scarce](crate::Gate::set_source_fairness). What nobody else wants is thereby still admitted: scarce ends. What could be
//! admitted is the drain, or the rate where that is less: counting only what was, shares that hold back more than they have
//! to would confirm themselves, and an overload would be felt a second after it is over. As long as another bound refuses, what
//! was admitted is all that could be, whatever the drain is said to be.
//!
//! **State.** Sources are hashed into two rows of 1024 buckets, and one is refused only if both of its buckets are full: to
//! suffer from a greedy source, another has to share both buckets with it. The hash is salted anew every 3 s, so that
//! chance puts nobody at a disadvantage for good and nobody can aim. Priorities have buckets of their own: what a source
//! sends at low priority does not count against what it sends at high.
//!
//! | constant | value | why |
//! |---|---|---|
//! | `EPOCH_NS` | 50 ms | a level is found in microseconds, and the default control loop moves the rate as often |
//! | `KEEP` | 3/4 an epoch | demand over about four epochs: shorter, a source of ten events a second looks idle |
//! | `HEADROOM` | 33/32 | without it, what the levels let pass could only ever be less than was admitted before |
//! | `FREE_EPOCHS` | 1 | only the shares have refused for so long, and since: there was more to be had |
//! | `CALM_EPOCHS` | 8 | how long it goes on counting when nothing is scarce any more |
//!
//! **Source.** Max-min fairness by water-filling: Bertsekas and Gallager, *Data Networks* (1992), §6.5.2. A fixed table
//! with a hash that changes: `McKenney`, *Stochastic Fairness Queueing* (1990). Several rows, and guilty only where all
//! agree: Feng et al., *Stochastic Fair Blue* (2001). Shares without a queue for each source: Stoica, Shenker and Zhang,
//! *Core-Stateless Fair Queueing* (1998); we compute the level from the table where they estimate it, because our table
//! is small and theirs would span a network.

mod level;

use crate::clock;
use crate::priority::Priority;
use level::water_level;
use std::fmt;
use std::hash::Hasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const BUCKETS: usize = 1024;
const ROWS: usize = 2;
/// Low, normal and high; control is never refused a share.
const CLASSES: usize = 3;

const EPOCH_NS: u64 = 50_000_000;
const CALM_EPOCHS: u32 = 8;
const FREE_EPOCHS: u32 = 1;
/// After so many epochs without a look everything is forgotten.
const FORGET_EPOCHS: u64 = 64;
const SALT_EPOCHS: u32 = 64;
/// Of what was asked for, what still counts after an epoch.
const KEEP: f64 = 0.75;
/// The steady sum of something that is one an epoch: 1 ÷ (1 − KEEP).
const WINDOW_EPOCHS: u32 = 4;
/// A bucket leaks a little faster than the level says.
const HEADROOM: f64 = 1.03125;

/// Counts are kept in grains of this many bytes, so that 32 bits hold 256 GiB.
const GRAIN_BYTES: u64 = 64;
const NO_LEVEL: u32 = u32::MAX;

/// The account of what each source asks for and gets. All of it is relaxed: a count that is lost in a race is an event
/// more or less, and no other memory depends on it.
pub(crate) struct Shares {
    /// Made when it is first switched on.
    classes: OnceLock<Box<[Class; CLASSES]>>,
    on: AtomicBool,
    epoch_began_ns: AtomicU64,
    salt: AtomicU64,
    salted_epochs: AtomicU32,
    /// Whether room was scarce lately, and so a reason to count.
    active: AtomicBool,
    /// Epochs since room was scarce.
    calm_epochs: AtomicU32,
    /// Epochs since another bound refused.
    free_epochs: AtomicU32,
    /// How much of a window was counted, in epochs: the bits of an `f32`.
    counted_epochs: AtomicU32,
}

struct Class {
    rows: [Row; ROWS],
    admitted: AtomicU32,
}

struct Row {
    asked: [AtomicU32; BUCKETS],
    used: [AtomicU32; BUCKETS],
    /// What a bucket may hold; `NO_LEVEL` while there is enough for all.
    level: AtomicU32,
}

// === impl Shares ===

impl Shares {
    /// Counts that nobody has asked anything of.
    pub(crate) fn new() -> Self {
        Self {
            classes: OnceLock::new(),
            on: AtomicBool::new(false),
            epoch_began_ns: AtomicU64::new(0),
            salt: AtomicU64::new(fastrand::u64(..)),
            salted_epochs: AtomicU32::new(0),
            active: AtomicBool::new(false),
            calm_epochs: AtomicU32::new(0),
            free_epochs: AtomicU32::new(0),
            counted_epochs: AtomicU32::new(0),
        }
    }

    /// Whether there is anything to count.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    /// Whether sources are held to their shares at all.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    pub(crate) fn switch(&self, on: bool) {
        if on {
            self.classes
                .get_or_init(|| Box::new(std::array::from_fn(|_| Class::new())));
        }
        self.on.store(on, Relaxed);
    }

    fn class(&self, priority: Priority) -> Option<&Class> {
        self.classes().get(priority as usize)
    }

    fn classes(&self) -> &[Class] {
        self.classes.get().map_or(&[], |classes| classes.as_slice())
    }

    /// `source` asks for `bytes` of a capacity, which is 0 where it is not known. While room is scarce it may have had its
    /// share already: then how long until there is more.
    #[cold]
    pub(crate) fn ask(
        &self,
        source: &[u8],
        bytes: u64,
        priority: Priority,
        is_scarce: bool,
        capacity_bytes_per_second: u64,
    ) -> Result<(), Duration> {
        let Some(class) = self.class(priority).filter(|_| self.is_on()) else {
            return Ok(());
        };
        let now_ns = clock::coarse_nanos();
        if is_scarce {
            // Looked at first: a store takes the line away from everybody else.
            if self.calm_epochs.load(Relaxed) > 0 {
                self.calm_epochs.store(0, Relaxed);
            }
            if !self.is_active() && !self.active.swap(true, Relaxed) {
                self.epoch_began_ns.store(now_ns, Relaxed);
            }
        }
        self.roll(now_ns, capacity_bytes_per_second);
        let mut wait_epochs = u32::MAX;
        for (row, bucket) in class.rows.iter().zip(self.buckets(source)) {
            add(&row.asked[bucket], grains(bytes));
            wait_epochs = wait_epochs.min(row.wait_epochs(bucket));
        }
        if is_scarce && wait_epochs > 0 {
            return Err(Duration::from_nanos(EPOCH_NS * u64::from(wait_epochs)));
        }
        Ok(())
    }

    /// What it asked for was admitted.
    #[cold]
    pub(crate) fn admitted(&self, source: &[u8], bytes: u64, priority: Priority) {
        if let Some(class) = self.class(priority) {
            add(&class.admitted, grains(bytes));
            for (row, bucket) in class.rows.iter().zip(self.buckets(source)) {
                add(&row.used[bucket], grains(bytes));
            }
        }
    }

    /// Another bound refused what the shares would have let pass.
    #[cold]
    pub(crate) fn note_bound(&self) {
        if self.free_epochs.load(Relaxed) > 0 {
            self.free_epochs.store(0, Relaxed);
        }
    }

    /// The bytes a second that one source may have now at this priority; `None` while there is enough for all.
    pub(crate) fn bytes_per_second(&self, priority: Priority) -> Option<f64> {
        let class = self.class(priority)?;
        let level = class.rows.iter().map(|row| row.level.load(Relaxed)).max()?;
        let epochs_per_second = 1e9 / EPOCH_NS as f64;
        let per_epoch = f64::from(level) * GRAIN_BYTES as f64 / f64::from(WINDOW_EPOCHS);
        (self.is_on() && self.is_active() && level != NO_LEVEL)
            .then_some(per_epoch * epochs_per_second)
    }

    fn buckets(&self, source: &[u8]) -> [usize; ROWS] {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u64(self.salt.load(Relaxed));
        hasher.write(source);
        let hash = hasher.finish();
        std::array::from_fn(|row| (hash >> (16 * row)) as usize % BUCKETS)
    }

    /// Ends the epoch when its time is over; one of those who see that does it.
    #[inline]
    fn roll(&self, now_ns: u64, capacity_bytes_per_second: u64) {
        let began = self.epoch_began_ns.load(Relaxed);
        let epochs = now_ns.saturating_sub(began) / EPOCH_NS;
        if epochs > 0 {
            let next = began + epochs * EPOCH_NS;
            let mine = self
                .epoch_began_ns
                .compare_exchange(began, next, Relaxed, Relaxed);
            if mine.is_ok() {
                self.end_epochs(epochs, capacity_bytes_per_second);
            }
        }
    }

    #[cold]
    fn end_epochs(&self, epochs: u64, capacity_bytes_per_second: u64) {
        if epochs > FORGET_EPOCHS {
            self.forget_counts();
        }
        let epochs = epochs.min(FORGET_EPOCHS) as u32;
        let counted = f32::from_bits(self.counted_epochs.load(Relaxed)) + epochs as f32;
        let keep = KEEP.powf(f64::from(epochs));
        let per_epoch = grains(capacity_bytes_per_second) as f32 * (EPOCH_NS as f32 / 1e9);
        let admitted = |class: &Class| class.admitted.load(Relaxed);
        let all = self.classes().iter().map(admitted);
        let could = if self.free_epochs.fetch_add(epochs, Relaxed) >= FREE_EPOCHS {
            (per_epoch * counted) as u32
        } else {
            0
        };
        let spare = could.saturating_sub(all.fold(0, u32::saturating_add));
        for class in self.classes() {
            class.end_epochs(epochs, spare, f64::from(counted), keep);
        }
        self.counted_epochs
            .store((counted * keep as f32).to_bits(), Relaxed);
        if self.salted_epochs.fetch_add(epochs, Relaxed) + epochs >= SALT_EPOCHS {
            self.salted_epochs.store(0, Relaxed);
            self.salt.store(fastrand::u64(..), Relaxed);
            // What was counted belongs to nobody now, but the levels still say how much a source may have.
            self.forget_counts();
        }
        if self.calm_epochs.fetch_add(epochs, Relaxed) + epochs > CALM_EPOCHS {
            self.active.store(false, Relaxed);
            self.forget_counts();
            for row in self.classes().iter().flat_map(|class| &class.rows) {
                row.level.store(NO_LEVEL, Relaxed);
            }
        }
    }

    fn forget_counts(&self) {
        self.counted_epochs.store(0, Relaxed);
        self.classes().iter().for_each(Class::forget_counts);
    }
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares")
            .field("active", &self.is_active())
            .finish_non_exhaustive()
    }
}

// === impl Class ===

impl Class {
    fn new() -> Self {
        Self {
            rows: std::array::from_fn(|_| Row::new()),
            admitted: AtomicU32::new(0),
        }
    }

    /// `spare` is what could have been admitted beside all that was.
    fn end_epochs(&self, epochs: u32, spare: u32, counted_epochs: f64, keep: f64) {
        let admitted = self.admitted.load(Relaxed);
        for row in &self.rows {
            row.find_level(admitted.saturating_add(spare), counted_epochs);
            row.end_epochs(epochs, keep);
        }
        self.admitted.store(kept(admitted, keep), Relaxed);
    }

    fn forget_counts(&self) {
        self.admitted.store(0, Relaxed);
        for row in &self.rows {
            for cell in row.asked.iter().chain(&row.used) {
                cell.store(0, Relaxed);
            }
        }
    }
}

// === impl Row ===

impl Row {
    fn new() -> Self {
        Self {
            asked: std::array::from_fn(|_| AtomicU32::new(0)),
            used: std::array::from_fn(|_| AtomicU32::new(0)),
            level: AtomicU32::new(NO_LEVEL),
        }
    }

    /// How many epochs until the bucket has room; zero when it has.
    fn wait_epochs(&self, bucket: usize) -> u32 {
        let level = self.level.load(Relaxed);
        let used = self.used[bucket].load(Relaxed);
        if level == NO_LEVEL || used < level.max(1) {
            return 0;
        }
        (used - level) / leak(level) + 1
    }

    /// Nothing to admit says nothing about shares: then the level stays.
    fn find_level(&self, capacity: u32, counted_epochs: f64) {
        if capacity == 0 {
            return;
        }
        let asked = self.asked.iter().map(|cell| cell.load(Relaxed));
        let factor = HEADROOM * f64::from(WINDOW_EPOCHS) / counted_epochs;
        let scaled = |level: u32| ((f64::from(level) * factor) as u32).min(NO_LEVEL - 1);
        let level = water_level(&asked, capacity).map_or(NO_LEVEL, scaled);
        self.level.store(level, Relaxed);
    }

    fn end_epochs(&self, epochs: u32, keep: f64) {
        let level = self.level.load(Relaxed);
        let (leak, most) = match level {
            NO_LEVEL => (NO_LEVEL, 0),
            // Whoever got more while there was plenty pays for it within a window, and no longer.
            level => (leak(level).saturating_mul(epochs), level.saturating_mul(2)),
        };
        for (asked, used) in self.asked.iter().zip(&self.used) {
            let (was_asked, was_used) = (asked.load(Relaxed), used.load(Relaxed));
            if was_asked > 0 {
                asked.store(kept(was_asked, keep), Relaxed);
            }
            if was_used > 0 {
                used.store(was_used.min(most).saturating_sub(leak), Relaxed);
            }
        }
    }
}

fn grains(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(GRAIN_BYTES)).unwrap_or(u32::MAX)
}

/// What a bucket loses in an epoch.
fn leak(level: u32) -> u32 {
    (level / WINDOW_EPOCHS).max(1)
}

fn kept(count: u32, keep: f64) -> u32 {
    (f64::from(count) * keep) as u32
}

/// Adds without ever wrapping to a small number: a count that is far too large already stays.
fn add(cell: &AtomicU32, grains: u32) {
    if cell.load(Relaxed) < u32::MAX >> 1 {
        cell.fetch_add(grains.min(u32::MAX >> 1), Relaxed);
    }
}

#[cfg(test)]
mod tests;
