//! A page of text for whoever asks why a container ended, kept up to date while it runs.
//!
//! Kubernetes shows the file `/dev/termination-log` in `kubectl describe pod`. A process that is
//! killed cannot write to it any more, so the page says all the time how things stand: mapped and
//! locked as the recording is, 2 KiB, lines of fixed width padded with spaces.

use std::{
    ffi::OsString,
    fmt::{self, Write},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};

use crate::{
    clock,
    region::Region,
    sys,
    time::{Bytes, Utc},
};

/// Size of the page.
pub const PAGE_BYTES: usize = 2048;

/// Where it is by default; Kubernetes mounts it.
pub const DEFAULT_PATH: &str = "/dev/termination-log";

/// The variable that names another place; empty for none.
pub const VARIABLE: &str = "RELAY_TERMINATION_LOG";

/// Bytes of a line, its end included.
const LINE_BYTES: usize = 128;

/// At most ten times a second.
const INTERVAL: Duration = Duration::from_millis(100);

/// The page. Writing it neither allocates nor makes a system call.
#[derive(Debug)]
pub struct TerminationPage {
    region: RegionOf,
    written_ns: Option<u64>,
}

struct RegionOf(Region);

/// How things stand, as the first line of the page says it.
///
/// ```
/// use relay_forensics::termination_page::Status;
///
/// let status = Status {
///     state: "RUNNING",
///     real_ns: 1_767_607_872_345_000_000,
///     usage_bytes: Some(64.6e6),
///     limit_bytes: Some(67.1e6),
///     slope: Some(15.9e6),
///     level: "critical",
///     scale: Some(0.25),
///     top: Some(("emitter:nats", 31e6)),
/// };
/// assert_eq!(
///     status.to_string(),
///     "relay: RUNNING last=2026-01-05T10:11:12.345Z mem=61.6 MiB/64.0 MiB (96%) slope=+15.2 MiB/s \
///      gov=critical scale=0.25 top=emitter:nats 29.6 MiB"
/// );
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Status<'a> {
    /// `RUNNING`, `DRAINING`.
    pub state: &'a str,
    /// When, in nanoseconds since 1970.
    pub real_ns: u64,
    /// Usage of memory in bytes.
    pub usage_bytes: Option<f64>,
    /// Its limit in bytes.
    pub limit_bytes: Option<f64>,
    /// Growth in bytes a second.
    pub slope: Option<f64>,
    /// Level of the governor.
    pub level: &'a str,
    /// Scale of the governor.
    pub scale: Option<f32>,
    /// Who holds most, and how many bytes.
    pub top: Option<(&'a str, f64)>,
}

// === impl TerminationPage ===

impl TerminationPage {
    /// Where the page is to be: what the variable [`VARIABLE`] says, else [`DEFAULT_PATH`] if it is
    /// there; `None` when there is to be none. `lookup` reads a variable.
    pub fn locate(lookup: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        match lookup(VARIABLE) {
            Some(path) if path.is_empty() => None,
            Some(path) => Some(path.into()),
            None => Some(PathBuf::from(DEFAULT_PATH)).filter(|path| path.exists()),
        }
    }

    /// Makes the file exactly one page long and maps it. A missing file is made.
    ///
    /// # Errors
    ///
    /// When it is no plain file, cannot be written, or the disk is full. A page that cannot be
    /// locked is used all the same.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = sys::open_page(path, PAGE_BYTES as u64)?;
        (&file).write_all(&[b' '; PAGE_BYTES])?;
        let region = Region::map(&file, PAGE_BYTES)?;
        // Not fatal: it may be late then, just when memory is short.
        let _ = region.lock();
        let mut page = Self {
            region: RegionOf(region),
            written_ns: None,
        };
        page.write(|text| write!(text, "relay: STARTING"));
        Ok(page)
    }

    /// Writes the page anew, unless it was less than 100 ms ago; `false` then. One line for each
    /// line that `fill` writes, of at most 127 bytes; what is beyond 16 lines is left out.
    pub fn update(&mut self, fill: impl FnOnce(&mut dyn Write) -> fmt::Result) -> bool {
        let now = clock::monotonic_ns();
        let due = |written: u64| now.saturating_sub(written) >= INTERVAL.as_nanos() as u64;
        let due = self.written_ns.is_none_or(due);
        if due {
            self.written_ns = Some(now);
            self.write(fill);
        }
        due
    }

    /// Writes the page for the last time.
    pub fn finish(&mut self, text: &str) {
        self.write(|page| page.write_str(text));
    }

    fn write(&mut self, fill: impl FnOnce(&mut dyn Write) -> fmt::Result) {
        let mut page = Page {
            bytes: [b' '; PAGE_BYTES],
            at: 0,
        };
        for line in page.bytes.chunks_mut(LINE_BYTES) {
            line[LINE_BYTES - 1] = b'\n';
        }
        // What could not be formatted is missing, and that is all.
        let _ = fill(&mut page);
        let (words, _) = page.bytes.as_chunks::<8>();
        for (word, bytes) in self.region.0.iter().zip(words) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for RegionOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").finish_non_exhaustive()
    }
}

// === impl Status ===

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relay: {} last={} mem=", self.state, Utc(self.real_ns))?;
        match (self.usage_bytes, self.limit_bytes) {
            (Some(usage), Some(limit)) if limit > 0.0 => {
                let percent = usage / limit * 100.0;
                write!(f, "{}/{} ({percent:.0}%)", Bytes(usage), Bytes(limit))?;
            }
            (Some(usage), _) => write!(f, "{}", Bytes(usage))?,
            _ => write!(f, "?")?,
        }
        if let Some(slope) = self.slope {
            let sign = if slope < 0.0 { '-' } else { '+' };
            write!(f, " slope={sign}{}/s", Bytes(slope.abs()))?;
        }
        write!(f, " gov={}", self.level)?;
        if let Some(scale) = self.scale {
            write!(f, " scale={scale:.2}")?;
        }
        if let Some((name, bytes)) = self.top {
            write!(f, " top={name} {}", Bytes(bytes))?;
        }
        Ok(())
    }
}

/// Lines of fixed width.
struct Page {
    bytes: [u8; PAGE_BYTES],
    at: usize,
}

impl Write for Page {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c == '\n' {
                self.at = self.at / LINE_BYTES * LINE_BYTES + LINE_BYTES;
                continue;
            }
            let c = if c.is_control() { ' ' } else { c };
            let room = LINE_BYTES - 1 - (self.at % LINE_BYTES).min(LINE_BYTES - 1);
            if self.at < PAGE_BYTES && c.len_utf8() <= room {
                c.encode_utf8(&mut self.bytes[self.at..]);
                self.at += c.len_utf8();
            } else {
                // The rest of the line is left out, also a shorter character.
                self.at = self.at / LINE_BYTES * LINE_BYTES + LINE_BYTES - 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> (tempfile::TempDir, PathBuf, TerminationPage) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("termination-log");
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        let page = TerminationPage::open(&path).unwrap();
        (folder, path, page)
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.len(), PAGE_BYTES);
        let lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(lines.len(), 16);
        lines
    }

    #[test]
    fn it_is_sixteen_lines_of_text_at_any_time() {
        let (_folder, path, mut page) = page();
        assert_eq!(lines(&path)[0], "relay: STARTING");
        assert!(page.update(|text| write!(text, "first\0line\n{}\nthird ä", "ö".repeat(100))));
        let shown = lines(&path);
        assert_eq!(shown[0], "first line");
        assert_eq!(shown[1], "ö".repeat(63));
        assert_eq!(shown[2], "third ä");
        assert!(!page.update(|text| write!(text, "too soon")));
        page.finish("relay: clean exit");
        assert_eq!(lines(&path)[0], "relay: clean exit");
        assert_eq!(lines(&path)[1], "");
    }

    #[test]
    fn more_than_the_page_holds_is_left_out() {
        let (_folder, path, mut page) = page();
        page.finish(&"a line\n".repeat(100));
        assert_eq!(lines(&path), ["a line"; 16]);
        page.finish(&"x".repeat(5000));
        assert_eq!(lines(&path)[0].len(), LINE_BYTES - 1);
        assert_eq!(lines(&path)[1], "");
    }

    #[test]
    fn updates_allocate_nothing() {
        let (_folder, _, mut page) = page();
        let status = Status {
            state: "RUNNING",
            real_ns: 1_767_607_872_345_000_000,
            usage_bytes: Some(1e6),
            limit_bytes: None,
            slope: Some(-1e6),
            level: "normal",
            scale: Some(1.0),
            top: Some(("q", 1.0)),
        };
        let counted = allocation_counter::measure(|| page.write(|text| write!(text, "{status}")));
        assert_eq!(counted.count_total, 0);
    }

    #[test]
    fn it_lies_where_the_variable_says() {
        let locate = |value: Option<&str>| TerminationPage::locate(|_| value.map(OsString::from));
        assert_eq!(locate(Some("/x/y")), Some(PathBuf::from("/x/y")));
        assert_eq!(locate(Some("")), None);
        assert_eq!(locate(None).is_some(), Path::new(DEFAULT_PATH).exists());
    }

    #[test]
    fn what_is_no_plain_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(TerminationPage::open(Path::new("/dev/null")).is_err());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("target", &link).unwrap();
        assert!(TerminationPage::open(&link).is_err());
        assert!(!folder.path().join("target").exists());
    }
}
