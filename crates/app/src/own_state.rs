//! Tells how this observer is: whether the host answers it, and whether its probes end.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use steering::{HostContact, Peers, ProbeReportValue};

/// Metrics of it, and what was told last.
pub(crate) struct OwnState {
    overdue: Gauge,
    overdue_before: usize,
    host_reached: Gauge,
}

impl OwnState {
    /// Nothing is known yet.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let host_reached = Gauge::default();
        let help = "1 while the host's API answers; 0 while answers go on without it, marked stale";
        registry.register("meridian_host_reached", help, host_reached.clone());
        let overdue = Gauge::default();
        let help = "Endpoints of which no probe ends here any more, so that this observer has no say on them";
        registry.register("meridian_probes_overdue", help, overdue.clone());
        Self {
            overdue,
            overdue_before: 0,
            host_reached,
        }
    }

    /// Whether the host answers.
    pub(crate) fn note_host(&mut self, peers: &Peers) {
        let reached = peers.host == HostContact::Reached;
        self.host_reached.set(i64::from(reached));
    }

    /// Of how many endpoints no probe ends.
    pub(crate) fn note_report(&mut self, report: &ProbeReportValue) {
        let all = report.verdicts.len();
        let overdue = report.verdicts.iter().filter(|it| it.overdue).count();
        self.overdue.set(i64::try_from(overdue).unwrap_or(i64::MAX));
        match (self.overdue_before, overdue) {
            (0, 1..) => tracing::error!(overdue, all, "probes no longer end: others decide"),
            (1.., 0) => tracing::info!(all, "probes end again"),
            _ => {}
        }
        self.overdue_before = overdue;
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
        let mut state = OwnState::new(&mut Registry::default());
        state.note_report(&report(vec![verdict(true), verdict(false), verdict(true)]));
        assert_eq!(state.overdue.get(), 2);
        state.note_report(&report(vec![verdict(false)]));
        assert_eq!(state.overdue.get(), 0);
    }
}
