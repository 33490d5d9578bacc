//! Waiting for all of it in one `poll(2)`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::{Trigger, Watch};

/// What ended a wait; nothing of it if the time was up or a signal came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// The watch has changes to [drain](Watch::drain), which a [sample](crate::Sampler::sample) does.
    pub watch: bool,
    /// Memory has been waited for as long as the trigger says.
    pub pressure: bool,
    /// The caller's own descriptor is readable.
    pub wake: bool,
}

/// Waits until one of these has something to say, at most for `timeout` (`None`: for ever).
///
/// `wake` is a descriptor of the caller's, such as an `eventfd` by which other threads end the wait; it
/// is not read. A trigger that has ended is passed over. Without any descriptor this is a sleep.
/// Allocates nothing.
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
    wake: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    let mut trigger = trigger.filter(|trigger| !trigger.is_gone());
    let readiness = trigger.as_ref().map(|trigger| {
        if trigger.is_priority() {
            PollFlags::PRI
        } else {
            PollFlags::IN
        }
    });
    let [watched, pressed, woken] = poll_all(
        [
            watch.map(|watch| (watch.as_fd(), PollFlags::IN)),
            trigger
                .as_ref()
                .map(|trigger| trigger.as_fd())
                .zip(readiness),
            wake.map(|wake| (wake, PollFlags::IN)),
        ],
        timeout,
    )?;
    let mut ready = Ready {
        watch: !watched.is_empty(),
        pressure: pressed.intersects(PollFlags::PRI | PollFlags::IN),
        wake: !woken.is_empty(),
    };
    if let Some(trigger) = trigger.as_mut().filter(|_| !pressed.is_empty()) {
        trigger.clear();
        if pressed.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            // A trigger whose group is gone is ready for ever, and means nothing by it.
            trigger.end();
            ready.pressure = false;
        }
    }
    Ok(ready)
}

/// One `poll(2)`, on the stack. What is not asked for is answered with nothing.
fn poll_all(
    asked: [Option<(BorrowedFd<'_>, PollFlags)>; 3],
    timeout: Option<Duration>,
) -> io::Result<[PollFlags; 3]> {
    // Longer than the clock counts is for ever.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    let Some((any, _)) = asked.into_iter().flatten().next() else {
        return answer(poll(&mut [], timeout.as_ref())).map(|()| [PollFlags::empty(); 3]);
    };
    // A place without a descriptor repeats another, asking nothing of it.
    let mut fds = asked.map(|ask| {
        let (fd, events) = ask.unwrap_or((any, PollFlags::empty()));
        PollFd::from_borrowed_fd(fd, events)
    });
    answer(poll(&mut fds, timeout.as_ref()))?;
    let mut events = [PollFlags::empty(); 3];
    for ((event, fd), ask) in events.iter_mut().zip(&fds).zip(&asked) {
        if ask.is_some() {
            *event = fd.revents();
        }
    }
    Ok(events)
}

/// A signal ends the wait and is no mistake. The kernel leaves the answers empty then.
fn answer(polled: rustix::io::Result<usize>) -> io::Result<()> {
    match polled {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
