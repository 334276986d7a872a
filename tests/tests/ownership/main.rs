//! Who owns which field, as a property: random sequences of writes by several managers give the
//! same objects and `managedFields` on pocketkube as on a real control plane.
//!
//! `tests/ownership/<kind>.jsonl.gz` has, a line each, sequences of requests with what a real
//! control plane answered and stored. Each write is in a second of its own, so that times are
//! compared too: as the number of the write.
//!
//! | flag | what is done |
//! |---|---|
//! | (none) | the recorded sequences on pocketkube |
//! | `--record` | sequences drawn anew from their seeds, played on a real control plane, written down; then on pocketkube |
//! | words | only sequences whose names have one of them, as `thing-17` |
//!
//! `tests/ownership/differences` has a reason for each sequence that differs. The real control
//! plane is of the folder `KUBEBUILDER_ASSETS`; `just record-ownership` has it.

mod draw;
mod kinds;
mod mask;
mod play;
mod record;
mod recording;

use std::io::Write as _;
use std::process::ExitCode;

use recording::Sequence;

/// Of one sequence that differs, so many steps are told.
const STEPS_TOLD_MAX: usize = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        // Runners of tests ask for names; these are data.
        return ExitCode::SUCCESS;
    }
    let words: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    if has("--record") {
        record::all();
    }
    let sequences = recording::all(&words);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build();
    let wrong = runtime
        .expect("a runtime")
        .block_on(wrong_on_pocketkube(&sequences, words.is_empty()));
    for one in &wrong {
        say(one);
    }
    let steps: usize = sequences.iter().map(|one| one.steps.len()).sum();
    say(&format!(
        "{} sequences of {steps} writes, {} of them wrong",
        sequences.len(),
        wrong.len()
    ));
    if wrong.is_empty() && !sequences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What is different on pocketkube without a reason, a text for each sequence.
async fn wrong_on_pocketkube(sequences: &[Sequence], are_all: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let unknown = |name: &str| are_all && sequences.iter().all(|one| one.name != name);
    let reasons = recording::reasons();
    for name in reasons.keys().filter(|name| unknown(name)) {
        wrong.push(format!("{name}: differs, it is said, and is not recorded"));
    }
    let player = play::Player::pocketkube().await;
    for sequence in sequences {
        let answers = player
            .play(&sequence.name, &sequence.steps)
            .await
            .expect("seconds pass only when they are let pass");
        assert_eq!(answers.len(), sequence.answers.len(), "{}", sequence.name);
        let mut told = 0;
        let mut text = String::new();
        for (number, (expected, found)) in sequence.answers.iter().zip(&answers).enumerate() {
            let differences = recording::differences(expected, found);
            if differences.is_empty() {
                continue;
            }
            let step = &sequence.steps[number];
            text.push_str(&format!("\n  {number}: {}", step.line()));
            for line in differences {
                text.push_str(&format!("\n    {line}"));
            }
            told += 1;
            if told == STEPS_TOLD_MAX {
                break;
            }
        }
        match (reasons.contains_key(&sequence.name), text.is_empty()) {
            (false, false) => wrong.push(format!("{}:{text}", sequence.name)),
            (true, true) => wrong.push(format!("{}: differs no longer", sequence.name)),
            _ => {}
        }
    }
    wrong
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "ownership: {line}");
}
