//! The subscriptions with equal filters: they are offered the same events, so those to whom nothing special applies share
//! one log, and an event costs the same however many they are.

use crate::counted::Claim;
use crate::event::{Event, Inner};
use crate::filter::Filter;
use crate::queue::Queue;
use crate::ring::Spare;
use crate::seat::{Credit, Evicted, Seat, Verdict};
use crate::shared::Shared;
use crate::side::Chores;
use crate::tally::DropReason;
use std::sync::Arc;

/// How many events a subscription that has caught up may wait before it joins the log: asking costs a few nanoseconds.
const PATIENCE: u32 = 15;

pub(crate) struct Group {
    pub(crate) filter: Filter,
    pub(crate) shared: Arc<Shared>,
    /// Those that read the log.
    logged: Vec<Seat>,
    /// Those that have a queue of their own.
    apart: Vec<Seat>,
    /// What all members of the log have room for.
    credit: Credit,
    /// Whether the filter looks at topics only.
    by_topic: bool,
    /// How many events to wait before looking again who can join the log.
    patience: u32,
    /// Whether the event at hand is for this group.
    chosen: bool,
    /// Whether somebody has left the log: it may have held claims that others have passed.
    left: bool,
    /// How often nobody slept when it was told.
    calm: u32,
}

/// Why an event cannot be put in now.
pub(crate) enum Blocked {
    /// This reliable subscription has no room.
    Full(Arc<Queue>),
    /// The log has passed events that nobody has let go of yet: [`reclaim`](crate::log::Log::reclaim), and try again.
    Reclaim(Arc<Shared>),
}

impl Blocked {
    fn full(seat: &Seat) -> Self {
        seat.queue.offered.turn_away();
        Self::Full(Arc::clone(&seat.queue))
    }
}

impl Group {
    pub(crate) fn new(filter: Filter, shared: Arc<Shared>) -> Self {
        Self {
            by_topic: filter.is_by_topic(),
            patience: 0,
            filter,
            shared,
            logged: Vec::new(),
            apart: Vec::new(),
            credit: Credit::default(),
            chosen: false,
            left: false,
            calm: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.logged.len() + self.apart.len()
    }

    fn seats(&mut self) -> impl Iterator<Item = &mut Seat> {
        self.logged.iter_mut().chain(&mut self.apart)
    }

    /// Adds a member, apart at first. Whatever publishing may need later is set aside now.
    pub(crate) fn add(&mut self, seat: Seat) {
        let count = self.len() + 1;
        self.apart.push(seat);
        self.apart.reserve(count);
        self.logged.reserve(count);
        if count > 1 {
            self.shared.log().reserve(count);
        }
        self.members_changed();
    }

    /// Takes a member out, with what it has not read in its own ring.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Seat> {
        if let Some(index) = self.logged.iter().position(|seat| seat.queue.id == id) {
            self.set_apart(index);
        }
        let index = self.apart.iter().position(|seat| seat.queue.id == id)?;
        let seat = self.apart.swap_remove(index);
        // One alone is better off with a queue of its own.
        if self.len() == 1 && !self.logged.is_empty() {
            self.set_apart(0);
        }
        self.members_changed();
        Some(seat)
    }

    fn members_changed(&mut self) {
        self.patience = 0;
        let members: Vec<_> = self.seats().map(|seat| Arc::clone(&seat.queue)).collect();
        self.shared.members.store(Arc::new(members));
    }

    pub(crate) fn has(&self, id: u64) -> bool {
        self.logged
            .iter()
            .chain(&self.apart)
            .any(|seat| seat.queue.id == id)
    }

    /// Bounds of a member have moved. `spare` is a larger ring, where one is needed.
    pub(crate) fn limits_moved(&mut self, id: u64, spare: Option<Spare<Inner>>) {
        self.credit = Credit::default();
        if let Some(seat) = self.seats().find(|seat| seat.queue.id == id) {
            seat.limits_moved(spare);
        }
    }

    /// Takes those that may be shed out of the log.
    pub(crate) fn set_sheddable_apart(&mut self) {
        let mut index = 0;
        while index < self.logged.len() {
            if self.logged[index].queue.is_reliable() {
                index += 1;
            } else {
                self.set_apart(index);
            }
        }
    }

    fn set_apart(&mut self, index: usize) {
        let mut seat = self.logged.swap_remove(index);
        seat.leave();
        self.apart.push(seat);
        self.left = true;
    }

    /// Notes what there is to do where no lock is held: members that sleep are to be woken when something was `put` in, and
    /// there may be claims to drop.
    #[inline]
    pub(crate) fn care(&mut self, put: bool, chores: &mut Chores) {
        if put {
            if let Some(shared) = self.tell() {
                chores.look_after(&shared);
            }
        } else if self.left {
            self.left = false;
            chores.look_after(&self.shared);
        }
    }

    /// Tells the members of what was put in; what has to be looked after where no lock is held.
    #[inline]
    pub(crate) fn tell(&mut self) -> Option<Arc<Shared>> {
        let due = self.shared.sleepers.tell(&mut self.calm) || self.left;
        self.left = false;
        due.then(|| Arc::clone(&self.shared))
    }

    /// Publishes to this group alone, where that is simple: to the log, to one subscription with room in its ring, and not
    /// to those that are full and drop the newest. Returns of how many members; `None` when it is not simple. An event
    /// that nobody took stays, to be dropped where no lock is held.
    #[inline]
    pub(crate) fn publish_simply(
        &mut self,
        event: &mut Option<Event>,
        critical: bool,
    ) -> Option<usize> {
        if !self.by_topic {
            return None;
        }
        let size_bytes = event.as_ref()?.size_bytes();
        if !self.logged.is_empty() {
            if !self.credit.covers(size_bytes) || !self.drops_apart(size_bytes, critical) {
                return None;
            }
            self.credit.spend(size_bytes);
            self.shared
                .log()
                .append(event.take()?.into_claim(), size_bytes);
            return Some(self.len());
        }
        if let [seat] = &mut self.apart[..]
            && seat.can_take_simply(size_bytes, critical)
        {
            seat.put_simply(event.take()?, size_bytes);
            return Some(1);
        }
        if !self.drops_apart(size_bytes, critical) {
            return None;
        }
        Some(self.apart.len())
    }

    /// Whether all that have a queue of their own are full and drop what comes; then it is counted as dropped.
    #[inline]
    fn drops_apart(&self, size_bytes: u64, critical: bool) -> bool {
        let is_simple = self.apart.is_empty()
            || (!critical && self.apart.iter().all(|seat| seat.is_stuck(size_bytes)));
        if is_simple {
            for seat in &self.apart {
                seat.queue.offered.drop_many(DropReason::Full, 1);
            }
        }
        is_simple
    }

    /// Looks what each member would do with an event, without doing it: how many claims that takes, and of how many members.
    #[inline]
    pub(crate) fn prepare(
        &mut self,
        event: &Event,
        critical: bool,
    ) -> Result<(usize, usize), Blocked> {
        self.chosen = self.by_topic || self.filter.matches(event);
        if !self.chosen {
            return Ok((0, 0));
        }
        let (size_bytes, priority) = (event.size_bytes(), event.priority());
        if self.len() > 1 {
            if self.patience == 0 {
                self.let_join(critical);
            } else {
                self.patience -= 1;
            }
            if !self.logged.is_empty() && !self.credit.covers(size_bytes) {
                self.refresh(size_bytes)?;
            }
        }
        let mut claims = usize::from(!self.logged.is_empty());
        for seat in &mut self.apart {
            match seat.judge(size_bytes, priority, critical) {
                Verdict::Take | Verdict::Evict => claims += 1,
                Verdict::Drop(_) => {}
                Verdict::Full => return Err(Blocked::full(seat)),
            }
        }
        Ok((claims, self.len()))
    }

    /// Moves those into the log that have caught up.
    #[cold]
    fn let_join(&mut self, critical: bool) {
        self.patience = PATIENCE;
        let mut index = 0;
        while index < self.apart.len() {
            if self.apart[index].can_join(critical) {
                let mut seat = self.apart.swap_remove(index);
                seat.join();
                self.logged.push(seat);
                self.credit = Credit::default();
            } else {
                index += 1;
            }
        }
    }

    /// Asks every member of the log how much room it has. Those that may be shed and have none are set apart, and so is
    /// the slowest when the log has gone round to it: nobody waits for it but its own publishers.
    #[cold]
    fn refresh(&mut self, size_bytes: u64) -> Result<(), Blocked> {
        let log = Arc::clone(&self.shared);
        let log = log.log();
        let mut index = 0;
        let mut credit = Credit {
            events: u64::MAX,
            bytes: u64::MAX,
        };
        while let Some(seat) = self.logged.get_mut(index) {
            let room = seat.room(size_bytes);
            if room.covers(size_bytes) {
                credit.limit(room);
                index += 1;
            } else if seat.queue.is_reliable() {
                return Err(Blocked::full(seat));
            } else {
                self.set_apart(index);
            }
        }
        if self.logged.is_empty() {
            return Ok(());
        }
        let free = log.free_slots();
        if free == 0 {
            if let Some(blocker) = log.blocker()
                && let Some(index) = self.logged.iter().position(|seat| seat.queue.id == blocker)
                && self.logged[index].is_behind()
            {
                self.set_apart(index);
            }
            return Err(Blocked::Reclaim(Arc::clone(&self.shared)));
        }
        credit.events = credit.events.min(free);
        self.credit = credit;
        Ok(())
    }

    /// Does what was prepared. The claims are `claim`, as often as [`prepare`](Self::prepare) said.
    #[inline]
    pub(crate) fn commit(&mut self, claim: Claim<Inner>, size_bytes: u64, evicted: &mut Evicted) {
        if !self.chosen {
            return;
        }
        if !self.logged.is_empty() {
            self.credit.spend(size_bytes);
            self.shared.log().append(claim, size_bytes);
        }
        for seat in &mut self.apart {
            match seat.verdict {
                Verdict::Take | Verdict::Evict => {
                    seat.put(claim, size_bytes, evicted);
                }
                Verdict::Drop(reason) => seat.queue.offered.drop_many(reason, 1),
                Verdict::Full => {}
            }
        }
    }
}
