//! `poll(2)`, and a descriptor of our own to end it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll as poll_fds};
use rustix::io::Errno;

use super::super::Answer;
use super::{Inotify, PressureFd};

/// A counter of the kernel that is readable once it was raised (`eventfd(2)`).
#[derive(Debug)]
pub(crate) struct Bell(OwnedFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(
            0,
            EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC,
        )?))
    }

    pub(crate) fn ring(&self) {
        // It fails only when the counter is full, and then whoever waits is awake.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub(crate) fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Readable (`POLLIN`) from [`wake`](crate::Waker::wake) to [`clear`](crate::Waker::clear). Linux only.
impl AsFd for crate::Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell().as_fd()
    }
}

/// One `poll(2)`, on the stack. What is not asked for is answered with nothing.
pub(crate) fn poll(
    watch: Option<&Inotify>,
    trigger: Option<&PressureFd>,
    wake: Option<&Bell>,
    timeout: Option<Duration>,
) -> io::Result<[Answer; 3]> {
    let asked = [
        watch.map(|watch| (watch.as_fd(), PollFlags::IN)),
        trigger.map(|trigger| {
            let is_priority = trigger.is_priority();
            let readiness = if is_priority {
                PollFlags::PRI
            } else {
                PollFlags::IN
            };
            (trigger.as_fd(), readiness)
        }),
        wake.map(|wake| (wake.as_fd(), PollFlags::IN)),
    ];
    // Longer than the clock counts is for ever.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    let mut answers = [Answer::default(); 3];
    let Some((any, _)) = asked.into_iter().flatten().next() else {
        unless_interrupted(poll_fds(&mut [], timeout.as_ref()))?;
        return Ok(answers);
    };
    // A place without a descriptor repeats another, asking nothing of it.
    let mut fds = asked.map(|ask| {
        let (fd, events) = ask.unwrap_or((any, PollFlags::empty()));
        PollFd::from_borrowed_fd(fd, events)
    });
    unless_interrupted(poll_fds(&mut fds, timeout.as_ref()))?;
    for ((answer, fd), ask) in answers.iter_mut().zip(&fds).zip(&asked) {
        if ask.is_some() {
            *answer = Answer::from(fd.revents());
        }
    }
    Ok(answers)
}

/// A signal ends the wait and is no mistake. The kernel leaves the answers empty then.
fn unless_interrupted(polled: rustix::io::Result<usize>) -> io::Result<()> {
    match polled {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl From<PollFlags> for Answer {
    fn from(events: PollFlags) -> Self {
        Self {
            ready: events.intersects(PollFlags::PRI | PollFlags::IN),
            ended: events.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL),
        }
    }
}
