//! Files of one limit, processor lists and quotas, `/proc/self/limits`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_sense::fuzz;

fuzz_target!(|text: &[u8]| fuzz::limits(text));
