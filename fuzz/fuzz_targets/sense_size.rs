//! Sizes and ratios as people type them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_sense::fuzz;

fuzz_target!(|text: &str| fuzz::size(text));
