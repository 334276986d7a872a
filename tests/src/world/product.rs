//! The binary that is tested: long-running processes and single commands.

use crate::control_plane::free_ports;
use crate::process::{Folder, Process, Signal, Usage};
use crate::world::cluster::PATIENCE;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Between two requests to a console, which gives no sign when something changes.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How much of a log is shown when a scenario fails.
const TAIL_LINES_MAX: usize = 60;

/// How `meridian run` is started.
#[derive(Clone, Debug)]
pub struct Run {
    name: String,
    arguments: Vec<String>,
    /// As whom it comes to the host; absent, as an administrator.
    kubeconfig: Option<PathBuf>,
    /// Where its state stays when it has ended; absent, it goes with the process.
    state: Option<PathBuf>,
}

impl Run {
    /// Role controller.
    #[must_use]
    pub fn controller(name: &str) -> Self {
        Self::with(name, &["--roles", "controller"])
    }

    /// Role dns, at an address.
    #[must_use]
    pub fn dns(name: &str, dns: SocketAddr) -> Self {
        Self::with(name, &["--roles", "dns", "--dns-listen", &dns.to_string()])
    }

    /// All roles, with DNS at an address.
    #[must_use]
    pub fn all_roles(name: &str, dns: SocketAddr) -> Self {
        Self::with(name, &["--dns-listen", &dns.to_string()])
    }

    /// These roles, with more arguments.
    #[must_use]
    pub fn with_roles(name: &str, roles: &str, arguments: &[&str]) -> Self {
        Self::with(name, &[&["--roles", roles], arguments].concat())
    }

    /// As somebody else, with more arguments.
    #[must_use]
    pub fn coming_with(mut self, kubeconfig: &Path, arguments: &[&str]) -> Self {
        self.kubeconfig = Some(kubeconfig.to_owned());
        let arguments = arguments.iter().map(|word| (*word).to_owned());
        self.arguments.extend(arguments);
        self
    }

    /// With its state in this folder, which a successor may read.
    #[must_use]
    pub fn kept_in(mut self, state: &Path) -> Self {
        self.state = Some(state.to_owned());
        self
    }

    fn with(name: &str, arguments: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            kubeconfig: None,
            state: None,
        }
    }
}

/// A process `meridian run`; dropping it kills it.
#[derive(Debug)]
pub struct Meridian {
    process: Process,
    console: SocketAddr,
}

impl Meridian {
    pub(super) fn start(binary: &Path, host: &Path, run: &Run) -> Self {
        let folder = tempfile::Builder::new().prefix("meridian-").tempdir();
        let folder = folder.expect("the temporary folder can be written").keep();
        let [port] = free_ports();
        let console = SocketAddr::from(([127, 0, 0, 1], port));
        let host = run.kubeconfig.as_deref().unwrap_or(host);
        let mut arguments = vec![
            "run".to_owned(),
            format!("--kubeconfig={}", host.display()),
            format!("--identity={}", run.name),
            format!("--http-listen={console}"),
        ];
        let state = run.state.clone().unwrap_or_else(|| folder.join("state"));
        arguments.push(format!("--state-dir={}", state.display()));
        arguments.extend(run.arguments.iter().cloned());
        let process = Process::spawn(&run.name, binary, &arguments, &folder, Folder::Removed);
        Self { process, console }
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// What it uses.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.process.usage()
    }

    /// Its number, as the system counts processes.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.process.number()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) {
        self.process.signal(Signal::Stop);
        self.process.wait();
    }

    /// The counter or gauge `name` of its metrics, summed over all labels that hold these words.
    ///
    /// # Panics
    /// When its console does not answer.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.get("/metrics").await.expect("the console answers");
        let lines = page.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Waits until a metric is as wanted.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn until_metric(
        &self,
        name: &str,
        labels: &[&str],
        wanted: impl Fn(f64) -> bool,
    ) -> f64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.metric(name, labels).await;
            if wanted(found) {
                return found;
            }
            let late = Instant::now() >= deadline;
            assert!(!late, "{name}{labels:?} stayed at {found}");
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Waits until its log holds these words.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn until_log(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            if log.contains(words) {
                return;
            }
            let late = Instant::now() >= deadline;
            assert!(!late, "it did not log {words:?}");
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// All writes to members that it has sent, by verb.
    ///
    /// # Panics
    /// When its console does not answer.
    pub async fn member_writes(&self) -> BTreeMap<String, f64> {
        let page = self.get("/metrics").await.expect("the console answers");
        let mut writes = BTreeMap::new();
        for line in page.lines() {
            let Some(rest) = line.strip_prefix("meridian_member_writes_total{") else {
                continue;
            };
            let verb = rest.split('"').nth(1).unwrap_or_default().to_owned();
            let count: f64 = rest
                .rsplit(' ')
                .next()
                .and_then(|count| count.parse().ok())
                .unwrap_or_default();
            if !rest.contains("Skipped") {
                *writes.entry(verb).or_default() += count;
            }
        }
        writes
    }

    /// Waits until its console answers.
    pub(super) async fn listens(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.get("/livez").await.is_none() {
            let late = Instant::now() >= deadline;
            assert!(!late, "it does not run:\n{}", self.process.log_tail());
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// A page of the console; nothing when there is no answer, or one that is not 200.
    async fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.console).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: meridian\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer
            .starts_with("HTTP/1.1 200")
            .then(|| answer.split_once("\r\n\r\n"))?
            .map(|(_, body)| body.to_owned())
    }
}

/// Runs a command to its end; what it printed to stdout.
pub(super) async fn command(binary: &Path, host: &Path, arguments: &[&str]) -> String {
    let output = output(binary, host, arguments).await;
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that is to fail; what it says on stderr.
pub(super) async fn failing_command(binary: &Path, host: &Path, arguments: &[&str]) -> String {
    let output = output(binary, host, arguments).await;
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn output(binary: &Path, host: &Path, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binary);
    command
        .args(arguments)
        // Examples name files from the top of the repository.
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .arg("--kubeconfig")
        .arg(host)
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    let ended = ended.unwrap_or_else(|_| panic!("{arguments:?} did not end"));
    ended.expect("the binary runs")
}

/// Runs a command; its exit code, and what it printed to stdout and to stderr.
pub(super) async fn ended_command(
    binary: &Path,
    host: &Path,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let output = output(binary, host, arguments).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The end of a log.
pub(super) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_else(|_| "(it is gone)".to_owned());
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(TAIL_LINES_MAX);
    format!("{}:\n{}", log.display(), lines[start..].join("\n"))
}
