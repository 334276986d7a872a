//! `meridian fleet` as a user has it: the real binary, its folder, its faults, its end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The binary.
const MERIDIAN: &str = env!("CARGO_BIN_EXE_meridian");

/// A fleet in the foreground of nobody; dropping it kills it.
struct Running {
    child: Child,
    lines: Vec<String>,
}

impl Running {
    /// Starts one and waits for the lines that it prints, one for each cluster.
    fn start(folder: &Path, arguments: &[&str], clusters: usize) -> Self {
        let mut child = Command::new(MERIDIAN)
            .args(["fleet", "up", "--dir"])
            .arg(folder)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        let lines = out.lines().take(clusters);
        Self {
            lines: lines.map(|line| line.expect("text")).collect(),
            child,
        }
    }

    fn ends(mut self) -> bool {
        self.child.wait().expect("a child is waited for").success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fleet(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(MERIDIAN)
        .arg("fleet")
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .output()
        .expect("the binary starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a line that a fleet printed, as a user would.
fn typed(line: &str) -> Output {
    let words: Vec<&str> = line.split(' ').collect();
    Command::new(words[0])
        .args(&words[1..])
        .arg("--request-timeout=5s")
        .output()
        .expect("kubectl is there")
}

fn has_kubectl() -> bool {
    let version = Command::new("kubectl")
        .args(["version", "--client"])
        .output();
    version.is_ok_and(|output| output.status.success())
}

#[test]
fn a_fleet_prints_lines_that_work_breaks_as_told_and_ends() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("fleet");
    let running = Running::start(&folder, &["--clusters", "eu,asia", "--nodes", "2"], 2);
    let expected = folder.join("eu.kubeconfig").display().to_string();
    assert!(running.lines[0].contains(&expected), "{:?}", running.lines);
    if has_kubectl() {
        let nodes = typed(&running.lines[0]);
        let listed = String::from_utf8_lossy(&nodes.stdout);
        assert!(listed.contains("node-2"), "{listed}{}", said(&nodes));
    }

    let broken = fleet(&folder, &["fault", "eu", "api=down", "data-plane=hung"]);
    assert!(broken.status.success(), "{}", said(&broken));
    let now: serde_json::Value = serde_json::from_slice(&broken.stdout).expect("JSON");
    assert_eq!(
        (&now["api"], &now["dataPlane"]),
        (&"down".into(), &"hung".into())
    );
    if has_kubectl() {
        assert!(!typed(&running.lines[0]).status.success());
        assert!(typed(&running.lines[1]).status.success());
    }
    let mended = fleet(&folder, &["fault", "eu", "clear"]);
    let now: serde_json::Value = serde_json::from_slice(&mended.stdout).expect("JSON");
    assert_eq!(now["api"], "up");

    let down = fleet(&folder, &["down"]);
    assert!(down.status.success(), "{}", said(&down));
    assert!(running.ends());
    assert!(!folder.exists(), "nothing is left that leads nowhere");
}

#[test]
fn what_a_fleet_cannot_do_is_said_with_what_can_be_done() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("fleet");
    for arguments in [&["down"][..], &["fault", "eu", "api=down"]] {
        let refused = fleet(&folder, arguments);
        assert!(!refused.status.success());
        let said = said(&refused);
        assert!(
            said.contains("no fleet runs in") && said.contains("fleet up"),
            "{said}"
        );
    }
    let _running = Running::start(&folder, &["--clusters", "eu,asia"], 2);
    for (arguments, says) in [
        (&["up", "--count", "1"][..], "runs in"),
        (&["fault", "mars", "api=down"], "there are eu, asia"),
        (&["fault", "eu", "api=asleep"], "asleep"),
        (&["fault", "eu", "api=slow=soon"], "200ms"),
        (&["fault", "eu", "down"], "api=down"),
        (&["up", "--clusters", "../eu"], "../eu"),
        (&["up", "--count", "0"], "--count"),
        (
            &["up", "--count", "2", "--clusters", "a"],
            "cannot be used with",
        ),
    ] {
        let refused = fleet(&folder, arguments);
        assert!(!refused.status.success(), "{arguments:?}");
        let said = said(&refused);
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn a_fleet_that_was_killed_goes_on_from_its_data() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("fleet");
    let data = place.path().join("data");
    let data = data.to_str().expect("a plain path");
    let arguments = ["--clusters", "eu", "--data-dir", data];
    let running = Running::start(&folder, &arguments, 1);
    let before = std::fs::read_to_string(folder.join("eu.kubeconfig")).expect("a kubeconfig");
    let line = running.lines[0].replace("get nodes", "create namespace kept");
    if has_kubectl() {
        let made = typed(&line);
        assert!(made.status.success(), "{}", said(&made));
    }
    // Killed: nobody cleans up.
    drop(running);
    let gone = fleet(&folder, &["down"]);
    assert!(said(&gone).contains("is gone"), "{}", said(&gone));

    let again = Running::start(&folder, &arguments, 1);
    let after = std::fs::read_to_string(folder.join("eu.kubeconfig")).expect("a kubeconfig");
    let secrets = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.contains("server:"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(
        secrets(&after),
        secrets(&before),
        "the same authority and token"
    );
    if has_kubectl() {
        let refused = typed(&again.lines[0].replace("get nodes", "create namespace kept"));
        assert!(
            said(&refused).contains("AlreadyExists"),
            "{}",
            said(&refused)
        );
    }
}
