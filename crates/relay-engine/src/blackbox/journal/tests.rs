use super::*;
use relay_event::{ErrorBus, Signal};
use relay_forensics::{EventRecord, Options};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn journal() -> Arc<Journal> {
    let opened = Options::new("test").folders([]).open();
    Arc::new(Journal::new(opened.recorder))
}

fn records(journal: &Journal) -> Vec<EventRecord> {
    // The first one is the recorder's own: the start.
    journal.recorder().read().events()[1..].to_vec()
}

fn event(code: Code, component: Component) -> ErrorEvent {
    ErrorEvent::new(code, Severity::Error, component)
}

#[test]
fn a_change_of_level_keeps_both_levels_usage_and_limit() {
    let journal = journal();
    journal.see(
        &event(Code::MemCritical, Component::monitor("memory"))
            .signal(Signal::Shed)
            .with("from", "error")
            .with("to", "critical")
            .with("pressure", 0.91)
            .with("used_bytes", 91_u64)
            .with("limit_bytes", 100_u64),
    );
    let record = &records(&journal)[0];
    assert_eq!(record.kind, EventKind::Level);
    assert_eq!(record.values[..4], [2, 3, 91, 100]);
    assert_eq!(record.component.as_deref(), Some("monitor:memory"));
    assert_eq!(record.text, "MEM_CRITICAL error critical");
}

#[test]
fn the_governor_s_state_and_its_scale_are_told_apart() {
    let journal = journal();
    let governor = || event(Code::GovernorScale, Component::monitor("governor"));
    let states = event(Code::DegradedMode, Component::monitor("governor"));
    journal.see(
        &states
            .with("from", "normal")
            .with("to", "degraded")
            .with("scale", 0.5),
    );
    journal.see(
        &governor()
            .with("from", 0.5)
            .with("to", 0.25)
            .with("state", "degraded"),
    );
    let values: Vec<_> = records(&journal)
        .iter()
        .map(|record| {
            (
                record.kind,
                record.values[0],
                record.values[1],
                record.values[2],
            )
        })
        .collect();
    let expected = [
        (EventKind::Governor, 0, 1, 500),
        (EventKind::Governor, 1, 1, 250),
    ];
    assert_eq!(values, expected);
}

#[test]
fn a_decision_says_which_knob_why_from_and_to() {
    let journal = journal();
    journal.see(
        &event(Code::GateRate, Component::monitor("gate"))
            .with("from_bytes_per_second", f64::INFINITY)
            .with("to_bytes_per_second", 1_000_000.7)
            .with("reason", "above_setpoint"),
    );
    let record = &records(&journal)[0];
    assert_eq!(record.kind, EventKind::Decision);
    assert_eq!(record.values[..2], [u64::MAX, 1_000_000]);
    assert_eq!(record.text, "GATE_RATE above_setpoint");
}

#[test]
fn a_component_that_nobody_announced_stands_in_the_text() {
    let journal = journal();
    let known = Component::emitter("known");
    journal.know(&known);
    journal.see(&event(Code::EmitterFail, known).detail("disk full"));
    journal.see(&event(Code::EmitterFail, Component::emitter("other")).detail("disk full"));
    let shown: Vec<_> = records(&journal)
        .into_iter()
        .map(|record| (record.component, record.text))
        .collect();
    let expected = [
        (
            Some("emitter:known".into()),
            "EMITTER_FAIL: disk full".into(),
        ),
        (None, "EMITTER_FAIL emitter:other: disk full".into()),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn secrets_do_not_get_into_the_recording() {
    let journal = journal();
    let event = event(Code::EmitterFail, Component::Engine);
    journal.see(&event.detail("http://me:hunter2@host/ said: authorization: Basic aHVudGVyMg=="));
    let text = &records(&journal)[0].text;
    assert!(
        !text.contains("hunter2") && !text.contains("aHVudGVyMg"),
        "{text}"
    );
}

#[test]
fn a_storm_of_one_code_leaves_room_and_is_counted() {
    let journal = journal();
    let at = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    let invalid = |at: SystemTime| {
        let mut event = event(Code::IngestInvalid, Component::adapter("http"));
        event.time = at;
        event
    };
    let level = |at: SystemTime| {
        let mut event = event(Code::MemPressure, Component::monitor("memory"));
        event.time = at;
        event
    };
    for _ in 0..1000 {
        journal.see(&invalid(at));
    }
    for _ in 0..20 {
        journal.see(&level(at));
    }
    journal.see(&invalid(at + Duration::from_secs(1)));
    let records = records(&journal);
    let of = |kind: EventKind| records.iter().filter(|record| record.kind == kind).count();
    assert_eq!(of(EventKind::Error) as u64, RECORDS_PER_SECOND + 1);
    assert_eq!(of(EventKind::Level), 20, "a transition is never held back");
    let suppressed = records
        .iter()
        .find(|record| record.kind == EventKind::Suppressed);
    let suppressed = suppressed.map(|record| (record.values[0], record.text.as_str()));
    assert_eq!(
        suppressed,
        Some((1000 - RECORDS_PER_SECOND, "INGEST_INVALID"))
    );
    assert_eq!(journal.total(), 1021);
}

/// Also when nobody subscribes, and when the bus is told to tell nobody.
#[test]
fn what_is_published_is_recorded_before_publish_returns() {
    for errors in [ErrorBus::new(), ErrorBus::disabled()] {
        let journal = journal();
        let tap = Arc::clone(&journal);
        assert!(errors.tap(move |event: &ErrorEvent| tap.see(event)));
        assert!(!errors.tap(|_: &ErrorEvent| {}), "there is one already");
        errors.publish(event(Code::SensorStale, Component::monitor("memory")));
        assert_eq!(records(&journal).len(), 1);
    }
}

#[test]
fn recording_allocates_nothing() {
    let journal = journal();
    let event = event(Code::EmitterFail, Component::emitter("unknown"))
        .with("attempt", 3_u64)
        .with("share", 0.5)
        .with("word", "shed")
        .detail("token=abc, and a text that is longer than what an event keeps of it: ".repeat(9));
    let counted = allocation_counter::measure(|| journal.see(&event));
    assert_eq!(counted.count_total, 0);
}
