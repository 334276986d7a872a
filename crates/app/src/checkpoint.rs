//! The steering engine's inputs on disk: what answers go on from when the host is away.
//!
//! # Guarantees
//! A reader sees one whole checkpoint, the old or the new (write aside, fsync, rename).
//! # Assumptions
//! One process writes a folder; the file system renames atomically within it.
//! # Caveats
//! A checkpoint that cannot be read is reported and kept aside; the process starts without it.

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file's name within the state folder.
const FILE: &str = "steering.json";

/// A folder that keeps one checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointFile {
    folder: PathBuf,
}

impl CheckpointFile {
    /// Makes sure that the folder is there and can be written.
    ///
    /// # Errors
    /// Says which folder, and which flag names another.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| {
            format!(
                "cannot keep state in {}; choose another with --state-dir",
                folder.display()
            )
        })?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// The last checkpoint; nothing when there is none.
    ///
    /// # Errors
    /// It does not parse. It is moved aside first, so that the next start is not stopped by it too.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(why).with_context(|| format!("cannot read {}", path.display())),
        };
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(why) => {
                let aside = path.with_extension("json.broken");
                let moved = fs::rename(&path, &aside);
                Err(why).with_context(|| match moved {
                    Ok(()) => format!(
                        "{} does not parse; kept as {}",
                        path.display(),
                        aside.display()
                    ),
                    Err(_) => format!("{} does not parse; remove it", path.display()),
                })
            }
        }
    }

    /// Replaces the checkpoint.
    ///
    /// # Errors
    /// The disk is full, or the folder went away. The old checkpoint is still there then.
    pub(crate) fn write<T: Serialize>(&self, value: &T) -> Result<()> {
        let aside = self.folder.join(format!("{FILE}.new"));
        let write = || -> Result<()> {
            let mut file = File::create(&aside)?;
            file.write_all(&serde_json::to_vec(value)?)?;
            file.sync_all()?;
            fs::rename(&aside, self.path())?;
            // The rename itself must survive a power cut.
            File::open(&self.folder)?.sync_all()?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", self.path().display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_last_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = CheckpointFile::in_folder(&folder.path().join("state")).expect("made");
        assert_eq!(file.read::<Vec<u32>>().expect("no error"), None);
        file.write(&vec![1u32]).expect("written");
        file.write(&vec![2u32, 3]).expect("written");
        assert_eq!(file.read::<Vec<u32>>().expect("no error"), Some(vec![2, 3]));
    }

    #[test]
    fn a_broken_checkpoint_is_kept_aside_and_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = CheckpointFile::in_folder(folder.path()).expect("made");
        fs::write(file.path(), b"{\"half\":").expect("written");
        let error = format!("{:#}", file.read::<Vec<u32>>().expect_err("broken"));
        assert!(
            error.contains("steering.json does not parse; kept as"),
            "{error}"
        );
        assert_eq!(
            file.read::<Vec<u32>>().expect("no error"),
            None,
            "the next start is clean"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named_with_the_flag() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, b"").expect("written");
        let error = format!(
            "{:#}",
            CheckpointFile::in_folder(&file.join("x")).expect_err("a file")
        );
        assert!(error.contains("--state-dir"), "{error}");
    }
}
