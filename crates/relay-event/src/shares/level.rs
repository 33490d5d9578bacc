//! Max-min fairness: how much each may have.

/// The largest level at which all together get `capacity`, if each gets what it asks for up to the level; `None` when
/// there is enough for all.
///
/// Each pass settles those below the mean of what is left and divides the rest among the others, so the level only
/// rises, and after as many passes as there are different demands, usually three or four, nobody is below it.
pub(super) fn water_level(
    asked: &(impl Iterator<Item = u32> + Clone),
    capacity: u32,
) -> Option<u32> {
    let capacity = u64::from(capacity);
    let mut level = 0;
    loop {
        let (mut satisfied, mut greedy) = (0_u64, 0_u64);
        for asked in asked.clone().map(u64::from) {
            if asked > level {
                greedy += 1;
            } else {
                satisfied += asked;
            }
        }
        if greedy == 0 {
            return None;
        }
        let next = capacity.saturating_sub(satisfied) / greedy;
        if next <= level {
            return Some(u32::try_from(level).unwrap_or(u32::MAX));
        }
        level = next;
    }
}
