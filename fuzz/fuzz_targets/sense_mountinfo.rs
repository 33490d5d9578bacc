//! The mount table: `/proc/self/mountinfo`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_sense::fuzz;

fuzz_target!(|text: &[u8]| fuzz::mountinfo(text));
