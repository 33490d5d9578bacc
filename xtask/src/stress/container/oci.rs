//! The container's `config.json`, as the OCI runtime specification 1.0.2 defines it.

use std::path::Path;

use serde_json::{Value, json};

use crate::stress::cgroup::Version;

/// A container with its own processes and mounts, in the host's network so that it listens on the host's loopback. No
/// capability. Where version 2 of cgroups stands alone, also a cgroup namespace of its own, as the engines do it there.
pub(super) fn config(
    program: &str,
    user: u32,
    arguments: &[&str],
    data: &Path,
    cgroups_path: &str,
    resources: &Value,
) -> Value {
    let mut args = vec![program];
    args.extend(arguments);
    let mut namespaces = vec!["pid", "mount", "ipc", "uts"];
    if Version::here() == Version::V2 {
        namespaces.push("cgroup");
    }
    let namespaces: Vec<_> = namespaces
        .iter()
        .map(|kind| json!({ "type": kind }))
        .collect();
    json!({
        "ociVersion": "1.0.2",
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "relay",
        "process": {
            "terminal": false,
            "user": { "uid": user, "gid": user },
            "args": args,
            "env": ["PATH=/", "HOME=/data"],
            "cwd": "/data",
            "noNewPrivileges": true,
        },
        "mounts": [
            mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "mode=755", "size=64k"]),
            mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev", "size=16m"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/data", "bind", &data.to_string_lossy(), &["rbind", "rw"]),
        ],
        "linux": {
            "cgroupsPath": cgroups_path,
            "namespaces": namespaces,
            "resources": resources,
        },
    })
}

/// A memory limit, and no swap beyond it.
pub(super) fn memory(limit_bytes: u64) -> Value {
    json!({ "memory": { "limit": limit_bytes, "swap": limit_bytes } })
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": source, "options": options })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_covers_swap_and_the_network_is_the_hosts() {
        let resources = memory(64 << 20);
        let config = config(
            "/relay",
            7,
            &["run"],
            Path::new("/x"),
            "/relay/y",
            &resources,
        );
        let memory = &config["linux"]["resources"]["memory"];
        assert_eq!(memory["limit"], memory["swap"]);
        let namespaces = config["linux"]["namespaces"].as_array().unwrap();
        assert!(
            namespaces
                .iter()
                .all(|namespace| namespace["type"] != "network")
        );
        assert_eq!(config["process"]["user"]["uid"], 7);
        assert_eq!(config["process"]["args"], json!(["/relay", "run"]));
    }
}
