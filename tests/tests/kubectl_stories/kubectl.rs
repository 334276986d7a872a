//! The kubectl that the recordings were made with: another version words some things differently.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::say;
use crate::story::root;

/// Where it is.
pub(crate) struct Kubectl {
    folder: PathBuf,
}

impl Kubectl {
    /// `PATH` with its folder first.
    pub(crate) fn path(&self) -> std::ffi::OsString {
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.folder.clone()).chain(std::env::split_paths(&rest));
        std::env::join_paths(folders).expect("these were paths in PATH")
    }
}

/// The version that `.ci/kubectl` installs.
fn version() -> String {
    let script = root().join(".ci/kubectl");
    let text = std::fs::read_to_string(script).expect("the script is in the repository");
    let version = text.lines().find_map(|line| line.strip_prefix("version="));
    format!("v{}", version.expect("the script names the version"))
}

/// The first of that version, on `PATH` or where `just diff-kubectl` puts it.
pub(crate) fn find() -> Option<Kubectl> {
    let wanted = version();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(target.join("kubectl"))
        .chain(std::env::split_paths(&path))
        .find(|folder| version_of(&folder.join("kubectl")).is_some_and(|found| found == wanted))
        .map(|folder| Kubectl { folder })
}

fn version_of(kubectl: &Path) -> Option<String> {
    if !kubectl.is_file() {
        return None;
    }
    let output = Command::new(kubectl)
        .args(["version", "--client", "-o", "json"])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(said["clientVersion"]["gitVersion"].as_str()?.to_owned())
}

/// What becomes of a run without one: CI must have it.
pub(crate) fn none() -> ExitCode {
    let wanted = version();
    if std::env::var_os("CI").is_some() {
        say(&format!(
            "CI needs kubectl {wanted} on PATH: .ci/kubectl installs it"
        ));
        return ExitCode::FAILURE;
    }
    say(&format!(
        "skipped: there is no kubectl {wanted} on PATH; `.ci/kubectl FOLDER` puts one there"
    ));
    ExitCode::SUCCESS
}
