//! Memory as the kernel counts it: what is live, and the pages that the allocator keeps.

use std::collections::VecDeque;
use std::time::Duration;

/// Freed pages are remembered in lots of this length: a run of a minute has at most 600.
const LOT: Duration = Duration::from_millis(100);

/// A process's pages.
#[derive(Debug)]
pub(super) struct Memory {
    keeps: Duration,
    live: f64,
    /// Freed pages, by when they go back to the kernel.
    kept: VecDeque<(Duration, f64)>,
    kept_bytes: f64,
}

impl Memory {
    pub(super) fn new(base_bytes: f64, keeps: Duration) -> Self {
        Self {
            keeps,
            live: base_bytes,
            kept: VecDeque::new(),
            kept_bytes: 0.0,
        }
    }

    /// So much is live from now on. Kept pages are used again before new ones are taken.
    pub(super) fn set_live(&mut self, bytes: f64, now: Duration) {
        let grown = bytes - self.live;
        self.live = bytes;
        if grown > 0.0 {
            self.reuse(grown);
        } else if grown < 0.0 && !self.keeps.is_zero() {
            self.keep(-grown, now);
        }
        while let Some((until, bytes)) = self.kept.front()
            && *until <= now
        {
            self.kept_bytes -= bytes;
            self.kept.pop_front();
        }
    }

    /// Gives this share of the kept pages back.
    pub(super) fn purge(&mut self, share: f64) {
        for (_, bytes) in &mut self.kept {
            *bytes *= 1.0 - share;
        }
        self.kept_bytes *= 1.0 - share;
    }

    pub(super) fn live_bytes(&self) -> f64 {
        self.live
    }

    pub(super) fn resident_bytes(&self) -> f64 {
        self.live + self.kept_bytes.max(0.0)
    }

    fn reuse(&mut self, mut wanted: f64) {
        while wanted > 0.0
            && let Some((_, bytes)) = self.kept.back_mut()
        {
            let taken = bytes.min(wanted);
            *bytes -= taken;
            wanted -= taken;
            self.kept_bytes -= taken;
            if *bytes <= 0.0 {
                self.kept.pop_back();
            }
        }
    }

    fn keep(&mut self, bytes: f64, now: Duration) {
        self.kept_bytes += bytes;
        let until = now + self.keeps;
        match self.kept.back_mut() {
            Some((last, lot)) if until < *last + LOT => *lot += bytes,
            _ => self.kept.push_back((until, bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn freed_pages_stay_for_a_while_are_used_again_and_can_be_purged() {
        let mut memory = Memory::new(10.0, 2 * S);
        memory.set_live(110.0, S);
        memory.set_live(10.0, 2 * S);
        assert_eq!(memory.resident_bytes(), 110.0);
        memory.set_live(40.0, 3 * S);
        assert_eq!(
            (memory.live_bytes(), memory.resident_bytes()),
            (40.0, 110.0)
        );
        memory.purge(0.5);
        assert_eq!(memory.resident_bytes(), 75.0);
        memory.set_live(40.0, 4 * S);
        assert_eq!(memory.resident_bytes(), 40.0);
    }

    #[test]
    fn without_keeping_memory_is_what_is_live() {
        let mut memory = Memory::new(10.0, Duration::ZERO);
        memory.set_live(90.0, S);
        memory.set_live(20.0, S);
        assert_eq!(memory.resident_bytes(), 20.0);
    }

    #[test]
    fn lots_are_bounded_by_their_length() {
        let mut memory = Memory::new(1e9, 20 * S);
        for ms in 0..20_000_u32 {
            memory.set_live(1e9 - f64::from(ms), Duration::from_millis(1) * ms);
        }
        assert!(memory.kept.len() <= 201, "{}", memory.kept.len());
    }
}
