//! What the demo showed, step by step, with what was measured and what was promised.

use super::samples::Sample;
use serde::Serialize;
use std::time::Duration;

/// All steps, and the samples behind them.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timeline {
    /// Settings that the demo changed from the product's defaults.
    pub(crate) patches: Vec<String>,
    /// The steps in order.
    pub(crate) steps: Vec<Step>,
    /// Every sample taken from outside, in order of time.
    pub(crate) samples: Vec<Sample>,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Step {
    /// Its number in the story, from 1.
    pub(crate) number: u32,
    /// What was done.
    pub(crate) title: String,
    /// Seconds since the demo began.
    pub(crate) at_secs: f64,
    /// What was seen, a line each.
    pub(crate) lines: Vec<String>,
    /// What was measured against a bound.
    pub(crate) checks: Vec<Check>,
}

/// A promise and what came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    /// What was promised.
    pub(crate) what: String,
    /// How long it took; nothing when it did not happen in time, or is not a matter of time.
    pub(crate) took_secs: Option<f64>,
    /// The most it may take.
    pub(crate) bound_secs: Option<f64>,
    /// Whether the promise was kept.
    pub(crate) met: bool,
}

impl Check {
    /// Something that must happen within a bound.
    pub(crate) fn within(what: &str, took: Option<Duration>, bound: Duration) -> Self {
        Self {
            what: what.to_owned(),
            took_secs: took.map(|took| took.as_secs_f64()),
            bound_secs: Some(bound.as_secs_f64()),
            met: took.is_some_and(|took| took <= bound),
        }
    }

    /// Something that must simply hold.
    pub(crate) fn holds(what: &str, met: bool) -> Self {
        Self {
            what: what.to_owned(),
            took_secs: None,
            bound_secs: None,
            met,
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let mark = if self.met { "✓" } else { "✗" };
        match (self.took_secs, self.bound_secs) {
            (Some(took), Some(bound)) => {
                format!("{mark} {}: {took:.2} s (bound {bound:.0} s)", self.what)
            }
            (None, Some(bound)) => format!("{mark} {}: not within {bound:.0} s", self.what),
            _ => format!("{mark} {}", self.what),
        }
    }
}

impl Timeline {
    /// Whether every step met its bound.
    pub(crate) fn met(&self) -> bool {
        self.steps
            .iter()
            .flat_map(|step| &step.checks)
            .all(|check| check.met)
    }

    /// The timeline as text.
    pub(crate) fn text(&self) -> String {
        let mut text =
            String::from("\nTimeline (measured from outside: UDP queries and API reads)\n");
        for patch in &self.patches {
            text.push_str(&format!("  setting  {patch}\n"));
        }
        for step in &self.steps {
            text.push_str(&format!(
                "{:>7.1} s  {}. {}\n",
                step.at_secs, step.number, step.title
            ));
            for line in &step.lines {
                text.push_str(&format!("             {line}\n"));
            }
            for check in &step.checks {
                text.push_str(&format!("           {}\n", check.line()));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_not_kept_in_time_is_not_met() {
        let bound = Duration::from_secs(2);
        assert!(Check::within("x", Some(Duration::from_millis(1990)), bound).met);
        assert!(!Check::within("x", Some(Duration::from_millis(2010)), bound).met);
        assert!(!Check::within("x", None, bound).met);
        let mut timeline = Timeline::default();
        assert!(timeline.met());
        timeline.steps.push(Step {
            number: 1,
            title: "t".into(),
            at_secs: 0.0,
            lines: vec![],
            checks: vec![Check::holds("a", true), Check::holds("b", false)],
        });
        assert!(!timeline.met());
        assert!(timeline.text().contains("✗ b"));
    }
}
