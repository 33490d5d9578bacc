//! `/proc/self/cgroup`: which group rules this process, per controller.
//!
//! Lines read `id:controllers:path`. A path may contain colons, so only the first two split. The
//! order of lines means nothing, the last may lack its newline. Source: `cgroups(7)`.

use super::Version;

/// The groups of one process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Membership {
    groups: Vec<Group>,
}

#[derive(Debug, PartialEq, Eq)]
struct Group {
    version: Version,
    /// Version 1 only.
    controllers: Vec<String>,
    path: String,
}

// === impl Membership ===

impl Membership {
    /// Reads the file; lines of another shape are passed over.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n');
        Self {
            groups: lines.filter_map(Group::parse).collect(),
        }
    }

    /// The group that rules `controller`: the version 1 group that names it, else the group of the
    /// unified hierarchy. A version 1 group of other controllers says nothing about this one.
    pub(crate) fn find(&self, controller: &str) -> Option<(Version, &str)> {
        let named = |group: &&Group| group.controllers.iter().any(|name| name == controller);
        let unified = |group: &&Group| group.version == Version::V2;
        let mut groups = self.groups.iter();
        groups
            .clone()
            .find(named)
            .or_else(|| groups.find(unified))
            .map(|group| (group.version, group.path.as_str()))
    }

    /// The group in the unified hierarchy, which on a hybrid system has no controllers.
    pub(crate) fn unified(&self) -> Option<&str> {
        let mut groups = self.groups.iter();
        groups
            .find(|group| group.version == Version::V2)
            .map(|group| group.path.as_str())
    }
}

// === impl Group ===

impl Group {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(line).ok()?.splitn(3, ':');
        let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if !path.starts_with('/') {
            return None;
        }
        let version = match (id, controllers) {
            ("0", "") => Version::V2,
            _ => Version::V1,
        };
        Some(Self {
            version,
            controllers: controllers.split(',').map(str::to_owned).collect(),
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn assert_found(text: &str, controller: &str, version: Version, path: &str) {
        let membership = Membership::parse(text.as_bytes());
        assert_eq!(
            membership.find(controller),
            Some((version, path)),
            "{text:?}"
        );
    }

    #[test]
    fn colons_in_the_path_stay() {
        let path = "/kubepods-burstable-pod1.slice:cri-containerd:0ab";
        assert_found(&format!("0::{path}"), "memory", Version::V2, path);
        assert_found(&format!("11:memory:{path}\n"), "memory", Version::V1, path);
    }

    #[test]
    fn each_controller_is_decided_alone() {
        let hybrid = "0::/unified\n3:cpu,cpuacct:/c\n2:memory:/m\n1:name=systemd:/s\n";
        assert_found(hybrid, "memory", Version::V1, "/m");
        assert_found(hybrid, "cpu", Version::V1, "/c");
        assert_found(hybrid, "pids", Version::V2, "/unified");
    }

    #[test]
    fn case_58_controllers_match_whole_names() {
        let membership = Membership::parse(b"4:cpuset,cpuacct:/x\n");
        assert_eq!(membership.find("cpu"), None);
    }

    #[test]
    fn case_24_blank_and_unfinished_lines() {
        assert_found("0::/a", "memory", Version::V2, "/a");
        assert_found("0::/a\n\n", "memory", Version::V2, "/a");
        assert_found("\nnonsense\n7:memory\n0::/a\n", "memory", Version::V2, "/a");
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in any::<Vec<u8>>()) {
            let _ = Membership::parse(&text).find("memory");
        }

        #[test]
        fn any_path_comes_back(path in "/[^\n]{0,80}") {
            assert_found(&format!("0::{path}\n"), "memory", Version::V2, &path);
        }
    }
}
