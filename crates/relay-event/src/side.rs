//! What publishing works on, one publisher at a time: the groups of subscriptions, and the way to them.

#![allow(unsafe_code)]

use crate::event::Event;
use crate::filter::Filter;
use crate::group::{Blocked, Group};
use crate::queue::Queue;
use crate::ring::Spare;
use crate::routes::Routes;
use crate::seat::{Evicted, Seat};
use crate::shared::Shared;
use std::sync::Arc;

pub(crate) struct Side {
    groups: Vec<Group>,
    routes: Routes,
    /// Whether sheddable subscriptions are shed, as far as the groups know.
    critical: bool,
    pub(crate) closed: bool,
}

/// What is left to do where no lock is held, because it runs code of others: destructors and wakers.
#[derive(Default)]
#[must_use]
pub(crate) struct Chores {
    gone: Evicted,
    first: Option<Arc<Shared>>,
    more: Vec<Arc<Shared>>,
}

impl Chores {
    pub(crate) fn look_after(&mut self, shared: &Arc<Shared>) {
        match self.first {
            None => self.first = Some(Arc::clone(shared)),
            Some(_) => self.more.push(Arc::clone(shared)),
        }
    }

    /// Does it.
    #[inline]
    pub(crate) fn run(self) {
        if self.first.is_none() && self.gone.is_empty() {
            // Nothing to do, and nothing to drop either.
            return std::mem::forget(self);
        }
        self.work();
    }

    fn work(self) {
        if let Some(first) = self.first {
            first.look_after();
            for shared in self.more {
                shared.look_after();
            }
        }
        self.gone.drop_all();
    }
}

/// An event that was not published.
pub(crate) struct Refused {
    pub(crate) event: Event,
    pub(crate) why: Why,
}

pub(crate) enum Why {
    Closed,
    Blocked(Blocked),
}

impl Side {
    pub(crate) fn new() -> Self {
        Self {
            groups: Vec::new(),
            routes: Routes::new(),
            critical: false,
            closed: false,
        }
    }

    /// Publishes where that is simple: one group that wants every topic, and nothing to be asked of its members. Returns how
    /// many there are; anything else (`None`) is for [`publish`](Self::publish), which does the same with more questions.
    #[inline]
    pub(crate) fn publish_simply(
        &mut self,
        event: &mut Option<Event>,
        critical: bool,
    ) -> Option<usize> {
        if self.closed || critical != self.critical || !self.routes.lead_everywhere() {
            return None;
        }
        match &mut self.groups[..] {
            [group] => group.publish_simply(event, critical),
            _ => None,
        }
    }

    /// Tells the receivers of what was published simply; what has to be looked after where no lock is held.
    #[inline]
    pub(crate) fn tell_simply(&mut self) -> Option<Arc<Shared>> {
        self.groups.first_mut()?.tell()
    }

    /// Offers `event` to every subscription that wants it, or to none when a reliable one of them has no room. Returns how
    /// many there are. With `tell` false, the receivers are told by [`tell`](Self::tell) later.
    pub(crate) fn publish(
        &mut self,
        event: Event,
        critical: bool,
        tell: bool,
        chores: &mut Chores,
    ) -> Result<usize, Refused> {
        if self.closed {
            return Err(Refused {
                event,
                why: Why::Closed,
            });
        }
        if critical != self.critical {
            self.set_critical(critical, chores);
        }
        let filters = self.groups.iter().map(|group| &group.filter);
        let route = self.routes.of(event.topic(), filters);
        let (mut claims, mut offered) = (0, 0);
        let mut blocked = None;
        for index in route {
            match self.groups[*index].prepare(&event, critical) {
                Ok((more, members)) => {
                    claims += more;
                    offered += members;
                }
                Err(reason) => {
                    blocked = Some(reason);
                    break;
                }
            }
        }
        if let Some(blocked) = blocked {
            for index in route {
                self.groups[*index].care(false, chores);
            }
            let why = Why::Blocked(blocked);
            return Err(Refused { event, why });
        }
        let size_bytes = event.size_bytes();
        if claims > 1 {
            event.add_claims(claims - 1);
        }
        let claim = event.into_claim();
        for index in route {
            self.groups[*index].commit(claim, size_bytes, &mut chores.gone);
        }
        if claims == 0 {
            // SAFETY: its own claim, which no group has taken.
            chores.gone.add(unsafe { Event::redeem(claim) });
        }
        if tell {
            for index in route {
                self.groups[*index].care(claims > 0, chores);
            }
        }
        Ok(offered)
    }

    /// Tells the receivers of what was published without telling.
    pub(crate) fn tell(&mut self, chores: &mut Chores) {
        for group in &mut self.groups {
            group.care(true, chores);
        }
    }

    #[cold]
    fn set_critical(&mut self, critical: bool, chores: &mut Chores) {
        self.critical = critical;
        if critical {
            for group in &mut self.groups {
                group.set_sheddable_apart();
                group.care(false, chores);
            }
        }
    }

    /// What the subscriptions with this filter share, if there are some.
    pub(crate) fn shared(&self, filter: &Filter) -> Option<Arc<Shared>> {
        let group = self.groups.iter().find(|group| group.filter == *filter)?;
        Some(Arc::clone(&group.shared))
    }

    /// Adds a subscription to the group of `filter`, whose shared part `seat` was made with.
    pub(crate) fn add(&mut self, filter: Filter, seat: Seat) {
        let known = self.groups.iter_mut().find(|group| group.filter == filter);
        if let Some(group) = known {
            group.add(seat);
        } else {
            let mut group = Group::new(filter, Arc::clone(&seat.queue.group));
            group.add(seat);
            self.groups.push(group);
            self.rebuild_routes();
        }
    }

    /// Takes a subscription out.
    pub(crate) fn remove(&mut self, id: u64, chores: &mut Chores) -> Option<Seat> {
        let (index, seat) = self
            .groups
            .iter_mut()
            .enumerate()
            .find_map(|(index, group)| Some((index, group.remove(id)?)))?;
        chores.look_after(&self.groups[index].shared);
        if self.groups[index].len() == 0 {
            self.groups.remove(index);
            self.rebuild_routes();
        }
        Some(seat)
    }

    /// Nothing comes any more: forgets the members, so that what they share ends with the last of them.
    pub(crate) fn end(&mut self) {
        self.closed = true;
        for group in &mut self.groups {
            group.shared.members.store(Arc::default());
        }
    }

    fn rebuild_routes(&mut self) {
        self.routes
            .rebuild(self.groups.iter().map(|group| &group.filter));
    }

    /// Moves the bounds of a subscription.
    pub(crate) fn set_limits(
        &mut self,
        queue: &Queue,
        limits: (Option<usize>, Option<u64>),
        spare: Option<Spare<crate::event::Inner>>,
    ) {
        queue.set_limits(limits.0, limits.1);
        let known = self.groups.iter_mut().find(|group| group.has(queue.id));
        if let Some(group) = known {
            group.limits_moved(queue.id, spare);
        }
    }
}
