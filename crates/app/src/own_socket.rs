//! Sockets in the folder of state: only the process's own user reaches them.

use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::net::UnixListener;

/// Listens in the folder, in the place of whoever did before.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn listen(folder: &Path, name: &str) -> Result<UnixListener> {
    let path = folder.join(name);
    let aside = folder.join(format!("{name}.new"));
    let listening = || -> std::io::Result<UnixListener> {
        match fs::remove_file(&aside) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        let listener = UnixListener::bind(&aside)?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&aside, &path)?;
        Ok(listener)
    };
    listening().with_context(|| format!("cannot listen at {}", path.display()))
}
