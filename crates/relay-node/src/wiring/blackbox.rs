//! What the engine is told about its black box.

use std::path::{Path, PathBuf};

use relay_engine::{BlackboxConfig, CrashFolder};
use relay_forensics::cadence::Cadence;
use relay_forensics::termination_page::DEFAULT_PATH;

use crate::config::{Auto, Blackbox, Entry, Loaded};
use crate::units::ByteSize;

/// The black box as configured.
pub fn blackbox(loaded: &Loaded) -> BlackboxConfig {
    let config = &loaded.config().blackbox;
    let mut blackbox = match &config.dir {
        Auto::Auto => BlackboxConfig::in_default_folders(&config.instance),
        Auto::Fixed(dir) => BlackboxConfig::in_folder(&config.instance, dir),
    };
    blackbox.enabled = config.enabled;
    blackbox.size_bytes = config.size.fixed().map(ByteSize::bytes);
    blackbox.cadence = cadence(config);
    blackbox.sync = config.sync.unwrap_or_default();
    blackbox.termination_page = termination_log(config);
    blackbox.crash_reports = match &config.crash_dir {
        Auto::Auto => CrashFolder::Beside,
        Auto::Fixed(None) => CrashFolder::None,
        Auto::Fixed(Some(dir)) => CrashFolder::At(dir.clone()),
    };
    blackbox.cpu_profile = config.cpu_profile.unwrap_or_default();
    blackbox.build = String::from(concat!("relay ", env!("CARGO_PKG_VERSION")));
    blackbox.config_hash = hash(loaded.entries());
    blackbox
}

fn cadence(config: &Blackbox) -> Cadence {
    Cadence {
        idle: config.interval,
        alert: Cadence::default()
            .alert
            .clamp(config.interval_min, config.interval),
        danger: config.interval_min,
    }
}

fn termination_log(config: &Blackbox) -> Option<PathBuf> {
    match &config.termination_log {
        Auto::Auto => Some(PathBuf::from(DEFAULT_PATH)).filter(|path| Path::exists(path)),
        Auto::Fixed(path) => path.clone(),
    }
}

/// Tells two configurations apart, by what `relay config` prints of them, so without their secrets. FNV-1a of 64 bits
/// (draft-eastlake-fnv), which is the same everywhere and for ever.
fn hash(entries: &[Entry]) -> u64 {
    let lines = entries
        .iter()
        .flat_map(|entry| [entry.path.as_bytes(), b"=", entry.value.as_bytes(), b"\n"]);
    lines
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::config::Sources;

    fn wired(set: &[&str]) -> BlackboxConfig {
        let sources = Sources {
            set: set.iter().map(|&one| one.to_owned()).collect(),
            ..Sources::default()
        };
        blackbox(&sources.load().unwrap())
    }

    #[test]
    fn every_field_reaches_the_engine() {
        let default = wired(&[]);
        assert!(default.enabled && default.folders.len() == 2);
        assert_eq!(default.crash_reports, CrashFolder::Beside);
        let ms = Duration::from_millis;
        assert_eq!(default.cadence, Cadence::default());
        let set = wired(&[
            "blackbox.enabled=false",
            "blackbox.instance=a",
            "blackbox.dir=/x",
            "blackbox.size=256KiB",
            "blackbox.interval=50ms",
            "blackbox.interval_min=20ms",
            "blackbox.sync=none",
            "blackbox.crash_dir=/y",
            "blackbox.cpu_profile=2s",
            "blackbox.termination_log=/z",
        ]);
        assert!(!set.enabled);
        assert_eq!(
            (set.instance.as_str(), set.folders),
            ("a", vec!["/x".into()])
        );
        assert_eq!(
            (set.size_bytes, set.sync),
            (Some(256 << 10), Duration::ZERO)
        );
        let expected = Cadence {
            idle: ms(50),
            alert: ms(50),
            danger: ms(20),
        };
        assert_eq!(set.cadence, expected);
        assert_eq!(set.crash_reports, CrashFolder::At("/y".into()));
        assert_eq!(
            [default.cpu_profile, set.cpu_profile],
            [Duration::ZERO, Duration::from_secs(2)]
        );
        assert_eq!(set.termination_page, Some("/z".into()));
        assert_ne!(set.config_hash, default.config_hash);
        assert_eq!(wired(&[]).config_hash, default.config_hash);
        let none = wired(&["blackbox.crash_dir=none", "blackbox.termination_log=none"]);
        assert_eq!(
            (none.crash_reports, none.termination_page),
            (CrashFolder::None, None)
        );
    }
}
