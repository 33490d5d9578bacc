//! Real processes that end in every way there is, and what their recordings say of it.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use relay_forensics::{Cause, Confidence, EventKind, Recording};

/// The example `flight`, built as it is now: not every test command builds examples.
fn flight() -> &'static Path {
    static FLIGHT: OnceLock<PathBuf> = OnceLock::new();
    FLIGHT.get_or_init(|| {
        let build = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package",
                "relay-forensics",
                "--example",
                "flight",
                "--features",
                "signals",
            ])
            .args(["--message-format", "json"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let said = String::from_utf8(build.stdout).unwrap();
        let messages = said.lines().map(|line| serde_json::from_str(line).unwrap());
        let mut executables = messages.filter_map(|message: serde_json::Value| {
            let executable = message["executable"].as_str()?;
            (message["target"]["name"] == "flight").then(|| PathBuf::from(executable))
        });
        executables
            .next()
            .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&build.stderr)))
    })
}

fn run(folder: &Path, how: &str) -> Output {
    Command::new(flight())
        .arg("record")
        .arg(folder)
        .arg(how)
        .output()
        .unwrap()
}

fn ended(how: &str) -> (Output, Recording) {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), how);
    let recording = Recording::open(folder.path().join("relay-flight.fdr")).unwrap();
    let bytes = fs::read(folder.path().join("relay-flight.fdr")).unwrap();
    let canary = bytes.windows(6).any(|window| window == b"c4naRy");
    assert!(!canary, "{how}: a secret is in the file");
    (output, recording)
}

#[test]
fn a_clean_end_is_clean() {
    let (output, recording) = ended("clean");
    assert!(output.status.success());
    assert_eq!(recording.verdict().cause, Cause::Clean);
}

#[test]
fn an_exit_without_a_word_is_no_clean_end() {
    let (output, recording) = ended("exit");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(recording.verdict().cause, Cause::Killed);
}

#[test]
fn a_panic_that_ends_the_process_is_told_with_its_place() {
    for how in ["panic", "drop-panic"] {
        let (output, recording) = ended(how);
        assert_eq!(output.status.code(), Some(101), "{how}");
        let verdict = recording.verdict();
        assert_eq!(
            (verdict.cause, verdict.confidence),
            (Cause::Panic, Confidence::High),
            "{how}"
        );
        assert!(
            verdict.detail.contains("thread main at ") && verdict.detail.contains("flight.rs:"),
            "{verdict}"
        );
    }
}

#[test]
fn a_panic_while_another_unwinds_aborts_and_is_told_as_a_panic() {
    let (output, recording) = ended("double-panic");
    assert_eq!(output.status.signal(), Some(6));
    let verdict = recording.verdict();
    assert_eq!(verdict.cause, Cause::Panic, "{verdict}");
    let panics = recording
        .events()
        .iter()
        .filter(|event| event.kind == EventKind::Panic);
    let texts: Vec<&str> = panics.map(|event| event.text.as_str()).collect();
    assert!(
        texts.len() >= 2 && texts[0].contains("the first"),
        "{texts:?}"
    );
    assert!(texts[1].contains("in a destructor"), "{texts:?}");
}

#[test]
fn a_panic_that_is_caught_does_not_end_the_process() {
    let (output, recording) = ended("thread-panic");
    assert!(output.status.success());
    assert_eq!(recording.verdict().cause, Cause::Clean);
    let panic = recording
        .events()
        .iter()
        .find(|event| event.kind == EventKind::Panic);
    assert_eq!(panic.unwrap().values[0], 1, "guarded");
}

#[test]
fn fatal_signals_are_recorded_and_end_the_process_as_before() {
    // SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV.
    for signal in [4, 6, 7, 8, 11] {
        let (output, recording) = ended(&signal.to_string());
        assert_eq!(output.status.signal(), Some(signal));
        assert_eq!(recording.verdict().cause, Cause::FatalSignal);
        assert_eq!(recording.state().signal, signal.cast_unsigned());
        assert_ne!(recording.state().fault_thread, 0);
        let event = recording.events().last().unwrap();
        assert_eq!(
            (event.kind, event.values[0]),
            (EventKind::FatalSignal, u64::from(signal.cast_unsigned()))
        );
    }
}

#[test]
fn an_abort_is_a_fatal_signal() {
    let (output, recording) = ended("abort");
    assert_eq!(output.status.signal(), Some(6));
    assert_eq!(recording.verdict().cause, Cause::FatalSignal);
}

#[test]
fn an_overflow_of_the_stack_is_recorded_with_its_address_and_still_explained() {
    let (output, recording) = ended("overflow");
    assert_eq!(
        output.status.signal(),
        Some(6),
        "the standard library aborts after its message"
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("has overflowed its stack"), "{said}");
    let verdict = recording.verdict();
    assert_eq!(verdict.cause, Cause::FatalSignal);
    assert_eq!(recording.state().signal, 11);
    assert!(recording.state().fault_address > 0x1000, "{verdict}");
}

#[test]
fn kill_9_at_any_moment_leaves_whole_records() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(flight())
        .args(["kill", "20"])
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("20 kills: 0 wrong"), "{said}");
}

/// A place of its own in a mount namespace: `setup` prepares `disk`, then the example records there.
fn in_namespace(setup: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("disk")).unwrap();
    let script = format!(
        "{setup} && exec {} record disk/fdr clean",
        flight().display()
    );
    let namespaces: &[&str] = if rustix::process::geteuid().is_root() {
        &["--mount"]
    } else {
        &["--mount", "--user", "--map-root-user"]
    };
    Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-c", &script])
        .current_dir(folder.path())
        .output()
        .expect("unshare is there: apt-get install util-linux")
}

#[test]
fn a_full_disk_is_a_warning_and_never_a_sigbus() {
    let output = in_namespace(
        "mount -t tmpfs -o size=256k relay-test disk && head -c 200k /dev/zero > disk/ballast",
    );
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?} {said}", output.status);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("recording into memory only"), "{said}");
}

/// The kernel would end the process for it.
#[test]
fn a_limit_of_file_sizes_is_a_warning() {
    let output = in_namespace("ulimit -f 64");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?} {said}", output.status);
    assert!(said.contains("RLIMIT_FSIZE"), "{said}");
    assert!(said.contains("recording into memory only"), "{said}");
}

#[test]
fn a_read_only_disk_is_a_warning() {
    let output = in_namespace("mount -t tmpfs -o ro relay-test disk");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?} {said}", output.status);
    assert!(said.contains("Read-only file system"), "{said}");
}

#[test]
fn a_recording_on_tmpfs_says_that_it_is_in_memory() {
    let output = in_namespace("mount -t tmpfs relay-test disk");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?} {said}", output.status);
    assert!(said.contains("lies in memory"), "{said}");
}

#[test]
fn what_cannot_be_locked_is_recorded_with_a_warning() {
    if rustix::process::geteuid().is_root() {
        // Root may lock what it likes, so be somebody else for it.
        let folder = tempfile::tempdir().unwrap();
        let owner = rustix::process::Uid::from_raw(65534);
        rustix::fs::chown(folder.path(), Some(owner), None).unwrap();
        let script = format!(
            "ulimit -l 16; exec setpriv --reuid 65534 --clear-groups --inh-caps=-all {} record {} clean",
            copied(folder.path()).display(),
            folder.path().join("fdr").display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(said.contains("cannot be locked in memory"), "{said}");
        let recording = Recording::open(folder.path().join("fdr/relay-flight.fdr")).unwrap();
        assert!(!recording.header().is_locked());
        assert_eq!(recording.verdict().cause, Cause::Clean);
    } else {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "ulimit -l 16; exec {} record {} clean",
            flight().display(),
            folder.path().display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("cannot be locked in memory"), "{said}");
    }
}

/// Another user may not reach the folder that this was built in.
fn copied(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let copy = folder.join("flight");
    fs::copy(flight(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}
