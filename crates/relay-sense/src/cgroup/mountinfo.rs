//! `/proc/self/mountinfo`: where control groups are mounted.
//!
//! The fields of a line are split by `procfs`; ours are the choice of lines, so that a line it
//! refuses costs nothing but itself, and the octal escapes (`\040` for a space), which it leaves in
//! place. Source: `proc_pid_mountinfo(5)`.

use std::collections::HashSet;

use super::Version;
use crate::sys::MountInfo;

/// One mount of a control group hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CgroupMount {
    version: Version,
    /// Version 1 only: the options of the super block, controllers among them.
    options: Vec<String>,
    /// The group that is visible at `point`.
    pub(crate) root: String,
    pub(crate) point: String,
}

/// Reads the mounts of control groups, in the order of the table. Of several in one place only the
/// last can be seen.
pub(crate) fn parse(text: &[u8]) -> Vec<CgroupMount> {
    let mut taken = HashSet::new();
    let mut uncovered: Vec<_> = lines(text)
        .into_iter()
        .rev()
        .filter(|mount| taken.insert(mount.point.clone()))
        .collect();
    uncovered.reverse();
    uncovered
}

fn lines(text: &[u8]) -> Vec<CgroupMount> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        // Tables hold overlay lines of hundreds of KiB, which need not be taken apart.
        .filter(|line| line.contains(" - cgroup"))
        .filter_map(|line| CgroupMount::new(MountInfo::from_line(line).ok()?))
        .collect()
}

/// Undoes the kernel's escapes: a backslash and three octal digits stand for a byte.
fn unescape(field: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| octal(tail)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}

fn octal(text: &[u8]) -> Option<u8> {
    let digits = text.get(..3)?;
    if digits.iter().any(|digit| !(b'0'..=b'7').contains(digit)) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0_u16, |value, digit| value * 8 + u16::from(digit - b'0'));
    u8::try_from(value).ok()
}

// === impl CgroupMount ===

impl CgroupMount {
    fn new(line: MountInfo) -> Option<Self> {
        let version = match line.fs_type.as_str() {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => return None,
        };
        Some(Self {
            version,
            options: line.super_options.into_keys().collect(),
            root: unescape(&line.root)?,
            point: unescape(line.mount_point.to_str()?)?,
        })
    }

    /// Whether groups of this version with this controller are found here.
    pub(crate) fn shows(&self, version: Version, controller: &str) -> bool {
        self.version == version
            && (version == Version::V2 || self.options.iter().any(|option| option == controller))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate";

    fn points(text: &str) -> Vec<String> {
        let mounts = parse(text.as_bytes());
        mounts.into_iter().map(|mount| mount.point).collect()
    }

    #[test]
    fn case_20_any_number_of_optional_fields() {
        for optional in [
            "",
            "shared:1 ",
            "shared:1 master:2 unbindable ",
            "future:x ",
        ] {
            let line = format!("31 23 0:28 / /cg rw {optional}- cgroup2 cgroup2 rw\n");
            assert_eq!(points(&line), ["/cg"], "{optional:?}");
        }
    }

    #[test]
    fn case_19_lines_it_cannot_read_are_passed_over() {
        let wsl =
            "35 23 0:40 / /mnt/c rw - 9p C:\\Program Files rw,aname=drvfs;path=C:\\a b - cgroup\n";
        let broken = "x y - cgroup2\n31 23 0:28 / - cgroup2 cgroup2 rw\n";
        assert_eq!(points(&format!("{wsl}{broken}{V2}")), ["/sys/fs/cgroup"]);
    }

    #[test]
    fn the_last_mount_in_a_place_covers_the_others() {
        let over = "60 31 0:28 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let mounts = parse(format!("{V2}\n{over}\n").as_bytes());
        assert_eq!((mounts.len(), mounts[0].root.as_str()), (1, "/a"));
    }

    #[test]
    fn case_18_escapes_are_undone() {
        let escaped = r"31 23 0:28 /a\040b /mnt/my\011cg\134x\012 rw - cgroup2 cgroup2 rw";
        let mounts = parse(escaped.as_bytes());
        assert_eq!(mounts[0].root, "/a b");
        assert_eq!(mounts[0].point, "/mnt/my\tcg\\x\n");
    }

    #[test]
    fn what_only_looks_like_an_escape_stays() {
        for text in [r"\", r"\04", r"\089", r"\777", "plain"] {
            assert_eq!(unescape(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn case_37_joined_controllers_match_whole_names() {
        let joined = "36 31 0:33 / /cg rw - cgroup cgroup rw,cpu,cpuacct,memory,net_cls";
        let mount = &parse(joined.as_bytes())[0];
        assert!(mount.shows(Version::V1, "memory") && mount.shows(Version::V1, "cpu"));
        assert!(!mount.shows(Version::V1, "net") && !mount.shows(Version::V2, "memory"));
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in any::<Vec<u8>>()) {
            let _ = parse(&text);
        }

        #[test]
        fn any_tail_of_a_cgroup_line_parses(head in "[ 0-9:/a\\\\-]{0,40}", tail in "\\PC{0,40}") {
            let _ = parse(format!("{head} - cgroup{tail}").as_bytes());
        }

        #[test]
        fn escaping_is_undone_exactly(point in "/[a-z \t\\\\]{0,20}") {
            let escaped = point
                .replace('\\', r"\134")
                .replace(' ', r"\040")
                .replace('\t', r"\011");
            prop_assert_eq!(unescape(&escaped), Some(point));
        }
    }
}
