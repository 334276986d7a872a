//! What observers reported, and when this process noticed it.

use super::HeardReport;
use crate::context::Context;
use api::ProbeReport;
use std::collections::BTreeMap;
use std::sync::Arc;
use steering::REPORT_LIFE_MILLIS;

/// The reports, read once for all preferences: they are read again when one of them changed.
#[derive(Default)]
pub(super) struct Heard {
    /// Names and versions of the reports that were read.
    versions: Vec<(String, String)>,
    /// Per observer, the report's own time when it last changed, and when that was noticed.
    noticed: BTreeMap<String, (i64, u64)>,
    reports: Vec<HeardReport>,
}

impl Heard {
    /// The reports, each with when this process noticed that it was written. One that is old when
    /// it is first seen is not taken for fresh.
    pub(super) fn reports(&mut self, context: &Context, now_millis: u64) -> &[HeardReport] {
        let wall = i64::try_from(context.clock.millis()).unwrap_or(i64::MAX);
        self.take(context.host.reports.state(), now_millis, wall);
        &self.reports
    }

    fn take(&mut self, mut reports: Vec<Arc<ProbeReport>>, now_millis: u64, wall_millis: i64) {
        reports.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        let versions: Vec<_> = reports
            .iter()
            .map(|it| (text(&it.metadata.name), text(&it.metadata.resource_version)))
            .collect();
        // One that was too old to be heard stays so until it is written again.
        if versions == self.versions {
            return;
        }
        self.noticed
            .retain(|name, _| versions.iter().any(|(present, _)| present == name));
        self.reports.clear();
        for (report, (name, _)) in reports.iter().zip(&versions) {
            let at = report.spec.at_millis;
            let noticed = match self.noticed.get(name) {
                Some((before, noticed)) if *before == at => Some(*noticed),
                Some(_) => Some(now_millis),
                None => is_fresh(at, wall_millis).then_some(now_millis),
            };
            let Some(noticed) = noticed else {
                continue;
            };
            self.noticed.insert(name.clone(), (at, noticed));
            if let Ok(value) = report.read() {
                self.reports.push(HeardReport {
                    report: value,
                    heard_at_millis: noticed,
                });
            }
        }
        self.versions = versions;
    }
}

fn is_fresh(at_millis: i64, wall_millis: i64) -> bool {
    wall_millis.abs_diff(at_millis) <= REPORT_LIFE_MILLIS
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::ProbeReportSpec;

    const WALL: i64 = 1_800_000_000_000;

    fn report(name: &str, version: &str, at_millis: i64) -> Arc<ProbeReport> {
        let spec = ProbeReportSpec {
            at_millis,
            ..ProbeReportSpec::default()
        };
        let mut report = ProbeReport::new(name, spec);
        report.metadata.resource_version = Some(version.to_owned());
        Arc::new(report)
    }

    fn heard(desk: &Heard) -> Vec<(&str, u64)> {
        let reports = desk.reports.iter();
        reports
            .map(|it| (it.report.observer.as_str(), it.heard_at_millis))
            .collect()
    }

    #[test]
    fn a_report_is_dated_when_it_changed_and_an_old_one_is_not_taken_for_fresh() {
        let mut desk = Heard::default();
        let stale = WALL - i64::try_from(REPORT_LIFE_MILLIS).unwrap() - 1;
        let old = report("old", "1", stale);
        desk.take(vec![report("new", "1", WALL), Arc::clone(&old)], 10, WALL);
        assert_eq!(heard(&desk), [("new", 10)]);
        // Its labels changed: that is no sign of life.
        desk.take(vec![report("new", "2", WALL), Arc::clone(&old)], 20, WALL);
        assert_eq!(heard(&desk), [("new", 10)]);
        desk.take(vec![report("new", "3", WALL + 5), old], 30, WALL);
        assert_eq!(heard(&desk), [("new", 30)]);
        let back = report("old", "2", WALL);
        desk.take(vec![back, report("new", "3", WALL + 5)], 40, WALL);
        assert_eq!(heard(&desk), [("new", 30), ("old", 40)]);
        desk.take(vec![], 50, WALL);
        assert_eq!(heard(&desk), []);
    }
}
