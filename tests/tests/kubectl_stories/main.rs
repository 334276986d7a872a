//! Stories of kubectl: what a person types, and that pocketkube answers as a real control plane.
//!
//! Each `tests/kubectl/<name>.story` is a few command lines; `<name>.recorded` beside it is what a
//! real control plane said and stored. Without flags, pocketkube is held against the recordings.
//!
//! | flag | what is done |
//! |---|---|
//! | (none) | stories on pocketkube, against the recordings |
//! | `--real` | on a real control plane too: recordings must still hold there |
//! | `--record` | on a real control plane, whose answers become the recordings; then on pocketkube |
//! | words | only stories whose names have one of them |
//!
//! The real control plane is of the folder `KUBEBUILDER_ASSETS`; `just diff-kubectl` has it.

mod compare;
mod kubectl;
mod mask;
mod play;
mod servers;
mod story;

use std::io::Write as _;
use std::process::ExitCode;

use futures::StreamExt;

use compare::Differences;
use kubectl::Kubectl;
use servers::Server;
use story::{Block, Story};

/// Stories told at once; each is one kubectl after another.
const AT_ONCE: usize = 4;

/// What the arguments ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Recorded,
    Real,
    Record,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        // Runners of tests ask for names; these are data.
        return ExitCode::SUCCESS;
    }
    let mode = match (has("--record"), has("--real")) {
        (true, _) => Mode::Record,
        (false, true) => Mode::Real,
        (false, false) => Mode::Recorded,
    };
    let words: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let Some(kubectl) = kubectl::find() else {
        return kubectl::none();
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime
        .expect("a runtime")
        .block_on(run(mode, &words, &kubectl))
}

async fn run(mode: Mode, words: &[&str], kubectl: &Kubectl) -> ExitCode {
    let mut stories = story::all();
    let differences = Differences::read();
    let mut wrong = differences.of_no_story(&stories);
    wrong.extend(story::recordings_of_nothing(&stories));
    stories.retain(|story| words.is_empty() || words.iter().any(|word| story.name.contains(word)));
    if mode != Mode::Recorded {
        wrong.extend(on_real(mode, &mut stories, kubectl).await);
    }
    let count = stories.len();
    let mut again = Vec::new();
    for (story, faults) in on_pocketkube(stories, &differences, kubectl).await {
        if !faults.is_empty() {
            say(&format!("{} is told a second time", story.name));
            again.push(story);
        }
    }
    // Pods come and go in their own time, beside kubectl: what is wrong is wrong twice.
    for (_, faults) in on_pocketkube(again, &differences, kubectl).await {
        wrong.extend(faults);
    }
    for one in &wrong {
        say(one);
    }
    say(&format!("{count} stories, {} of them wrong", wrong.len()));
    if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Tells the stories on a pocketkube of their own, and says what is wrong with each.
async fn on_pocketkube(
    stories: Vec<Story>,
    differences: &Differences,
    kubectl: &Kubectl,
) -> Vec<(Story, Vec<String>)> {
    if stories.is_empty() {
        return Vec::new();
    }
    let server = Server::pocketkube().await;
    let told = tell(&stories, &server, kubectl, Some(differences)).await;
    let judge = |(story, blocks): (Story, Vec<Block>)| {
        let faults = differences.judge(&story, &blocks);
        (story, faults.into_iter().collect())
    };
    stories.into_iter().zip(told).map(judge).collect()
}

/// Tells the stories on a real control plane. What it says is from then on what is expected.
async fn on_real(mode: Mode, stories: &mut [Story], kubectl: &Kubectl) -> Vec<String> {
    let mut wrong = Vec::new();
    let server = Server::real().await;
    let told = tell(stories, &server, kubectl, None).await;
    for (story, blocks) in stories.iter_mut().zip(told) {
        if mode == Mode::Record {
            story.record(&blocks);
        } else {
            let changed = compare::of_all(&story.recorded, &blocks);
            if !changed.is_empty() {
                wrong.push(format!(
                    "{}: the real control plane says something else than is recorded; if that \
                     is right, `just diff-kubectl --record {0}`\n{changed}",
                    story.name
                ));
            }
        }
        story.recorded = blocks;
    }
    wrong
}

/// What `server` said and stored, story by story. With `differences`, what changes by itself is
/// read until it is as recorded.
async fn tell(
    stories: &[Story],
    server: &Server,
    kubectl: &Kubectl,
    differences: Option<&Differences>,
) -> Vec<Vec<Block>> {
    futures::stream::iter(stories)
        .map(|story| play::tell(story, server, kubectl, differences))
        .buffered(AT_ONCE)
        .collect()
        .await
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "kubectl_stories: {line}");
}
