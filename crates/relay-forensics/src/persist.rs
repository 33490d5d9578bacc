//! Writes the recording to the disk now and then, for the case of a power cut.
//!
//! A kill needs none of this: the pages are the kernel's. After a power cut what was not yet
//! written is gone, up to 20 s of it when it is left to the kernel (measured), at most the period
//! here. It is a thread of its own because `fdatasync(2)` takes milliseconds and may take seconds.

use std::{
    fs::File,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

/// The thread; ends and is joined when this is dropped.
#[derive(Debug)]
pub(crate) struct Persist {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Persist {
    pub(crate) fn start(file: File, period: Duration) -> io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let thread = thread::Builder::new()
            .name("relay-fdr-sync".into())
            .stack_size(64 << 10)
            .spawn({
                let stop = Arc::clone(&stop);
                move || {
                    while !stop.wait(period) {
                        // A disk that fails is reported by whoever needs it; the recording goes on.
                        let _ = file.sync_data();
                    }
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Persist {
    fn drop(&mut self) {
        *self.stop.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Stop {
    /// Whether it was stopped within the period.
    fn wait(&self, period: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let (stopped, _) = self
            .changed
            .wait_timeout_while(stopped, period, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        *stopped
    }
}
