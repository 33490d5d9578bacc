//! What can be changed while an engine runs.

use relay_control::{ControlConfig, Controller, InvalidConfig};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

/// Numbers of a running engine, taken over with [`Observer::retune`](crate::Observer::retune) all at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// The laws and their numbers.
    pub control: ControlConfig,
    /// How often to sample and decide, clamped to 1 ms … 10 s.
    pub interval: Duration,
    /// A softer limit in bytes, as in [`with_soft_limit`](crate::EngineBuilder::with_soft_limit).
    pub soft_limit_bytes: Option<u64>,
    /// The longest that an accepted event may wait in queues; only enforced where decisions are carried out.
    pub max_queue_delay: Option<Duration>,
}

/// What the pulse works by.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) controller: Controller,
    pub(crate) interval: Duration,
    pub(crate) soft_limit_bytes: Option<u64>,
}

/// Hands new settings to the pulse, which neither waits nor frees: it swaps the contents of the box, and the old ones
/// stay here until somebody else puts something in.
#[derive(Debug, Default)]
pub(crate) struct Mailbox(Mutex<Option<Letter>>);

#[derive(Debug)]
struct Letter {
    settings: Box<Settings>,
    taken: bool,
}

// === impl Settings ===

impl Settings {
    /// # Errors
    ///
    /// When a number is out of its range.
    pub(crate) fn try_new(
        control: ControlConfig,
        interval: Duration,
        soft_limit_bytes: Option<u64>,
    ) -> Result<Self, InvalidConfig> {
        Ok(Self {
            controller: Controller::try_new(control)?,
            interval: interval.clamp(Duration::from_millis(1), Duration::from_secs(10)),
            soft_limit_bytes,
        })
    }
}

// === impl Mailbox ===

impl Mailbox {
    pub(crate) fn put(&self, settings: Settings) {
        let letter = Letter {
            settings: Box::new(settings),
            taken: false,
        };
        // What was there is dropped after the lock is gone.
        let before = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.replace(letter)
        };
        drop(before);
    }

    /// Swaps `settings` for those that came, if any. Never waits: what is being put in now is found by the next tick.
    pub(crate) fn collect(&self, settings: &mut Settings) {
        let mut slot = match self.0.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if let Some(letter) = slot.as_mut().filter(|letter| !letter.taken) {
            std::mem::swap(settings, &mut letter.settings);
            letter.taken = true;
        }
    }
}
