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
