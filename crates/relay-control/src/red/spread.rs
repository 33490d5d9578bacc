//! Drops at even distances: as many as the curve says, without runs and without gaps.
//!
//! **Problem.** When each event is dropped with probability `p` on its own, the distances between
//! drops are geometric: runs of drops hit one sender, and long gaps let the queue grow on.
//!
//! **Equation.** With `k` events admitted since the last drop:
//!
//! ```text
//! q      = p ÷ (2 − p)
//! hazard = q ÷ (1 − k · q)          1 from k · q ≥ 1 − q on
//! ```
//!
//! The distance to the next drop is then uniform from 1 to `1 ÷ q`, and `1 ÷ p` on average.
//!
//! **Source.** Floyd and Jacobson (1993), §7, who count on every packet since the last marked one.
//! We deviate in `q`: with their `p` in its place almost twice as many are dropped as the curve says.

use super::CLASSES;

/// The events of each class since its last drop.
///
/// ```
/// use relay_control::{DropSpread, Red, RedConfig};
///
/// let red = Red::try_new(RedConfig::classic())?;
/// let mut spread = DropSpread::default();
/// let p = red.probability_for(0.8, 1);
/// // With the worst of luck, 15 % are still no more than twelve events apart.
/// let first = (1..).find(|_| spread.drops(p, 1, 0.999_999)).unwrap();
/// assert!(first <= 13, "{first}");
/// # Ok::<(), relay_control::InvalidConfig>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct DropSpread {
    admitted: [u32; CLASSES],
}

impl DropSpread {
    /// Drop an event of this class, given how likely its class is dropped now? `chance` is a uniform
    /// draw from 0 (included) to 1 (excluded). A class above the highest counts as the highest.
    pub fn drops(&mut self, probability: f64, class: usize, chance: f64) -> bool {
        let admitted = &mut self.admitted[class.min(CLASSES - 1)];
        if probability <= 0.0 {
            *admitted = 0;
            return false;
        }
        let q = probability / (2.0 - probability.min(1.0));
        let remaining = 1.0 - f64::from(*admitted) * q;
        let drops = remaining <= q || chance * remaining < q;
        *admitted = if drops { 0 } else { admitted.saturating_add(1) };
        drops
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The distances between drops over so many events.
    fn distances(p: f64, events: u32, seed: u64) -> Vec<u32> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut spread = DropSpread::default();
        let mut distance = 0;
        let mut found = Vec::new();
        for _ in 0..events {
            distance += 1;
            if spread.drops(p, 0, rng.f64()) {
                found.push(std::mem::take(&mut distance));
            }
        }
        found
    }

    /// P02, AJ10: on the whole exactly the curve.
    #[test]
    fn the_share_of_drops_is_the_probability() {
        for p in [0.01, 0.075, 0.15, 0.225, 0.30, 0.65, 0.95, 1.0] {
            let share = distances(p, 200_000, 3).len() as f64 / 200_000.0;
            assert!((share / p - 1.0).abs() < 0.05, "{share} for {p}");
        }
    }

    #[test]
    fn distances_are_even_where_independent_draws_leave_gaps() {
        let (p, q) = (0.15, 0.15 / 1.85);
        let even = distances(p, 100_000, 5);
        assert!(even.iter().all(|d| f64::from(*d) <= 1.0 / q + 1.0));
        let mut rng = fastrand::Rng::with_seed(5);
        let mut gap = 0;
        let mut longest = 0;
        for _ in 0..100_000 {
            gap = if rng.f64() < p { 0 } else { gap + 1 };
            longest = longest.max(gap);
        }
        assert!(longest > 3 * even.iter().max().unwrap(), "{longest}");
    }

    #[test]
    fn classes_are_counted_apart_and_calm_forgets() {
        let mut spread = DropSpread::default();
        for _ in 0..11 {
            spread.drops(0.15, 0, 0.999);
        }
        assert!(
            !spread.drops(0.15, 1, 0.5),
            "another class is at its beginning"
        );
        assert!(spread.drops(0.15, 0, 0.5));
        for _ in 0..11 {
            spread.drops(0.15, 0, 0.999);
        }
        spread.drops(0.0, 0, 0.0);
        assert!(!spread.drops(0.15, 0, 0.5));
    }

    proptest! {
        #[test]
        fn certainty_drops_and_impossibility_does_not(class in 0_usize..9, chance in 0.0_f64..1.0) {
            let mut spread = DropSpread::default();
            for _ in 0..50 {
                prop_assert!(spread.drops(1.0, class, chance));
                prop_assert!(!spread.drops(0.0, class, chance));
            }
        }
    }
}
