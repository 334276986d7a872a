//! Tells when probes of this observer no longer end: as a metric, and in the log.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use steering::ProbeReportValue;

/// How many endpoints are overdue, as it was told last.
pub(crate) struct Overdue {
    gauge: Gauge,
    before: usize,
}

impl Overdue {
    /// None yet.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let gauge = Gauge::default();
        let help = "Endpoints of which no probe ends here any more, so that this observer has no say on them";
        registry.register("meridian_probes_overdue", help, gauge.clone());
        Self { gauge, before: 0 }
    }

    /// Takes it from a report.
    pub(crate) fn note(&mut self, report: &ProbeReportValue) {
        let all = report.verdicts.len();
        let overdue = report.verdicts.iter().filter(|it| it.overdue).count();
        self.gauge.set(i64::try_from(overdue).unwrap_or(i64::MAX));
        match (self.before, overdue) {
            (0, 1..) => tracing::error!(overdue, all, "probes no longer end: others decide"),
            (1.., 0) => tracing::info!(all, "probes end again"),
            _ => {}
        }
        self.before = overdue;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{EndpointId, ObjectKey, Target, Verdict};
    use steering::ReportedVerdict;

    #[test]
    fn the_metric_is_the_number_of_endpoints_that_are_overdue() {
        let verdict = |overdue: bool| ReportedVerdict {
            endpoint: EndpointId {
                service: ObjectKey::new("shop", "shop"),
                cluster: "a".into(),
                target: Target::Hostname("a.example.org".into()),
            },
            verdict: Verdict::Unknown,
            since_millis: 0,
            reason: None,
            late: false,
            overdue,
        };
        let report = |verdicts: Vec<ReportedVerdict>| ProbeReportValue {
            observer: "replica-1".into(),
            domain: String::new(),
            at_millis: 0,
            abstains: false,
            verdicts,
            generations: Default::default(),
            named: Vec::new(),
            challenges: 0,
            unresolved: Default::default(),
        };
        let mut overdue = Overdue::new(&mut Registry::default());
        overdue.note(&report(vec![verdict(true), verdict(false), verdict(true)]));
        assert_eq!(overdue.gauge.get(), 2);
        overdue.note(&report(vec![verdict(false)]));
        assert_eq!(overdue.gauge.get(), 0);
    }
}
