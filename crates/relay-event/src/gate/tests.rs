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
