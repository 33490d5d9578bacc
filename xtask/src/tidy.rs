//! `cargo xtask tidy`: the house rules that the compiler does not know.

mod capabilities;
mod dependencies;
mod reports;
mod source;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Where, and what is wrong there.
type Finding = String;

/// Checks the whole workspace and lists everything found.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let mut findings = dependencies::check(&dependencies::metadata()?);
    let mut texts = Vec::new();
    let files = rust_files(&root.join("crates"))?;
    for file in &files {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let path = file.strip_prefix(&root).unwrap_or(file).to_string_lossy();
        findings.extend(source::check(&path, &text));
        texts.push((path.into_owned(), text));
    }
    findings.extend(reports::check(&texts));
    findings.extend(capabilities::check_file(&root.join("docs/capabilities.md")));
    if findings.is_empty() {
        println!("{} source files follow the house rules", files.len());
        return Ok(());
    }
    for finding in &findings {
        println!("{finding}");
    }
    bail!("{} findings", findings.len());
}

/// Every Rust file below, in a stable order.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
