//! Keeping a thread's stack in memory.
//!
//! At the limit a thread that touches a page for the first time is made to reclaim memory for it, which stalls it for
//! 100 to 200 ms (measured), just when it is needed. A stack that was touched and locked beforehand never faults.

use std::hint::black_box;
use std::io;
use std::mem::MaybeUninit;

use crate::sys;

/// How much of the stack is locked; the frames of a loop that samples and decides fit into a quarter of it.
const LOCKED_BYTES: usize = 128 * 1024;

/// Touches the next 128 KiB of the calling thread's stack and locks them in memory, for the life of the stack.
///
/// For a thread that must run when memory is short. Its stack has to be larger than that (256 KiB will do), and what
/// is locked counts as used memory.
///
/// ```
/// let thread = std::thread::Builder::new().stack_size(256 * 1024);
/// let locked = thread.spawn(|| relay_sense::lock_stack()).expect("a thread");
/// if let Err(error) = locked.join().expect("it does not panic") {
///     println!("not locked: {error}");
/// }
/// ```
///
/// # Errors
///
/// On systems other than Linux always [`Unsupported`](io::ErrorKind::Unsupported). On Linux
/// what `mlock(2)` answers: `ENOMEM` or `EPERM` where `RLIMIT_MEMLOCK` is too small. The stack has been touched all
/// the same.
// The point of it is to be large.
#[allow(clippy::large_stack_arrays)]
#[inline(never)]
pub fn lock_stack() -> io::Result<()> {
    let mut frame = [MaybeUninit::<u8>::uninit(); LOCKED_BYTES];
    for page in frame.chunks_mut(4096) {
        page[0].write(0);
    }
    let frame = black_box(&mut frame);
    // It stays locked when the frame is gone: the pages remain those of this thread's stack.
    sys::lock_memory(frame)
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(relay_portable)))]
mod tests {
    /// What the kernel says of the locked memory of this process, in KiB.
    fn locked_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmLck:"));
        let mut words = line.unwrap().split_whitespace();
        words.nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn a_locked_stack_counts_as_locked() {
        let before = locked_kib();
        let thread = std::thread::Builder::new().stack_size(256 * 1024);
        let during = thread.spawn(|| {
            super::lock_stack().unwrap();
            locked_kib()
        });
        let during = during.unwrap().join().unwrap();
        assert!(during >= before + 128, "{before} KiB, then {during}");
    }
}
