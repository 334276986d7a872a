//! `kubectl meridian`: kubectl finds the program, speaks its name, and completes its words.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The binary.
const MERIDIAN: &str = env!("CARGO_BIN_EXE_meridian");

/// A folder that holds the program under the names that kubectl looks for.
fn installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    for name in ["kubectl-meridian", "kubectl_complete-meridian"] {
        std::os::unix::fs::symlink(MERIDIAN, folder.path().join(name)).expect("a link");
    }
    folder
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A kubectl of this machine: that of the control planes, else the one in the path.
fn kubectl() -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = assets.into_iter().chain(std::env::split_paths(&path));
    let mut all = folders.map(|folder| folder.join("kubectl"));
    all.find(|kubectl| kubectl.is_file())
}

/// kubectl with that folder in its path.
fn with_plugins(kubectl: &Path, plugins: &Path, arguments: &[&str]) -> Output {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(plugins.to_owned()).chain(std::env::split_paths(&path));
    let path: OsString = std::env::join_paths(folders).expect("folders");
    let mut command = Command::new(kubectl);
    let output = command.args(arguments).env("PATH", path).output();
    output.expect("kubectl runs")
}

#[test]
fn under_its_other_names_the_program_is_a_plugin() {
    let folder = installed();
    let run = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(folder.path().join(name));
        command.args(arguments).output().expect("it runs")
    };
    let help = text(&run("kubectl-meridian", &["plan", "--help"]));
    assert!(help.contains("Usage: kubectl meridian plan"), "{help}");
    let words = text(&run("kubectl_complete-meridian", &["unj"]));
    assert_eq!(words.lines().last(), Some(":4"), "{words}");
    assert!(words.starts_with("unjoin\t"), "{words}");
}

#[test]
fn kubectl_lists_runs_and_completes_it() {
    let Some(kubectl) = kubectl() else {
        eprintln!("skipped: there is no kubectl on this machine");
        return;
    };
    let folder = installed();
    let run = |arguments: &[&str]| text(&with_plugins(&kubectl, folder.path(), arguments));
    let listed = run(&["plugin", "list"]);
    assert!(listed.contains("kubectl-meridian"), "{listed}");
    let version = run(&["meridian", "--version"]);
    assert!(version.starts_with("meridian "), "{version}");
    let version = run(&["meridian", "version", "-o", "json"]);
    assert!(version.contains("\"version\""), "{version}");
    let words = run(&["__complete", "meridian", "orphan", "en"]);
    assert!(words.starts_with("enable\t"), "{words}");
}

#[test]
fn a_script_of_each_shell_asks_the_program_that_printed_it() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let mut command = Command::new(MERIDIAN);
        let output = command.args(["completion", shell]).output();
        let script = text(&output.expect("it runs"));
        for word in ["MERIDIAN_COMPLETE", MERIDIAN] {
            assert!(script.contains(word), "{shell}: {script}");
        }
    }
}
