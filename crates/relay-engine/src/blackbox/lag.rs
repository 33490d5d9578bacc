//! How long the oldest event of a queue has waited, from two counts alone.
//!
//! **Problem.** An event does not note when it was queued: that would be a clock for each publish.
//!
//! **What it does.** Each event has a number: it is the n-th that was put in. Now and then the pulse notes how many were put in
//! so far, and when. When `left` events have gone out again, the oldest that waits is number `left + 1`; it was put in
//! after the last note that counted `left` or fewer. That note's age is an upper bound, exact to the distance of two notes,
//! as consumer lag is told in seconds from offsets and their times (Burrow, Kafka's `records-lag`).

use std::time::Duration;

/// Notes that are kept. When there are more, every second one goes; and they are taken at a distance of half this part of
/// the age, so that any age is covered with an error that is a small part of it.
const NOTES: usize = 64;

/// Two notes are at least so far apart.
const SPACING: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Lag {
    notes: [(Duration, u64); NOTES],
    len: usize,
}

impl Default for Lag {
    fn default() -> Self {
        Self {
            notes: [(Duration::ZERO, 0); NOTES],
            len: 0,
        }
    }
}

impl Lag {
    /// How long the oldest event has waited at `now`, at most; zero for an empty queue. `put` is how many events were
    /// ever put in, `queued` how many of them wait.
    pub(crate) fn look(&mut self, now: Duration, put: u64, queued: u64) -> Duration {
        if queued == 0 {
            self.len = 0;
            self.note(now, put);
            return Duration::ZERO;
        }
        let left = put.saturating_sub(queued);
        let known = &self.notes[..self.len];
        let after = known.iter().rposition(|(_, put)| *put <= left);
        // Before the first note nothing is known; it is as old as that at least.
        let since = known.get(after.unwrap_or(0)).map_or(now, |(at, _)| *at);
        // What was put in before has left, and its notes say nothing any more.
        let gone = after.unwrap_or(0);
        self.notes.copy_within(gone..self.len, 0);
        self.len -= gone;
        self.note(now, put);
        now.saturating_sub(since)
    }

    fn note(&mut self, now: Duration, put: u64) {
        let known = &self.notes[..self.len];
        if let (Some((first, _)), Some((last, _))) = (known.first(), known.last()) {
            let spacing = now.saturating_sub(*first) / (NOTES as u32 / 2);
            if now.saturating_sub(*last) < spacing.max(SPACING) {
                return;
            }
        }
        if self.len == NOTES {
            for index in 0..NOTES / 2 {
                self.notes[index] = self.notes[index * 2];
            }
            self.len = NOTES / 2;
        }
        self.notes[self.len] = (now, put);
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_empty_queue_has_no_lag() {
        let mut lag = Lag::default();
        assert_eq!(lag.look(ms(0), 0, 0), ms(0));
        assert_eq!(lag.look(ms(100), 50, 0), ms(0));
    }

    #[test]
    fn a_consumer_that_stopped_falls_behind_by_the_time_that_passes() {
        let mut lag = Lag::default();
        lag.look(ms(1000), 7, 0);
        for second in 2..600 {
            let age = lag.look(ms(second * 1000), 7 + second, second);
            assert_eq!(age, ms((second - 1) * 1000), "{second}");
        }
        assert!(lag.look(ms(600_000), 700, 0).is_zero());
    }

    /// Beside the true age, from a queue that knows it, under a load that swells and ebbs.
    #[test]
    fn it_is_never_less_than_the_truth_and_little_more() {
        let mut lag = Lag::default();
        let (mut queue, mut put) = (VecDeque::new(), 0_u64);
        for tick in 0..20_000_u64 {
            let now = ms(tick * 10);
            let coming = if tick / 2000 % 2 == 0 { 5 } else { 1 };
            for _ in 0..coming {
                queue.push_back(now);
                put += 1;
            }
            for _ in 0..3 {
                queue.pop_front();
            }
            let truth = queue
                .front()
                .map_or(Duration::ZERO, |at| now.saturating_sub(*at));
            let told = lag.look(now, put, queue.len() as u64);
            assert!(told >= truth, "{tick}: {told:?} for {truth:?}");
            let allowed = truth + ms(60) + truth / 8;
            assert!(told <= allowed, "{tick}: {told:?} for {truth:?}");
        }
    }
}
