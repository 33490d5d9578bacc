//! Any bytes as the statistics of a memory group: figures that do not contradict each other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_sense::fuzz;

fuzz_target!(|input: (u64, &[u8])| {
    let (current_bytes, text) = input;
    fuzz::memory_stat(text, current_bytes);
    fuzz::counters(text);
});
