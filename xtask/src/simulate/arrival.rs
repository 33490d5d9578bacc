//! What a source sends in one step: how many events, and how many bytes they have together.

use fastrand::Rng;
use std::time::Duration;

use super::scenario::{Arrivals, Sizes, Source};

/// From so many events on their sum is as good as normally distributed.
const MANY: u64 = 30;

const PARETO_EXPONENT: f64 = 1.5;
const PARETO_CUT: f64 = 256.0;

/// A source and its fraction of an event that is still to come.
#[derive(Debug)]
pub(super) struct Arrival {
    source: Source,
    owed: f64,
    /// A source of bursts does not burst together with the others.
    offset: Duration,
}

impl Arrival {
    pub(super) fn new(source: Source, rng: &mut Rng) -> Self {
        Self {
            source,
            owed: rng.f64(),
            offset: Duration::from_millis(rng.u64(..1000)),
        }
    }

    pub(super) fn class(&self) -> u8 {
        self.source.class
    }

    /// Events, and their average size, out of `load_bytes` that all sources send in this step.
    pub(super) fn draw(&mut self, load_bytes: f64, now: Duration, rng: &mut Rng) -> (u64, f64) {
        let size = self.source.event.0 as f64;
        let mean = load_bytes * self.source.share * self.burst(now) / size;
        let events = match self.source.arrivals {
            Arrivals::Steady => {
                self.owed += mean;
                let whole = self.owed.floor();
                self.owed -= whole;
                whole as u64
            }
            Arrivals::Poisson | Arrivals::Bursts => poisson(mean, rng),
        };
        if events == 0 {
            return (0, size);
        }
        (events, size * average(self.source.sizes, events, rng))
    }

    fn burst(&self, now: Duration) -> f64 {
        if self.source.arrivals != Arrivals::Bursts {
            return 1.0;
        }
        let in_second = (now + self.offset).subsec_millis();
        if in_second < 200 { 3.0 } else { 0.5 }
    }
}

/// The average of `events` sizes whose mean is 1.
fn average(sizes: Sizes, events: u64, rng: &mut Rng) -> f64 {
    let each = |draw: &mut dyn FnMut(&mut Rng) -> f64, rng: &mut Rng| {
        let sum: f64 = (0..events).map(|_| draw(rng)).sum();
        sum / events as f64
    };
    match sizes {
        Sizes::Fixed => 1.0,
        Sizes::Exponential if events < MANY => each(&mut |rng| -(1.0 - rng.f64()).ln(), rng),
        Sizes::Exponential => (1.0 + normal(rng) / (events as f64).sqrt()).max(0.1),
        Sizes::Pareto if events < MANY => each(&mut |rng| pareto(rng) / pareto_moment(1.0), rng),
        Sizes::Pareto => {
            let variance = pareto_moment(2.0) / pareto_moment(1.0).powi(2) - 1.0;
            (1.0 + normal(rng) * (variance / events as f64).sqrt()).max(0.3)
        }
    }
}

/// From 1 to the cut, by inversion.
fn pareto(rng: &mut Rng) -> f64 {
    let tail = PARETO_CUT.powf(-PARETO_EXPONENT);
    (1.0 - rng.f64() * (1.0 - tail)).powf(-1.0 / PARETO_EXPONENT)
}

/// The mean of its `n`-th power.
fn pareto_moment(n: f64) -> f64 {
    let a = PARETO_EXPONENT;
    let tail = PARETO_CUT.powf(-a);
    a / (a - n) * (1.0 - PARETO_CUT.powf(n - a)) / (1.0 - tail)
}

/// Knuth's product for few, a rounded normal for many.
fn poisson(mean: f64, rng: &mut Rng) -> u64 {
    if mean > MANY as f64 {
        return (mean + normal(rng) * mean.sqrt()).round().max(0.0) as u64;
    }
    let bound = (-mean).exp();
    let mut product = rng.f64();
    let mut count = 0;
    while product > bound {
        product *= rng.f64();
        count += 1;
    }
    count
}

/// Box and Muller's transform, one of its two.
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    #[test]
    fn every_source_sends_what_it_is_meant_to() {
        let mut rng = Rng::with_seed(1);
        for arrivals in [Arrivals::Steady, Arrivals::Poisson, Arrivals::Bursts] {
            for sizes in [Sizes::Fixed, Sizes::Exponential, Sizes::Pareto] {
                for event in [256, 65_536] {
                    let source = Source {
                        class: 1,
                        share: 0.5,
                        event: Bytes(event),
                        sizes,
                        arrivals,
                    };
                    let mut arrival = Arrival::new(source, &mut rng);
                    let sum: f64 = (0..30_000_u32)
                        .map(|step| {
                            let now = Duration::from_millis(2) * step;
                            let (events, size) = arrival.draw(40_000.0, now, &mut rng);
                            events as f64 * size
                        })
                        .sum();
                    let share = sum / (30_000.0 * 20_000.0);
                    assert!(
                        (share - 1.0).abs() < 0.12,
                        "{share} {arrivals:?} {sizes:?} {event}"
                    );
                }
            }
        }
    }
}
