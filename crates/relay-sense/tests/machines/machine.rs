//! Machines made of folders.

use std::fs;
use std::path::Path;
use std::time::Instant;

use relay_sense::{Bound, Detection, Root, Sample, Sampler, detect};
use tempfile::TempDir;

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// The usual mount of version 2.
pub(crate) const V2: &str =
    "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";

/// A machine: its files are written below a temporary folder.
pub(crate) struct Machine {
    dir: TempDir,
}

impl Machine {
    /// One with 16 GiB of memory, four processors, and these two files about control groups.
    pub(crate) fn new(cgroup: &str, mounts: &[&str]) -> Self {
        let machine = Self::bare();
        machine.file("/proc/self/cgroup", cgroup);
        machine.file("/proc/self/mountinfo", &(mounts.join("\n") + "\n"));
        machine.memory(16 * GIB);
        machine.file(
            "/proc/self/status",
            "Name:\ttest\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\n",
        );
        machine
    }

    /// An empty folder.
    pub(crate) fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    /// Version 2 in its usual place; levels from the mount's top down, each with its `memory.max`.
    pub(crate) fn v2(group: &str, limits: &[(&str, &str)]) -> Self {
        let machine = Self::new(&format!("0::{group}\n"), &[V2]);
        machine.folder(&format!("/sys/fs/cgroup{group}"));
        for (level, limit) in limits {
            machine.file(
                &format!("/sys/fs/cgroup{level}/memory.max"),
                &format!("{limit}\n"),
            );
        }
        machine
    }

    pub(crate) fn memory(&self, bytes: u64) {
        let text = format!(
            "MemTotal:       {} kB\nMemFree:        1024 kB\n",
            bytes / KIB
        );
        self.file("/proc/meminfo", &text);
    }

    pub(crate) fn file(&self, abs: &str, text: &str) {
        let path = self.root().path(abs);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn folder(&self, abs: &str) {
        fs::create_dir_all(self.root().path(abs)).unwrap();
    }

    pub(crate) fn remove(&self, abs: &str) {
        fs::remove_file(self.root().path(abs)).unwrap();
    }

    /// What the numbers of `statm` count in.
    #[expect(clippy::unused_self, reason = "a machine has pages")]
    pub(crate) fn page_bytes(&self) -> u64 {
        #[cfg(all(target_os = "linux", not(relay_portable)))]
        return rustix::param::page_size() as u64;
        #[cfg(any(relay_portable, not(target_os = "linux")))]
        return 4096;
    }

    pub(crate) fn root(&self) -> Root {
        Root::at(self.dir.path())
    }

    pub(crate) fn detect(&self) -> Detection {
        detect(&self.root(), None).unwrap()
    }

    /// A sampler that was told which limits no group sets.
    pub(crate) fn sampler(&self) -> Sampler {
        let sampler = Sampler::new(&self.root()).unwrap();
        match self.detect().fixed_limit {
            Bound::Bytes(bytes) => sampler.with_configured(bytes).unwrap(),
            Bound::Unlimited | Bound::Unknown => sampler,
        }
    }

    pub(crate) fn sample(&self) -> Sample {
        self.sampler().sample(Instant::now())
    }

    /// Asserts the effective limit, its source, and the folder that sets it; the sampler must agree.
    #[track_caller]
    pub(crate) fn assert_limit(&self, bytes: u64, source: &str, path: Option<&str>) {
        let detection = self.detect();
        let memory = detection.memory.as_ref().expect("a limit");
        let found = (
            memory.bytes,
            memory.source.to_string(),
            memory.path.as_deref(),
        );
        assert_eq!(
            found,
            (bytes, source.to_owned(), path.map(Path::new)),
            "{detection:#?}"
        );
        assert_eq!(
            self.sample().limit_bytes.bytes(),
            Some(bytes),
            "the sampler differs"
        );
    }

    /// Asserts that a note says this.
    #[track_caller]
    pub(crate) fn assert_note(&self, part: &str) {
        let notes = self.detect().notes;
        assert!(
            notes.iter().any(|note| note.contains(part)),
            "no {part:?} in {notes:#?}"
        );
    }
}
