//! The account of one subscription: `offered = delivered + dropped by reason + queued + in flight`.

/// Why a subscription did not deliver an event that was offered to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Its queue was full, and the newest gives way.
    Full,
    /// Its queue was full, and the oldest gave way.
    Oldest,
    /// Its early-drop policy said so.
    Early,
    /// Memory was critical, and it may be shed.
    Shed,
    /// The receiver refused it for good.
    Rejected,
    /// The receiver gave up after its last attempt.
    Exhausted,
    /// The receiver went away while it held the event, or the deadline of a shutdown passed.
    Abandoned,
    /// The subscription ended while the event was queued.
    Unsubscribed,
}

impl DropReason {
    /// Every reason, in a fixed order: the order of counters.
    pub const ALL: [Self; 8] = [
        Self::Full,
        Self::Oldest,
        Self::Early,
        Self::Shed,
        Self::Rejected,
        Self::Exhausted,
        Self::Abandoned,
        Self::Unsubscribed,
    ];

    /// The stable name, as in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Oldest => "oldest",
            Self::Early => "early",
            Self::Shed => "shed",
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
            Self::Abandoned => "abandoned",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

/// How a queue stands, for a control loop: read without a lock or an allocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueuePressure {
    /// Events that wait.
    pub queued_events: u64,
    /// Accounted bytes that wait.
    pub queued_bytes: u64,
    /// The bound in events.
    pub limit_events: u64,
    /// The bound in bytes.
    pub limit_bytes: u64,
    /// Publishers that wait for room.
    pub waiting_publishers: usize,
    /// How often a publisher was turned away, or made to wait, because there was no room.
    pub turned_away: u64,
    /// Events that were put in, ever: their numbers, from 1, are their order.
    pub put_events: u64,
    /// Events that the receiver has finished with, ever.
    pub delivered_events: u64,
    pub(crate) dropped: [u64; DropReason::ALL.len()],
}

impl QueuePressure {
    /// Events dropped for this reason, by publishing or by the receiver.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// How full it is, from 0 to 1: the larger of events and bytes.
    pub fn occupancy(&self) -> f64 {
        let queued = (self.queued_events, self.queued_bytes);
        occupancy(queued, (self.limit_events, self.limit_bytes))
    }
}

/// What a subscription has done and holds: exact at any moment of quiet; beside running threads an event may still show
/// as on its way that has already arrived.
#[derive(Debug, Clone)]
pub struct SubscriptionStats {
    /// The name it was given.
    pub name: String,
    /// Its number on the bus, never used again.
    pub id: u64,
    /// Whether it must get every event, or may be shed.
    pub reliable: bool,
    /// Events that matched and were offered.
    pub offered: u64,
    /// Events that the receiver has finished with.
    pub delivered: u64,
    /// Accounted bytes of those.
    pub delivered_bytes: u64,
    /// Payload bytes of those that were received in batches.
    pub delivered_payload_bytes: u64,
    /// Events that wait.
    pub queued_events: usize,
    /// Accounted bytes that wait.
    pub queued_bytes: u64,
    /// Events that the receiver has taken and not finished with.
    pub in_flight: u64,
    /// The bound in events.
    pub limit_events: usize,
    /// The bound in bytes.
    pub limit_bytes: u64,
    pub(crate) dropped: [u64; DropReason::ALL.len()],
}

impl SubscriptionStats {
    /// Events dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Events dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Whether every event that was offered is accounted for.
    pub fn is_closed(&self) -> bool {
        self.offered
            == self.delivered + self.dropped_total() + self.queued_events as u64 + self.in_flight
    }

    /// How full it is, from 0 to 1: the larger of events and bytes.
    pub fn occupancy(&self) -> f64 {
        let queued = (self.queued_events as u64, self.queued_bytes);
        occupancy(queued, (self.limit_events as u64, self.limit_bytes))
    }
}

/// How full a queue is, from 0 to 1, from its events and bytes and their bounds: the larger of the two.
pub(crate) fn occupancy(queued: (u64, u64), limits: (u64, u64)) -> f64 {
    let part = |used: u64, limit: u64| used as f64 / limit.max(1) as f64;
    part(queued.0, limits.0).max(part(queued.1, limits.1))
}
