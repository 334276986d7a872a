//! A process that ends when we do, and that can be paused, killed and asked to stop.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Runs `"$@"` until either it ends or our end of the pipe closes. An interrupt from a terminal goes
/// to the whole group; the keeper outlives it to clean up.
const KEEPER: &str = r#"trap '' INT HUP
exec 3<&0 </dev/null
"$@" 3<&- & part=$!
printf %s "$part" >"$NUMBER"
(while read -r _ <&3; do :; done; kill -9 "$part") 2>/dev/null & watch=$!
wait "$part"; code=$?
kill "$watch" 2>/dev/null
if [ -n "$REMOVE" ]; then rm -rf -- "$REMOVE"; fi
exit $code"#;
/// How much of a log an error shows.
const LOG_TAIL_BYTES_MAX: usize = 8_000;

/// What becomes of the folder once the process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// It belongs to somebody else.
    Kept,
    /// It goes with the process, in whatever way we end.
    Removed,
}

/// What a process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGSTOP: it takes connections, by its kernel, and does nothing.
    Pause,
    /// SIGCONT: it goes on where it was.
    Resume,
    /// SIGTERM: it may say goodbye.
    Stop,
    /// SIGKILL: it is gone.
    Kill,
}

/// What a process uses.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Memory that is resident, in MiB.
    pub resident_mb: f64,
    /// Seconds of processors so far, user and system.
    pub cpu_secs: f64,
}

/// A process under its keeper; dropping it ends both.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    number: PathBuf,
    keeper: Child,
    pipe: Option<ChildStdin>,
}

/// `USER_HZ`, which is 100 on every architecture that Rust's std runs on under Linux.
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    /// Starts `binary` as `name`, with its output in `<name>.log` of `folder`.
    ///
    /// # Panics
    /// When the folder cannot be written or there is no shell.
    pub fn spawn(
        name: &str,
        binary: &Path,
        arguments: &[String],
        folder: &Path,
        after: Folder,
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let number = folder.join(format!("{name}.pid"));
        let output = File::options().create(true).append(true).open(&log);
        let output = output.expect("the folder can be written");
        let errors = output.try_clone().expect("a file can be shared");
        let remove = match after {
            Folder::Kept => String::new(),
            Folder::Removed => folder.display().to_string(),
        };
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, name])
            .arg(binary)
            .args(arguments)
            .current_dir("/")
            .env("NUMBER", &number)
            .env("REMOVE", remove)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("there is a shell");
        let pipe = keeper.stdin.take();
        Self {
            name: name.to_owned(),
            log,
            number,
            keeper,
            pipe,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        matches!(self.keeper.try_wait(), Ok(None))
    }

    /// Its number, as the system counts processes; 0 before it runs.
    #[must_use]
    pub fn number(&self) -> u32 {
        let number = fs::read_to_string(&self.number).unwrap_or_default();
        number.trim().parse().unwrap_or(0)
    }

    /// Sends a signal, to the process itself and not to its keeper.
    ///
    /// # Panics
    /// When there is no such process any more.
    pub fn signal(&self, signal: Signal) {
        let number = fs::read_to_string(&self.number).unwrap_or_default();
        let name = match signal {
            Signal::Pause => "-STOP",
            Signal::Resume => "-CONT",
            Signal::Stop => "-TERM",
            Signal::Kill => "-KILL",
        };
        let sent = Command::new("/bin/sh")
            .args(["-c", r#"kill "$@""#, "kill", name, &number])
            .status();
        let sent = sent.is_ok_and(|status| status.success());
        assert!(sent, "{} ({number}) takes no {name}", self.name);
    }

    /// What it uses, as Linux counts it.
    ///
    /// # Panics
    /// When there is no such process any more.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let number = fs::read_to_string(&self.number).unwrap_or_default();
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", number.trim());
            fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
        };
        let status = read("status");
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        // proc(5): utime and stime are the 14th and 15th field; the second may hold spaces.
        let stat = read("stat");
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
        Usage {
            resident_mb: resident.unwrap_or(f64::NAN) / 1024.0,
            cpu_secs: ticks / TICKS_PER_SECOND,
        }
    }

    /// Waits until it has ended; nothing here ends it.
    pub fn wait(&mut self) {
        // What cannot be waited for has ended.
        let _ = self.keeper.wait();
    }

    /// The end of what the process has written.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let start = log.len().saturating_sub(LOG_TAIL_BYTES_MAX);
        String::from_utf8_lossy(&log[start..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its folder may go with it, and whoever panics wants to know what it did.
        if std::thread::panicking() {
            let (name, tail) = (&self.name, self.log_tail());
            let _ = writeln!(std::io::stderr(), "the end of {name}'s log:\n{tail}");
        }
        drop(self.pipe.take());
        self.wait();
    }
}
