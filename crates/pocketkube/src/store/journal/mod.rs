//! The journal of a cluster: what its store holds, in a file.
//!
//! Guarantees: a write is in the journal before anybody sees it, and in the order of versions; a
//! journal cut at any byte gives the store as it was after some write. Assumptions: one process
//! has the file. Caveats: with [`Durability::Process`] the latest writes may be lost when the
//! machine itself stops, though never out of order.

mod record;

use crate::error::Error;
use record::{Found, HEAD_BYTES};
pub(super) use record::{Record, Tag};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A journal is written anew when it has grown by this much, and by as much as its snapshot has or
/// half of the room that is left.
const GROWTH_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// What a write survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process: the system has the write before the answer is given, and brings it
    /// to the disk in its own time (fsync at snapshots only).
    #[default]
    Process,
    /// The end of the machine: the disk has it (fsync at every write).
    Machine,
}

/// There is no room for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// A journal that is open for writing.
#[derive(Debug)]
pub(super) struct Journal {
    settings: Settings,
    file: File,
    length: u64,
    snapshot_length: u64,
    tail: Tail,
    buffer: Vec<u8>,
}

/// What stands behind the last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Nothing.
    Clean,
    /// Perhaps a part of a record.
    Torn,
}

/// Where a journal is, and what it does.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The file.
    pub(crate) path: PathBuf,
    /// What a write survives.
    pub(crate) durability: Durability,
    /// Bytes from which on only deletions are taken.
    pub(crate) bytes_max: u64,
}

impl Journal {
    /// Opens a journal and gives its records in order; none when there is no file.
    pub(super) fn open(
        settings: &Settings,
        mut take: impl FnMut(&Record<'_>) -> Result<(), String>,
    ) -> Result<Option<Self>, Error> {
        let damaged = |why: String| Error::Data {
            path: settings.path.clone(),
            why,
        };
        let bytes = match std::fs::read(&settings.path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(damaged(cause.to_string())),
        };
        record::check_head(&bytes).map_err(damaged)?;
        let (mut at, mut snapshot_length) = (HEAD_BYTES, None);
        loop {
            match Record::read(&bytes, at) {
                Found::Record(record, next) => {
                    take(&record).map_err(damaged)?;
                    at = next;
                    if record.tag == Tag::End {
                        snapshot_length = Some(at as u64);
                    }
                }
                Found::Nothing | Found::Torn => break,
                Found::Damaged => return Err(damaged(format!("it is damaged at byte {at}"))),
            }
        }
        // The file got its name when the snapshot was complete, so something else cut it.
        let Some(snapshot_length) = snapshot_length else {
            return Err(damaged("its snapshot has no end".to_owned()));
        };
        let file = append_to(&settings.path).map_err(|cause| damaged(cause.to_string()))?;
        Ok(Some(Self {
            settings: settings.clone(),
            file,
            length: at as u64,
            snapshot_length,
            // Cuts off what was torn before anything is written behind it.
            tail: Tail::Torn,
            buffer: Vec::new(),
        }))
    }

    /// A journal that begins with a snapshot.
    pub(super) fn create<'a>(
        settings: &Settings,
        version: u64,
        rows: impl Iterator<Item = Record<'a>>,
    ) -> io::Result<Self> {
        let (file, length) = write_snapshot(&settings.path, version, rows)?;
        Ok(Self {
            settings: settings.clone(),
            file,
            length,
            snapshot_length: length,
            tail: Tail::Clean,
            buffer: Vec::new(),
        })
    }

    /// Whether it should be written anew.
    pub(super) fn has_grown(&self) -> bool {
        let grown = self.length - self.snapshot_length;
        let least = GROWTH_BYTES_MIN.min(self.settings.bytes_max / 16);
        // As much again as there is, while there is room for that.
        let room = self.settings.bytes_max.saturating_sub(self.snapshot_length);
        grown > least.max(self.snapshot_length.min(room / 2))
    }

    /// Writes it anew from a snapshot. When that fails, it stays as it is and is tried again after
    /// as much growth.
    pub(super) fn rewrite<'a>(&mut self, version: u64, rows: impl Iterator<Item = Record<'a>>) {
        match Self::create(&self.settings, version, rows) {
            Ok(new) => *self = new,
            Err(cause) => {
                let path = &self.settings.path;
                tracing::warn!(%cause, path = %path.display(), "a journal cannot be written anew");
                self.snapshot_length = self.length;
            }
        }
    }

    /// Appends a change; when there is no room for it, the journal is as before.
    pub(super) fn append(&mut self, change: &Record<'_>) -> Result<(), Full> {
        self.buffer.clear();
        change.write(&mut self.buffer);
        let length = self.length + self.buffer.len() as u64;
        if length > self.settings.bytes_max && change.tag != Tag::Remove {
            return Err(Full);
        }
        match self.write() {
            Ok(()) => {
                self.length = length;
                Ok(())
            }
            Err(cause) => {
                let path = &self.settings.path;
                tracing::warn!(%cause, path = %path.display(), "a write finds no room");
                self.tail = Tail::Torn;
                Err(Full)
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.tail == Tail::Torn {
            self.file.set_len(self.length)?;
            self.tail = Tail::Clean;
        }
        self.file.write_all(&self.buffer)?;
        match self.settings.durability {
            Durability::Process => Ok(()),
            Durability::Machine => self.file.sync_data(),
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// Writes a snapshot beside the file, then gives it the file's name.
fn write_snapshot<'a>(
    path: &Path,
    version: u64,
    rows: impl Iterator<Item = Record<'a>>,
) -> io::Result<(File, u64)> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // Secrets are in it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = io::BufWriter::new(options.open(&beside)?);
    let head = record::head();
    out.write_all(&head)?;
    let mut length = head.len() as u64;
    let end = Record {
        tag: Tag::End,
        version,
        table: "",
        key: "",
        line: b"",
    };
    let mut buffer = Vec::new();
    for record in rows.chain(std::iter::once(end)) {
        buffer.clear();
        record.write(&mut buffer);
        out.write_all(&buffer)?;
        length += buffer.len() as u64;
    }
    out.into_inner()?.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok((append_to(path)?, length))
}
