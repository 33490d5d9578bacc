//! Any text: a configuration, or mistakes that are all named.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_node::config::Sources;

fuzz_target!(|text: &str| {
    if let Err(invalid) = Sources::default().load_text(text) {
        assert!(!invalid.problems().is_empty());
    }
});
