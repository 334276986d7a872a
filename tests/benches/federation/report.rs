//! The figures: a table for people, and a line for machines.

use meridian_tests::sighted::Result;
use meridian_tests::world::Kind;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// A figure of one of several measurements.
pub(crate) type Figure<T> = (&'static str, fn(&T) -> f64);

/// What was measured on one kind of members, in the order in which it was.
pub(crate) struct Report {
    kind: Kind,
    figures: Vec<(String, f64)>,
}

impl Report {
    pub(crate) fn of(kind: Kind) -> Self {
        let figures = Vec::new();
        Self { kind, figures }
    }

    /// Tells a figure as soon as it is known.
    pub(crate) fn add(&mut self, name: &str, figure: f64) {
        // Who watches sees how far it is; nobody else is harmed when nobody does.
        let _ = writeln!(io::stderr(), "{name} {figure:.3}");
        self.figures.push((name.to_owned(), figure));
    }

    pub(crate) fn print(&self) -> Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "\n{}", self.members())?;
        for (name, figure) in &self.figures {
            let words = name.replace('_', " ");
            writeln!(out, "{words:<40}{figure:>12.3}")?;
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> String {
        let mut line = Map::new();
        line.insert("bench".to_owned(), json!("federation"));
        line.insert("members".to_owned(), json!(self.members()));
        for (name, figure) in &self.figures {
            let rounded = (figure * 1000.0).round() / 1000.0;
            line.insert(name.clone(), json!(rounded));
        }
        Value::Object(line).to_string()
    }

    fn members(&self) -> &'static str {
        match self.kind {
            Kind::Pocketkube => "pocketkube",
            Kind::Real => "real",
        }
    }
}

/// The sample below which that share of all lies.
pub(crate) fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
