//! A fence for two sides of which one is much more frequent.
//!
//! Where each of two threads writes a flag and then looks at the other's, both need a full barrier (Dekker). It costs
//! 8 ns. If one side is rare, the kernel can put a barrier into every running thread for it: `membarrier(2)`, private
//! expedited, Linux 4.14. Then the frequent side only has to keep the compiler from reordering. Where the call is
//! missing or forbidden, both sides use the full barrier.

use crate::sync::atomic::{Ordering::SeqCst, fence};

/// The frequent side: orders its writes before its reads as seen by a thread in [`heavy`].
#[inline]
pub(crate) fn light() {
    #[cfg(all(target_os = "linux", not(any(relay_loom, relay_portable))))]
    if linux::is_available() {
        return std::sync::atomic::compiler_fence(SeqCst);
    }
    fence(SeqCst);
}

/// The rare side.
pub(crate) fn heavy() {
    fence(SeqCst);
    #[cfg(all(target_os = "linux", not(any(relay_loom, relay_portable))))]
    linux::barrier();
}

#[cfg(all(target_os = "linux", not(any(relay_loom, relay_portable))))]
mod linux {
    use rustix::thread::{MembarrierCommand, membarrier};
    use std::sync::atomic::{AtomicU8, Ordering::Acquire, Ordering::Release};

    const UNKNOWN: u8 = 0;
    const AVAILABLE: u8 = 1;
    const MISSING: u8 = 2;

    /// Once decided it never changes: the two sides must agree. Whoever reads `UNKNOWN` decides by registering, which is
    /// idempotent, and the kernel gives every thread the same answer.
    static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

    #[inline]
    pub(super) fn is_available() -> bool {
        match STATE.load(Acquire) {
            AVAILABLE => true,
            MISSING => false,
            _ => decide(),
        }
    }

    #[cold]
    fn decide() -> bool {
        let registered = membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
            && membarrier(MembarrierCommand::PrivateExpedited).is_ok();
        let state = if registered { AVAILABLE } else { MISSING };
        // The first decision stands, also against a seccomp filter that was installed in between.
        match STATE.compare_exchange(UNKNOWN, state, Release, Acquire) {
            Ok(_) => registered,
            Err(decided) => decided == AVAILABLE,
        }
    }

    pub(super) fn barrier() {
        if is_available() {
            // It was possible when it was decided, and a registered process cannot lose it but by a later seccomp filter.
            let done = membarrier(MembarrierCommand::PrivateExpedited);
            debug_assert!(done.is_ok(), "membarrier was available and no longer is");
        }
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn the_kernel_of_the_tests_has_it() {
            assert!(super::is_available());
            super::barrier();
        }
    }
}
