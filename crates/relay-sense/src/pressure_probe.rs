//! Whether memory pressure (PSI) can be read, and whose it would be.
//!
//! The own group's file is better, since `/proc/pressure` shows the whole machine even inside a
//! container. Groups have such files in the unified hierarchy only, which on a hybrid system is
//! another one than that which limits memory. Source: kernel `accounting/psi`, `admin-guide/cgroup-v2`.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::cgroup::{Placement, View};
use crate::{Root, file};

const SYSTEM_FILE: &str = "/proc/pressure/memory";

/// Whose pressure a file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PressureScope {
    /// That of the own control group.
    Cgroup,
    /// That of the whole machine, which others cause too.
    System,
}

/// What was found when the pressure files were tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PressureProbe {
    /// The best file that can be read, in the machine's own names; `None` where there is none.
    pub path: Option<PathBuf>,
    /// Whose pressure that file shows.
    pub scope: Option<PressureScope>,
    /// Why there is no better file, in words; `None` where the own group's can be read.
    pub reason: Option<String>,
}

pub(crate) fn probe(root: &Root, view: &View) -> PressureProbe {
    let own = match view.unified(root) {
        Placement::Seen(place) if !place.own_hidden => {
            // The true root shows the machine's pressure, so it is not the own group's.
            let is_root = !place.ancestors_hidden && place.levels.len() == 1;
            place.levels.into_iter().next().filter(|_| !is_root)
        }
        _ => None,
    };
    let mut reasons = Vec::new();
    let own = own.map(|group| format!("{group}/memory.pressure"));
    if own.is_none() {
        reasons.push("no control group of this process has pressure files".to_owned());
    }
    let candidates = [
        (own, PressureScope::Cgroup),
        (Some(SYSTEM_FILE.to_owned()), PressureScope::System),
    ];
    for (path, scope) in candidates {
        let Some(path) = path else { continue };
        match read(root, &path) {
            Ok(()) => {
                return PressureProbe {
                    path: Some(PathBuf::from(path)),
                    scope: Some(scope),
                    reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
                };
            }
            Err(reason) => reasons.push(format!("{path}: {reason}")),
        }
    }
    PressureProbe {
        path: None,
        scope: None,
        reason: Some(reasons.join("; ")),
    }
}

/// Whether a file tells pressure, and if not, why not.
fn read(root: &Root, path: &str) -> Result<(), String> {
    let text = file::read_whole(&root.path(path)).map_err(|error| explain(&error))?;
    if tells_pressure(&text) {
        Ok(())
    } else {
        Err("no line `some avg10=… total=…`".to_owned())
    }
}

/// Whether there is a line of stall totals. `full` may be missing, and further words may come.
fn tells_pressure(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n');
    lines.any(|line| {
        let mut words = line.split(u8::is_ascii_whitespace);
        words.next() == Some(b"some") && words.any(|word| word.starts_with(b"total="))
    })
}

fn explain(error: &io::Error) -> String {
    let off = rustix::io::Errno::OPNOTSUPP.raw_os_error();
    if error.raw_os_error() == Some(off) {
        "turned off in this kernel; boot it with psi=1".to_owned()
    } else if error.kind() == ErrorKind::NotFound {
        "no such file: a kernel without pressure accounting, or turned off for the group".to_owned()
    } else {
        error.to_string()
    }
}

// === impl PressureProbe ===

impl PressureProbe {
    /// Whether any pressure can be read.
    pub fn is_available(&self) -> bool {
        self.path.is_some()
    }
}

// === impl PressureScope ===

impl fmt::Display for PressureScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cgroup => "cgroup",
            Self::System => "system",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_has_it_turned_off_says_how_to_turn_it_on() {
        let off = rustix::io::Errno::OPNOTSUPP.raw_os_error();
        assert!(explain(&io::Error::from_raw_os_error(off)).contains("psi=1"));
        assert!(explain(&io::Error::from(ErrorKind::NotFound)).contains("no such file"));
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        assert_eq!(explain(&denied), denied.to_string());
    }

    #[test]
    fn texts_that_tell_pressure() {
        let some = b"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert!(tells_pressure(some));
        assert!(!tells_pressure(b""));
        assert!(!tells_pressure(
            b"full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
        ));
        assert!(!tells_pressure(b"something total=1\n"));
    }
}
