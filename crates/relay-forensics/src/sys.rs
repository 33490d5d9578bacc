//! The seam between Linux and the rest; both sides have the same names. What makes a folder safe is in
//! [`place`](crate::place), on the same two sides.

#[cfg(all(target_os = "linux", not(relay_portable)))]
mod linux;
#[cfg(any(relay_portable, not(target_os = "linux")))]
mod portable;

#[cfg(all(target_os = "linux", not(relay_portable)))]
pub(crate) use linux::*;
#[cfg(any(relay_portable, not(target_os = "linux")))]
pub(crate) use portable::*;
