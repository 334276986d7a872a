//! A seed plays the same again: the same requests of the same controllers, at the same virtual times
//! and in the same order, whatever was played before.

use super::eyes::Asked;
use super::{play, seeds};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// Seeds of `cargo test`.
const SEEDS: Range<u64> = 1..3;
/// Things that happen before it ends.
const ROUNDS: usize = 12;
/// Requests that are shown before the first that differs.
const SHOWN: usize = 8;

#[test]
fn a_seed_plays_the_same_again_request_by_request() {
    for seed in seeds(SEEDS) {
        let first = play(seed, ROUNDS).asked;
        let second = play(seed, ROUNDS).asked;
        assert!(
            first.len() > 1000,
            "hardly anything was asked: {}",
            first.len()
        );
        if let Some(told) = difference(&first, &second) {
            panic!("seed {seed} parts ways with itself {told}");
        }
    }
}

/// The same for the same requests, whichever process sent them.
pub(super) fn digest(run: &[Asked]) -> u64 {
    let mut hasher = DefaultHasher::new();
    run.hash(&mut hasher);
    hasher.finish()
}

/// Where two runs part ways, with what came before.
fn difference(first: &[Asked], second: &[Asked]) -> Option<String> {
    let longest = first.len().max(second.len());
    let at = (0..longest).find(|at| first.get(*at) != second.get(*at))?;
    let lines = |run: &[Asked]| {
        let shown = run.iter().take(at + 3).skip(at.saturating_sub(SHOWN));
        let lines: Vec<String> = shown.map(|asked| format!("    {asked:?}")).collect();
        lines.join("\n")
    };
    Some(format!(
        "at request {at} of {} and {}\n  first:\n{}\n  then:\n{}",
        first.len(),
        second.len(),
        lines(first),
        lines(second)
    ))
}

#[test]
fn a_difference_is_shown_with_what_came_before_it() {
    let run = |last: &str| {
        let names = ["a", "b", last].into_iter();
        names.map(Asked::named).collect::<Vec<_>>()
    };
    assert_eq!(difference(&run("c"), &run("c")), None);
    let told = difference(&run("c"), &run("d")).expect("they differ");
    assert!(told.starts_with("at request 2 of 3 and 3"), "{told}");
    let shorter = &run("c")[..2];
    let told = difference(&run("c"), shorter).expect("one is longer");
    assert!(told.starts_with("at request 2 of 3 and 2"), "{told}");
}
