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
        "701 queued, 400 allowed, 100 a second"
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
    assert_eq!(reason(refused), Reason::QueueDelay, "160 of 210");
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
