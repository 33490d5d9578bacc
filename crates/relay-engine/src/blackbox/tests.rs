use super::*;
use relay_event::ErrorFilter;
use relay_sense::Root;
use std::fs;
use tempfile::TempDir;

fn detection() -> Detection {
    relay_sense::detect(&Root::system(), Some(64 << 20)).unwrap()
}

fn open(config: &BlackboxConfig) -> (Blackbox, Tape, News) {
    config.open(&detection(), Some(0)).unwrap()
}

/// What is told at the start, by code and text.
fn told(news: News) -> Vec<(Code, String)> {
    let errors = ErrorBus::new();
    let mut events = errors.subscribe(ErrorFilter::all()).unwrap();
    news.tell(&errors);
    let events = std::iter::from_fn(|| events.try_recv());
    events
        .map(|event| (event.code, event.to_string()))
        .collect()
}

#[test]
fn the_default_is_memory_and_says_nothing_about_it() {
    let (blackbox, _tape, news) = open(&BlackboxConfig::default());
    assert_eq!(blackbox.recorder.path(), None);
    assert_eq!(told(news), []);
}

#[test]
fn a_size_is_honoured_up_to_its_share_of_the_limit() {
    let mut config = BlackboxConfig {
        size_bytes: Some(256 << 10),
        ..BlackboxConfig::default()
    };
    let size = open(&config).0.recorder.size_bytes();
    assert!(
        (240 << 10..=256 << 10).contains(&size),
        "{size}: whole slots"
    );
    config.size_bytes = Some(8 << 20);
    let size = open(&config).0.recorder.size_bytes() as f64;
    assert!(size <= 0.03 * f64::from(64 << 20), "{size}");
}

#[test]
fn a_folder_that_cannot_be_had_is_told_and_memory_takes_its_place() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let mut config = BlackboxConfig::in_folder("shop", &file);
    config.termination_page = Some(dir.path().join("none/page"));
    config.crash_reports = CrashFolder::Beside;
    let (blackbox, _tape, news) = open(&config);
    assert_eq!(blackbox.recorder.path(), None);
    assert!(!blackbox.crash.is_on(), "there is nothing to be beside of");
    let told = told(news);
    let texts = ["no recording in", "memory only", "no termination page"];
    for (text, (code, event)) in texts.iter().zip(&told) {
        assert_eq!(*code, Code::BlackboxFail);
        assert!(event.contains(text), "{event}");
    }
    assert_eq!(told.len(), texts.len());
}

#[cfg(all(target_os = "linux", not(relay_portable)))]
#[test]
fn a_run_without_an_end_is_told_by_the_next_and_a_clean_one_is_not() {
    let dir = TempDir::new().unwrap();
    let config = BlackboxConfig::in_folder("shop", dir.path());
    // As if it were killed here: nothing says that it ended.
    drop(open(&config));
    let (blackbox, tape, news) = open(&config);
    let previous = blackbox.previous.as_ref().unwrap();
    assert!(previous.path.is_some() && previous.recording.is_none());
    let told_now = told(news);
    assert_eq!(told_now[0].0, Code::PreviousExit);
    assert!(
        told_now[0].1.contains("relay blackbox why"),
        "{}",
        told_now[0].1
    );
    blackbox.finish();
    assert_eq!(blackbox.recorder.state(), relay_forensics::RunState::Clean);
    drop((blackbox, tape));
    let (blackbox, _tape, news) = open(&config);
    assert_eq!(
        blackbox.previous.map(|previous| previous.reason()),
        Some("clean")
    );
    assert_eq!(told(news), []);
}

#[test]
fn turned_off_nothing_is_recorded_nor_opened() {
    let dir = TempDir::new().unwrap();
    let mut config = BlackboxConfig::in_folder("shop", dir.path());
    config.enabled = false;
    config.termination_page = Some(dir.path().join("page"));
    let (blackbox, _tape, _) = open(&config);
    let errors = ErrorBus::new();
    blackbox.tap(&errors);
    errors.publish(ErrorEvent::new(
        Code::Panic,
        Severity::Error,
        Component::Engine,
    ));
    assert_eq!(blackbox.journal.total(), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
