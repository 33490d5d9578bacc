//! The known name that a mistyped one most likely means.

/// The nearest of `known`, when it is near enough to be meant: a third of the letters may differ.
pub(crate) fn of<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let distance = |known: &str| {
        let same_case = strsim::damerau_levenshtein(
            &name.to_lowercase().replace('-', "_"),
            &known.to_lowercase(),
        );
        (same_case, known.len())
    };
    let (distance, nearest) = known
        .into_iter()
        .map(|known| (distance(known), known))
        .min_by_key(|(d, _)| *d)?;
    let tolerated = (name.chars().count() / 3).max(1);
    (distance.0 <= tolerated).then(|| nearest.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["interval", "max_queue_delay", "mode"];
        assert_eq!(super::of("intervall", known).as_deref(), Some("interval"));
        assert_eq!(
            super::of("max-queue-delay", known).as_deref(),
            Some("max_queue_delay")
        );
        assert_eq!(super::of("MODE", known).as_deref(), Some("mode"));
        assert_eq!(super::of("colour", known), None);
        assert_eq!(super::of("x", []), None);
    }
}
