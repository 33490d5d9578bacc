//! What the controller is told about memory, and how sure that is.

/// A sensed value that keeps "no limit", "unknown" and "zero" apart.
///
/// ```
/// use relay_control::Reading;
///
/// assert_ne!(Reading::Known(0), Reading::Unknown);
/// assert_ne!(Reading::<u64>::NoLimit, Reading::Unknown);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading<T> {
    /// The sensor answered.
    Known(T),
    /// The sensor is silent, failed, or has not been asked yet. Never to be taken for calm.
    Unknown,
    /// The sensor answered that nothing limits this process.
    NoLimit,
}

/// One reading of memory against its limits, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What the kernel cannot take back without killing: usage less file caches and reclaimable
    /// slab.
    pub unreclaimable_bytes: u64,
    /// The hard limit: above it the kernel kills.
    pub limit_bytes: u64,
    /// A softer limit, where one is set (`memory.high`, or the operator's own).
    pub soft_limit_bytes: Option<u64>,
}

impl Memory {
    /// The smaller of the soft and the hard limit, in bytes: what the laws steer by.
    pub fn steering_limit_bytes(&self) -> u64 {
        self.soft_limit_bytes
            .map_or(self.limit_bytes, |soft| soft.min(self.limit_bytes))
    }

    /// Unreclaimable memory ÷ the smaller limit. Above 1.0 where a soft limit is exceeded.
    ///
    /// ```
    /// use relay_control::Memory;
    ///
    /// let memory = Memory { unreclaimable_bytes: 70, limit_bytes: 200, soft_limit_bytes: Some(100) };
    /// assert_eq!(memory.pressure(), 0.70);
    /// assert_eq!(memory.hard_pressure(), 0.35);
    /// ```
    pub fn pressure(&self) -> f64 {
        ratio(self.unreclaimable_bytes, self.steering_limit_bytes())
    }

    /// Unreclaimable memory ÷ the hard limit: how near the kernel is to killing.
    pub fn hard_pressure(&self) -> f64 {
        ratio(self.unreclaimable_bytes, self.limit_bytes)
    }
}

/// A limit of zero bytes is full, whatever is used: never a division by zero.
fn ratio(used_bytes: u64, limit_bytes: u64) -> f64 {
    if limit_bytes == 0 {
        1.0
    } else {
        used_bytes as f64 / limit_bytes as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_limit_steers_and_a_zero_limit_is_full() {
        let memory = |soft| Memory {
            unreclaimable_bytes: 50,
            limit_bytes: 100,
            soft_limit_bytes: soft,
        };
        assert_eq!(memory(None).pressure(), 0.5);
        assert_eq!(memory(Some(400)).pressure(), 0.5);
        assert_eq!(memory(Some(40)).pressure(), 1.25);
        assert_eq!(memory(Some(0)).pressure(), 1.0);
        assert_eq!(memory(Some(40)).hard_pressure(), 0.5);
    }
}
