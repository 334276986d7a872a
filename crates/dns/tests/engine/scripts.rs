//! Runs `tests/dns/*.rpl`.

use std::collections::BTreeSet;
use std::fs;

use meridian_dns::{
    Challenges, Requested, Server, Snapshot, SnapshotBuilder, Transport, UpdateCode, answer,
    answer_limited, is_update, transfer, update,
};

use crate::compare::check;
use crate::script_file::{Entry, Script, Step, folder, paths, read};
use crate::script_query::query;
use crate::signature;

#[test]
fn every_script_gives_what_it_says() {
    let paths = paths();
    let mut failures = Vec::new();
    let mut steps = 0;
    for path in &paths {
        let script = read(&fs::read_to_string(path).unwrap());
        assert!(!script.steps.is_empty(), "{} has no steps", path.display());
        let mut world = World::new(&script);
        for step in &script.steps {
            steps += 1;
            if let Err(problem) = world.play(step) {
                let file = path.file_name().unwrap().to_string_lossy().into_owned();
                failures.push(format!("{file}, {}: {problem}", step.label));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {steps}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(
        steps >= 400,
        "only {steps} steps in {} scripts",
        paths.len()
    );
}

#[test]
fn the_table_of_duties_names_every_script_and_no_other() {
    let page = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let named: BTreeSet<&str> = rows
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .collect();
    let paths = paths();
    let stems = paths
        .iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap());
    assert_eq!(named, stems.collect());
}

/// What one script's steps see and change.
struct World<'s> {
    script: &'s Script,
    server: &'s Server,
    snapshot: Snapshot,
    challenges: Challenges,
}

impl<'s> World<'s> {
    fn new(script: &'s Script) -> Self {
        Self {
            script,
            server: &script.server,
            snapshot: SnapshotBuilder::from(&script.snapshot).build(1),
            challenges: Challenges::new(),
        }
    }

    /// Asks, and compares what comes.
    fn play(&mut self, step: &Step) -> Result<(), String> {
        let now_secs = step.query.client().now_secs;
        let now = u64::from(now_secs);
        let bare = query(&step.query);
        let known = |name: &str| self.script.keys.get(name).map(String::as_str);
        let signed = step.query.get("TSIG");
        let signed = signed.map(|line| signature::sign(bare.clone(), line, now_secs, known));
        let messages = self.ask(&step.query, signed.as_ref().map_or(&bare, |it| &it.query));
        let (messages, told) = signature::verify(messages, signed.as_ref(), &(now..=now));
        check(step, &messages, &told)
    }

    /// The messages that come back, by the roads that the server takes.
    fn ask(&mut self, entry: &Entry, query: &[u8]) -> Vec<Vec<u8>> {
        let client = entry.client();
        let mut out = vec![0; meridian_dns::REPLY_BYTES_MAX];
        if let Some(messages) = transfer(&self.snapshot, query, &client, self.server) {
            return messages.collect();
        }
        // In requests of HTTP and streams of QUIC nobody looks for changes.
        let may_change = !matches!(client.transport, Transport::Https | Transport::Quic);
        let reply = if is_update(query) && may_change && self.script.has_updates {
            match update(&self.snapshot, query, &client, self.server, &mut out) {
                Requested::Answered(reply) => reply,
                Requested::Asked(update) => {
                    let code = self.keep(&update);
                    return vec![update.reply(code, client.now_secs)];
                }
            }
        } else if entry.get("LIMITED").is_some() {
            answer_limited(query, &client, self.server, &mut out)
        } else {
            answer(&self.snapshot, query, &client, self.server, &mut out)
        };
        out.truncate(reply.len);
        if out.is_empty() {
            Vec::new()
        } else {
            vec![out]
        }
    }

    /// Keeps challenges as whoever serves them does.
    fn keep(&mut self, update: &meridian_dns::Update) -> UpdateCode {
        match update.apply(&self.challenges) {
            Ok(challenges) => self.challenges = challenges,
            Err(code) => return code,
        }
        self.snapshot = self.script.with(&self.challenges, &self.snapshot);
        UpdateCode::NoError
    }
}
