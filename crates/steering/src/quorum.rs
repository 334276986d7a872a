//! What several observers together say, and when one should doubt itself.
//!
//! An endpoint is up while a third of the observers that are *heard*, rounded up, say up. It is down
//! when even those of them that cannot say could not make up that third. Otherwise nobody knows, and
//! what was known before holds. A third of the heard, not of the registered: a replica that hears
//! nobody else must still be able to withdraw what it sees fail. What needs a majority (branches,
//! an observer's doubt) is counted by the *registered*.
//!
//! **Panic.** An observer that loses more than half of its targets at once has more likely lost its
//! uplink. It abstains: its `Down` counts as unknown, until most of its targets are up again, or
//! for an endpoint of which a majority of the registered observers, from more than one failure
//! domain, say `Down` as well.
//!
//! **A single registered observer** has nobody to agree with. It believes itself: abstaining would
//! send clients to the dead sites of a service whose one living site it still reaches. The ladder
//! is what protects a service whose endpoints all seem down: by default it answers those that were
//! good last. Only control targets that are configured and all silent make a single observer
//! abstain: then it knows that the fault is its own.

use model::{ObserverName, Verdict};

/// Milliseconds within which losses count as "at once".
pub(crate) const AT_ONCE_MILLIS: u64 = 60_000;

/// One observer's word on one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    /// Who.
    pub(crate) observer: ObserverName,
    /// Its failure domain.
    pub(crate) domain: String,
    /// What it says.
    pub(crate) verdict: Verdict,
    /// Whether it says `Down` for want of answers in time alone.
    pub(crate) late: bool,
    /// Whether it doubts itself.
    pub(crate) abstains: bool,
}

/// The verdict of those that are heard.
pub(crate) fn verdict(votes: &[Vote], registered: usize) -> Verdict {
    let downs: Vec<&Vote> = votes
        .iter()
        .filter(|vote| vote.verdict == Verdict::Down)
        .collect();
    let several_domains = downs
        .windows(2)
        .any(|pair| pair[0].domain != pair[1].domain);
    let agreed = downs.len() * 2 > registered && several_domains;
    let counts = |vote: &Vote| match vote.verdict {
        Verdict::Down if vote.abstains && !agreed => Verdict::Unknown,
        said => said,
    };
    let count = |wanted| votes.iter().filter(|vote| counts(vote) == wanted).count();
    let (ups, unknown) = (count(Verdict::Up), count(Verdict::Unknown));
    let needed = votes.len().div_ceil(3);
    if votes.is_empty() {
        Verdict::Unknown
    } else if ups >= needed {
        Verdict::Up
    } else if ups + unknown >= needed {
        Verdict::Unknown
    } else {
        Verdict::Down
    }
}

/// Control targets: whether this observer reaches what is always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Control {
    /// How many answered.
    pub(crate) answered: u32,
    /// How many there are; 0 when none is configured.
    pub(crate) of: u32,
}

impl Control {
    /// Whether they prove that the observer is cut off.
    pub(crate) fn silent(self) -> bool {
        self.of > 0 && self.answered == 0
    }
}

/// Whether this observer abstains, given its targets and whether it did before.
///
/// `lately` are those lost within [`AT_ONCE_MILLIS`], all of which are among `down`.
pub(crate) fn abstains(
    before: Abstaining,
    registered: usize,
    control: Control,
    targets: Targets,
) -> Abstaining {
    if control.silent() {
        return Abstaining::Yes;
    }
    if registered <= 1 {
        return Abstaining::No;
    }
    let most_lost_at_once = targets.lately * 2 > targets.up + targets.lately;
    let most_down = targets.down > targets.up;
    match before {
        Abstaining::No if most_lost_at_once => Abstaining::Yes,
        Abstaining::Yes if most_down => Abstaining::Yes,
        _ => Abstaining::No,
    }
}

/// Whether an observer doubts itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Abstaining {
    /// Its word counts.
    #[default]
    No,
    /// Its `Down` counts only with others.
    Yes,
}

/// An observer's targets, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    /// Those that answer.
    pub(crate) up: usize,
    /// Those that do not.
    pub(crate) down: usize,
    /// Those of the latter that did a moment ago.
    pub(crate) lately: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Down, Unknown, Up};

    fn vote(domain: &str, verdict: Verdict, abstains: bool) -> Vote {
        Vote {
            observer: domain.into(),
            domain: domain.into(),
            verdict,
            late: false,
            abstains,
        }
    }

    fn check(said: &[(&str, Verdict, bool)], registered: usize, expected: Verdict) {
        let votes: Vec<_> = said.iter().map(|&(d, v, a)| vote(d, v, a)).collect();
        assert_eq!(
            verdict(&votes, registered),
            expected,
            "{said:?} of {registered}"
        );
    }

    #[test]
    fn one_observer_is_believed() {
        check(&[("a", Up, false)], 1, Up);
        check(&[("a", Down, false)], 1, Down);
        check(&[("a", Unknown, false)], 1, Unknown);
        check(&[], 1, Unknown);
    }

    #[test]
    fn a_third_of_the_heard_that_say_up_is_enough() {
        let (up, down) = (("a", Up, false), ("b", Down, false));
        check(&[up, down, down], 3, Up);
        check(&[up, down, down, down], 4, Down);
        check(&[up, up, down, down], 4, Up);
    }

    #[test]
    fn those_not_heard_cannot_hold_an_endpoint_up_and_those_that_cannot_say_can() {
        check(&[("a", Down, false)], 3, Down);
        check(&[("a", Down, false), ("b", Unknown, false)], 3, Unknown);
    }

    #[test]
    fn an_abstaining_observer_counts_only_with_a_majority_of_several_domains() {
        check(&[("a", Down, true)], 3, Unknown);
        check(&[("a", Down, true), ("b", Down, false)], 3, Down);
        check(&[("a", Down, true), ("a", Down, true)], 3, Unknown);
        check(&[("a", Down, true), ("b", Down, true)], 3, Down);
    }

    #[test]
    fn an_observer_doubts_itself_when_most_targets_go_at_once_and_others_could_tell() {
        let lost = |up, lately| Targets {
            up,
            down: lately,
            lately,
        };
        let control = Control::default();
        let no = Abstaining::No;
        assert_eq!(abstains(no, 3, control, lost(1, 2)), Abstaining::Yes);
        assert_eq!(abstains(no, 3, control, lost(2, 2)), Abstaining::No);
        assert_eq!(abstains(no, 1, control, lost(0, 3)), Abstaining::No);
        let silent = Control { answered: 0, of: 2 };
        assert_eq!(abstains(no, 1, silent, lost(0, 3)), Abstaining::Yes);
        let old = Targets {
            up: 1,
            down: 2,
            lately: 0,
        };
        assert_eq!(abstains(Abstaining::Yes, 3, control, old), Abstaining::Yes);
        assert_eq!(abstains(no, 3, control, old), Abstaining::No);
        let back = Targets {
            up: 2,
            down: 1,
            lately: 0,
        };
        assert_eq!(abstains(Abstaining::Yes, 3, control, back), Abstaining::No);
    }
}
