//! What the machine has.

use crate::{Root, file, sys, text};

/// `MemTotal` of `/proc/meminfo`, in bytes.
///
/// One line is all that is asked, so that the shorter files of sandboxes and containers serve too.
pub(crate) fn total_bytes(root: &Root, notes: &mut Vec<String>) -> Option<u64> {
    if !root.has_files() {
        let bytes = sys::total_memory_bytes();
        if bytes.is_none() {
            notes.push(format!("physical memory {}", sys::NOT_AVAILABLE));
        }
        return bytes;
    }
    let path = root.path("/proc/meminfo");
    let parsed = match file::read_whole(&path) {
        // Some sandboxes print zero for what they do not tell; a machine without memory runs nothing.
        Ok(text) => parse_total(&text)
            .filter(|bytes| *bytes > 0)
            .ok_or_else(|| "no line `MemTotal: … kB` above zero".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    parsed
        .inspect_err(|reason| {
            notes.push(format!(
                "{}: {reason}: physical memory unknown",
                path.display()
            ));
        })
        .ok()
}

fn parse_total(text: &[u8]) -> Option<u64> {
    let line = text
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"MemTotal:"))?;
    let kibibytes = line.trim_ascii().strip_suffix(b"kB")?;
    text::number(kibibytes.trim_ascii())?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn total_is_read_in_bytes() {
        assert_eq!(
            parse_total(b"MemTotal:       24684092 kB\nMemFree: 1 kB\n"),
            Some(25_276_510_208)
        );
        assert_eq!(parse_total(b"MemFree: 1 kB\n"), None);
        assert_eq!(parse_total(b"MemTotal: 18446744073709551615 kB\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in any::<Vec<u8>>()) {
            let _ = parse_total(&[b"MemTotal:", &text[..]].concat());
        }
    }
}
