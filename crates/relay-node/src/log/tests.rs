use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::*;
use crate::config::{Environment, Sources};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(settings: &[(&str, &str)], is_terminal: bool, log: impl FnOnce()) -> String {
    let sources = Sources {
        environment: Environment::new(settings.to_vec()),
        ..Sources::default()
    };
    let config = sources.load().unwrap().into_config().log;
    let captured = Captured::default();
    let writer = captured.clone();
    let (subscriber, _) = subscriber(&config, is_terminal, move || writer.clone());
    tracing::subscriber::with_default(subscriber, log);
    let bytes = captured.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn hostile() {
    let input = "x\n2026 ERROR forged \u{1b}[2J\u{7f}\u{9b}31m";
    tracing::warn!(path = input, shown = %input, "refused {input}");
}

#[test]
fn a_human_line_cannot_be_forged() {
    let text = logged(&[], true, hostile);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.trim_end().contains(char::is_control), "{text:?}");
    assert!(
        text.contains("refused x\\n2026 ERROR forged \\u{1b}[2J"),
        "{text}"
    );
}

#[test]
fn a_json_line_is_one_object_that_reads_back() {
    let text = logged(&[], false, hostile);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.trim_end().contains(char::is_control), "{text:?}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(
        line["fields"]["path"],
        "x\n2026 ERROR forged \u{1b}[2J\u{7f}\u{9b}31m"
    );
}

#[test]
fn the_format_follows_the_terminal_unless_configured() {
    let hello = || tracing::info!("hello");
    let is_json = |text: String| text.starts_with('{');
    assert!(!is_json(logged(&[], true, hello)));
    assert!(is_json(logged(&[], false, hello)));
    assert!(is_json(logged(
        &[("RELAY_LOG__FORMAT", "json")],
        true,
        hello
    )));
    assert!(!is_json(logged(
        &[("RELAY_LOG__FORMAT", "human")],
        false,
        hello
    )));
}

#[test]
fn the_level_holds_per_target() {
    let log = || {
        tracing::info!("quiet");
        tracing::warn!("loud");
        tracing::debug!(target: "relay_http", "detail");
    };
    let text = logged(&[("RELAY_LOG", "warn,relay_http=debug")], true, log);
    assert!(!text.contains("quiet"), "{text}");
    assert!(text.contains("loud") && text.contains("detail"), "{text}");
}
