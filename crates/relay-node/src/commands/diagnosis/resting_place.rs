//! Where the black box of a node with this configuration would lie. Nothing is made to find out.

use std::path::{Path, PathBuf};

use relay_forensics::{DEFAULT_FOLDER, FALLBACK_FOLDER};
use rustix::fs::{Access, access};

use crate::config::{Auto, Blackbox};

/// The folder, `None` for memory, and what there is to say to it.
pub(super) fn find(config: &Blackbox) -> (Option<PathBuf>, String) {
    if !config.enabled {
        return (None, "off: blackbox.enabled = false".to_owned());
    }
    let folders = match &config.dir {
        Auto::Auto => vec![
            PathBuf::from(DEFAULT_FOLDER),
            PathBuf::from(FALLBACK_FOLDER),
        ],
        Auto::Fixed(dir) => vec![dir.clone()],
    };
    let Some(folder) = folders.iter().find(|folder| can_be_used(folder)) else {
        let tried: Vec<_> = folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        let text = format!(
            "in memory, nothing is left after a kill: {} cannot be written; set blackbox.dir",
            tried.join(" and ")
        );
        return (None, text);
    };
    let lasting = if folder.starts_with("/dev/shm") {
        ", in memory: set blackbox.dir to a folder on a volume"
    } else {
        ""
    };
    let file = folder.join(format!("relay-{}.fdr", config.instance));
    let text = format!("{}{lasting}", file.display());
    (Some(folder.clone()), text)
}

/// A folder that is not there is made in the nearest one that is.
fn can_be_used(folder: &Path) -> bool {
    let there = folder.ancestors().find(|folder| folder.exists());
    let there = there.map_or(Path::new("."), |there| {
        if there.as_os_str().is_empty() {
            Path::new(".")
        } else {
            there
        }
    });
    there.is_dir() && access(there, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::Sources;

    fn config(set: &[String]) -> Blackbox {
        let sources = Sources {
            set: set.to_vec(),
            ..Sources::default()
        };
        sources.load().unwrap().into_config().blackbox
    }

    #[test]
    fn it_is_the_folder_that_the_node_would_make() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let set = |value: &Path| format!("blackbox.dir={}", value.display());
        let (found, shown) = find(&config(&[set(&folder)]));
        assert_eq!(found.as_ref(), Some(&folder));
        assert!(shown.ends_with("a/b/relay-node.fdr"), "{shown}");
        assert!(!folder.exists(), "looking makes nothing");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for hopeless in [file.as_path(), &file.join("below")] {
            let (found, shown) = find(&config(&[set(hopeless)]));
            assert!(
                found.is_none() && shown.contains("set blackbox.dir"),
                "{shown}"
            );
        }
        let (found, shown) = find(&config(&["blackbox.enabled=false".to_owned()]));
        assert!(found.is_none() && shown.starts_with("off"), "{shown}");
    }
}
