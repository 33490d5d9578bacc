//! The Debian packages that tests and scenarios need: one list, in one place.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;

/// Something to have installed, how to see that it is, and what for.
#[derive(Debug)]
pub(crate) struct Package {
    name: &'static str,
    provides: Provides,
    purpose: &'static str,
}

#[derive(Debug)]
enum Provides {
    Program(&'static str),
    OneOf(&'static [&'static str]),
}

/// What builds the static binary and runs it in a container.
pub(crate) const CONTAINER: &[Package] = &[
    Package {
        name: "runc",
        provides: Provides::Program("runc"),
        purpose: "containers with a real memory limit",
    },
    Package {
        name: "gcc",
        provides: Provides::Program("cc"),
        purpose: "the linker, and jemalloc is C",
    },
    Package {
        name: "make",
        provides: Provides::Program("make"),
        purpose: "jemalloc's build",
    },
    Package {
        name: "libc6-dev",
        provides: Provides::OneOf(&[
            "/usr/lib/x86_64-linux-gnu/libc.a",
            "/usr/lib/aarch64-linux-gnu/libc.a",
            "/usr/lib64/libc.a",
            "/usr/lib/libc.a",
        ]),
        purpose: "the C library to link statically",
    },
];

/// What boots a guest machine of its own kernel.
pub(crate) const GUEST: &[Package] = &[
    Package {
        name: "qemu-system-x86",
        provides: Provides::Program("qemu-system-x86_64"),
        purpose: "emulates the guest with pure cgroup v2",
    },
    Package {
        name: "busybox-static",
        provides: Provides::Program("busybox"),
        purpose: "the guest's shell, and packs its root file system",
    },
];

/// The guest's kernel: this package depends on the newest one. Unpacked, never installed: on this machine it is no kernel.
const KERNEL: &str = "linux-image-cloud-amd64";

/// What cuts the guest's power, and reads its disk afterwards.
pub(crate) const DISK: &[Package] = &[Package {
    name: "e2fsprogs",
    provides: Provides::OneOf(&["/usr/sbin/debugfs", "/sbin/debugfs"]),
    purpose: "makes the disk of the guest, and reads it without mounting",
}];

/// What further tests call.
pub(crate) const TEST: &[Package] = &[
    Package {
        name: "prometheus",
        provides: Provides::Program("promtool"),
        purpose: "promtool checks the metrics page",
    },
    Package {
        name: "chromium",
        provides: Provides::Program("chromium"),
        purpose: "opens the page of the black box",
    },
];

/// What pins a measurement to a core.
pub(crate) const BENCH: &[Package] = &[Package {
    name: "util-linux",
    provides: Provides::Program("taskset"),
    purpose: "taskset pins a program to a core",
}];

/// Installs what is missing: on Debian as root; elsewhere the error is the line to type.
pub(crate) fn ensure(lists: &[&[Package]]) -> Result<()> {
    let missing: Vec<_> = lists
        .iter()
        .copied()
        .flatten()
        .filter(|p| !p.is_present())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        println!("missing: {} ({})", package.name, package.purpose);
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    let debian = Path::new("/etc/debian_version").exists() && command::exists("apt-get");
    if !debian || !rustix::process::geteuid().is_root() {
        bail!("{}", advice(&names, debian));
    }
    println!("installing: {}", names.join(" "));
    command::run(apt_get().arg("update"))?;
    command::run(
        apt_get()
            .args(["install", "-y", "--no-install-recommends"])
            .args(&names),
    )
}

/// Downloads the guest's kernel into a folder and returns the package's path.
pub(crate) fn download_kernel(folder: &Path) -> Result<PathBuf> {
    if !command::exists("apt-get") {
        bail!("the guest's kernel comes from Debian's package {KERNEL}, and there is no apt-get");
    }
    let name = kernel_name().or_else(|_| {
        // A fresh machine has no package lists yet.
        command::run(apt_get().arg("update"))?;
        kernel_name()
    })?;
    println!("downloading: {name}");
    let mut download = apt_get();
    // apt's own user may not write into a folder of ours.
    download.args(["-o", "APT::Sandbox::User=root"]);
    command::run(download.current_dir(folder).args(["download", &name]))?;
    let files = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut archives = files.filter(|path| path.extension().is_some_and(|end| end == "deb"));
    archives
        .next()
        .with_context(|| format!("apt-get download {name} left no package"))
}

/// The package that [`KERNEL`] depends on.
fn kernel_name() -> Result<String> {
    let mut depends = Command::new("apt-cache");
    let said = command::output(depends.args(["depends", "--important", KERNEL]))?;
    let mut lines = said.lines().filter_map(|line| line.split_once("Depends: "));
    let found = lines.find(|(_, name)| name.starts_with("linux-image-"));
    let (_, name) = found.with_context(|| format!("{KERNEL} names no kernel: {said}"))?;
    Ok(name.trim().to_owned())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("--quiet=2")
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn advice(names: &[&str], debian: bool) -> String {
    let names = names.join(" ");
    let line =
        format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {names}");
    if debian {
        format!("packages are missing and only root can install them; type\n  {line}")
    } else {
        format!("install what is missing with your package manager; on Debian that is\n  {line}")
    }
}

impl Package {
    fn is_present(&self) -> bool {
        match self.provides {
            Provides::Program(program) => command::exists(program),
            Provides::OneOf(files) => files.iter().any(|file| Path::new(file).exists()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_a_line_to_type() {
        let text = advice(&["runc", "make"], true);
        assert!(
            text.ends_with("--no-install-recommends runc make"),
            "{text}"
        );
    }

    #[test]
    fn presence_is_looked_up_not_assumed() {
        let package = |provides| Package {
            name: "x",
            provides,
            purpose: "",
        };
        assert!(package(Provides::Program("sh")).is_present());
        assert!(!package(Provides::Program("no-such-program-here")).is_present());
        assert!(!package(Provides::OneOf(&["/no/such/file"])).is_present());
    }
}
