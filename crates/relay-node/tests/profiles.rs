//! Profiles: each loads without a warning, has the limits it is for, and differs where it says.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use clap::{Parser, ValueEnum};
use relay_node::cli::Cli;
use relay_node::commands::execute;
use relay_node::config::{Auto, Config, Environment, Sources};
use relay_node::exit;
use relay_node::profile::Profile;

fn load(profile: Profile) -> Config {
    let loaded = Sources::default().load_text(profile.text());
    let loaded = loaded.unwrap_or_else(|error| panic!("{profile:?}: {error}"));
    assert!(
        loaded.warnings().is_empty(),
        "{profile:?}: {:?}",
        loaded.warnings()
    );
    loaded.into_config()
}

/// O42: limit, where the governor begins to cut, and below what it recovers, in tenths of a MiB.
#[test]
fn profiles_by_limit_have_the_thresholds_that_they_are_for() {
    let oracles = [
        (Profile::Mib128, 128, 768, 576),
        (Profile::Mib512, 512, 3328, 2560),
        (Profile::Gib1, 1024, 7168, 5632),
        (Profile::Gib4, 4096, 32_768, 26_624),
    ];
    for (profile, limit_mib, enter, exit) in oracles {
        let config = load(profile);
        let Auto::Fixed(limit) = config.memory.limit else {
            panic!("{profile:?} has no limit")
        };
        assert_eq!(limit.bytes(), limit_mib << 20, "{profile:?}");
        let tenths = |share: f64| (share * limit_mib as f64 * 10.0).round() as u64;
        assert_eq!(
            tenths(config.control.aimd.enter.get()),
            enter,
            "{profile:?}"
        );
        assert_eq!(tenths(config.control.aimd.exit.get()), exit, "{profile:?}");
    }
}

#[test]
fn the_profile_of_one_gibibyte_is_the_defaults_written_out() {
    let default = Sources::default().load_text("").unwrap().into_config();
    assert_eq!(load(Profile::Gib1).control, default.control);
}

#[test]
fn latency_and_throughput_lie_on_either_side_of_the_defaults() {
    let default = Sources::default().load_text("").unwrap().into_config();
    let [latency, throughput] = [Profile::LatencyFirst, Profile::ThroughputFirst].map(load);
    let delays = [&latency, &default, &throughput].map(|config| config.control.max_queue_delay);
    assert!(
        delays.is_sorted() && delays[0] < Duration::from_secs(1),
        "{delays:?}"
    );
    let shares = [&latency, &default, &throughput].map(|config| config.control.ledger_share);
    assert!(shares.is_sorted() && shares[0] < shares[2], "{shares:?}");
    let lingers =
        [&latency, &default, &throughput].map(|config| config.emitters["file"].subscription.linger);
    assert!(
        lingers.is_sorted() && lingers[0] < lingers[2],
        "{lingers:?}"
    );
}

fn relay(arguments: &[&str]) -> (u8, String, String) {
    let cli = Cli::try_parse_from([&["relay"], arguments].concat()).unwrap();
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = execute(&cli.command, &Environment::default(), &mut out, &mut errors).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(out), text(errors))
}

#[test]
fn what_config_prints_is_a_file_that_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    let profiles = Profile::value_variants();
    assert_eq!(profiles.len(), 6);
    for profile in profiles {
        let name = profile.to_possible_value().unwrap();
        let (code, out, errors) = relay(&["config", "--profile", name.get_name()]);
        assert_eq!((code, errors.as_str()), (exit::SUCCESS, ""), "{name:?}");
        std::fs::write(&file, &out).unwrap();
        let (code, out, errors) = relay(&["check", "--config", file.to_str().unwrap()]);
        assert_eq!(
            (code, errors.as_str()),
            (exit::SUCCESS, ""),
            "{name:?}: {out}"
        );
    }
    let unknown = Cli::try_parse_from(["relay", "config", "--profile", "2MiB"]).unwrap_err();
    assert!(unknown.to_string().contains("latency-first"), "{unknown}");
}
