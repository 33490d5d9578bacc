use super::*;
use relay_event::SubscribeOptions;

fn ingest(size: u64) -> Ingest {
    let gate = Gate::new(ByteBudget::new(size));
    Ingest::new("test", gate, Bus::new("external"), ErrorBus::new())
}

#[test]
fn every_arrival_is_settled_once_whatever_happens() {
    let ingest = ingest(10_000);
    ingest.arrive().accept();
    ingest.arrive().refuse(RefusalReason::Gate(Reason::Rate));
    drop(ingest.arrive());
    let mut batch = ingest.arrive();
    batch.expand(10);
    batch.accept_some(4);
    batch.refuse(RefusalReason::QueueFull);
    let stats = ingest.stats();
    assert_eq!(
        (stats.received, stats.accepted, stats.refused_total()),
        (13, 5, 8)
    );
    assert_eq!(stats.refused(RefusalReason::Aborted), 1);
    assert_eq!(stats.refused(RefusalReason::QueueFull), 6);
    assert!(stats.is_closed());
}

#[test]
fn bodies_still_arriving_hold_a_quarter_at_most() {
    let ingest = ingest(10_000);
    let slow = ingest.admit(2_500, Priority::Normal).unwrap();
    assert_eq!(
        ingest.admit(1, Priority::Normal).unwrap_err().reason,
        RefusalReason::Gate(Reason::Ledger)
    );
    let _arrived = slow.arrived();
    assert!(ingest.admit(2_500, Priority::Normal).is_ok());
}

#[test]
fn a_full_queue_is_a_refusal_that_can_be_retried() {
    let ingest = ingest(10_000);
    let _subscription = ingest
        .0
        .bus
        .subscribe(SubscribeOptions::new("s").limit_events(1))
        .unwrap();
    let event = Event::builder("t").build().unwrap();
    assert!(ingest.publish(event.clone()).is_ok());
    let refusal = ingest.publish(event).unwrap_err();
    assert_eq!(refusal.reason, RefusalReason::QueueFull);
    assert!(refusal.retry_after.is_some());
}

#[test]
fn about_one_publish_in_a_thousand_is_timed_also_while_all_are_refused() {
    let timed = |counts: &dyn Fn(u64) -> (u64, u64)| {
        let is_timed = |n: &u64| is_timed(counts(*n).0, counts(*n).1);
        (1..=1 << 20).filter(is_timed).count()
    };
    assert_eq!(timed(&|n| (n, n - 1)), 1024, "one a request, accepted");
    assert_eq!(timed(&|n| (n, 0)), 512, "one a request, refused");
    assert_eq!(timed(&|n| (1 << 20, n)), 512, "many a request");
}

#[test]
fn reasons_have_unique_names() {
    let mut names: Vec<_> = RefusalReason::ALL
        .iter()
        .map(|reason| reason.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RefusalReason::ALL.len());
}

#[test]
fn what_turns_out_to_be_less_important_is_judged_as_that() {
    let ingest = ingest(10_000);
    let _held = ingest.0.gate.admit(7_000, Priority::Normal).unwrap();
    assert!(ingest.confirm(Priority::Normal).is_ok());
    let refusal = ingest.confirm(Priority::Low).unwrap_err();
    assert_eq!(refusal.reason, RefusalReason::Gate(Reason::Ledger));
}
