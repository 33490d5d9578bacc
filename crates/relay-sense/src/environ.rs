//! The environment that a folder holds.

use crate::{Root, file};

/// The variables a process was started with, as `/proc/self/environ` shows them.
///
/// For machines that are folders: their environment is then part of the folder, and that of the
/// running process stays out of the answer. A program that examines the system it runs on hands its
/// real environment over instead.
///
/// ```no_run
/// use relay_sense::{Detect, Environ, Root};
///
/// let root = Root::at("/srv/copy-of-a-container");
/// let environ = Environ::of(&root);
/// let detection = Detect::new(&root).environment(&|name| environ.get(name)).run()?;
/// # Ok::<(), relay_sense::SenseError>(())
/// ```
#[derive(Clone, Default)]
pub struct Environ {
    text: Vec<u8>,
}

// === impl Environ ===

impl Environ {
    /// Reads the file below `root`; where it is missing, nothing is set.
    pub fn of(root: &Root) -> Self {
        let read = || file::read_whole(&root.path("/proc/self/environ")).unwrap_or_default();
        Self {
            text: root.has_files().then(read).unwrap_or_default(),
        }
    }

    /// The value of a variable; bytes that are not UTF-8 are replaced.
    pub fn get(&self, name: &str) -> Option<String> {
        let mut pairs = self.text.split(|byte| *byte == 0);
        let value = pairs.find_map(|pair| {
            pair.strip_prefix(name.as_bytes())?
                .strip_prefix(b"=".as_slice())
        })?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// Values may be secrets.
impl std::fmt::Debug for Environ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environ").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_match_whole() {
        let environ = Environ {
            text: b"MEMORY_LIMIT_BYTES=1\0MEMORY_LIMIT=2=3\0EMPTY=\0BARE\0".to_vec(),
        };
        assert_eq!(environ.get("MEMORY_LIMIT").as_deref(), Some("2=3"));
        assert_eq!(environ.get("EMPTY").as_deref(), Some(""));
        assert_eq!(environ.get("BARE"), None);
        assert_eq!(environ.get("LIMIT"), None);
        assert_eq!(format!("{environ:?}"), "Environ { .. }");
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in any::<Vec<u8>>(), name in "\\PC{0,4}") {
            let _ = Environ { text }.get(&name);
        }
    }
}
