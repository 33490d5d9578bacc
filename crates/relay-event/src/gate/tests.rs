use super::*;

fn gate(size: u64) -> Gate {
    Gate::new(ByteBudget::new(size))
}

fn reason(result: Result<Permit, Rejection>) -> Reason {
    result.expect_err("it should be refused").reason
}

#[test]
fn each_reason_is_given() {
    let g = gate(1000);
    assert_eq!(reason(g.admit(801, Priority::Normal)), Reason::TooLarge);
    let held = g.admit(700, Priority::Normal).unwrap();
    assert_eq!(reason(g.admit(101, Priority::Normal)), Reason::Ledger);
    g.set_drain(Some(100.0));
    g.set_max_queue_delay(Some(Duration::from_secs(5)));
    let refused = g.admit(1, Priority::Normal).unwrap_err();
    assert_eq!(refused.reason, Reason::QueueDelay);
    assert_eq!(
        refused.retry_after.as_secs(),
        3,
        "700 queued before it, 400 allowed, 100 a second"
    );
    drop(held);
    g.set_floor(Priority::High);
    assert_eq!(reason(g.admit(1, Priority::Normal)), Reason::Level);
    g.set_floor(Priority::Low);
    g.set_rate(Some(0.0));
    assert_eq!(reason(g.admit(1, Priority::Normal)), Reason::Rate);
    g.close();
    assert_eq!(reason(g.admit(1, Priority::High)), Reason::Draining);
    assert!(g.admit(1, Priority::Control).is_ok());
    assert_eq!(g.budget().used_bytes(), 0);
}

#[test]
fn a_class_that_used_up_its_share_of_the_rate_is_told_so() {
    let g = gate(1 << 30);
    g.set_rate(Some(1e6));
    let mut held = Vec::new();
    let refused = loop {
        match g.admit(1000, Priority::Low) {
            Ok(permit) => held.push(permit),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.reason, Reason::Priority);
    assert!(g.admit(1000, Priority::High).is_ok());
}

#[test]
fn retry_after_follows_the_drain_and_is_bounded() {
    let g = gate(1_000_000);
    g.set_drain(Some(10_000.0));
    let _held = g.admit(800_000, Priority::Normal).unwrap();
    let refused = g.admit(100_000, Priority::Normal).unwrap_err();
    assert_eq!(refused.retry_after.as_secs(), 10);
    g.set_drain(Some(1.0));
    assert_eq!(
        g.admit(100_000, Priority::Normal).unwrap_err().retry_after,
        RETRY_MAX
    );
}

#[test]
fn stamps_are_set_once_and_in_order() {
    let g = gate(1000);
    assert_eq!(
        (g.first_pressure_unix_ms(), g.first_refusal_unix_ms()),
        (None, None)
    );
    let _held = g.admit(800, Priority::Normal).unwrap();
    let pressure = g.first_pressure_unix_ms().expect("the share is full");
    assert_eq!(g.first_refusal_unix_ms(), None);
    let _ = g.admit(1, Priority::Normal);
    assert!(g.first_refusal_unix_ms().unwrap() >= pressure);
}

#[test]
fn control_passes_all_but_the_ledger() {
    let g = gate(1000);
    g.set_floor(Priority::High);
    g.set_rate(Some(0.0));
    g.set_drain(Some(1.0));
    g.set_max_queue_delay(Some(Duration::ZERO));
    g.close();
    let _most = g.admit(950, Priority::Control).unwrap();
    let _rest = g.admit(50, Priority::Control).unwrap();
    assert_eq!(reason(g.admit(1, Priority::Control)), Reason::Ledger);
    assert_eq!(reason(g.admit(1001, Priority::Control)), Reason::TooLarge);
}

#[test]
fn what_arrives_in_a_share_is_judged_by_the_whole() {
    let g = gate(1000);
    let arriving = g.budget().share(25);
    let held = g.admit(600, Priority::Normal).unwrap();
    assert_eq!(g.first_pressure_unix_ms(), None);
    let last = g.admit_within(&arriving, 200, Priority::Normal).unwrap();
    assert!(g.first_pressure_unix_ms().is_some(), "800 of 1000");
    let last = last.arrived();
    assert_eq!((arriving.used_bytes(), g.budget().used_bytes()), (0, 800));
    drop(held);
    g.set_drain(Some(100.0));
    g.set_max_queue_delay(Some(Duration::from_secs(2)));
    let refused = g.admit_within(&arriving, 10, Priority::Normal);
    assert_eq!(reason(refused), Reason::QueueDelay, "160 of 200");
    assert_eq!((arriving.used_bytes(), g.budget().used_bytes()), (0, 200));
    drop(last);
    assert!(g.admit_within(&arriving, 160, Priority::Normal).is_ok());
}

#[test]
fn threads_admit_to_the_last_byte_and_return_it() {
    let g = gate(100_000);
    let held: Vec<Permit> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..2000)
                        .map_while(|_| g.admit(10, Priority::Normal).ok())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(held.len(), 8000);
    assert_eq!(g.budget().used_bytes(), 80_000);
    assert_eq!(reason(g.admit(1, Priority::Normal)), Reason::Ledger);
    drop(held);
    assert_eq!(g.budget().used_bytes(), 0);
}

#[test]
fn an_event_larger_than_what_drains_in_time_passes_into_an_empty_queue() {
    let g = gate(1_000_000);
    g.set_drain(Some(100.0));
    g.set_max_queue_delay(Some(Duration::from_secs(5)));
    let large = g.admit(100_000, Priority::Low).unwrap();
    assert_eq!(reason(g.admit(1, Priority::High)), Reason::QueueDelay);
    drop(large);
    let _small = g.admit(300, Priority::Normal).unwrap();
    assert!(
        g.admit(100_000, Priority::Low).is_ok(),
        "3 s before it, 60 % of 5 s allowed"
    );
}

#[test]
fn no_drain_and_an_unknown_one_are_different() {
    let g = gate(1000);
    g.set_max_queue_delay(Some(Duration::from_secs(5)));
    g.set_drain(None);
    let first = g.admit(100, Priority::Normal).unwrap();
    assert!(g.admit(100, Priority::Normal).is_ok(), "nothing is known");
    g.set_drain(Some(0.0));
    let refused = g.admit(1, Priority::Normal).unwrap_err();
    assert_eq!(
        (refused.reason, refused.retry_after),
        (Reason::QueueDelay, RETRY_MAX)
    );
    drop(first);
    assert!(
        g.admit(100, Priority::Normal).is_ok(),
        "nothing is before it"
    );
    g.set_drain(Some(f64::NAN));
    let _held = g.admit(100, Priority::Normal).unwrap();
    assert!(g.admit(100, Priority::Normal).is_ok());
}

#[test]
fn two_threads_that_turn_one_knob_each_leave_the_bound_of_both() {
    for _ in 0..200 {
        let g = gate(1 << 30);
        std::thread::scope(|scope| {
            scope.spawn(|| g.set_drain(Some(100.0)));
            g.set_max_queue_delay(Some(Duration::from_secs(5)));
        });
        assert_eq!(g.0.max_queued_bytes.load(Relaxed), 500);
    }
}

/// Offers `load` times the rate for a minute of the gate's own time; the bytes a second that were admitted.
fn admitted(g: &Gate, nominal: f64, load: f64, priority: Priority) -> f64 {
    let (bytes, seconds) = (1000, 60);
    let events = (nominal * load) as u64 * seconds / bytes;
    let passed = (0..events)
        .filter(|i| {
            // A clock that ticks every 4 ms, as the kernel's coarse one may.
            let now_ns = 1_000_000_000 + i * seconds * 1_000_000_000 / events;
            clock::frozen::set_nanos(now_ns / 4_000_000 * 4_000_000);
            g.admit(bytes, priority).is_ok()
        })
        .count();
    (passed as u64 * bytes) as f64 / seconds as f64
}

/// Q17, AL14.
#[test]
fn the_admitted_rate_is_the_scale_times_the_nominal_one() {
    let nominal = 1e6;
    for scale in [1.0, 0.75, 0.5, 0.25, 0.1] {
        for load in [1.4, 5.0, 20.0] {
            let g = gate(1 << 30);
            clock::frozen::set_nanos(1_000_000_000);
            g.set_rate(Some(nominal * scale));
            let got = admitted(&g, nominal, load, Priority::Normal);
            let ratio = got / (nominal * scale);
            assert!((0.95..1.05).contains(&ratio), "{scale} at {load}: {ratio}");
        }
    }
}

#[test]
fn the_lowest_priority_has_a_share_of_the_rate_that_may_be_nothing() {
    let nominal = 1e6;
    for share in [1.0, 0.5, 0.1] {
        let g = gate(1 << 30);
        clock::frozen::set_nanos(1_000_000_000);
        g.set_lowest_share(share);
        g.set_rate(Some(nominal));
        let ratio = admitted(&g, nominal, 3.0, Priority::Low) / (nominal * share);
        assert!((0.95..1.05).contains(&ratio), "{share}: {ratio}");
    }
    let g = gate(1 << 30);
    g.set_lowest_share(0.0);
    assert!(
        g.admit(1, Priority::Low).is_ok(),
        "without a rate there is no share of it"
    );
    g.set_rate(Some(nominal));
    assert_eq!(reason(g.admit(1, Priority::Low)), Reason::Priority);
    assert!(g.admit(1, Priority::Normal).is_ok());
    g.set_lowest_share(1.0);
    g.set_rate(Some(nominal));
    assert!(g.admit(1, Priority::Low).is_ok());
}

#[test]
fn what_the_whole_rate_refuses_does_not_count_against_the_share_of_the_lowest() {
    let g = gate(1 << 30);
    clock::frozen::set_nanos(1_000_000_000);
    g.set_lowest_share(0.5);
    g.set_rate(Some(1e6));
    while g.admit(1000, Priority::High).is_ok() {}
    for _ in 0..1000 {
        assert_eq!(reason(g.admit(1000, Priority::Low)), Reason::Rate);
    }
    clock::frozen::set_nanos(2_000_000_000);
    assert!(g.admit(1000, Priority::Low).is_ok());
}

/// Q15.
#[test]
fn the_share_of_the_lowest_is_from_0_to_1_while_it_is_turned() {
    let g = gate(1000);
    std::thread::scope(|scope| {
        let turning = scope.spawn(|| {
            for share in [0.25, 7.0, 0.75, -1.0, f64::NAN]
                .into_iter()
                .cycle()
                .take(50_000)
            {
                g.set_lowest_share(share);
            }
        });
        while !turning.is_finished() {
            assert!([0.0, 0.25, 0.75, 1.0].contains(&g.lowest_share()));
        }
    });
}
