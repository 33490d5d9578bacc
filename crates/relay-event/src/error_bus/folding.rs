//! Folding: in a flood, many events of one code become one event with a count.

use crate::code::Code;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many events of one code pass within a window before repeats are folded: transitions that follow each other
/// closely are all seen, a flood is not.
const BURST: u64 = 8;

/// Repeats of one code beyond the burst are counted, and the first event of the next window stands for them.
pub(super) struct Folding {
    window: Duration,
    cells: [FoldCell; Code::ALL.len()],
}

// Each number is exact by itself and no other memory rests on it, so relaxed atomics of the standard library do.
#[derive(Default)]
struct FoldCell {
    window_ms: AtomicU64,
    passed: AtomicU64,
    held_back: AtomicU64,
}

impl Folding {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            cells: std::array::from_fn(|_| FoldCell::default()),
        }
    }

    /// How many events this one stands for; `None` when it is folded into a later one.
    pub(super) fn pass(&self, code: Code, time: SystemTime) -> Option<u32> {
        let cell = &self.cells[code as usize];
        let now_ms = time
            .duration_since(UNIX_EPOCH)
            .map_or(1, |since| since.as_millis().max(1) as u64);
        let start_ms = cell.window_ms.load(Relaxed);
        // A clock that jumped back opens a window: better one event more than none for hours.
        let over = now_ms < start_ms || now_ms - start_ms >= self.window.as_millis() as u64;
        if over
            && cell
                .window_ms
                .compare_exchange(start_ms, now_ms, Relaxed, Relaxed)
                .is_ok()
        {
            cell.passed.store(1, Relaxed);
            let held_back = cell.held_back.swap(0, Relaxed);
            return Some(u32::try_from(held_back + 1).unwrap_or(u32::MAX));
        }
        if cell.passed.fetch_add(1, Relaxed) < BURST {
            return Some(1);
        }
        cell.held_back.fetch_add(1, Relaxed);
        None
    }
}
