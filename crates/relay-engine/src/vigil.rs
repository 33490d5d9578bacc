//! Keeping a monitor alive: one that panics is started again.
//!
//! An engine without its pulse is blind, and a panic there is a defect, not a reason to be blind. So it goes on after a
//! back-off, as often as the start limit allows; after that somebody else has to decide.

use relay_control::{Backoff, BackoffConfig, InvalidConfig, StartLimit, StartLimitConfig};
use relay_forensics::PanicGuard;
use std::thread;
use std::time::{Duration, Instant};

/// How a monitor is started again.
pub(crate) struct Vigil {
    component: &'static str,
    guard: PanicGuard,
    backoff: Backoff,
    limit: StartLimit,
}

impl Vigil {
    /// After 10 ms, and up to a second, ten times a minute at most: what a monitor decides is missing meanwhile.
    ///
    /// # Errors
    ///
    /// Never with these numbers.
    pub(crate) fn over(component: &'static str, guard: PanicGuard) -> Result<Self, InvalidConfig> {
        let backoff = BackoffConfig {
            initial: Duration::from_millis(10),
            max: Duration::from_secs(1),
            min: Duration::from_millis(1),
            ..BackoffConfig::default()
        };
        Ok(Self {
            component,
            guard,
            backoff: Backoff::try_new(backoff)?,
            limit: StartLimit::try_new(StartLimitConfig::default())?,
        })
    }

    /// Runs `monitor` until it returns by itself; `false` when it panics too often.
    pub(crate) fn keep(mut self, mut monitor: impl FnMut()) -> bool {
        let began = Instant::now();
        loop {
            let lived = Instant::now();
            if self.guard.wrap_thread(self.component, &mut monitor)().is_ok() {
                return true;
            }
            if self.limit.try_start(began.elapsed()).is_err() {
                return false;
            }
            self.backoff.run(lived.elapsed());
            thread::sleep(self.backoff.fail(fastrand::f64()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    fn vigil() -> (Vigil, Arc<AtomicU32>) {
        let panics = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&panics);
        let guard = PanicGuard::new(move |_| {
            seen.fetch_add(1, Relaxed);
        });
        (Vigil::over("monitor:test", guard).unwrap(), panics)
    }

    /// M05.
    #[test]
    fn a_monitor_that_panics_goes_on_with_what_it_knew() {
        let (vigil, panics) = vigil();
        let mut runs = 0;
        assert!(vigil.keep(|| {
            runs += 1;
            assert!(runs > 2, "on purpose");
        }));
        assert_eq!((runs, panics.load(Relaxed)), (3, 2));
    }

    #[test]
    fn one_that_panics_again_and_again_is_given_up() {
        let (mut vigil, panics) = vigil();
        let limit = StartLimitConfig {
            burst: 3,
            warn: 3,
            ..StartLimitConfig::default()
        };
        vigil.limit = StartLimit::try_new(limit).unwrap();
        assert!(!vigil.keep(|| panic!("on purpose")));
        assert_eq!(panics.load(Relaxed), 4, "the first start and three more");
    }
}
