//! A CPU profile of this process, on demand and bounded. Needs the feature `profile`.
//!
//! Samples every thread that uses CPU for a while and encodes what was found in pprof's format
//! (uncompressed protocol buffers), which `go tool pprof` and most viewers read.
//!
//! The profiler walks stacks inside a signal handler. That is not safe in general (tikv/pprof-rs
//! #36), so profiles are taken only when asked for, one at a time, for at most [`DURATION_MAX`],
//! never together with a panic's backtrace, and never inside libc, libgcc, libpthread or the vdso,
//! where the unwinder's locks live. Keep it out of crash handlers, and do not leave it running.

use std::{thread, time::Duration};

use pprof::{ProfilerGuardBuilder, protos::Message};

use crate::unwinder::Profiling;

/// The longest profile.
pub const DURATION_MAX: Duration = Duration::from_secs(30);
const FREQUENCY_MAX_HZ: u16 = 1000;
const NOT_SAFE_TO_INTERRUPT: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// How to take a CPU profile.
///
/// ```no_run
/// use relay_forensics::profile::CpuProfile;
/// use std::time::Duration;
///
/// let encoded = CpuProfile { duration: Duration::from_secs(5), ..CpuProfile::default() }.take()?;
/// std::fs::write("cpu.pb", encoded)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuProfile {
    /// How long to sample, at most [`DURATION_MAX`].
    pub duration: Duration,
    /// Samples for each second of CPU time, at most 1000. A prime avoids keeping step with timers.
    pub frequency_hz: u16,
    /// The largest encoded profile to hand out.
    pub max_bytes: usize,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A setting that is refused.
    #[error("profile.{field} = {value} is not allowed: {allowed}")]
    Invalid {
        /// Which setting.
        field: &'static str,
        /// What was found.
        value: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// Another profile is being taken, or a panic's backtrace.
    #[error("another profile or a panic's backtrace is being taken: try again when it is done")]
    Busy,
    /// The profiler could not start, or could not make its report.
    #[error("the profiler failed")]
    Profiler(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The profile is larger than what was allowed.
    #[error(
        "the profile has {bytes} bytes, {max_bytes} are allowed: take a shorter one or allow more"
    )]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
        /// What was allowed.
        max_bytes: usize,
    },
}

impl Default for CpuProfile {
    /// 10 s at 99 Hz, at most 8 MiB.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(10),
            frequency_hz: 99,
            max_bytes: 8 << 20,
        }
    }
}

impl CpuProfile {
    /// Samples, blocking the calling thread for `duration`, and answers the encoded profile.
    ///
    /// # Errors
    ///
    /// [`ProfileError`]: a setting out of range, another profile or a backtrace under way, a
    /// failing profiler, or a profile larger than `max_bytes`.
    pub fn take(&self) -> Result<Vec<u8>, ProfileError> {
        self.check()?;
        let _profiling = Profiling::try_start().ok_or(ProfileError::Busy)?;
        let profiler = ProfilerGuardBuilder::default()
            .frequency(i32::from(self.frequency_hz))
            .blocklist(&NOT_SAFE_TO_INTERRUPT)
            .build()
            .map_err(failed)?;
        thread::sleep(self.duration);
        let report = profiler.report().build().map_err(failed)?;
        drop(profiler);
        let profile = report.pprof().map_err(failed)?;
        let bytes = profile.encoded_len();
        if bytes > self.max_bytes {
            return Err(ProfileError::TooLarge {
                bytes,
                max_bytes: self.max_bytes,
            });
        }
        Ok(profile.encode_to_vec())
    }

    fn check(&self) -> Result<(), ProfileError> {
        if self.duration.is_zero() || self.duration > DURATION_MAX {
            return Err(ProfileError::Invalid {
                field: "duration",
                value: format!("{:?}", self.duration),
                allowed: "must be above zero and at most 30 s",
            });
        }
        if self.frequency_hz == 0 || self.frequency_hz > FREQUENCY_MAX_HZ {
            return Err(ProfileError::Invalid {
                field: "frequency_hz",
                value: self.frequency_hz.to_string(),
                allowed: "must be from 1 to 1000",
            });
        }
        Ok(())
    }
}

fn failed(error: pprof::Error) -> ProfileError {
    ProfileError::Profiler(Box::new(error))
}
