//! Times as RFC 3339 text, to the nanosecond.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use std::time::SystemTime;

/// Reads an RFC 3339 time, such as `2026-11-21T04:15:00.5Z`.
///
/// ```
/// use relay_event::codec::parse_time;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// assert_eq!(parse_time("1970-01-01T01:00:02.5+01:00"), Some(UNIX_EPOCH + Duration::from_millis(2500)));
/// assert_eq!(parse_time("yesterday"), None);
/// ```
pub fn parse_time(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().map(SystemTime::from)
}

/// Appends `time`, or nothing when its year cannot be written (RFC 3339 ends with 9999); says whether it did.
pub(super) fn print_time(time: SystemTime, out: &mut Vec<u8>) -> bool {
    const YEAR_ZERO_SECONDS: i64 = -62_167_219_200;
    match Timestamp::try_from(time) {
        Ok(time) if time.as_second() >= YEAR_ZERO_SECONDS => {
            DateTimePrinter::new().print_timestamp(&time, out).is_ok()
        }
        _ => false,
    }
}
