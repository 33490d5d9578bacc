//! Standard output.

use super::lines::LineSink;
use std::io::{self, Write};

/// Writes lines to standard output.
#[derive(Debug, Default)]
pub struct StdoutSink;

impl LineSink for StdoutSink {
    fn kind(&self) -> &'static str {
        "stdout"
    }

    fn name(&self) -> String {
        "standard output".into()
    }

    fn open(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(lines)?;
        stdout.flush()
    }
}
