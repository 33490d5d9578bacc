//! Being told of a stall instead of asking: where the service manager offers it, or the kernel lets us.
//!
//! It ends a wait of the pulse early, and decides nothing. The kernel tells at most once a window; a service manager may
//! tell as often as it likes, and the pulse still looks once a millisecond at most.

use crate::stall::StallConfig;
use relay_sense::{Delegated, Root, StallKind, Trigger};
use std::time::Duration;

/// The shortest window that the kernel takes from a process without privilege is a multiple of this.
const WINDOW: Duration = Duration::from_secs(2);

/// The trigger that the pulse waits on, if any; where there is none, the reason is logged for those who debug.
///
/// What the service manager offers goes first, and where it says that nobody is to watch, nobody does. Else one is
/// registered for the own group: for the share of the time from which on a stall may raise the alarm, within 2 s.
pub(crate) fn choose(offered: Delegated, config: &StallConfig, root: &Root) -> Option<Trigger> {
    if !config.enabled {
        return None;
    }
    match offered {
        Delegated::Offered(trigger) => Some(trigger),
        Delegated::Off => None,
        // A folder is not the system: what is written to its files tells nobody.
        Delegated::NotOffered if *root != Root::system() => None,
        Delegated::NotOffered => {
            let stall = WINDOW.mul_f64(config.alarm.threshold.clamp(0.0, 1.0));
            let registered = Trigger::register(root, StallKind::Some, stall, WINDOW);
            registered
                .inspect_err(|error| tracing::debug!("stalls are not told of: {error}"))
                .ok()
        }
    }
}
