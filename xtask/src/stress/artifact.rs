//! The statically linked `relay`: one file that runs on the host and in an empty rootfs alike.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Common;
use crate::{command, workspace};

/// Builds the binary, unless the flags name one, and proves that it needs no shared library.
pub(super) fn relay(common: &Common) -> Result<PathBuf> {
    let binary = match &common.binary {
        Some(binary) => binary.canonicalize().context("--binary")?,
        None => build("relay-node", "relay")?,
    };
    ensure!(
        is_static(&binary)?,
        "{} is dynamically linked; an empty rootfs has no libraries",
        binary.display()
    );
    Ok(binary)
}

/// The program that takes memory beside a node: given, or built.
pub(super) fn neighbour(programs: Option<&Path>) -> Result<PathBuf> {
    match programs {
        Some(folder) => folder.join("witness").canonicalize().context("--programs"),
        None => build("relay-stress", "witness"),
    }
}

/// Builds one program of the workspace, optimised and statically linked.
pub(crate) fn build(package: &str, bin: &str) -> Result<PathBuf> {
    let target = format!("{ARCH}-unknown-linux-gnu");
    let folder = workspace::target().join("static");
    println!("building the static {bin} in {}", folder.display());
    command::run(
        command::cargo()
            .args(["build", "--quiet", "--release"])
            .args(["--package", package, "--bin", bin])
            .args(["--target", &target, "--target-dir"])
            .arg(&folder)
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )?;
    Ok(folder.join(target).join("release").join(bin))
}

/// Whether a program needs no shared library.
pub(super) fn is_static(binary: &Path) -> Result<bool> {
    let output = Command::new("ldd")
        .arg(binary)
        .output()
        .context("cannot start ldd")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Ok(said.contains("statically linked") || said.contains("not a dynamic executable"))
}
