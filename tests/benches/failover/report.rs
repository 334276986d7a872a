//! The figures: a table for people, a line for machines, and what others say of themselves.

use crate::measure::Sample;
use crate::restart::Restarted;
use meridian_tests::sighted::Result;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// From the fault to the last replica's answer at the fastest settings.
const FASTEST_MILLIS_MAX: f64 = 2_500.0;

/// What others document, with where they do. Nobody measured these here.
const OTHERS: [&str; 3] = [
    "k8gb: reconcileRequeueSeconds (30 s) + dnsTtlSeconds (30 s) + the client's cache: \
     docs/splitbrain.md of k8gb-io/k8gb, \"Practical convergence estimate\"",
    "gdnsd: interval 10 s, timeout interval/2, down_thresh 10: some 100 s, then the TTL: \
     docs/gdnsd.config.podin of gdnsd/gdnsd, SERVICE_TYPES",
    "Route 53: interval 30 s (10 s for a charge), failure threshold 3: some 90 s (30 s), then the TTL \
     (60 s advised): Amazon Route 53 Developer Guide, \"How Route 53 determines whether a health check is healthy\"",
];

/// What was measured.
#[derive(Default)]
pub(crate) struct Report {
    parts: Vec<(&'static str, Vec<Sample>)>,
    pub(crate) restart: Option<Restarted>,
}

impl Report {
    pub(crate) fn add(&mut self, part: &'static str, samples: &[Sample]) {
        self.parts.push((part, samples.to_vec()));
    }

    pub(crate) fn print(&self) -> Result<()> {
        let mut out = io::stdout().lock();
        for (part, samples) in &self.parts {
            writeln!(
                out,
                "\n{part}: {} failures, ms after the fault",
                samples.len()
            )?;
            writeln!(out, "{:<44}{:>10}{:>10}", "", "p50", "p99")?;
            for (name, values) in moments(samples) {
                let (p50, p99) = (percentile(&values, 0.5), percentile(&values, 0.99));
                match values.is_empty() {
                    true => writeln!(out, "{name:<44}{:>20}", "skipped")?,
                    false => writeln!(out, "{name:<44}{p50:>10.0}{p99:>10.0}")?,
                }
            }
        }
        if let Some(restart) = &self.restart {
            writeln!(out, "\n{restart:?}")?;
        }
        writeln!(out, "\nwhat others document (not measured here):")?;
        for line in OTHERS {
            writeln!(out, "  {line}")?;
        }
        writeln!(out)?;
        Ok(())
    }

    pub(crate) fn json(&self) -> String {
        let mut line = Map::new();
        line.insert("bench".into(), json!("failover"));
        for (part, samples) in &self.parts {
            line.insert((*part).into(), figures(samples));
        }
        if let Some(it) = &self.restart {
            let figures = json!({"queries": it.queries, "restarts": it.restarts, "wrong": it.wrong,
                "asked_again": it.again, "unanswered": it.unanswered});
            line.insert("rolling_restart".into(), figures);
        }
        Value::Object(line).to_string()
    }

    /// Whether the bounds hold, of what was measured.
    pub(crate) fn kept(&self) -> bool {
        let fastest = self.parts.iter().filter(|(part, _)| *part == "fastest");
        let mut last = fastest
            .flat_map(|(_, samples)| samples)
            .map(|it| it.last_answer);
        let quick = last.all(|millis| millis <= FASTEST_MILLIS_MAX);
        quick
            && self
                .restart
                .is_none_or(|it| it.wrong == 0 && it.unanswered == 0)
    }
}

/// Each moment and its samples.
fn moments(samples: &[Sample]) -> [(&'static str, Vec<f64>); 5] {
    let of = |get: fn(&Sample) -> Option<f64>| samples.iter().filter_map(get).collect();
    [
        ("T1 verdict of the last replica", of(|it| it.verdict)),
        (
            "first replica's changed answer",
            of(|it| Some(it.first_answer)),
        ),
        (
            "T2 last replica's changed answer",
            of(|it| Some(it.last_answer)),
        ),
        ("T3 last client through unbound", of(|it| it.last_client)),
        (
            "T4 first good request at the new site",
            of(|it| it.good_request),
        ),
    ]
}

fn figures(samples: &[Sample]) -> Value {
    let names = ["verdict", "answer", "replicas", "client", "good_request"];
    let mut figures = Map::new();
    figures.insert("failures".into(), json!(samples.len()));
    for (name, (_, values)) in names.iter().zip(moments(samples)) {
        for (rank, share) in [("p50", 0.5), ("p99", 0.99)] {
            let value = percentile(&values, share).round();
            let value = if values.is_empty() {
                Value::Null
            } else {
                json!(value)
            };
            figures.insert(format!("{name}_{rank}_ms"), value);
        }
    }
    Value::Object(figures)
}

/// The least sample that this share of all does not exceed.
fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small index"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}
