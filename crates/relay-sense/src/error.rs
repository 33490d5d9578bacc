//! What stops a detection. A kernel file that is missing or unreadable is no error: it is a value
//! that is unknown, with a note saying why.

use std::{io, path::PathBuf};

/// Why nothing could be detected at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SenseError {
    /// The folder given as root cannot be listed.
    #[error(
        "the root folder {} cannot be read: {source}; name the folder that holds proc/ and sys/, \
         normally /", .dir.display()
    )]
    Root {
        /// The folder that was given.
        dir: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A memory limit of zero bytes was configured.
    #[error(
        "a memory limit of 0 bytes is configured, in which nothing can run; configure a positive \
         number of bytes, or leave it out to use what the system allows"
    )]
    ConfiguredZero,
}
