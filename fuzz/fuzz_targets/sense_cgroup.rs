//! The groups of a process: `/proc/self/cgroup`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_sense::fuzz;

fuzz_target!(|text: &[u8]| fuzz::cgroup(text));
