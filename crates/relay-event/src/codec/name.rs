//! Names of headers as names of `CloudEvents` extension attributes.
//!
//! An attribute name has lower-case ASCII letters and digits only. A header whose name is of another shape, or is
//! that of an attribute we write ourselves, travels under `relayx` and the hexadecimal digits of its name: nothing
//! is lost, and strict readers accept it.

const PREFIX: &str = "relayx";

/// Attributes that are parts of the event itself and no headers.
const OWN: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "data",
    "relaypriority",
    "correlationid",
    "causationid",
    PREFIX,
];

/// Whether a header can be written under its own name.
pub(super) fn is_plain(name: &str) -> bool {
    let shape = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !name.is_empty() && name.bytes().all(shape) && !name.starts_with(PREFIX) && !OWN.contains(&name)
}

/// Appends the attribute name for a header that is not plain.
pub(super) fn escape(name: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(PREFIX.as_bytes());
    for byte in name.bytes() {
        out.extend([
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]);
    }
}

/// The header that an attribute name stands for, when it is an escaped one.
pub(super) fn unescape(attribute: &str) -> Option<String> {
    let digits = attribute.strip_prefix(PREFIX)?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}
