//! The house keeps its shape: imports, purity, file heads, lengths, documents.
//!
//! Each rule here is a sentence of `ARCHITECTURE.md` or `CONTRIBUTING.md` that would otherwise rot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What each crate may import of ours, exactly. Imports run downward only.
const IMPORTS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("dns", &[]),
    ("watch", &[]),
    ("pocketkube", &["watch"]),
    ("geo", &["model"]),
    ("federation", &["model"]),
    ("steering", &["dns", "geo", "model"]),
    ("api", &["federation", "model", "steering"]),
    (
        "controller",
        &["api", "federation", "model", "steering", "watch"],
    ),
    ("dns-server", &["dns"]),
    ("prober", &["model"]),
    ("console", &["model"]),
    (
        "app",
        &[
            "api",
            "console",
            "controller",
            "dns",
            "dns-server",
            "federation",
            "geo",
            "model",
            "pocketkube",
            "prober",
            "steering",
        ],
    ),
];

/// Crates that take values and give values.
const PURE: &[&str] = &["model", "dns", "geo", "federation", "steering"];

/// What no pure crate may bring in, directly or through others.
const IMPURE_PACKAGES: &[&str] = &[
    "tokio",
    "async-std",
    "hyper",
    "reqwest",
    "kube",
    "kube-client",
    "k8s-openapi",
    "socket2",
    "prometheus-client",
    "tracing-subscriber",
    "hickory-server",
    "hickory-resolver",
];

/// What no source of a pure crate may name.
const IMPURE_WORDS: &[&str] = &[
    "SystemTime",
    "Instant::",
    "std::fs",
    "std::net::Udp",
    "std::net::Tcp",
    "rand::",
    "tracing::",
];

/// Only these know Kubernetes.
const KUBERNETES: &[&str] = &["app", "controller", "api", "pocketkube"];

/// Where the controller writes to a Kubernetes API, exactly, and what.
const WRITERS: &[(&str, &str)] = &[
    (
        "dns_role/challenges.rs",
        "ACME challenges, for whoever has a key",
    ),
    (
        "dns_role/given.rs",
        "overrides that a person gave to this replica while the host was away",
    ),
    (
        "dns_role/observer.rs",
        "an observer's own ProbeReport and Lease",
    ),
    ("events.rs", "Events"),
    ("federated_object.rs", "the finalizer of a federated object"),
    (
        "global_service/record_sets.rs",
        "DNSEndpoints of KubeFed's names",
    ),
    (
        "kept_secret.rs",
        "the keys of DNS cookies, and the webhook's certificate",
    ),
    ("lease.rs", "the leader's Lease"),
    ("members/apply.rs", "objects in members"),
    (
        "released_types.rs",
        "the finalizer of what goes while its type is disabled",
    ),
    ("status.rs", "statuses"),
    ("tombstones.rs", "tombstones"),
    ("webhook_keys.rs", "whom API servers believe"),
];

/// Of these, the ones that need not ask the lease: what they write is each replica's own, or
/// compared by version with what was read.
const OWN_WRITERS: &[&str] = &[
    "dns_role/challenges.rs",
    "dns_role/given.rs",
    "dns_role/observer.rs",
    "lease.rs",
];

/// The calls of a client that change something.
const WRITE_CALLS: &[&str] = &[
    ".patch(",
    ".patch_metadata(",
    ".patch_scale(",
    ".patch_status(",
    ".patch_subresource(",
    ".replace(name",
    ".replace(&",
    ".replace_status(",
    ".replace_subresource(",
    ".create(",
    ".create_subresource(",
    ".delete(",
    ".delete_collection(",
    ".evict(",
];

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the root")
        .to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Files that git tracks or would track, with this ending.
fn files(ending: &str) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let mut found: Vec<PathBuf> = match listed {
        Ok(out) if out.status.success() => String::from_utf8_lossy(&out.stdout)
            .lines()
            .map(|line| root().join(line))
            .filter(|path| path.is_file())
            .collect(),
        // A source archive without git.
        _ => walk(&root()),
    };
    found.retain(|path| path.to_string_lossy().ends_with(ending));
    found.sort();
    assert!(
        !found.is_empty(),
        "no {ending} file below {}",
        root().display()
    );
    found
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)
        .expect("a readable folder")
        .flatten()
    {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != ".git" {
                found.extend(walk(&path));
            }
        } else {
            found.push(path);
        }
    }
    found
}

fn short(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The lines that count: all but `#[cfg(test)] mod … { … }`.
fn lines_without_tests(text: &str) -> usize {
    let mut count = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod ")) {
            let head = lines.next().unwrap_or_default();
            if head.ends_with('{') {
                for inner in lines.by_ref() {
                    if inner == "}" {
                        break;
                    }
                }
            }
            continue;
        }
        count += 1;
    }
    count
}

fn report(rule: &str, mut wrong: Vec<String>) {
    wrong.sort();
    assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
}

#[test]
fn imports_of_ours_are_exactly_those_of_the_house() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata runs");
    let mut actual: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in &metadata.packages {
        let Some(name) = package.name.strip_prefix("meridian-") else {
            continue;
        };
        let ours = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == cargo_metadata::DependencyKind::Normal)
            .filter_map(|dependency| dependency.name.strip_prefix("meridian-"));
        actual.insert(name.to_owned(), ours.map(str::to_owned).collect());
    }
    actual.remove("tests");
    let expected: BTreeMap<String, BTreeSet<String>> = IMPORTS
        .iter()
        .map(|(name, ours)| {
            (
                (*name).to_owned(),
                ours.iter().map(|x| (*x).to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(
        actual, expected,
        "left is what Cargo.toml says, right is the house"
    );
}

#[test]
fn pure_crates_bring_in_no_runtime_no_client_and_no_metrics() {
    let mut wrong = Vec::new();
    for name in PURE {
        let out = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--locked",
                "--offline",
                "-e",
                "normal",
                "--prefix",
                "none",
                "-p",
            ])
            .arg(format!("meridian-{name}"))
            .current_dir(root())
            .output()
            .expect("cargo tree runs");
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        for line in String::from_utf8_lossy(&out.stdout).lines() {
            let package = line.split(' ').next().unwrap_or_default();
            if IMPURE_PACKAGES.contains(&package) {
                wrong.push(format!("{name} brings in {package}"));
            }
        }
    }
    report("a brain has no runtime, client or metrics", wrong);
}

#[test]
fn pure_crates_name_no_clock_no_chance_no_file_and_no_log() {
    let mut wrong = Vec::new();
    for path in files(".rs") {
        let short = short(&path);
        if !PURE
            .iter()
            .any(|name| short.starts_with(&format!("crates/{name}/src/")))
        {
            continue;
        }
        for (number, line) in code(&read(&path)).lines().enumerate() {
            for word in IMPURE_WORDS.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{short}:{}: {word}", number + 1));
            }
        }
    }
    report("clock, chance, files and logs are arguments", wrong);
}

#[test]
fn only_four_crates_know_kubernetes() {
    let mut wrong = Vec::new();
    for (name, _) in IMPORTS {
        if KUBERNETES.contains(name) {
            continue;
        }
        let manifest = read(&root().join("crates").join(name).join("Cargo.toml"));
        let normal = manifest
            .split("[dev-dependencies]")
            .next()
            .unwrap_or_default();
        for line in normal.lines() {
            if line.starts_with("kube.") || line.starts_with("kube ") || line.starts_with("k8s-") {
                wrong.push(format!("crates/{name}: {line}"));
            }
        }
    }
    report(
        "Kubernetes is known to app, controller, api and pocketkube only",
        wrong,
    );
}

/// The code of a file: without its tests and without comments.
fn code(text: &str) -> String {
    let body = text
        .split("\n#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    body.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn members_are_written_in_one_file_and_statuses_in_one() {
    const FOLDER: &str = "crates/controller/src/";
    let mut writers = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in files(".rs") {
        let short = short(&path);
        let Some(file) = short.strip_prefix(FOLDER) else {
            continue;
        };
        let code = code(&read(&path));
        if !WRITE_CALLS.iter().any(|call| code.contains(call)) {
            continue;
        }
        writers.insert(file.to_owned());
        if !OWN_WRITERS.contains(&file) && !code.contains(".may_write(") {
            wrong.push(format!("{short} writes without asking the lease"));
        }
        let status = ["patch_status(", "replace_status("];
        if file != "status.rs" && status.iter().any(|call| code.contains(call)) {
            wrong.push(format!("{short} writes a status"));
        }
    }
    let expected: BTreeSet<String> = WRITERS.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(writers, expected, "left is what {FOLDER} writes from");
    report("a write to an API has its file, and asks the lease", wrong);
}

#[test]
fn every_source_file_says_on_top_what_it_is() {
    let wrong = files(".rs")
        .iter()
        .filter(|path| !read(path).trim_start_matches("#!").starts_with("//!"))
        .map(|path| short(path))
        .collect();
    report(
        "a file begins with `//!` and one line that says what it is",
        wrong,
    );
}

#[test]
fn files_stay_small() {
    let wrong = files(".rs")
        .iter()
        .filter(|path| {
            let short = short(path);
            !["/tests/", "/benches/", "fuzz/"]
                .iter()
                .any(|part| short.contains(part))
        })
        .map(|path| (short(path), lines_without_tests(&read(path))))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines}"))
        .collect();
    report("a file has at most 600 lines without its tests", wrong);
}

#[test]
fn no_chance_decides_which_branch_comes_first() {
    let mut wrong = Vec::new();
    for path in files(".rs") {
        let short = short(&path);
        let folders = ["crates/controller/src/", "crates/pocketkube/src/"];
        if !folders.iter().any(|folder| short.starts_with(folder)) {
            continue;
        }
        let code = code(&read(&path));
        for (number, after) in code.split("select! {").skip(1).enumerate() {
            if !after.trim_start().starts_with("biased;") {
                wrong.push(format!("{short}: the select! with number {}", number + 1));
            }
        }
    }
    report("a select! says in which order it looks (0018)", wrong);
}

#[test]
fn nothing_is_left_unfinished_in_the_code() {
    // What this test looks for; none of it is left undone here, so this file is not searched.
    let smells = [
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        "#[ignore",
        "#[allow(",
        "TODO",
        "FIXME",
        "XXX",
    ];
    let mut wrong = Vec::new();
    for path in files(".rs") {
        if path.ends_with("architecture.rs") {
            continue;
        }
        for (number, line) in read(&path).lines().enumerate() {
            for smell in smells.iter().filter(|smell| line.contains(**smell)) {
                wrong.push(format!("{}:{}: {smell}", short(&path), number + 1));
            }
        }
    }
    report("finish it, or say in CHANGELOG.md what is not there", wrong);
}

#[test]
fn documents_name_only_paths_that_exist() {
    let tops = [
        "crates/", "crds/", "deploy/", "geo/", "tests/", "docs/", ".ci/", "fuzz/",
    ];
    let mut wrong = Vec::new();
    for path in files(".md") {
        let folder = path.parent().expect("a file is in a folder").to_owned();
        for (number, line) in read(&path).lines().enumerate() {
            for word in line.split('`').skip(1).step_by(2) {
                let word = word.split([' ', ':', '#']).next().unwrap_or_default();
                let is_path = tops.iter().any(|top| word.starts_with(top))
                    && !word.contains(['*', '<', '{', '…', '$']);
                if is_path && !root().join(word).exists() && !folder.join(word).exists() {
                    wrong.push(format!("{}:{}: {word}", short(&path), number + 1));
                }
            }
        }
    }
    report("a document names a path that is not there", wrong);
}

#[test]
fn every_workspace_dependency_says_what_it_is_for() {
    let text = read(&root().join("Cargo.toml"));
    let table = text
        .split("[workspace.dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("the table is there");
    let wrong = table
        .lines()
        .filter(|line| line.contains('=') && !line.contains("path = "))
        .filter(|line| !line.contains(" # "))
        .map(str::to_owned)
        .collect();
    report("a dependency says in one line what it is for", wrong);
}
