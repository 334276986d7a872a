//! The figures: a table for people, and a line for machines.

use crate::Result;
use crate::bound::{Bound, IN_FLIGHT};
use crate::propagate::Propagated;
use crate::site::Members;
use serde_json::json;
use std::io::{self, Write};

/// What was measured, run by run.
#[derive(Default)]
pub(crate) struct Figures {
    apply: Vec<f64>,
    apply_in_flight: usize,
    create: Vec<f64>,
    seconds: Vec<f64>,
    created: Vec<f64>,
    told: Vec<f64>,
    placed: Vec<f64>,
    ratios: Vec<f64>,
    placed_ratios: Vec<f64>,
    host_writes: Vec<f64>,
}

impl Figures {
    pub(crate) fn bound(&mut self, bound: Bound) {
        let best = least(&bound.apply);
        let at = bound.apply.iter().position(|seconds| *seconds == best);
        self.apply_in_flight = IN_FLIGHT[at.unwrap_or(0)];
        self.apply.push(best);
        self.create.push(least(&bound.create));
    }

    pub(crate) fn propagated(&mut self, propagated: Propagated) {
        self.seconds.push(propagated.seconds);
        self.created.push(propagated.created_seconds);
        self.told.push(propagated.told_seconds);
        self.host_writes.push(propagated.host_writes_per_object);
        self.ratios.push(propagated.seconds / self.last_bound());
    }

    pub(crate) fn placed(&mut self, seconds: f64) {
        self.placed.push(seconds);
        self.placed_ratios.push(seconds / self.last_bound());
    }

    /// That of the same run: what the machine does besides meets both.
    fn last_bound(&self) -> f64 {
        self.apply.last().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn print(&self, members: Members) -> Result<()> {
        let mut out = io::stdout().lock();
        let in_flight = self.apply_in_flight;
        writeln!(out, "\n{members}")?;
        writeln!(out, "{:<52}{:>9}{:>9}{:>9}", "", "median", "least", "most")?;
        let applied = format!("bound: server-side apply, {in_flight} in flight, s");
        let rows: [(&str, &[f64]); 9] = [
            (&applied, &self.apply),
            ("bound: create, s", &self.create),
            ("created on the host, s", &self.created),
            ("in all members, s", &self.seconds),
            ("told in every status, s", &self.told),
            (
                "in all members, after placing the namespace, s",
                &self.placed,
            ),
            ("in all members / bound", &self.ratios),
            ("after placing the namespace / bound", &self.placed_ratios),
            ("host writes per object", &self.host_writes),
        ];
        for (name, figures) in rows {
            let (median, least, most) = (median(figures), least(figures), most(figures));
            writeln!(out, "{name:<52}{median:>9.3}{least:>9.3}{most:>9.3}")?;
        }
        Ok(())
    }

    pub(crate) fn json(&self, members: Members) -> String {
        let rounded = |figures: &[f64]| (median(figures) * 1000.0).round() / 1000.0;
        let line = json!({
            "bench": "propagate",
            "members": members.to_string(),
            "seconds": rounded(&self.seconds),
            "bound_seconds": rounded(&self.apply),
            "ratio": rounded(&self.ratios),
            "host_writes_per_object": rounded(&self.host_writes),
            "created_seconds": rounded(&self.created),
            "create_bound_seconds": rounded(&self.create),
            "placed_seconds": rounded(&self.placed),
            "placed_ratio": rounded(&self.placed_ratios),
            "runs": self.seconds.len(),
        });
        line.to_string()
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn least(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(0.0, f64::max)
}
