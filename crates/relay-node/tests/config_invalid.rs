//! AI06, AJ07, C1: whatever is wrong is found, all of it at once, and nothing panics.
//!
//! The cases are generated from the list of fields itself, so a new field is tested when it exists.

use std::collections::BTreeMap;

use proptest::prelude::*;
use relay_node::config::{Entry, Environment, InvalidConfig, Origin, Problem, Sources};

const EVERYTHING: &str = include_str!("golden/everything.toml");

fn load(text: &str) -> Result<(), InvalidConfig> {
    Sources::default().load_text(text).map(|_| ())
}

fn problems(text: &str) -> Vec<Problem> {
    load(text).expect_err(text).problems().to_vec()
}

/// Every field that exists, with values that fit together.
fn fields() -> Vec<Entry> {
    Sources::default()
        .load_text(EVERYTHING)
        .expect("a valid file")
        .entries()
        .to_vec()
}

fn key(entry: &Entry) -> &str {
    entry.path.rsplit('.').next().unwrap_or("")
}

fn section(entry: &Entry) -> &str {
    entry
        .path
        .rsplit_once('.')
        .map_or("", |(section, _)| section)
}

/// A file in which each field has the line that `line` makes of it.
fn file(fields: &[Entry], line: impl Fn(&Entry) -> String) -> String {
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    for entry in fields {
        let text = sections.entry(section(entry)).or_default();
        text.push_str(&line(entry));
        text.push('\n');
    }
    let sections: Vec<String> = sections
        .iter()
        .map(|(name, text)| format!("[{name}]\n{text}\n"))
        .collect();
    sections.concat()
}

fn valid_line(entry: &Entry) -> String {
    // The masks of `everything.toml` are no valid values.
    format!("{} = {}", key(entry), entry.value.replace("***@", ""))
}

/// Wrong for a field of this range, by kind of mistake.
fn wrong_values(entry: &Entry) -> Vec<(&'static str, &'static str)> {
    let allowed = entry.allowed.as_str();
    let mut wrong = vec![
        ("type: a date", "1979-05-27"),
        ("type: not a number", "nan"),
    ];
    if !allowed.contains("true") {
        wrong.push(("type: boolean", "true"));
    }
    if !allowed.contains("headers,") {
        wrong.push(("type: table", "{ a = 1 }"));
    }
    if !allowed.contains("patterns") {
        wrong.push(("type: array", "[\"a\"]"));
    }
    let is_number = value_is_number(entry);
    if is_number {
        wrong.extend([
            ("unit", "\"5 parsecs\""),
            ("negative", "-1"),
            ("negative text", "\"-1s\""),
            ("infinite", "inf"),
            ("too large", "\"99999999999999999999999GiB\""),
            ("beyond 64 bits", "99999999999999999999999"),
        ]);
    } else {
        wrong.push(("type: integer", "7"));
        wrong.push(("a control character", "\"\\u0000\""));
    }
    wrong
}

fn value_is_number(entry: &Entry) -> bool {
    entry.allowed.contains(" to ")
        && !entry.allowed.contains("bytes of text")
        && !entry.allowed.contains("patterns")
        || entry.allowed.contains("above ")
        || entry.allowed.contains("below ")
}

fn describes(problem: &Problem, entry: &Entry) -> bool {
    problem.path == entry.path
        && problem.allowed.as_deref() == Some(entry.allowed.as_str())
        && problem.value.is_some()
        && matches!(&problem.origin, Origin::File { line, column, .. } if *line > 1 && *column > 1)
}

#[test]
fn the_base_of_the_table_is_valid() {
    load(&file(&fields(), valid_line)).unwrap();
}

/// Field by field: one wrong value makes one problem, which says everything.
#[test]
fn every_field_refuses_every_kind_of_wrong_value() {
    let fields = fields();
    let mut cases = 0;
    for wrong in &fields {
        for (kind, value) in wrong_values(wrong) {
            let text = file(&fields, |entry| {
                if entry.path == wrong.path {
                    format!("{} = {value}", key(entry))
                } else {
                    valid_line(entry)
                }
            });
            let found = problems(&text);
            assert!(
                found.iter().any(|problem| describes(problem, wrong)),
                "{}: {kind} ({value}): {found:#?}",
                wrong.path
            );
            cases += 1;
        }
    }
    assert!(cases >= 300, "only {cases} cases");
}

/// All fields wrong in one file: each is there, none hides another.
#[test]
fn all_mistakes_are_reported_at_once() {
    let fields: Vec<Entry> = fields()
        .into_iter()
        // A wrong kind leaves nothing to compare the other fields with, a wrong choice of
        // delivery does the same to `overflow`.
        .filter(|entry| !["kind", "delivery"].contains(&key(entry)))
        .collect();
    let kinds = [
        ("disk", "file"),
        ("out", "stdout"),
        ("sink", "blackhole"),
        ("web", "http"),
    ];
    for round in 0..6 {
        let mut text = file(&fields, |entry| {
            let wrong = wrong_values(entry);
            format!("{} = {}", key(entry), wrong[round % wrong.len()].1)
        });
        for (id, kind) in kinds {
            let lines = format!("[emitters.{id}]\nkind = \"{kind}\"\ndelivery = \"sheddable\"\n");
            text = text.replace(&format!("[emitters.{id}]\n"), &lines);
        }
        text = text.replace("[adapters.in]\n", "[adapters.in]\nkind = \"http\"\n");
        text = text.replace("[adapters.lines]\n", "[adapters.lines]\nkind = \"tcp\"\n");
        let found = problems(&text);
        for entry in &fields {
            assert!(
                found.iter().any(|p| describes(p, entry)),
                "{} of {found:#?}",
                entry.path
            );
        }
        let lines = found
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        assert!(!lines.contains("hunter2"));
    }
}

#[test]
fn every_key_that_is_misspelt_is_refused_with_the_right_one() {
    let fields = fields();
    for misspelt in fields
        .iter()
        .filter(|entry| key(entry) != "kind" && key(entry) != "delivery")
    {
        let wrong_key = format!("{}x", key(misspelt));
        let text = file(&fields, |entry| {
            let line = valid_line(entry);
            if entry.path == misspelt.path {
                line.replacen(" =", "x =", 1)
            } else {
                line
            }
        });
        let found = problems(&text);
        let problem = found
            .iter()
            .find(|problem| problem.path == format!("{}.{wrong_key}", section(misspelt)))
            .unwrap_or_else(|| panic!("{}: {found:#?}", misspelt.path));
        assert_eq!(problem.nearest.as_deref(), Some(key(misspelt)), "{problem}");
        assert!(problem.to_string().contains("unknown key"), "{problem}");
    }
}

#[test]
fn every_field_that_is_given_twice_is_refused() {
    let fields = fields();
    for twice in &fields {
        let text = file(&fields, |entry| {
            let line = valid_line(entry);
            if entry.path == twice.path {
                format!("{line}\n{line}")
            } else {
                line
            }
        });
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{}: {found:#?}", twice.path);
        assert_eq!(found[0].path, twice.path);
        assert!(found[0].message.contains("second time"), "{}", found[0]);
    }
}

/// O39: a wrong variable is named with its value, and beats nothing silently.
#[test]
fn every_variable_with_a_wrong_value_is_named() {
    for entry in fields() {
        let name = format!("RELAY_{}", entry.path.replace('.', "__").to_uppercase());
        let wrong = wrong_values(&entry)
            .last()
            .unwrap()
            .1
            .replace("\\u0000", "\u{0}");
        let sources = Sources {
            environment: Environment::new([(&name, &wrong)]),
            ..Sources::default()
        };
        let Err(invalid) = sources.load_text(EVERYTHING) else {
            panic!("{name} = {wrong:?}")
        };
        let problem = invalid
            .problems()
            .iter()
            .find(|problem| problem.path == entry.path);
        let problem = problem.unwrap_or_else(|| panic!("{name}: {invalid}"));
        assert_eq!(problem.origin, Origin::Environment(name));
    }
}

/// O33: the exit below the entry. `TestConfig_Validation` of the capability list.
#[test]
fn test_config_validation() {
    let cases: &[(&str, &str, &str)] = &[
        // O33, O34
        (
            "control.aimd.exit",
            "aimd.exit = '75%'",
            "be below control.aimd.enter",
        ),
        (
            "control.aimd.exit",
            "aimd.exit = '70%'",
            "be below control.aimd.enter",
        ),
        (
            "control.aimd.enter",
            "aimd.enter = '95%'",
            "be at most control.ladder.critical",
        ),
        (
            "control.aimd.enter",
            "aimd.enter = '65%'",
            "be above control.drain.setpoint",
        ),
        (
            "control.drain.setpoint",
            "drain.setpoint = '70%'",
            "be below control.aimd.enter",
        ),
        // the ladder, rung by rung
        (
            "control.ladder.relief",
            "ladder.relief = '70%'",
            "be below control.ladder.warning",
        ),
        (
            "control.ladder.warning",
            "ladder.warning = '90%'",
            "be below control.ladder.error",
        ),
        (
            "control.ladder.error",
            "ladder.error = '90%'",
            "be below control.ladder.critical",
        ),
        (
            "control.ladder.critical",
            "ladder.critical = '98%'",
            "be below control.ladder.emergency",
        ),
        (
            "control.ladder.emergency",
            "ladder.emergency = '90%'",
            "be above control.ladder.critical",
        ),
        (
            "control.ladder.error",
            "ladder.error = '71%'",
            "be further above control.drain.setpoint",
        ),
    ];
    assert_refused(cases);
}

/// O37, O38: ranges, zero, NaN, and values that would do nothing.
#[test]
fn values_that_make_no_sense_are_refused() {
    let cases: &[(&str, &str, &str)] = &[
        // O37
        (
            "control.red.min_threshold",
            "red.min_threshold = '100%'",
            "too large",
        ),
        (
            "control.red.max_threshold",
            "red.max_threshold = '60%'",
            "be above control.red.min_threshold",
        ),
        (
            "control.red.max_probability",
            "red.max_probability = 0",
            "too small",
        ),
        ("control.ledger_share", "ledger_share = 0", "too small"),
        ("control.ledger_share", "ledger_share = 1.01", "above 100%"),
        // O38
        (
            "control.aimd.decrease_factor",
            "aimd.decrease_factor = 1",
            "too large",
        ),
        (
            "control.aimd.decrease_factor",
            "aimd.decrease_factor = 0",
            "too small",
        ),
        ("control.aimd.exit", "aimd.exit = 0", "too small"),
        (
            "control.aimd.increase",
            "aimd.increase = nan",
            "not a number",
        ),
        ("control.aimd.floor", "aimd.floor = -0.1", "not a number"),
        ("control.aimd.cooldown", "aimd.cooldown = '0s'", "too small"),
        ("control.interval", "interval = '0s'", "too small"),
        ("control.interval", "interval = 50", "needs its unit"),
        (
            "control.ladder.warning",
            "ladder.warning = 70",
            "above 100%",
        ),
        (
            "control.mode",
            "mode = 'enforced'",
            "did you mean \"enforce\"?",
        ),
    ];
    assert_refused(cases);
}

/// Each line of `[control]` makes a problem at this path that says this.
fn assert_refused(cases: &[(&str, &str, &str)]) {
    for (path, line, message) in cases {
        let found = problems(&format!("[control]\n{line}\n"));
        assert!(
            found
                .iter()
                .any(|p| p.path == *path && p.to_string().contains(message)),
            "{line}: {found:#?}"
        );
    }
}

/// Each text has a problem at this path, with this in it.
fn accused(cases: &[(&str, &str, &str)]) {
    for (path, text, message) in cases {
        let found = problems(text);
        let shown = found
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            found
                .iter()
                .any(|p| p.path == *path && p.to_string().contains(message)),
            "{text}\n{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn neighbours_within_pools_and_breakers_are_checked() {
    accused(&[
        (
            "emitters.http.in_flight_min",
            "[emitters.http]\nurl = 'http://h'\nin_flight = 2\nin_flight_min = 3",
            "be at most",
        ),
        (
            "emitters.file.breaker.open_max",
            "[emitters.file.breaker]\nopen_for = '2s'\nopen_max = '1s'",
            "be at least",
        ),
        (
            "emitters.file.breaker.window",
            "[emitters.file.breaker]\nmin_calls = 20\nwindow = 10",
            "be at least",
        ),
        (
            "emitters.file.breaker.failures",
            "[emitters.file.breaker]\nfailures = 'none'\nfailure_rate = 'none'",
            "nothing would open it",
        ),
        ("pools.max", "[pools]\nmin = 3\nmax = 2", "be at least"),
        (
            "adapters.tcp.listen",
            "[adapters.http]\n[adapters.tcp]\nlisten = '127.0.0.1:8080'",
            "must differ",
        ),
    ]);
}

#[test]
fn rules_that_cannot_work_are_refused() {
    assert_refused(&[
        (
            "adapters.http.priority",
            "[[adapters.http.priority]]\npriority = 'control'\ntopics = ['a']",
            "control is the node's own",
        ),
        (
            "adapters.http.priority",
            "[[adapters.http.priority]]\npriority = 'low'",
            "needs topics or sources",
        ),
        (
            "adapters.http.priority",
            "[[adapters.http.priority]]\npriority = 'low'\ntopic = ['a']",
            "a rule has no",
        ),
        (
            "adapters.http.fair_by",
            "[adapters.http]\nfair_by = 'header:a b'",
            "not the name of a header",
        ),
    ]);
}

#[test]
fn neighbours_outside_control_are_checked_too() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "memory.soft_limit",
            "[memory]\nlimit = '64MiB'\nsoft_limit = '64MiB'",
            "be below",
        ),
        (
            "adapters.a.header_timeout",
            "[adapters.a]\nkind = 'http'\nheader_timeout = '31s'",
            "be at most",
        ),
        (
            "emitters.file.batch_events",
            "[emitters.file]\nqueue_events = 8\nbatch_events = 9",
            "be at most",
        ),
        (
            "emitters.file.queue_bytes",
            "[emitters.file]\nbatch_bytes = '2KiB'\nqueue_bytes = '1KiB'",
            "be at least",
        ),
        (
            "emitters.http.backoff_max",
            "[emitters.http]\nurl = 'http://h'\nbackoff_initial = '1s'\nbackoff_max = '1ms'",
            "be at least",
        ),
        (
            "emitters.http.url",
            "[emitters.http]\nattempts = 3",
            "required, but missing",
        ),
        (
            "emitters.http.url",
            "[emitters.http]\nurl = 'https://u:hunter2@h'",
            "https is not available",
        ),
        (
            "emitters.a.kind",
            "[emitters.a]\npath = 'x'",
            "required, but missing",
        ),
        (
            "emitters.file.overflow",
            "[emitters.file]\noverflow = 'drop-oldest'",
            "only with delivery",
        ),
        (
            "emitters.stdout.path",
            "[emitters.stdout]\npath = 'x'",
            "unknown key",
        ),
        (
            "adapters.http.listen",
            "[adapters.http]\nlisten = '127.0.0.1:9600'",
            "must differ from admin.listen",
        ),
        (
            "emitters.b.path",
            "[emitters.a]\nkind = 'file'\n[emitters.b]\nkind = 'file'\npath = 'events.ndjson'",
            "must differ",
        ),
        (
            "emitters.a b",
            "[emitters.'a b']\nkind = 'stdout'",
            "bad id",
        ),
        ("control", "control = 3", "expected a table"),
        (
            "contorl",
            "[contorl]\ninterval = '1ms'",
            "did you mean `control`?",
        ),
    ];
    accused(cases);
}

#[test]
fn sizes_of_queues_and_times_of_the_arbiter_are_in_order() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "emitters.file.queue_min",
            "[emitters.file]\nqueue_start = 8\nqueue_min = 9\nbatch_events = 1",
            "be at most",
        ),
        (
            "emitters.file.queue_events",
            "[emitters.file]\nqueue_start = 9\nqueue_events = 8",
            "be at least",
        ),
        (
            "control.queue.min",
            "[control.queue]\nstart = 8\nmin = 9",
            "be at most",
        ),
        (
            "control.arbiter.interval",
            "[control.arbiter]\ninterval = '31s'",
            "be at most",
        ),
        (
            "control.aimd.lowest_floor",
            "[control.aimd]\nlowest_floor = '11%'",
            "be at most",
        ),
    ];
    accused(cases);
}

/// One number suffices to make a small queue or a short timeout.
#[test]
fn defaults_follow_what_was_given() {
    let text = "[adapters.http]\nrequest_timeout = '1s'\n[emitters.http]\nurl = 'http://h'\n\
                queue_events = 8\nqueue_bytes = '1KiB'\nbackoff_initial = '1m'\n";
    load(text).unwrap();
}

/// A mistake in one field must not accuse its neighbours.
#[test]
fn a_wrong_value_has_no_echo() {
    let found = problems("[control.ladder]\nwarning = \"lots\"\nerror = \"60%\"\n");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().any(|p| p.path == "control.ladder.warning"));
    assert!(found.iter().any(|p| {
        p.to_string()
            .contains("be further above control.drain.setpoint")
    }));
}

/// An emitter that could not be read is no reason to warn that there is none.
#[test]
fn a_mistake_does_not_count_as_nothing_configured() {
    for text in [
        "[emitters.http]\nurl = 3\n[adapters.http]\nlisten = 3\n",
        "emitters = 3\nadapters = 3\n",
        "[emitters.x]\n[adapters.x]\n",
    ] {
        let invalid = load(text).unwrap_err();
        assert!(invalid.warnings().is_empty(), "{text}: {invalid}");
    }
    let invalid = load("[emitters]\n[memory]\nlimit = 'lots'\n").unwrap_err();
    assert!(invalid.warnings()[0].to_string().contains("no emitters"));
}

#[test]
fn syntax_errors_come_with_everything_else() {
    let text =
        "[control]\ninterval = 50ms\nmode = \"enfroce\"\nlaw = \"drain\"\nlaw = \"aimd\"\n[log\n";
    let shown = load(text).unwrap_err().to_string();
    assert_eq!(
        shown,
        "relay.toml:2:12: control.interval = 50ms: text needs quotes: write \"50ms\"\n\
         relay.toml:3:8: control.mode = \"enfroce\": no such choice; did you mean \"enforce\"?; \
         allowed: \"enforce\", \"observe\", \"off\"\n\
         relay.toml:5:1: control.law: defined a second time; keep one of the two\n\
         relay.toml:6:5: log: not valid TOML: unclosed table, expected `]`"
    );
}

#[test]
fn a_secret_is_masked_wherever_it_was_mistyped() {
    let text = "[emitters.http]\nurl = \"http://user:hunter2@\"\nheaders = \"Bearer hunter2\"\n\
                auth_token = \"hunter2\"\nurll = \"http://user:hunter2@h\"\n\
                [emitters.x]\nheader = { authorization = \"hunter2\" }\nkind = \"http\"\n\
                url = http://user:hunter2@h/\n";
    let shown = load(text).unwrap_err().to_string();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.lines().count() >= 6, "{shown}");
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let sources = |path: &std::path::Path| Sources {
        file: Some(path.into()),
        ..Sources::default()
    };
    let absent = sources(&folder.path().join("absent.toml"))
        .load()
        .unwrap_err()
        .to_string();
    assert!(
        absent.contains("absent.toml:1:1: cannot read the configuration file"),
        "{absent}"
    );
    let is_folder = sources(folder.path()).load().unwrap_err().to_string();
    assert!(is_folder.contains("cannot read"), "{is_folder}");
    let binary = folder.path().join("binary");
    std::fs::write(&binary, b"a = \"\xff\"").unwrap();
    let not_text = sources(&binary).load().unwrap_err().to_string();
    assert!(not_text.contains("not UTF-8 at byte 5"), "{not_text}");
    let huge = folder.path().join("huge");
    std::fs::write(&huge, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(
        sources(&huge)
            .load()
            .unwrap_err()
            .to_string()
            .contains("larger than 1MiB")
    );
}

#[test]
fn flags_that_are_no_assignments_are_refused() {
    for set in [
        "interval",
        "=5",
        "control..interval=5ms",
        "",
        "control.interval",
    ] {
        let sources = Sources {
            set: vec![set.to_owned()],
            ..Sources::default()
        };
        let shown = sources.load().unwrap_err().to_string();
        assert!(
            shown.contains("--set") && shown.contains("not an assignment"),
            "{set}: {shown}"
        );
    }
    let sources = Sources {
        set: vec!["control.intervall=5ms".to_owned()],
        ..Sources::default()
    };
    let shown = sources.load().unwrap_err().to_string();
    assert!(
        shown.starts_with("--set control.intervall: control.intervall = \"5ms\": unknown key"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}|([\\[\\]a-z.=\"'{},0-9%\n -]{0,120})") {
        let _ = load(&text);
    }

    #[test]
    fn no_mutilated_file_panics(cut in 0..EVERYTHING.len(), insert in "\\PC{0,3}|[\\[\\]=\"'{}\n]{0,3}", drop in 0_usize..40) {
        let end = (cut + drop).min(EVERYTHING.len());
        let bytes = [&EVERYTHING.as_bytes()[..cut], insert.as_bytes(), &EVERYTHING.as_bytes()[end..]].concat();
        let _ = load(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_variable_or_flag_panics(name in "[A-Z_]{0,30}", path in "[a-z._]{0,30}", value in "\\PC{0,40}") {
        let sources = Sources {
            file: None,
            environment: Environment::new([(format!("RELAY_{name}"), value.clone())]),
            set: vec![format!("{path}={value}")],
        };
        let _ = sources.load();
    }
}
