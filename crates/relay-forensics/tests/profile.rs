//! A profile of a busy thread, taken for real.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use pprof::protos::{Message, Profile};
use relay_forensics::profile::{CpuProfile, ProfileError};

#[inline(never)]
fn burn(stop: &AtomicBool) {
    let mut n = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..10_000 {
            n = black_box(n.wrapping_mul(31) + 7);
        }
    }
}

fn short() -> CpuProfile {
    CpuProfile {
        duration: Duration::from_millis(300),
        frequency_hz: 499,
        ..CpuProfile::default()
    }
}

/// One test, because a process takes one profile at a time.
#[test]
fn a_profile_shows_the_busy_function_and_a_second_one_is_refused_meanwhile() {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| burn(&stop));
        let first = scope.spawn(|| short().take());
        thread::sleep(Duration::from_millis(100));
        assert!(matches!(short().take(), Err(ProfileError::Busy)));
        let encoded = first.join().expect("no panic").expect("a profile");
        let profile = Profile::decode(encoded.as_slice()).expect("pprof's format");
        assert!(!profile.sample.is_empty());
        assert!(
            profile
                .string_table
                .iter()
                .any(|name| name.contains("burn")),
            "{:?}",
            profile.string_table
        );
        let tiny = CpuProfile {
            max_bytes: 10,
            ..short()
        };
        let error = tiny.take().expect_err("too large");
        assert!(matches!(
            error,
            ProfileError::TooLarge { max_bytes: 10, .. }
        ));
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |profile: CpuProfile| profile.take().expect_err("refused").to_string();
    assert_eq!(
        refused(CpuProfile {
            duration: Duration::from_secs(31),
            ..CpuProfile::default()
        }),
        "profile.duration = 31s is not allowed: must be above zero and at most 30 s"
    );
    let never = CpuProfile {
        frequency_hz: 0,
        ..CpuProfile::default()
    };
    assert!(refused(never).starts_with("profile.frequency_hz = 0"));
}
