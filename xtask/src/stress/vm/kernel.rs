//! Debian's kernel for virtual machines, from its package but not installed: no hook of the package runs, and no root is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{command, packages, workspace};

/// A kernel and the folder of its modules.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    modules: PathBuf,
}

// === impl Kernel ===

impl Kernel {
    /// The unpacked kernel, downloaded when it is not there yet.
    pub(super) fn fetch() -> Result<Self> {
        let folder = workspace::target().join("stress/vm/kernel");
        if let Ok(kernel) = Self::unpacked_in(&folder) {
            return Ok(kernel);
        }
        std::fs::create_dir_all(&folder)?;
        let archive = packages::download_kernel(&folder)?;
        let mut unpack = Command::new("dpkg-deb");
        command::run(unpack.arg("--extract").arg(&archive).arg(&folder))?;
        std::fs::remove_file(archive)?;
        Self::unpacked_in(&folder)
    }

    fn unpacked_in(folder: &Path) -> Result<Self> {
        let image = only_child(&folder.join("boot"), "vmlinuz-")?;
        let modules = only_child(&folder.join("lib/modules"), "")?;
        Ok(Self { image, modules })
    }

    /// The file of a module, by its path below `kernel/`.
    pub(super) fn module(&self, path: &str) -> Result<PathBuf> {
        let module = self.modules.join("kernel").join(path);
        if !module.is_file() {
            bail!("{} is no module of this kernel", module.display());
        }
        Ok(module)
    }
}

fn only_child(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(prefix)
    };
    let found: Vec<_> = paths.filter(named).collect();
    match &found[..] {
        [one] => Ok(one.clone()),
        _ => bail!("{} files {prefix}* in {}", found.len(), folder.display()),
    }
}
