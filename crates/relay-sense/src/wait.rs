//! Waiting for all of it in one `poll(2)`.

use std::io;
use std::time::Duration;

use crate::{Trigger, Waker, Watch, sys};

/// What ended a wait; nothing of it if the time was up or a signal came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// The watch has changes to [drain](Watch::drain), which a [sample](crate::Sampler::sample) does.
    pub watch: bool,
    /// Memory has been waited for as long as the trigger says.
    pub pressure: bool,
    /// The waker was raised, and is so until it is [cleared](Waker::clear).
    pub wake: bool,
}

/// Waits until one of these has something to say, at most for `timeout` (`None`: for ever).
///
/// A trigger that has ended is passed over. With nothing to wait for this is a sleep. Allocates nothing.
///
/// A memory group that is full of page cache counts an event for each page it takes in: the watch is
/// then ready up to 100 times a second, which is the kernel's own limit.
///
/// # Errors
///
/// What `poll(2)` answers, other than that a signal came.
pub fn wait(
    watch: Option<&Watch>,
    trigger: Option<&mut Trigger>,
    wake: Option<&Waker>,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    let mut trigger = trigger.filter(|trigger| !trigger.is_gone());
    let [watched, pressed, woken] = sys::poll(
        watch.map(Watch::inotify),
        trigger.as_ref().map(|trigger| trigger.source()),
        wake.map(Waker::bell),
        timeout,
    )?;
    let mut ready = Ready {
        watch: watched.any(),
        pressure: pressed.ready,
        wake: woken.any(),
    };
    if let Some(trigger) = trigger.as_mut().filter(|_| pressed.any()) {
        trigger.clear();
        if pressed.ended {
            // A trigger whose group is gone is ready for ever, and means nothing by it.
            trigger.end();
            ready.pressure = false;
        }
    }
    Ok(ready)
}
