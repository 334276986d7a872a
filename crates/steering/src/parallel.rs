//! The same work on many things, on all cores. What comes out does not depend on how many there are.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

/// Threads, at most: there is other work on the machine.
const THREADS_MAX: usize = 8;

/// Does the work on each; the outcomes in the order of the things.
pub(crate) fn in_parallel<T, O>(
    things: impl Iterator<Item = T>,
    work: impl Fn(T) -> O + Sync,
) -> Vec<O>
where
    T: Send,
    O: Send,
{
    let things: Vec<T> = things.collect();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(THREADS_MAX).min(things.len());
    if threads <= 1 {
        return things.into_iter().map(work).collect();
    }
    let count = things.len();
    // Whoever is done takes the next: things are of different sizes.
    let queue = Mutex::new(things.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let mut done = Vec::new();
        while let Some((at, thing)) = next() {
            done.push((at, work(thing)));
        }
        done
    };
    let mut outcomes: Vec<(usize, O)> = Vec::with_capacity(count);
    thread::scope(|scope| {
        // Where there are no more threads to be had, there is this one.
        let others = (1..threads).map(|_| thread::Builder::new().spawn_scoped(scope, run));
        let others: Vec<_> = others.filter_map(Result::ok).collect();
        outcomes.extend(run());
        for other in others {
            match other.join() {
                Ok(done) => outcomes.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    outcomes.sort_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_in_the_order_of_the_things() {
        for count in [0, 1, 2, 1_000] {
            let outcomes = in_parallel(0..count, |it| it * 2);
            assert_eq!(outcomes, (0..count).map(|it| it * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "the work fails")]
    fn a_panic_of_the_work_is_its_callers() {
        in_parallel(0..100, |it| assert!(it != 50, "the work fails"));
    }
}
