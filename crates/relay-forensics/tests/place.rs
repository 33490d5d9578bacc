//! Where recordings lie: full, hostile or shared places, and what is kept of earlier runs.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    thread,
};

use relay_forensics::{Cause, KEEP_COUNT, Opened, Options, PlaceError, Recording, Warning};

fn options(folder: &Path) -> Options {
    Options::new("shop").folder(folder).size_bytes(64 << 10)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Warns of exactly one place, and records all the same.
fn refusal(opened: &mut Opened) -> PlaceError {
    opened.snapshots.record(|_| {});
    assert_eq!(opened.recorder.path(), None);
    assert_eq!(opened.recorder.read().snapshots().len(), 1);
    let mut warnings = std::mem::take(&mut opened.warnings);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(matches!(warnings.pop(), Some(Warning::MemoryOnly)));
    let Some(Warning::Place { error, .. }) = warnings.pop() else {
        panic!("another warning");
    };
    error
}

#[test]
fn a_file_is_this_users_alone_and_has_all_its_blocks() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("deep/er");
    let opened = options(&folder).open();
    let path = opened.recorder.path().unwrap();
    let about = fs::metadata(path).unwrap();
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert_eq!(about.len(), opened.recorder.size_bytes() as u64);
    assert!(
        about.blocks() * 512 >= about.len(),
        "a hole would be a SIGBUS"
    );
    assert_eq!(names(&folder), ["relay-shop.fdr"]);
}

#[test]
fn a_clean_end_leaves_nothing_behind_and_a_kill_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let first = options(folder.path()).open();
    assert!(first.previous.is_none());
    first.recorder.finish().unwrap();
    drop(first);
    let second = options(folder.path()).open();
    let previous = second.previous.as_ref().unwrap();
    assert_eq!((previous.reason(), &previous.path), ("clean", &None));
    drop(second);
    let mut third = options(folder.path()).open();
    let previous = third.previous.take().unwrap();
    assert_eq!(previous.verdict.cause, Cause::Unknown);
    let kept = previous.path.clone().unwrap();
    assert!(
        kept.to_str()
            .unwrap()
            .ends_with(&format!("-{}.crash.fdr", std::process::id()))
    );
    let recording = Recording::open(&kept).unwrap();
    assert!(
        recording.aftermath().unwrap().same_boot,
        "stamped for other machines"
    );
    assert!(
        previous.to_string().contains("relay blackbox show"),
        "{previous}"
    );
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn two_processes_with_one_name_do_not_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = options(folder.path()).open();
    let mut second = options(folder.path()).open();
    let error = refusal(&mut second);
    assert!(matches!(error, PlaceError::InUse { .. }), "{error}");
    first.snapshots.record(|_| {});
    drop(first);
    assert!(options(folder.path()).open().recorder.path().is_some());
}

#[test]
fn of_many_that_start_at_once_one_has_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..10 {
        let starts: Vec<_> = (0..6)
            .map(|_| {
                let options = options(folder.path());
                thread::spawn(move || options.open())
            })
            .collect();
        let opened: Vec<Opened> = starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect();
        let with_file = opened.iter().filter(|one| one.recorder.path().is_some());
        assert_eq!(with_file.count(), 1);
    }
    let kept = names(folder.path());
    assert!(kept.len() <= KEEP_COUNT + 2, "{kept:?}");
    assert!(!kept.iter().any(|name| name.contains(".tmp")), "{kept:?}");
}

/// Puts something hostile where a recording is to be.
type Plant = fn(&Path, &Path);

#[test]
fn a_planted_link_pipe_folder_or_second_name_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("precious");
    let planted = folder.path().join("relay-shop.fdr");
    let plant: [(&str, Plant); 4] = [
        ("link", |target, planted| symlink(target, planted).unwrap()),
        ("pipe", |_, planted| {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, planted, kind, mode, 0).unwrap();
        }),
        ("folder", |_, planted| fs::create_dir(planted).unwrap()),
        ("second name", |target, planted| {
            fs::hard_link(target, planted).unwrap();
        }),
    ];
    for (what, plant) in plant {
        fs::write(&target, "precious").unwrap();
        plant(&target, &planted);
        let error = refusal(&mut options(folder.path()).open());
        assert!(
            matches!(error, PlaceError::Hostile { .. }),
            "{what}: {error}"
        );
        assert_eq!(fs::read(&target).unwrap(), b"precious", "{what}");
        if planted.is_dir() {
            fs::remove_dir(&planted).unwrap();
        } else {
            fs::remove_file(&planted).unwrap();
        }
    }
}

#[test]
fn a_link_in_place_of_the_folder_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    fs::create_dir(temporary.path().join("real")).unwrap();
    symlink("real", temporary.path().join("link")).unwrap();
    let error = refusal(&mut options(&temporary.path().join("link")).open());
    assert!(matches!(error, PlaceError::Folder(_)), "{error}");
    assert!(names(&temporary.path().join("real")).is_empty());
}

#[test]
fn files_and_folders_of_another_user_are_refused() {
    assert!(
        rustix::process::geteuid().is_root(),
        "giving a file to another user needs root: sudo -E cargo test -p relay-forensics"
    );
    let nobody = rustix::process::Uid::from_raw(65534);
    let folder = tempfile::tempdir().unwrap();
    let planted = folder.path().join("relay-shop.fdr");
    fs::write(&planted, "theirs").unwrap();
    rustix::fs::chown(&planted, Some(nobody), None).unwrap();
    let error = refusal(&mut options(folder.path()).open());
    assert!(matches!(error, PlaceError::Hostile { .. }), "{error}");
    assert_eq!(fs::read(&planted).unwrap(), b"theirs");

    let theirs = tempfile::tempdir().unwrap();
    rustix::fs::chown(theirs.path(), Some(nobody), None).unwrap();
    let error = refusal(&mut options(theirs.path()).open());
    assert!(
        matches!(error, PlaceError::FolderOwner { owner: 65534 }),
        "{error}"
    );
}

#[test]
fn a_place_that_is_none_is_warned_of_and_the_next_is_tried() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("file");
    fs::write(&file, "").unwrap();
    let good = temporary.path().join("good");
    let folders: [PathBuf; 3] = [file.join("below"), "/proc/none".into(), good.clone()];
    let opened = Options::new("shop")
        .folders(folders)
        .size_bytes(64 << 10)
        .open();
    assert_eq!(
        opened.recorder.path(),
        Some(good.join("relay-shop.fdr").as_path())
    );
    assert_eq!(opened.warnings.len(), 2, "{:?}", opened.warnings);
    let text = opened.warnings[0].to_string();
    assert!(
        text.contains("file/below") && text.contains("Not a directory"),
        "{text}"
    );
}

#[test]
fn what_is_no_recording_under_its_name_is_kept_and_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("relay-shop.fdr"), "not a recording").unwrap();
    let opened = options(folder.path()).open();
    let previous = opened.previous.unwrap();
    assert_eq!(previous.verdict.cause, Cause::Unknown);
    assert_eq!(
        fs::read(previous.path.unwrap()).unwrap(),
        b"not a recording"
    );
}

#[test]
fn the_newest_five_are_kept_of_each_instance() {
    let folder = tempfile::tempdir().unwrap();
    let kept = |day: u32| format!("relay-shop-202601{day:02}T000000Z-00000000-1.crash.fdr");
    for day in 1..=8 {
        fs::write(folder.path().join(kept(day)), "x").unwrap();
    }
    let other = "relay-shop-two-20200101T000000Z-00000000-1.crash.fdr";
    fs::write(folder.path().join(other), "x").unwrap();
    drop(options(folder.path()).open());
    let mut expected: Vec<String> = (4..=8).map(kept).collect();
    expected.extend(["relay-shop.fdr".to_owned(), other.to_owned()]);
    expected.sort();
    assert_eq!(names(folder.path()), expected);
}

#[test]
fn no_more_than_64_mib_are_kept_but_always_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    for day in 1..=3 {
        let name = format!("relay-shop-2026010{day}T000000Z-00000000-1.crash.fdr");
        let file = fs::File::create(folder.path().join(name)).unwrap();
        file.set_len(40 << 20).unwrap();
    }
    drop(options(folder.path()).open());
    let left = names(folder.path());
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[0].contains("20260103"), "{left:?}");
}
