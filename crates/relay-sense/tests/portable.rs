//! What is left where there is no `/proc`: on systems other than Linux, and here with `--cfg relay_portable`.
#![cfg(any(relay_portable, not(target_os = "linux")))]
#![expect(clippy::unwrap_used, reason = "a test that cannot begin fails")]

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use relay_sense::alloc::Reclaimer;
use relay_sense::{
    Bound, CpuQuota, Delegated, Detect, Environ, LimitSource, MemoryEvents, Pressure, Ready, Root,
    Sampler, Scope, StallKind, Trigger, TriggerError, Waker, Watch, detect, lock_stack, wait,
};

const MIB: u64 = 1 << 20;

#[test]
fn the_machine_s_memory_is_the_limit_when_nobody_sets_one() {
    let found = detect(&Root::system(), None).unwrap();
    let memory = found.memory.unwrap();
    assert_eq!(memory.source, LimitSource::Physical);
    assert!(memory.bytes > 64 * MIB && memory.is_low_confidence());
    assert_eq!((found.soft, found.ancestors_hidden), (None, false));
    assert_eq!(found.swap, Bound::Unknown);
    assert_eq!(found.fixed_limit, Bound::Bytes(memory.bytes));
}

#[test]
fn h16_limits_of_configuration_and_environment_hold() {
    let environment = |name: &str| {
        let pairs = [
            ("RELAY_MEMORY_LIMIT_BYTES", "48MiB"),
            ("GOMEMLIMIT", "40MiB"),
        ];
        let pair = pairs.iter().find(|pair| pair.0 == name)?;
        Some(pair.1.to_owned())
    };
    let root = Root::system();
    let detect = Detect::new(&root).environment(&environment);
    let found = detect.configured(64 * MIB).run().unwrap();
    let memory = found.memory.unwrap();
    assert_eq!(memory.bytes, 48 * MIB);
    assert_eq!(memory.source, LimitSource::Env);
    assert_eq!(memory.name, Some("RELAY_MEMORY_LIMIT_BYTES"));
    assert_eq!(found.soft.unwrap().bytes, 40 * MIB);

    let found = detect.configured(32 * MIB).run().unwrap();
    let memory = found.memory.unwrap();
    assert_eq!(
        (memory.bytes, memory.source),
        (32 * MIB, LimitSource::Config)
    );
}

#[test]
fn the_rest_is_unknown_and_says_so() {
    let found = detect(&Root::system(), None).unwrap();
    assert_eq!(found.cpu.quota, CpuQuota::Unknown);
    assert_eq!(
        found.cpu.affinity_cpus,
        std::thread::available_parallelism().ok()
    );
    assert!(!found.pressure.available);
    let reason = found.pressure.reason.unwrap();
    let told = |text: &String| text.contains("not available on this system");
    assert!(told(&reason), "{reason}");
    assert_eq!(
        found.notes.iter().filter(|note| told(note)).count(),
        2,
        "{:?}",
        found.notes
    );
    assert_eq!(Environ::of(&Root::system()).get("PATH"), None);
    assert!(
        Pressure::open(&Root::system())
            .read(Instant::now())
            .is_none()
    );
}

#[test]
fn the_resident_size_of_the_process_counts_against_the_limit() {
    let sampler = Sampler::new(&Root::system()).unwrap();
    let mut sampler = sampler.with_configured(64 << 30).unwrap();
    let gauge = sampler.gauge();
    let before = sampler.sample(Instant::now());
    assert_eq!(before.scope, Scope::Process);
    let block = std::hint::black_box(vec![1_u8; 256 << 20]);
    let sample = sampler.sample(Instant::now());
    let binding = sample.binding.unwrap();
    assert_eq!(Some(binding.unreclaimable_bytes), sample.resident_bytes);
    let grown = sample.resident_bytes.unwrap() - before.resident_bytes.unwrap();
    assert!(grown >= 255 * MIB, "{grown} bytes");
    assert!(gauge.headroom_bytes() < before.headroom_bytes);
    drop(block);
    assert_eq!(sample.events, MemoryEvents::default());
    assert_eq!(
        (sample.stat_at, sample.throttling, sample.moved),
        (None, None, false)
    );
    assert!(sampler.watch().is_none());
    assert!(!sampler.refresh(Instant::now()).unwrap());
}

#[test]
fn what_only_linux_has_is_refused_in_words() {
    let unsupported = |kind| assert_eq!(kind, ErrorKind::Unsupported);
    unsupported(lock_stack().unwrap_err().kind());
    unsupported(Watch::open(&Root::system()).unwrap_err().kind());
    let (stall, window) = (Duration::from_millis(200), Duration::from_secs(2));
    let own = Trigger::register(&Root::system(), StallKind::Some, stall, window).unwrap_err();
    assert!(matches!(own, TriggerError::NoGroupFile { .. }), "{own}");
    let path = Path::new("/pressure");
    let there = Trigger::register_at(path, StallKind::Some, stall, window).unwrap_err();
    assert!(
        there.to_string().contains("not available on this system"),
        "{there}"
    );
    let none = Trigger::delegated(&Root::system(), |_| None).unwrap();
    assert!(matches!(none, Delegated::NotOffered));
    assert_eq!(Reclaimer::new(&Root::system()).stats().count(), 0);
}

#[test]
fn a_wait_ends_by_the_waker_or_by_time() {
    let waker = Waker::new().unwrap();
    let ready = |timeout| wait(None, None, Some(&waker), timeout).unwrap();
    assert_eq!(ready(Some(Duration::from_millis(1))), Ready::default());
    waker.wake();
    assert!(ready(None).wake);
    assert!(ready(None).wake, "until it is cleared");
    waker.clear();
    assert_eq!(ready(Some(Duration::ZERO)), Ready::default());
    let other = waker.clone();
    let thread = std::thread::spawn(move || other.wake());
    assert!(ready(None).wake, "from another thread");
    thread.join().unwrap();
    let nothing = wait(None, None, None, Some(Duration::from_micros(10))).unwrap();
    assert_eq!(nothing, Ready::default());
}
