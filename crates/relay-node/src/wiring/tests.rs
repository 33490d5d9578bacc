#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::{Loaded, Sources};

/// A value for each field of control and of a subscription that is not its default.
const OTHER: &[&str] = &[
    "control.mode=observe",
    "control.law=aimd",
    "control.interval=60ms",
    "control.idle_interval=2s",
    "control.max_queue_delay=4s",
    "control.ledger_share=40%",
    "control.preset=late",
    "control.ladder.warning=71%",
    "control.ladder.error=84%",
    "control.ladder.critical=91%",
    "control.ladder.emergency=97%",
    "control.ladder.relief=54%",
    "control.aimd.enter=71%",
    "control.aimd.exit=54%",
    "control.aimd.increase=6%",
    "control.aimd.decrease_factor=40%",
    "control.aimd.floor=11%",
    "control.aimd.lowest_floor=5%",
    "control.aimd.cooldown=20s",
    "control.drain.setpoint=60%",
    "control.red.min_threshold=50%",
    "control.red.max_threshold=90%",
    "control.red.max_probability=20%",
    "control.arbiter.interval=2s",
    "control.arbiter.cooldown=20s",
    "control.arbiter.max_actions=2",
    "control.queue.start=100",
    "control.queue.min=9",
    "control.queue.max=60000",
    "emitters.file.topics=a.*",
    "emitters.file.sources=s*",
    "emitters.file.delivery=reliable",
    "emitters.file.overflow=drop-oldest",
    "emitters.file.queue_events=1000",
    "emitters.file.queue_start=500",
    "emitters.file.queue_min=10",
    "emitters.file.queue_bytes=1MiB",
    "emitters.file.batch_events=100",
    "emitters.file.batch_bytes=1KiB",
    "emitters.file.linger=1ms",
];

/// With a subscription that may be shed, so that early drop has a meaning.
fn load(set: &str) -> Loaded {
    let mut all = vec!["emitters.file.delivery=sheddable".to_owned()];
    if set.starts_with("emitters.file.delivery") {
        all.clear();
    }
    all.extend((!set.is_empty()).then(|| set.to_owned()));
    let sources = Sources {
        set: all,
        ..Sources::default()
    };
    sources.load().unwrap()
}

/// Everything that control and a subscription become.
fn wired(set: &str) -> String {
    let loaded = load(set);
    let config = loaded.config();
    let detection = relay_sense::detect(&Root::system(), None).unwrap();
    let builder = engine(config, Root::system(), &detection).unwrap();
    format!("{builder:?} {:?}", red(&config.control).unwrap())
}

/// A field that changes nothing is a defect.
#[test]
fn every_field_of_control_and_of_a_subscription_reaches_the_engine() {
    let path = |set: &&str| set.split_once('=').unwrap().0.to_owned();
    let listed: Vec<String> = OTHER.iter().map(path).collect();
    let of_the_target = ["kind", "path", "fsync", "rotate", "keep"];
    for entry in load("").entries() {
        let target = entry.path.strip_prefix("emitters.file.");
        let is_target = target.is_some_and(|field| of_the_target.contains(&field));
        if (entry.path.starts_with("control.") || target.is_some()) && !is_target {
            assert!(
                listed.contains(&entry.path),
                "{} is not in this test",
                entry.path
            );
        }
    }
    let usual = wired("");
    for set in OTHER {
        assert!(wired(set) != usual, "{set} changes nothing");
    }
}
