#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::{Loaded, OTHER, Source, Sources};
use relay_engine::PoolBounds;
use relay_event::Priority;
use relay_http::{FairBy, HttpServerConfig};

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
        // Breakers have a test of their own, beside pools.
        let is_target = target
            .is_some_and(|field| of_the_target.contains(&field) || field.starts_with("breaker."));
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

fn config(text: &str) -> Config {
    Sources::default().load_text(text).unwrap().into_config()
}

fn server(text: &str) -> HttpServerConfig {
    let config = config(text);
    let Source::Http(http) = &config.adapters["http"].source else {
        panic!("not HTTP");
    };
    let detection = relay_sense::detect(&Root::system(), None).unwrap();
    adapters::http_server(http, PoolBounds::default(), &detection)
}

#[test]
fn the_weights_of_early_drop_reach_the_curve() {
    let red = |text: &str| red(&config(text).control).unwrap();
    let share = |red: &Red, class| red.probability_for(1.0, class);
    let default = red("");
    assert!((share(&default, 1) - 0.30).abs() < 1e-12);
    assert!(share(&default, 0) > 0.5 && share(&default, 2) < 0.17);
    assert_eq!(share(&default, 3), 0.0);
    let given = red(
        "[control.red]\nlow_weight = 0\nnormal_weight = 2\nhigh_weight = 3.5\nmax_probability = 0.5\n",
    );
    assert_eq!(share(&given, 0), 0.0);
    assert!((share(&given, 1) - 0.75).abs() < 1e-12);
    assert!(share(&given, 2) > 0.9);
}

#[test]
fn what_tells_sources_apart_reaches_the_server() {
    assert_eq!(server("").fair_by, FairBy::Source);
    for (text, key) in [
        ("peer", FairBy::Peer),
        ("none", FairBy::Nothing),
        ("header:X-Tenant", FairBy::Header("x-tenant".to_owned())),
    ] {
        let text = format!("[adapters.http]\nfair_by = \"{text}\"\n");
        assert_eq!(server(&text).fair_by, key);
    }
}

#[test]
fn rules_reach_the_server_in_their_order() {
    let text = "[[adapters.http.priority]]\ntopics = [\"audit.*\"]\npriority = \"high\"\n\
                [[adapters.http.priority]]\nsources = [\"/batch/*\", \"/cron\"]\npriority = \"low\"\n";
    let seen = |rules: &[relay_http::PriorityRule]| -> Vec<_> {
        let parts = |rule: &relay_http::PriorityRule| {
            (rule.topics.clone(), rule.sources.clone(), rule.priority)
        };
        rules.iter().map(parts).collect()
    };
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(ToString::to_string).collect() };
    assert_eq!(
        seen(&server(text).priority_rules),
        [
            (texts(&["audit.*"]), Vec::new(), Priority::High),
            (Vec::new(), texts(&["/batch/*", "/cron"]), Priority::Low),
        ]
    );
}
