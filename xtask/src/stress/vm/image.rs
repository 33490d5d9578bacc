//! The guest's root file system: an archive that the kernel unpacks into memory.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::kernel::Kernel;
use crate::command;
use crate::stress::artifact;

const INIT: &str = include_str!("init.sh");

/// What the guest's shell calls; all are the one busybox.
const APPLETS: [&str; 14] = [
    "sh",
    "mount",
    "mkdir",
    "cp",
    "cat",
    "ls",
    "switch_root",
    "insmod",
    "mke2fs",
    "ip",
    "dmesg",
    "poweroff",
    "sleep",
    "ps",
];

/// Modules that the guest loads itself, by their path below `kernel/`.
const MODULES: [&str; 1] = ["drivers/block/brd.ko"];

/// Makes the archive and returns its path.
///
/// It holds this program itself with the libraries that it needs, the container runtime with its, and the static
/// `programs`: so the guest runs the very scenario that runs here.
pub(super) fn build(
    folder: &Path,
    kernel: &Kernel,
    programs: &[PathBuf],
    arguments: &[String],
) -> Result<PathBuf> {
    let root = folder.join("root");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    for name in ["bin", "modules", "programs"] {
        std::fs::create_dir_all(root.join(name))?;
    }
    busybox(&root)?;
    executable(&root.join("init"), INIT)?;
    std::fs::write(root.join("arguments"), arguments.join("\n") + "\n")?;
    for module in MODULES {
        copy_into(&kernel.module(module)?, &root.join("modules"))?;
    }
    for program in programs {
        strip_into(program, &root.join("programs"))?;
    }
    let own = std::env::current_exe().context("the path of this program")?;
    let runc = command::find("runc").context("runc is not on the path")?;
    strip_into(&own, &root.join("bin"))?;
    copy_into(&runc, &root.join("bin"))?;
    for library in libraries(&[&own, &runc])? {
        let inside = root.join(library.strip_prefix("/").unwrap_or(&library));
        std::fs::create_dir_all(inside.parent().unwrap_or(&root))?;
        std::fs::copy(&library, inside).with_context(|| library.display().to_string())?;
    }
    archive(&root, &folder.join("initrd"))
}

fn busybox(root: &Path) -> Result<()> {
    let busybox = command::find("busybox").context("busybox is not on the path")?;
    ensure!(
        artifact::is_static(&busybox)?,
        "{} needs libraries; the package busybox-static has one that does not",
        busybox.display()
    );
    copy_into(&busybox, &root.join("bin"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    Ok(())
}

/// What the loader would load, the loader included.
fn libraries(programs: &[&Path]) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for program in programs {
        let said = command::output(Command::new("ldd").arg(program))?;
        let words = said.split_ascii_whitespace();
        found.extend(
            words
                .filter(|word| word.starts_with('/'))
                .map(PathBuf::from),
        );
    }
    Ok(found)
}

fn copy_into(file: &Path, folder: &Path) -> Result<()> {
    let name = file
        .file_name()
        .with_context(|| file.display().to_string())?;
    std::fs::copy(file, folder.join(name)).with_context(|| file.display().to_string())?;
    Ok(())
}

/// Debug information is most of a program, and nobody debugs there.
fn strip_into(program: &Path, folder: &Path) -> Result<()> {
    let name = program
        .file_name()
        .with_context(|| program.display().to_string())?;
    let mut strip = Command::new("strip");
    command::run(strip.arg("-o").arg(folder.join(name)).arg(program))
}

fn executable(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o755),
    )?)
}

/// Packs a folder as the kernel wants it: cpio, format newc (kernel: `driver-api/early-userspace/buffer-format`).
fn archive(root: &Path, archive: &Path) -> Result<PathBuf> {
    let mut find = Command::new("find")
        .arg(".")
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start find")?;
    let names = find.stdout.take().context("find without output")?;
    let packed = Command::new("busybox")
        .args(["cpio", "-o", "-H", "newc"])
        .current_dir(root)
        .stdin(names)
        .stdout(std::fs::File::create(archive)?)
        .stderr(Stdio::null())
        .status()
        .context("cannot start busybox")?;
    let listed = find.wait()?;
    ensure!(
        packed.success() && listed.success(),
        "busybox cpio {packed}, find {listed}"
    );
    Ok(archive.to_owned())
}
