//! What a valid configuration becomes: precedence, origins, aliases, the printed forms.

use std::time::Duration;

use relay_node::config::{
    Auto, Delivery, Environment, Fsync, InvalidConfig, LimitFacts, Loaded, Mode, Origin, Overflow,
    Source, Sources, Target, explanation, listing, summary,
};
use relay_node::units::{ByteSize, Ratio};

const EVERYTHING: &str = include_str!("golden/everything.toml");

fn load(text: &str, variables: &[(&str, &str)], set: &[&str]) -> Result<Loaded, InvalidConfig> {
    let sources = Sources {
        file: None,
        environment: Environment::new(variables.to_vec()),
        set: set.iter().map(|s| (*s).to_owned()).collect(),
    };
    sources.load_text(text)
}

fn origin(loaded: &Loaded, path: &str) -> String {
    loaded
        .entries()
        .iter()
        .find(|entry| entry.path == path)
        .expect("a field")
        .origin
        .to_string()
}

fn warnings(loaded: &Loaded) -> String {
    let lines: Vec<String> = loaded.warnings().iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Compares with a file of `tests/golden`; `RELAY_BLESS=1` writes it anew.
fn golden(name: &str, actual: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("RELAY_BLESS").is_some() {
        std::fs::write(&path, actual).expect("golden files are writable");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{name} changed; RELAY_BLESS=1 accepts it");
}

/// O01: each source beats the one before, and says so.
#[test]
fn precedence_is_set_over_environment_over_file_over_default() {
    let file = "[control]\ninterval = \"20ms\"\n";
    let variable = [("RELAY_CONTROL__INTERVAL", "30ms")];
    let set = ["control.interval=40ms"];
    let cases = [
        (load("", &[], &[]), 50, "default"),
        (load(file, &[], &[]), 20, "relay.toml:2:12"),
        (
            load(file, &variable, &[]),
            30,
            "env RELAY_CONTROL__INTERVAL",
        ),
        (load(file, &variable, &set), 40, "--set control.interval"),
        (
            load("", &[], &["control.interval=1s", set[0]]),
            40,
            "--set control.interval",
        ),
    ];
    for (loaded, ms, from) in cases {
        let loaded = loaded.unwrap();
        assert_eq!(loaded.config().control.interval, Duration::from_millis(ms));
        assert_eq!(origin(&loaded, "control.interval"), from);
    }
}

#[test]
fn nothing_at_all_is_a_useful_node() {
    let config = load("", &[], &[]).unwrap().into_config();
    let Source::Http(http) = &config.adapters["http"].source else {
        panic!("not http")
    };
    assert_eq!(http.listen.to_string(), "127.0.0.1:8080");
    let Target::File(file) = &config.emitters["file"].target else {
        panic!("not a file")
    };
    assert_eq!((file.rotate, file.keep), (ByteSize::from_mib(64), 4));
    assert_eq!(config.memory.limit, Auto::Auto);
}

#[test]
fn variables_refine_the_default_emitter_and_add_others() {
    let variables = [
        ("RELAY_EMITTERS__FILE__PATH", "/data/1"),
        ("RELAY_EMITTERS__FILE__FSYNC", "1s"),
        ("RELAY_EMITTERS__OUT__KIND", "http"),
        ("RELAY_EMITTERS__OUT__URL", "http://127.0.0.1:1/"),
        ("RELAY_EMITTERS__OUT__TOPICS", "a.*,b.*"),
        ("RELAY_EMITTERS__OUT__DELIVERY", "sheddable"),
        ("RELAY_EMITTERS__OUT__OVERFLOW", "drop-oldest"),
        (
            "RELAY_EMITTERS__OUT__HEADERS__AUTHORIZATION",
            "Bearer hunter2",
        ),
    ];
    let config = load("", &variables, &[]).unwrap().into_config();
    let Target::File(file) = &config.emitters["file"].target else {
        panic!("not a file")
    };
    assert_eq!(file.path.to_str(), Some("/data/1"));
    assert_eq!(file.fsync, Fsync::Interval(Duration::from_secs(1)));
    let out = &config.emitters["out"];
    assert_eq!(out.subscription.topics, ["a.*", "b.*"]);
    assert_eq!(
        out.subscription.delivery,
        Delivery::Sheddable(Overflow::DropOldest)
    );
    let Target::Http(http) = &out.target else {
        panic!("not http")
    };
    assert_eq!(http.headers["authorization"], "Bearer hunter2");
}

#[test]
fn a_variable_finds_an_id_whatever_its_case() {
    let file = "[emitters.Big-Sink]\nkind = \"blackhole\"\n";
    let loaded = load(file, &[("RELAY_EMITTERS__BIG_SINK__RATE", "1MiB/s")], &[]).unwrap();
    assert_eq!(
        origin(&loaded, "emitters.Big-Sink.rate"),
        "env RELAY_EMITTERS__BIG_SINK__RATE"
    );
}

#[test]
fn flags_take_toml_where_one_value_is_not_enough() {
    let set = [
        "emitters.out={kind=\"stdout\", topics=[\"a\"]}",
        "emitters.out.sources=[\"b\", \"c\"]",
        "log.level=\"debug\"",
    ];
    let config = load("", &[], &set).unwrap().into_config();
    assert_eq!(config.emitters["out"].subscription.sources, ["b", "c"]);
    assert_eq!(config.emitters.len(), 1);
    assert_eq!(config.log.level.to_string(), "debug");
}

/// O02–O04, O06, O08, O16–O19, O26–O29, O32.
#[test]
fn every_alias_reaches_its_field() {
    let variables = [
        ("RELAY_MEMORY_LIMIT_BYTES", "67108864"),
        ("RELAY_MEM_ENTER_PCT", "0.72"),
        ("RELAY_MEM_EXIT_PCT", "50%"),
        ("RELAY_MEM_CRITICAL_PCT", "0.91"),
        ("RELAY_GOVERNOR_POLL_MS", "25"),
        ("RELAY_CONTROL_INTERVAL", "2s"),
        ("RELAY_CONTROL_COOLDOWN", "20s"),
        ("RELAY_MAX_ACTIONS", "2"),
        ("RELAY_QUEUE_START", "128"),
        ("RELAY_QUEUE_MIN", "9"),
        ("RELAY_QUEUE_MAX", "1024"),
        ("RELAY_RED_MIN_FILL", "0.5"),
        ("RELAY_RED_MAX_PROB", "0.2"),
        ("RELAY_AIMD_INCR", "0.1"),
        ("RELAY_AIMD_DECR", "0.6"),
        ("RELAY_ERROR_BUS_BUFFER", "64"),
        ("RELAY_ERROR_SAMPLING", "false"),
        ("RELAY_BUFFER_MEMORY_PCT", "0.4"),
        ("RELAY_PSI_ENABLED", "false"),
        ("RELAY_PSI_THRESHOLD", "0.25"),
        ("RELAY_PSI_SUSTAIN", "3s"),
        ("RELAY_PSI_POLL_INTERVAL", "2s"),
        ("RELAY_TARGET_LAG_MS", "20"),
        ("RELAY_MIN_WORKERS", "3"),
        ("RELAY_MAX_WORKERS", "5"),
        ("RELAY_FLIGHT_RECORDER_SIZE", "256KiB"),
        ("RELAY_FLIGHT_RECORDER_INTERVAL", "2s"),
        ("RELAY_TERMINATION_LOG", ""),
        ("RELAY_LOG", "warn"),
    ];
    let loaded = load("", &variables, &[]).unwrap();
    let config = loaded.config();
    assert_eq!(config.memory.limit, Auto::Fixed(ByteSize::from_mib(64)));
    assert_eq!(config.control.aimd.enter.get(), 0.72);
    assert_eq!(config.control.ladder.warning.get(), 0.72);
    assert_eq!(config.control.aimd.exit, Ratio::percent(50));
    assert_eq!(config.control.ladder.relief, Ratio::percent(50));
    assert_eq!(config.control.ladder.critical.get(), 0.91);
    assert_eq!(config.control.interval, Duration::from_millis(25));
    assert_eq!(config.control.aimd.cooldown, Duration::from_secs(20));
    let arbiter = config.control.arbiter;
    assert_eq!(arbiter.cooldown, Duration::from_secs(20));
    assert_eq!(arbiter.interval, Duration::from_secs(2));
    assert_eq!(arbiter.max_actions, 2);
    let queue = &config.emitters["file"].subscription;
    let sizes = (queue.queue_min, queue.queue_start, queue.queue_events);
    assert_eq!(sizes, (9, Some(128), 1024));
    assert_eq!(config.control.red.min_threshold, Ratio::percent(50));
    assert_eq!(config.control.red.max_probability, Ratio::percent(20));
    assert_eq!(config.control.aimd.increase.get(), 0.1);
    assert_eq!(config.control.aimd.decrease_factor.get(), 0.6);
    assert_eq!(config.control.ledger_share.get(), 0.4);
    assert_eq!(config.errors.buffer, 64);
    assert_eq!(config.errors.fold, None);
    assert!(!config.psi.enabled);
    assert_eq!(config.psi.threshold, Ratio::percent(25));
    assert_eq!(config.psi.sustain, Duration::from_secs(3));
    assert_eq!(config.psi.poll_interval, Duration::from_secs(2));
    assert_eq!(config.pools.target_lag, Duration::from_millis(20));
    assert_eq!(config.pools.bounds(64), (3, 5));
    assert_eq!(
        config.blackbox.size,
        Auto::Fixed(ByteSize::from_bytes(256 << 10))
    );
    assert_eq!(config.blackbox.interval, Duration::from_secs(2));
    assert_eq!(config.blackbox.termination_log, Auto::Fixed(None));
    assert_eq!(config.log.level.to_string(), "warn");
    assert_eq!(
        origin(&loaded, "errors.buffer"),
        "env RELAY_ERROR_BUS_BUFFER"
    );
    assert_eq!(warnings(&loaded), "");

    let sampled = load("", &[("RELAY_ERROR_SAMPLING", "true")], &[]).unwrap();
    assert_eq!(sampled.config().errors.fold, Some(Duration::from_secs(1)));
}

/// DEC4.
#[test]
fn of_several_memory_limits_the_smallest_wins_and_is_reported() {
    let variables = [
        ("RELAY_MEMORY_LIMIT_BYTES", "128MiB"),
        ("MEMORY_LIMIT", "64MiB"),
        ("MEMORY_LIMIT_BYTES", "0"),
    ];
    let loaded = load("[memory]\nlimit = \"32MiB\"\n", &variables, &[]).unwrap();
    assert_eq!(
        loaded.config().memory.limit,
        Auto::Fixed(ByteSize::from_mib(64))
    );
    assert_eq!(origin(&loaded, "memory.limit"), "env MEMORY_LIMIT");
    assert_eq!(loaded.warnings().len(), 2, "{}", warnings(&loaded));
    assert!(warnings(&loaded).contains("env RELAY_MEMORY_LIMIT_BYTES: \"128MiB\" is not used"));

    let zero = load("", &[("RELAY_MEMORY_LIMIT_BYTES", "0")], &[]).unwrap();
    assert_eq!(zero.config().memory.limit, Auto::Auto);
}

#[test]
fn an_unknown_variable_warns_and_a_foreign_one_is_ignored() {
    let variables = [
        ("RELAY_CONTROL__INTERVALL", "5ms"),
        ("RELAY_AIMD_INC", "0.1"),
        ("RELAY_COLOUR", "red"),
        ("RELAY_PORT", "tcp://10.0.0.1:8080"),
        ("RELAY_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("RELAY_SERVICE_HOST", "10.0.0.1"),
        ("HOME", "/root"),
    ];
    let loaded = load("", &variables, &[]).unwrap();
    assert_eq!(
        warnings(&loaded),
        "env RELAY_AIMD_INC: unknown variable, ignored; did you mean `RELAY_AIMD_INCR`?\n\
         env RELAY_COLOUR: unknown variable, ignored; `relay config --explain` lists every field\n\
         env RELAY_CONTROL__INTERVALL: unknown variable, ignored; did you mean \
         `RELAY_CONTROL__INTERVAL`?"
    );
}

#[test]
fn what_is_probably_not_meant_warns() {
    let text = "[admin]\nlisten = \"0.0.0.0:9600\"\n[control]\nmode = \"off\"\n[adapters]\n[emitters]\n\
         [blackbox]\ncpu_profile = \"2s\"\n";
    let loaded = load(text, &[], &[]).unwrap();
    let shown = warnings(&loaded);
    let says_so = shown.contains("blackbox.cpu_profile has no effect");
    assert_eq!(says_so, !cfg!(feature = "profile"), "{shown}");
    assert!(
        shown.contains("relay.toml:2:10: admin.listen = 0.0.0.0:9600 accepts anyone"),
        "{shown}"
    );
    assert!(
        shown.contains("nothing keeps it inside the memory limit"),
        "{shown}"
    );
    assert!(
        shown.contains("no adapters") && shown.contains("no emitters"),
        "{shown}"
    );
    assert_eq!(loaded.config().control.mode, Mode::Off);
}

#[test]
fn the_late_preset_moves_the_defaults_and_only_those() {
    let loaded = load(
        "[control]\npreset = \"late\"\nladder.error = \"92%\"\n",
        &[],
        &[],
    )
    .unwrap();
    let ladder = loaded.config().control.ladder;
    assert_eq!(ladder.warning, Ratio::percent(85));
    assert_eq!(ladder.error, Ratio::percent(92));
    assert_eq!(ladder.critical, Ratio::percent(95));
    assert_eq!(
        origin(&loaded, "control.ladder.warning"),
        "default of preset late"
    );
}

#[test]
fn numbers_are_read_with_and_without_quotes_where_nothing_is_guessed() {
    let text =
        "[memory]\nlimit = 67108864\n[control]\nledger_share = 0.25\ndrain.setpoint = \"60%\"\n";
    let config = load(text, &[], &[]).unwrap().into_config();
    assert_eq!(config.memory.limit, Auto::Fixed(ByteSize::from_mib(64)));
    assert_eq!(config.control.ledger_share, Ratio::percent(25));
    assert_eq!(config.control.drain.setpoint, Ratio::percent(60));
}

#[test]
fn golden_explanation_of_the_defaults() {
    golden(
        "explain_default.txt",
        &explanation(&load("", &[], &[]).unwrap()),
    );
}

#[test]
fn golden_explanation_of_everything() {
    let variables = [
        ("RELAY_LOG", "debug"),
        ("RELAY_MEMORY_LIMIT_BYTES", "268435456"),
    ];
    let loaded = load(EVERYTHING, &variables, &["control.interval=100ms"]).unwrap();
    let text = explanation(&loaded);
    assert!(!text.contains("hunter2"), "a secret is shown");
    golden("explain_everything.txt", &text);
}

#[test]
fn the_listing_reads_back_to_the_same_configuration() {
    let text = EVERYTHING
        .replace("headers = ", "# headers = ")
        .replace("user:hunter2@", "");
    for text in ["", text.as_str()] {
        let loaded = load(text, &[], &[]).unwrap();
        for printed in [listing(&loaded), explanation(&loaded)] {
            let again = load(&printed, &[], &[]).unwrap();
            assert_eq!(again.config(), loaded.config());
            assert!(
                again
                    .entries()
                    .iter()
                    .all(|e| matches!(e.origin, Origin::File { .. }))
            );
        }
    }
}

/// O40.
#[test]
fn golden_start_up_summary() {
    let limit = LimitFacts::Bytes {
        hard: ByteSize::from_mib(64),
        soft: Some(ByteSize::from_mib(60)),
        source: "cgroup-v2 /sys/fs/cgroup/relay".to_owned(),
        cpus: 16,
    };
    let default = load("", &[], &[]).unwrap().into_config();
    golden("summary_default.txt", &summary(&default, &limit));

    let unknown = LimitFacts::Unknown {
        reason: "no /proc/meminfo".to_owned(),
    };
    let everything = load(EVERYTHING, &[], &[]).unwrap().into_config();
    let text = summary(&everything, &unknown);
    assert!(!text.contains("hunter2"), "a secret is shown");
    golden("summary_everything.txt", &text);
}

#[test]
fn debug_output_shows_no_secret() {
    let loaded = load(EVERYTHING, &[], &[]).unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
}
