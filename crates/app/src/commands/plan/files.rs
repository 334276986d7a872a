//! The manifests: files, folders and standard input, read and checked before anybody is asked.

use super::fault;
use crate::manifests::{self, Manifest};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a file of a folder must end in to be read, as kubectl has it.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// What standard input is called in messages.
const STANDARD_INPUT: &str = "standard input";

/// Reads all manifests, in the order of the arguments; of a folder, in the order of names.
///
/// # Errors
/// Names the file, and the line where one does not parse.
pub(super) fn read(paths: &[PathBuf], depth: Depth) -> Result<Vec<Manifest>> {
    let mut all = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            let reading = std::io::stdin().read_to_string(&mut text);
            reading.context(STANDARD_INPUT)?;
            all.extend(documents(STANDARD_INPUT, &text)?);
        } else if path.is_dir() {
            for file in files_of(path, depth)? {
                all.extend(read_file(&file)?);
            }
        } else {
            all.extend(read_file(path)?);
        }
    }
    Ok(all)
}

/// What is wrong with manifests by themselves: fields that do not exist, and objects given twice.
pub(super) fn check(manifests: &[Manifest]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut met: BTreeMap<[&str; 4], &Manifest> = BTreeMap::new();
    for manifest in manifests {
        if let Err(error) = api::check_fields(&manifest.object) {
            faults.push(fault(manifest, &error.to_string()));
        }
        let identity = [
            manifest.api_version(),
            manifest.kind(),
            manifest.namespace(),
            manifest.name(),
        ];
        if let Some(first) = met.insert(identity, manifest) {
            let words = format!("it is in {} as well: leave one of them out", first.place());
            faults.push(fault(manifest, &words));
        }
    }
    faults
}

/// How far down folders are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// The files in them.
    Shallow,
    /// The folders below as well.
    Deep,
}

fn files_of(folder: &Path, depth: Depth) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(folder, depth, &mut files)?;
    if files.is_empty() {
        let advice = match depth {
            Depth::Shallow => "; -R reads the folders below it as well",
            Depth::Deep => ", nor do the folders below it",
        };
        bail!(
            "{} holds no .yaml, .yml or .json file{advice}",
            folder.display()
        );
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, depth: Depth, files: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || folder.display().to_string();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let path = entry.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            files.push(path);
        // A link to a folder may lead round in a circle.
        } else if depth == Depth::Deep && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, depth, files)?;
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Vec<Manifest>> {
    let source = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| source.clone())?;
    documents(&source, &text)
}

fn documents(source: &str, text: &str) -> Result<Vec<Manifest>> {
    let manifests = manifests::read(source, text)?;
    if manifests.is_empty() {
        bail!("{source} holds no object");
    }
    Ok(manifests)
}
