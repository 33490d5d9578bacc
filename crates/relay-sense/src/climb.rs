//! Going up the levels to the one that leaves the least room, reading no more than that takes.
//!
//! For each level the kernel gives the limit *L*, the usage *C* and, ten times as dearly, the
//! statistics from which follows what reclaim can free, *R*. The room is *L* − (*C* − *R*).
//!
//! An ancestor's counters contain those of the groups inside it, so its *R* is at least that of the
//! own group, and its room at least *L* − (*C* − *R* own). If even that is not less than the room
//! found so far, the ancestor cannot bind, and its statistics are not read. (The sampler reads *L*
//! only when it has changed; see there.)

use crate::Bound;
use crate::caps::Caps;
use crate::file::Silence;
use crate::level::Level;
use crate::rlimit::{Held, ProcessLook};
use crate::sample::Binding;
use crate::usage::Usage;

/// Which counter the usage of a binding limit is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    Level(usize),
    /// The resident size of the process, where no group counts it.
    Process,
}

/// The limit that binds, with what it takes to follow its room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tight {
    pub(crate) binding: Binding,
    pub(crate) counter: Counter,
    /// The level that sets it; `None` where no group does.
    pub(crate) level: Option<usize>,
    /// What the counter showed.
    pub(crate) current_bytes: u64,
}

/// The usage of the own group, or of the process alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    pub(crate) counter: Counter,
    pub(crate) usage: Option<Usage>,
    /// Version 1: the smallest limit of this group and all above it. Also where no group counts usage.
    pub(crate) hierarchical_limit: Option<u64>,
    /// The limits of the process itself.
    pub(crate) process: ProcessLook,
}

/// What was found on the way up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) limit: Bound,
    soft_limit: Bound,
    pub(crate) tight: Option<Tight>,
    /// The own group's limit, whether it binds or not.
    pub(crate) own: Option<Binding>,
    /// The throttle point that leaves the least room, of those whose usage was read.
    pub(crate) throttle: Option<Binding>,
    /// Some level is so near its limit that the kernel may be reclaiming.
    pub(crate) reclaiming: bool,
    /// The group of some level was removed.
    pub(crate) gone: bool,
}

/// What is needed on the way.
pub(crate) struct Climb<'a> {
    pub(crate) levels: &'a [Level],
    pub(crate) caps: &'a Caps,
    pub(crate) own: Own,
    /// Limits that no group sets.
    pub(crate) fixed_limit: Bound,
    pub(crate) slack_bytes: u64,
    pub(crate) buffer: &'a mut [u8],
}

// === impl Climb ===

impl Climb<'_> {
    /// Goes from the limits no group sets to those of the outermost group.
    pub(crate) fn up(mut self) -> Found {
        let mut found = Found {
            limit: Bound::Unknown,
            soft_limit: Bound::Unlimited,
            tight: None,
            own: None,
            throttle: None,
            reclaiming: false,
            gone: false,
        };
        found.add(self.fixed_limit, self.own.counter, self.own.usage, None);
        for (limit, held) in self.own.process.held() {
            match held {
                Some(held) => found.add_process(limit, held),
                // The group uses more than the process has: too much rather than nothing.
                None => found.add(Bound::Bytes(limit), self.own.counter, self.own.usage, None),
            }
        }
        if let (Counter::Process, Some(bytes)) = (self.own.counter, self.own.hierarchical_limit) {
            let limit = Bound::from_kernel(bytes);
            found.add(limit, Counter::Process, self.own.usage, Some(0));
        }
        for index in 0..self.levels.len() {
            self.step(index, &mut found);
        }
        found
    }

    fn step(&mut self, index: usize, found: &mut Found) {
        let mut cap = self.caps.level(index);
        let is_own = self.own.counter == Counter::Level(index);
        if let (true, Some(bytes)) = (is_own, self.own.hierarchical_limit) {
            cap.hard = cap.hard.tighter(Bound::from_kernel(bytes));
        }
        found.soft_limit = found.soft_limit.tighter(cap.soft);

        let own_current = self.own.usage.map(|usage| usage.current);
        let reclaim_from = cap.reclaim_from(self.slack_bytes);
        let current = match (is_own, reclaim_from) {
            (true, _) => own_current,
            (false, None) => None,
            (false, Some(_)) => match self.levels[index].current() {
                Ok(bytes) => Some(bytes),
                Err(silence) => {
                    found.gone |= silence == Silence::Gone;
                    None
                }
            },
        };
        found.reclaiming |= current >= reclaim_from && reclaim_from.is_some();

        let Some(current) = current.filter(|_| !is_own) else {
            // A parent that does not answer holds at least the own group.
            found.add(cap.hard, self.own.counter, self.own.usage, Some(index));
            if is_own {
                found.own = binding(cap.hard, self.own.usage);
                found.throttle_at(cap.soft, self.own.usage);
            }
            return;
        };
        if found.might_bind(cap.hard, current, self.own.usage) {
            let stat = self.levels[index].stat(self.buffer);
            let usage = Some(Usage::new(current, &stat));
            found.add(cap.hard, Counter::Level(index), usage, Some(index));
            found.throttle_at(cap.soft, usage);
        } else {
            found.limit = found.limit.tighter(cap.hard);
        }
    }
}

// === impl Tight ===

impl Tight {
    /// The binding limit, had everything that was added since been unreclaimable.
    pub(crate) fn grown_to(self, current_bytes: u64) -> Binding {
        let growth = current_bytes.saturating_sub(self.current_bytes);
        Binding {
            unreclaimable_bytes: self.binding.unreclaimable_bytes.saturating_add(growth),
            ..self.binding
        }
    }
}

// === impl Found ===

impl Found {
    /// The throttle point, where it lies below the hard limit.
    pub(crate) fn soft_below_hard(&self) -> Option<u64> {
        let soft = self.soft_limit.bytes()?;
        let hard = self.limit.bytes();
        (hard.is_none_or(|hard| soft < hard)).then_some(soft)
    }

    /// Takes a limit into account, and the usage that counts against it.
    fn add(&mut self, limit: Bound, counter: Counter, usage: Option<Usage>, level: Option<usize>) {
        self.limit = self.limit.tighter(limit);
        if let (Some(binding), Some(usage)) = (binding(limit, usage), usage) {
            self.tighten(Tight {
                binding,
                counter,
                level,
                current_bytes: usage.current,
            });
        }
    }

    /// Takes a limit of the process into account. The resident size stands for what is held against it between two
    /// looks: it cannot grow without that.
    fn add_process(&mut self, limit_bytes: u64, held: Held) {
        self.limit = self.limit.tighter(Bound::Bytes(limit_bytes));
        self.tighten(Tight {
            binding: Binding {
                limit_bytes,
                unreclaimable_bytes: held.used_bytes,
            },
            counter: Counter::Process,
            level: None,
            current_bytes: held.resident_bytes,
        });
    }

    fn tighten(&mut self, new: Tight) {
        let room = new.binding.headroom_bytes();
        if self
            .tight
            .is_none_or(|tight| room < tight.binding.headroom_bytes())
        {
            self.tight = Some(new);
        }
    }

    fn throttle_at(&mut self, soft: Bound, usage: Option<Usage>) {
        let Some(new) = binding(soft, usage) else {
            return;
        };
        if self
            .throttle
            .is_none_or(|least| new.headroom_bytes() < least.headroom_bytes())
        {
            self.throttle = Some(new);
        }
    }

    fn might_bind(&self, limit: Bound, current: u64, own: Option<Usage>) -> bool {
        let Bound::Bytes(limit) = limit else {
            return false;
        };
        let reclaimable = own.map_or(0, Usage::reclaimable);
        let room = limit.saturating_sub(current.saturating_sub(reclaimable));
        self.tight
            .is_none_or(|tight| room < tight.binding.headroom_bytes())
    }
}

fn binding(limit: Bound, usage: Option<Usage>) -> Option<Binding> {
    Some(Binding {
        limit_bytes: limit.bytes()?,
        unreclaimable_bytes: usage?.unreclaimable,
    })
}
