//! Any bytes as a pressure file: ratios between 0 and 1, or nothing; and what the kernel would print for them
//! reads back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_sense::{Psi, Stall};

fuzz_target!(|bytes: &[u8]| {
    let psi = Psi::parse(bytes);
    let lines = [("some", psi.some), ("full", psi.full)];
    let mut text = String::new();
    for (kind, stall) in lines {
        let Some(Stall { avg10, avg60, avg300, total, .. }) = stall else { continue };
        for ratio in [avg10, avg60, avg300] {
            assert!((0.0..=1.0).contains(&ratio));
        }
        let [avg10, avg60, avg300] = [avg10, avg60, avg300].map(|ratio| ratio * 100.0);
        let total = total.as_micros();
        text += &format!("{kind} avg10={avg10:.2} avg60={avg60:.2} avg300={avg300:.2} total={total}\n");
    }
    assert_eq!(Psi::parse(text.as_bytes()), psi);
});
