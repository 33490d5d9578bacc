//! Any file: a recording or a reason; and every view of it is text without what it was given.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_forensics::view::{self, Window};
use relay_forensics::{Here, Recording};

/// Bytes of the header that its checksum covers; the checksum lies behind them.
const CONSTANT: usize = 3520;

fuzz_target!(|bytes: &[u8]| {
    show(bytes);
    // With a right checksum more of what is hostile gets through.
    if bytes.len() >= 4096 {
        let mut bytes = bytes.to_vec();
        let checksum = crc32c::crc32c(&bytes[..CONSTANT]).to_le_bytes();
        bytes[CONSTANT..CONSTANT + 4].copy_from_slice(&checksum);
        show(&bytes);
    }
});

fn show(bytes: &[u8]) {
    let Ok(recording) = Recording::parse(bytes) else { return };
    let text = view::why(&recording, Here::Elsewhere) + &view::show(&recording, Window::default());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    let page = view::html(&recording, Window::default(), Here::Elsewhere);
    assert!(!page.contains("<script"));
    let mut out = Vec::new();
    view::json(&recording, Window::default(), Here::Elsewhere, &mut out).expect("memory is writable");
    view::csv(&recording, Window::default(), &mut out).expect("memory is writable");
}
