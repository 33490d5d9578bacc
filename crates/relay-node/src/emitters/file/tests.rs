use super::*;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

fn sink(dir: &TempDir, rotate_bytes: u64, keep: usize) -> FileSink {
    let path = dir.path().join("events.ndjson");
    FileSink::new(FileConfig {
        path,
        fsync: Fsync::Batch,
        rotate_bytes,
        keep,
    })
}

fn read(dir: &TempDir, name: &str) -> Option<String> {
    fs::read_to_string(dir.path().join(name)).ok()
}

#[test]
fn appends_with_mode_0600_and_goes_on_where_it_was() {
    let dir = TempDir::new().unwrap();
    for line in [b"one\n", b"two\n"] {
        let mut sink = sink(&dir, 1000, 4);
        sink.open().unwrap();
        sink.write(line).unwrap();
        sink.close().unwrap();
    }
    assert_eq!(read(&dir, "events.ndjson").unwrap(), "one\ntwo\n");
    let mode = fs::metadata(dir.path().join("events.ndjson"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn rotates_by_size_and_keeps_so_many() {
    let dir = TempDir::new().unwrap();
    let mut sink = sink(&dir, 8, 2);
    sink.open().unwrap();
    for n in 0..5 {
        sink.write(format!("line{n}\n").as_bytes()).unwrap();
    }
    assert_eq!(read(&dir, "events.ndjson").unwrap(), "line4\n");
    assert_eq!(read(&dir, "events.ndjson.1").unwrap(), "line3\n");
    assert_eq!(read(&dir, "events.ndjson.2").unwrap(), "line2\n");
    assert_eq!(read(&dir, "events.ndjson.3"), None);
}

#[test]
fn a_planted_link_is_not_followed() {
    let dir = TempDir::new().unwrap();
    let target = dir.path().join("secret");
    fs::write(&target, "keep").unwrap();
    symlink(&target, dir.path().join("events.ndjson")).unwrap();
    assert!(sink(&dir, 1000, 1).open().is_err());
    assert_eq!(fs::read_to_string(&target).unwrap(), "keep");
}

#[test]
fn a_file_that_others_may_write_is_refused_with_advice() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("events.ndjson");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let error = sink(&dir, 1000, 1).open().unwrap_err();
    assert!(error.to_string().contains("chmod"), "{error}");
}
