//! Control characters made visible.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// Writes `value` with every control character as its Rust escape, such as `\n` or `\u{1b}`.
pub(super) fn write_escaped(writer: &mut dyn fmt::Write, value: &dyn fmt::Debug) -> fmt::Result {
    write!(Escaping(writer), "{value:?}")
}

struct Escaping<'w>(&'w mut dyn fmt::Write);

/// Escapes what JSON does not have to: DEL and the C1 controls, which terminals obey.
///
/// Each write is one line of JSON, where those characters can only stand in a string.
pub(super) struct EscapeLines<W>(pub(super) W);

/// One line's writer.
pub(super) struct EscapeLine<W>(W);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| {
            if c.is_control() {
                write!(self.0, "{}", c.escape_default())
            } else {
                self.0.write_char(c)
            }
        })
    }
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for EscapeLines<W> {
    type Writer = EscapeLine<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        EscapeLine(self.0.make_writer())
    }
}

impl<W: Write> Write for EscapeLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Ok(text) = std::str::from_utf8(line) else {
            return self.0.write(line);
        };
        let is_hidden = |c: char| c.is_control() && c != '\n';
        if text.contains(is_hidden) {
            let mut escaped = String::with_capacity(line.len() + 16);
            for c in text.chars() {
                if is_hidden(c) {
                    // Writing to a string cannot fail.
                    let _ = write!(escaped, "\\u{:04x}", u32::from(c));
                } else {
                    escaped.push(c);
                }
            }
            self.0.write_all(escaped.as_bytes())?;
        } else {
            self.0.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
