//! One process of a control plane, which ends when we do.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Runs `"$@"` until either it ends or our end of the pipe closes. An interrupt from a terminal goes
/// to the whole group; the keeper outlives it to clean up.
const KEEPER: &str = r#"trap '' INT HUP
exec 3<&0 </dev/null
"$@" 3<&- & part=$!
(while read -r _ <&3; do :; done; kill -9 "$part") 2>/dev/null & watch=$!
wait "$part"; code=$?
kill "$watch" 2>/dev/null
if [ -n "$REMOVE" ]; then rm -rf -- "$REMOVE"; fi
exit $code"#;
/// How much of a log an error shows.
const LOG_TAIL_BYTES_MAX: usize = 2_000;

/// A process under its keeper; dropping it ends both.
#[derive(Debug)]
pub(super) struct Part {
    name: String,
    log: PathBuf,
    keeper: Child,
    pipe: Option<ChildStdin>,
}

impl Part {
    /// Starts `binary` in `folder`, with its output in a log there.
    pub(super) fn spawn(binary: &Path, arguments: &[String], folder: &Path) -> Self {
        Self::spawn_removing(binary, arguments, folder, "")
    }

    /// The same, and the folder is removed once this part has ended.
    pub(super) fn spawn_owner(binary: &Path, arguments: &[String], folder: &Path) -> Self {
        Self::spawn_removing(binary, arguments, folder, &folder.display().to_string())
    }

    fn spawn_removing(binary: &Path, arguments: &[String], folder: &Path, remove: &str) -> Self {
        let name = binary
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).expect("the temporary folder can be written");
        let errors = output.try_clone().expect("a file can be shared");
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, &name])
            .arg(binary)
            .args(arguments)
            .current_dir("/")
            .env("REMOVE", remove)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("there is a shell");
        let pipe = keeper.stdin.take();
        Self {
            name,
            log,
            keeper,
            pipe,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn runs(&mut self) -> bool {
        matches!(self.keeper.try_wait(), Ok(None))
    }

    /// The end of what the process has written.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let start = log.len().saturating_sub(LOG_TAIL_BYTES_MAX);
        String::from_utf8_lossy(&log[start..]).into_owned()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // Nothing is left to do when it cannot be waited for.
        let _ = self.keeper.wait();
    }
}
