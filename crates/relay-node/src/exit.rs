//! How the process ends, as documented constants: scripts and orchestrators decide by them.

/// Everything asked for was done; a node that drained and stopped ends so too.
pub const SUCCESS: u8 = 0;

/// It could not be done: an address in use, a target that failed, an account that does not close.
pub const FAILURE: u8 = 1;

/// The command line or the configuration is wrong; starting again changes nothing.
pub const USAGE: u8 = 2;

/// The node drained and ended by itself, since memory was about to pass the limit all the same.
/// Starting again is right: the value is `EX_TEMPFAIL` of `sysexits.h`.
pub const EMERGENCY: u8 = 75;

/// `relay blackbox why`: the process was killed for memory.
pub const KILLED_FOR_MEMORY: u8 = 10;

/// `relay blackbox why`: a panic ended the process.
pub const PANICKED: u8 = 11;

/// `relay blackbox why`: a fatal signal ended the process.
pub const FATAL_SIGNAL: u8 = 12;

/// `relay blackbox why`: the machine lost power or was restarted.
pub const REBOOTED: u8 = 13;

/// `relay blackbox why`: the process was killed otherwise, or the recording does not tell.
pub const KILLED_OR_UNKNOWN: u8 = 14;
