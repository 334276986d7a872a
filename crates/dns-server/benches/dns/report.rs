//! Medians of the rounds, as a table and as JSON.

use std::io::{self, Write};

use crate::{Fallible, answering};

/// One server in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) cpu_micros: f64,
    pub(crate) per_sec: f64,
    /// Which part of a core it took when it answered as fast as it could.
    pub(crate) busy: f64,
}

/// All rounds; the first server is the bound.
pub(crate) struct Report {
    labels: Vec<&'static str>,
    /// For each server and round: it, and the bound beside it.
    rounds: Vec<Vec<(Measured, Measured)>>,
}

/// The goals for meridian: ratios to the bound.
const CPU_RATIO_MAX: f64 = 1.10;
const THROUGHPUT_RATIO_MIN: f64 = 0.90;

impl Report {
    pub(crate) fn new(labels: Vec<&'static str>) -> Self {
        let rounds = labels.iter().map(|_| Vec::new()).collect();
        Self { labels, rounds }
    }

    pub(crate) fn push(&mut self, server: usize, measured: Measured, bound: Measured) {
        self.rounds[server].push((measured, bound));
    }

    pub(crate) fn tell(&self) -> Fallible<()> {
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{:<10} {:>13} {:>9} {:>13} {:>9} {:>6}",
            "server", "CPU per query", "of bound", "queries/s", "of bound", "busy"
        )?;
        let (mut cpu, mut ratio, mut throughput) = (Vec::new(), Vec::new(), Vec::new());
        for (index, label) in self.labels.iter().enumerate() {
            let micros = self.median(index, |it, _| it.cpu_micros);
            let of_cpu = self.median(index, |it, bound| it.cpu_micros / bound.cpu_micros);
            let per_sec = self.median(index, |it, _| it.per_sec);
            let of_rate = self.median(index, |it, bound| it.per_sec / bound.per_sec);
            let busy = self.median(index, |it, _| it.busy) * 100.0;
            writeln!(
                out,
                "{label:<10} {micros:>10.2} µs {of_cpu:>9.2} {per_sec:>13.0} {of_rate:>9.2} {busy:>4.0} %"
            )?;
            cpu.push(format!("\"{label}\":{micros:.2}"));
            ratio.push(format!("\"{label}\":{of_cpu:.2}"));
            throughput.push(format!("\"{label}\":{of_rate:.2}"));
        }
        self.tell_goals(&mut out)?;
        writeln!(
            out,
            "{{\"bench\":\"dns\",\"cpu_us_per_query\":{{{}}},\"ratio\":{{{}}},\"throughput_ratio\":{{{}}}}}",
            cpu.join(","),
            ratio.join(","),
            throughput.join(",")
        )?;
        Ok(())
    }

    /// What was to hold, and whether it does.
    fn tell_goals(&self, out: &mut impl Write) -> Fallible<()> {
        let cpu = |label| self.of(label, |it, bound| it.cpu_micros / bound.cpu_micros);
        let rate = |label| self.of(label, |it, bound| it.per_sec / bound.per_sec);
        let (Some(our_cpu), Some(our_rate)) = (cpu(answering::MERIDIAN), rate(answering::MERIDIAN))
        else {
            return Ok(());
        };
        let mut goals = vec![
            ("CPU at most 1.10 of the bound", our_cpu <= CPU_RATIO_MAX),
            (
                "throughput at least 0.90 of the bound",
                our_rate >= THROUGHPUT_RATIO_MIN,
            ),
        ];
        if let Some(gdnsd) = cpu(crate::peers::GDNSD) {
            goals.push(("CPU below gdnsd's", our_cpu < gdnsd));
        }
        if let Some(nsd) = rate(crate::peers::NSD) {
            goals.push(("throughput above NSD's", our_rate > nsd));
        }
        for (goal, holds) in goals {
            writeln!(out, "{} {goal}", if holds { "✓" } else { "✗ missed:" })?;
        }
        Ok(())
    }

    fn of(&self, label: &str, value: impl Fn(Measured, Measured) -> f64) -> Option<f64> {
        let index = self.labels.iter().position(|it| *it == label)?;
        Some(self.median(index, value))
    }

    fn median(&self, server: usize, value: impl Fn(Measured, Measured) -> f64) -> f64 {
        let rounds = self.rounds[server].iter();
        let mut values: Vec<f64> = rounds.map(|(it, bound)| value(*it, *bound)).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }
}
