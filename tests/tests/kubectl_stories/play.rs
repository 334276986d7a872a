//! Tells a story on a server.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;

use crate::compare::Differences;
use crate::kubectl::Kubectl;
use crate::mask::mask;
use crate::servers::{Kind, Server};
use crate::story::{Block, Story};

/// No command takes a fifth of this on an idle machine.
const COMMAND_SECS_MAX: u64 = 90;
/// What controllers do after a command is done by then.
const SETTLED_SECS_MAX: u64 = 20;
/// What was read twice with this between is taken as settled on the real server.
const QUIET: Duration = Duration::from_millis(800);
/// What was not as recorded for so long will not become so.
const UNCHANGED: Duration = Duration::from_secs(4);
/// Between two looks at what is not yet as recorded.
const LOOK_AGAIN: Duration = Duration::from_millis(150);

/// A server as one story sees it: a folder, and a kubeconfig with its namespace.
struct Stage<'a> {
    folder: &'a Path,
    kubectl: &'a Kubectl,
    kind: Kind,
}

/// What `server` said to each command of `story`, and what it stored.
pub(crate) async fn tell(
    story: &Story,
    server: &Server,
    kubectl: &Kubectl,
    differences: Option<&Differences>,
) -> Vec<Block> {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let stage = Stage {
        folder: folder.path(),
        kubectl,
        kind: server.kind,
    };
    stage.open(&story.name, &server.kubeconfig).await;
    let mut blocks: Vec<Block> = Vec::new();
    let mut touched = BTreeSet::new();
    for command in &story.commands {
        let first = command.lines().next().unwrap_or_default();
        let title = format!("$ {first}");
        let expected = differences.map(|differences| {
            let recorded = story.recorded.get(blocks.len());
            (differences, story.name.as_str(), recorded)
        });
        let lines = if only_reads(command) {
            stage.settled(&title, || stage.say(command), expected).await
        } else {
            stage.say(command).await
        };
        touched.extend(lines.iter().filter_map(|line| touched_by(line)));
        blocks.push(Block { title, lines });
    }
    for object in touched {
        let title = format!("= {object}");
        let recorded = story.recorded.iter().find(|block| block.title == title);
        let expected = differences.map(|differences| (differences, story.name.as_str(), recorded));
        let lines = stage
            .settled(&title, || stage.stored(&object), expected)
            .await;
        blocks.push(Block { title, lines });
    }
    stage.close(&story.name).await;
    blocks
}

/// Whether a command changes nothing and may be repeated.
fn only_reads(command: &str) -> bool {
    let reads = [
        "get ",
        "describe ",
        "rollout history",
        "auth can-i",
        "explain ",
        "api-resources",
    ];
    let writes = ["|", "-w", "EOF"];
    command
        .strip_prefix("kubectl ")
        .is_some_and(|rest| reads.iter().any(|verb| rest.starts_with(verb)))
        && !writes.iter().any(|word| command.contains(word))
}

/// The object that a line such as `deployment.apps/web created` tells of.
fn touched_by(line: &str) -> Option<String> {
    let (object, done) = line.split_once(' ')?;
    let (kind, name) = object.split_once('/')?;
    let is_kind = kind.starts_with(|first: char| first.is_ascii_lowercase())
        && kind
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || one == '.' || one == '-');
    let is_name = !name.is_empty() && !name.contains([':', '/', '|', ',', '"']);
    let is_done = done.starts_with(|first: char| first.is_ascii_lowercase())
        && !done.contains("dry run")
        && !name.contains("RANDOM");
    (is_kind && is_name && is_done).then(|| object.to_owned())
}

type Expected<'a> = Option<(&'a Differences, &'a str, Option<&'a Block>)>;

impl Stage<'_> {
    /// Makes the story's namespace and a kubeconfig for it.
    async fn open(&self, name: &str, kubeconfig: &str) {
        let path = self.folder.join("kubeconfig");
        std::fs::write(&path, kubeconfig).expect("the folder can be written");
        let lines = self
            .say(&format!(
                "kubectl create namespace {name} && \
                 kubectl config set-context --current --namespace={name} && \
                 until kubectl get serviceaccount default; do sleep 0.1; done"
            ))
            .await;
        let opened = !lines.iter().any(|line| line.starts_with('['));
        assert!(opened, "{name}: {lines:?}");
    }

    /// Lets the namespace go, so that what runs in it uses no room.
    async fn close(&self, name: &str) {
        self.say(&format!("kubectl delete namespace {name} --wait=false"))
            .await;
    }

    /// What a shell says to a command, with the exit code when it is not 0.
    async fn say(&self, command: &str) -> Vec<String> {
        let (code, out, err) = self.run(command).await;
        // How far a rollout has come when kubectl looks is chance.
        let lasting = out.lines().filter(|line| !line.starts_with("Waiting for "));
        let mut lines: Vec<String> = lasting.map(mask).collect();
        lines.extend(err.lines().map(|line| mask(&format!("! {line}"))));
        if code != 0 {
            lines.push(format!("[{code}]"));
        }
        sort_events(&mut lines);
        lines
    }

    async fn run(&self, command: &str) -> (i32, String, String) {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", command])
            .current_dir(self.folder)
            .env("PATH", self.kubectl.path())
            .env("HOME", self.folder)
            .env("TMPDIR", "/tmp")
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("KUBECACHEDIR", self.folder.join("cache"))
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let limit = Duration::from_secs(COMMAND_SECS_MAX);
        match tokio::time::timeout(limit, shell.output()).await {
            Ok(output) => {
                let output = output.expect("there is a shell");
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let code = output.status.code().unwrap_or(-1);
                (code, text(&output.stdout), text(&output.stderr))
            }
            Err(_) => (-1, String::new(), "it did not end".to_owned()),
        }
    }

    /// How an object is stored, one field a line.
    async fn stored(&self, object: &str) -> Vec<String> {
        let get = format!("kubectl get {object} -o json --show-managed-fields");
        let (code, out, err) = self.run(&get).await;
        if code != 0 {
            return err.lines().map(|line| mask(&format!("! {line}"))).collect();
        }
        let mut object: Value = serde_json::from_str(&out).expect("kubectl writes JSON");
        // The server's order is that of times, and two writes may be of one second.
        if let Some(managers) = object
            .pointer_mut("/metadata/managedFields")
            .and_then(Value::as_array_mut)
        {
            managers.sort_by_cached_key(|entry| {
                ["manager", "operation", "subresource", "apiVersion"]
                    .map(|part| entry[part].as_str().unwrap_or_default().to_owned())
            });
        }
        let mut lines = Vec::new();
        flatten("", &object, &mut lines);
        lines
    }

    /// Reads until nothing changes by itself: on the real server until it is quiet, on pocketkube
    /// until it is as recorded.
    async fn settled<F>(
        &self,
        title: &str,
        read: impl Fn() -> F,
        expected: Expected<'_>,
    ) -> Vec<String>
    where
        F: Future<Output = Vec<String>>,
    {
        let deadline = Instant::now() + Duration::from_secs(SETTLED_SECS_MAX);
        let mut lines = read().await;
        let mut changed = Instant::now();
        while Instant::now() < deadline {
            if let Some((differences, story, recorded)) = expected {
                let nothing = Block {
                    title: title.to_owned(),
                    lines: Vec::new(),
                };
                let recorded = recorded.unwrap_or(&nothing);
                if differences.excuse(story, &recorded.lines, &lines)
                    || changed.elapsed() > UNCHANGED
                {
                    break;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
                let before = std::mem::replace(&mut lines, read().await);
                if before != lines {
                    changed = Instant::now();
                }
            } else {
                tokio::time::sleep(QUIET).await;
                let before = std::mem::replace(&mut lines, read().await);
                if before == lines || self.kind == Kind::Pocketkube {
                    break;
                }
            }
        }
        lines
    }
}

/// Events are told in the order of their times, which have no fractions.
fn sort_events(lines: &mut [String]) {
    if let Some(at) = lines.iter().position(|line| line == "Events:") {
        let start = (at + 3).min(lines.len());
        lines[start..].sort();
    }
}

/// One line for each field; what a manager owns is one line.
fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    let deeper = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else if key.contains(['.', '/']) {
            format!("{path}[{key}]")
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        Value::Object(fields) if !fields.is_empty() && !path.ends_with(".fieldsV1") => {
            for (key, value) in fields {
                flatten(&deeper(key), value, lines);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (number, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{number}]"), item, lines);
            }
        }
        other => lines.push(mask(&format!("{path} = {other}"))),
    }
}
